"""MLPerf inference results v2.0 to v4.1 as republished by MLCommons: lists of runs in JSON, one file per scenario.

A run is one row, and a second one if it has power; a run whose figure is its power has that row only. Single-stream
time is the 90th percentile of a query, multi-stream the 99th of a query of eight samples; both are early-stopping
estimates of MLPerf, upper bounds at 99 % confidence instead of percentiles of the sample. Server figures are the
scheduled rate up to v4.0 and the completed rate since v4.1 (llama2-70b: since v4.0). Power is of the whole system at
the wall. A run is in several files and is read once, from the file of its round if there is one. Chips are those listed
here: x86 processors if no accelerator is stated, but no Arm, phones or accelerators of other vendors. The size of a
mobilenet is read if its name ends with it. Runs that give no row are counted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from data_collection.upstream.files import Tree

__all__ = ["rows"]

_ACCELERATORS = {
    "amd-mi300x": "AMD Instinct MI300X-NPS1-SPX-192GB-750W|AMD MI300X-NPS1-SPX-192GB-750W",
    "intel-gaudi2": "Intel® Gaudi® 2 AI Accelerator|Habana Gaudi2",
    "nvidia-a10": "NVIDIA A10-PCI-24GB|NVIDIA A10",
    "nvidia-a10-24q": "NVIDIA A10-24Q",
    "nvidia-a100-pcie-40gb": "NVIDIA A100-PCIe-40GB",
    "nvidia-a100-pcie-80gb": "NVIDIA A100-PCIe-80GB|NVIDIA A100-PCIE-80GB",
    "nvidia-a100-pcie-80gb-1x1g-10gb-mig": "NVIDIA A100-PCIe-80GB (1x1g.10gb MIG)",
    "nvidia-a100-sxm-40gb": "NVIDIA A100-SXM-40GB|NVIDIA A100-SXM4-40GB",
    "nvidia-a100-sxm-80c": "NVIDIA A100-SXM-80C",
    "nvidia-a100-sxm-80gb": "NVIDIA A100-SXM-80GB|NVIDIA A100-SXM-80GB CTS|NVIDIA A100-SXM4-80GB CTS|A100-SXM-80GB"
                            "|NVIDIA HGX A100 SXM",
    "nvidia-a100-sxm-80gb-1x1g-10gb-mig": "NVIDIA A100-SXM-80GB (1x1g.10gb MIG)",
    "nvidia-a100-sxm-80gb-7x1g-10gb-mig": "NVIDIA A100-SXM-80GB (7x1g.10gb MIG)",
    "nvidia-a2": "NVIDIA A2", "nvidia-a30": "NVIDIA A30",
    "nvidia-a30-1x1g-6gb-mig": "NVIDIA A30 (1x1g.6gb MIG)",
    "nvidia-a30-4x1g-6gb-mig": "NVIDIA A30 (4x1g.6gb MIG)",
    "nvidia-a40": "NVIDIA A40", "nvidia-b200-sxm-180gb": "NVIDIA B200-SXM-180GB",
    "nvidia-drive-a100-pcie": "NVIDIA Drive-A100-PCIe",
    "nvidia-gh200-96gb": "NVIDIA GH200 Grace Hopper Superchip 96GB|NVIDIA GH200-GraceHopper-Superchip",
    "nvidia-gh200-144gb": "NVIDIA GH200 Grace Hopper Superchip 144GB",
    "nvidia-h100-80c": "NVIDIA H100-80C", "nvidia-h100-nvl-94gb": "NVIDIA H100-NVL-94GB|NVIDIA H100 NVL",
    "nvidia-h100-pcie-80gb": "NVIDIA H100-PCIe-80GB",
    "nvidia-h100-sxm-80gb": "NVIDIA H100-SXM-80GB|NVIDIA H100-SXM-80GB-02|H100-SXM-80GB|NVIDIA H100 80GB HBM3",
    "nvidia-h200-sxm-141gb": "NVIDIA H200-SXM-141GB|NVIDIA H200-SXM-141GB-CTS",
    "nvidia-jetson-agx-orin": "NVIDIA Jetson AGX Orin", "nvidia-jetson-agx-orin-32g": "NVIDIA Jetson AGX Orin 32G",
    "nvidia-jetson-agx-orin-64g": "NVIDIA Jetson AGX Orin 64G", "nvidia-k80": "Nvidia Tesla K80",
    "nvidia-l4": "NVIDIA L4|NVIDIA L4-PCIe-24GB", "nvidia-l40": "NVIDIA L40|NVIDIA L40-PCIE-48GB",
    "nvidia-l40s": "NVIDIA L40S", "nvidia-orin": "NVIDIA Orin", "nvidia-orin-nx": "NVIDIA Orin NX",
    "nvidia-orin-nx-16g": "NVIDIA Orin NX 16G",
    "nvidia-rtx-4090": "NVIDIA GeForce RTX 4090|NVIDIA GeForce RTX 4090 (Ada Lovelace)",
    "nvidia-rtx-a1000": "NVIDIA RTX A1000", "nvidia-rtx-a5000": "NVIDIA RTX A5000|NVIDIA RTX A5000 GPU",
    "nvidia-t4": "NVIDIA T4|Tesla T4", "nvidia-virtualized-h100-sxm-80gb": "Virtualized NVIDIA H100-SXM-80GB",
    "nvidia-virtualized-l40s": "Virtualized NVIDIA L40S", "nvidia-xavier": "NVIDIA Xavier",
    "nvidia-xavier-nx": "NVIDIA Xavier NX",
}  # fmt: skip
_PROCESSORS = {  # spelt without marks, clocks and cores: see _plain
    "amd-epyc-7773x": "amd epyc 7773x", "amd-epyc-7r13": "amd epyc 7r13", "amd-epyc-7r32": "amd epyc 7r32",
    "amd-epyc-9004-series": "amd epyc 9004 series", "amd-epyc-9654": "amd epyc 9654",
    "amd-ryzen-5-5500u": "amd ryzen 5 5500u", "amd-ryzen-5-5560u": "amd ryzen 5 5560u",
    "amd-ryzen-5-5625u": "amd ryzen 5 5625u", "amd-ryzen-9-7950x": "amd ryzen 9 7950x",
    "amd-ryzen-threadripper-1920x": "amd ryzen threadripper 1920x", "intel-xeon": "intel xeon",
    "intel-xeon-6240r": "intel xeon gold 6240r", "intel-xeon-6338": "intel xeon gold 6338",
    "intel-xeon-6538yplus": "intel xeon gold 6538y+", "intel-xeon-6980p": "intel xeon 6980p",
    "intel-xeon-8124m": "intel xeon platinum 8124m", "intel-xeon-8252c": "intel xeon platinum 8252c",
    "intel-xeon-8259cl": "intel xeon platinum 8259cl", "intel-xeon-8275cl": "intel xeon platinum 8275cl",
    "intel-xeon-8375c": "intel xeon platinum 8375c", "intel-xeon-8380": "intel xeon platinum 8380",
    "intel-xeon-8380h": "intel xeon gold 8380h", "intel-xeon-8480plus": "intel xeon platinum 8480+",
    "intel-xeon-8481c": "intel xeon platinum 8481c", "intel-xeon-8592plus": "intel xeon platinum 8592+",
    "intel-xeon-8592v": "intel xeon platinum 8592v", "intel-xeon-e5-2686-v4": "intel xeon e5-2686 v4",
    "intel-xeon-cascade-lake-platform": "intel xeon (intel cascade lake cpu platform)",
    "intel-xeon-max-9480": "intel xeon max 9480", "intel-xeon-w7-2495x": "intel xeon w7-2495x",
    "intel-xeon-sapphire-rapids": "intel xeon (code named sapphire rapids)",
}  # fmt: skip
_CHIPS = {name: chip for chip, names in (_ACCELERATORS | _PROCESSORS).items() for name in names.split("|")}
_PLATFORMS = {"nvidia": "cuda", "amd-mi300x": "rocm", "intel-gaudi2": "other"}
_NONE = ("", "-", "N/A")  # no accelerator
_SCENARIOS = {  # batch, phase, metric, unit, statistic
    "Offline": (None, "inference", "throughput", "samples/s", "mean"),
    "Server": (None, "serving", "throughput", "queries/s", "mean(valid qps)"),  # which rate: see _statistic
    "SingleStream": (1, "inference", "latency_ms", "ms/query", "p90 (early-stopping estimate)"),
    "MultiStream": (8, "inference", "latency_ms", "ms/query (8 samples)", "p99 (early-stopping estimate)"),
}
_COMPLETED_SINCE = (4, 1)
_COMPLETED_BEFORE = {(4, 0): "llama2-70b"}  # version -> models whose server rate is of completed samples already
_POWERS = {
    "Offline": ("power_w", "W (whole system, wall, all chips)", 1.0),
    "Server": ("power_w", "W (whole system, wall, all chips)", 1.0),
    "SingleStream": ("energy_j", "J/query (whole system, wall)", 1e3),  # stated in millijoules
    "MultiStream": ("energy_j", "J/query (8 samples) (whole system, wall)", 1e3),
}
_KEPT = {
    "accuracy": "Accuracy", "availability": "Availability", "division": "Division",
    "host": "host_processor_model_name", "location": "Location", "mlperf_version": "version",
    "scenario": "Scenario", "submitter": "Organization", "system": "SystemName", "task": "MlperfModel", "uid": "uid",
}  # fmt: skip
_MARKS = re.compile(
    r" ?\(r\)| cpu(?! platform)\b| @ .*| (\d+-core )?processor| with radeon graphics| \(sapphire rapids\)"
)
_NOTES = 200  # characters of the notes that are kept
_EFFICIENTNET = {"lite0": 224, "lite1": 240, "lite2": 260, "lite3": 280, "lite4": 300}


def rows(tree: Tree) -> Iterator[dict[str, Any]]:
    read: set[str] = set()
    for path in sorted(tree.paths(), key=lambda path: ("--all--" in path, path)):
        for number, run in enumerate(json.loads(tree.text(path))):
            chip = _chip(run)
            if run.get("uid") in read:
                tree.leave_out("a run that another file has")
            elif chip is None:
                measured = "accelerator_model_name" in run
                tree.leave_out("a run on hardware that is not listed" if measured else "no run of inference")
            else:
                read.add(run["uid"])
                yield from _rows(tree, path, number, run, chip)


def _chip(run: dict[str, Any]) -> str | None:
    if "accelerator_model_name" not in run:
        return None  # a training or tiny run
    accelerator = run["accelerator_model_name"]
    return _CHIPS.get(_plain(run["host_processor_model_name"]) if accelerator in _NONE else accelerator)


def _plain(processor: str) -> str:
    """The name alone: `Intel(R) Xeon(R) Gold 6338 CPU @ 2.00GHz` -> `intel xeon gold 6338`."""
    return _MARKS.sub("", processor.lower())


def _rows(tree: Tree, path: str, number: int, run: dict[str, Any], chip: str) -> Iterator[dict[str, Any]]:
    scenario = run["Scenario"]
    batch, phase, metric, unit, stat = tree.known(path, number, _SCENARIOS, scenario)
    per_node = run["host_processors_per_node" if run["accelerator_model_name"] in _NONE else "accelerators_per_node"]
    extra = {ours: run[theirs] for ours, theirs in _KEPT.items()}
    if notes := run["notes"]:
        extra["notes"] = notes[:_NOTES]
    model = run["Model"]
    row = {
        "ref": tree.ref(path, f"#{number}"), "chip": chip, "software": run["framework"], "model": model,
        "platform": next((each for start, each in _PLATFORMS.items() if chip.startswith(start)), "oneapi"),
        "precision": _precision(model), "batch": batch, "seq_len": 384 if "bert" in model.lower() else None,
        "image_size": _image(model), "phase": phase, "n_chips": per_node * run["number_of_nodes"] or None,
        "extra": extra | {"stat": _statistic(scenario, stat, str(run["version"]), model), "suite": run["SystemType"]},
    }  # fmt: skip
    if run["Result_Units"] not in ("Watts", "millijoules"):
        yield row | {"metric": metric, "unit": unit, "value": tree.number(path, number, run["Result"])}
    if run.get("Result_Power"):
        metric, unit, divisor = _POWERS[scenario]
        value = tree.number(path, number, run["Result_Power"]) / divisor
        yield row | {"metric": metric, "unit": unit, "value": value}


def _statistic(scenario: str, stat: str, version: str, model: str) -> str:
    """What the figure of a run is: a server's rate is of scheduled or of completed samples.

    >>> _statistic("Server", "mean(valid qps)", "v3.1", "bert-99")
    'mean(valid qps, scheduled)'
    """
    if scenario != "Server":
        return stat
    digits = re.match(r"v?(\d+)\.(\d+)", version)
    round_ = (int(digits[1]), int(digits[2])) if digits else (0, 0)
    early = model.startswith(_COMPLETED_BEFORE.get(round_, "\0"))
    return f"mean(valid qps, {'completed' if early or round_ >= _COMPLETED_SINCE else 'scheduled'})"


def _precision(model: str) -> str:
    if "uint8" in model:
        return "uint8"
    if "quant" in model or "int8" in model:
        return "int8"
    return "fp32" if "precision_float" in model or "fp32" in model else "unspecified"


def _image(model: str) -> int | None:
    if model.startswith("resnet50"):
        return 224
    if model in ("retinanet", "ssd-resnet34"):
        return 800
    if model.startswith("efficientnet"):
        return next((size for name, size in _EFFICIENTNET.items() if name in model), None)
    ending = re.fullmatch(r"mobilenet-.*-(\d{3})", model)
    return int(ending[1]) if ending else None
