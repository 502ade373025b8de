"""InferenceX results as captured by an application that shows them: LLM deployments, medians of a closed loop.

An entry is one deployment at one number of requests in flight, and gives up to seven rows. Upstream's `ms` keys hold
seconds. Rates are per chip: of all tokens (`tput_per_gpu`) and of output tokens. Read are the two captures of the
service alone: `overview-rows.json` and `overview-history-rows.json` beside them hold round made-up figures for tests.
The data are under Apache-2.0 (upstream's csv-export), the repository around them under GPL-3.0.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from data_collection.upstream.differences import Known
from data_collection.upstream.files import Tree

__all__ = ["KNOWN", "once", "rows"]

KNOWN = (
    Known("here", "deployments that the prepared table keeps back", lambda row: True),
    Known("corpus", "made-up figures of the application's tests", lambda row: "overview" in row["ref"]),
)

_CHIPS = {
    "mi300x": "amd-mi300x", "mi325x": "amd-mi325x", "mi355x": "amd-mi355x", "h100": "nvidia-h100-sxm5-80gb",
    "h200": "nvidia-h200-sxm-141gb", "b200": "nvidia-b200-sxm-180gb", "b300": "nvidia-b300-sxm",
    "gb200": "nvidia-gb200", "gb300": "nvidia-gb300",
}  # fmt: skip
_MODELS = {"dsr1": "deepseek-ai/DeepSeek-R1-0528"}
_FIGURES = (
    ("tput_per_gpu", "throughput", "input+output tokens/s per chip", 1.0),
    ("output_tput_per_gpu", "throughput", "output tokens/s per chip", 1.0),
    ("median_ttft", "ttft_ms", "ms median", 1e3),
    ("median_tpot", "tpot_ms", "ms median per output token", 1e3),
    ("median_e2el", "latency_ms", "ms median per request end to end", 1e3),
    ("avg_power_w", "power_w", "W mean per chip during the run", 1.0),
    ("joules_per_output_token", "energy_j", "J per output token, chips only", 1.0),
)
_KEPT = (
    "prefill_tp", "prefill_ep", "decode_tp", "decode_ep", "prefill_dp_attention", "decode_dp_attention",
    "num_prefill_gpu", "num_decode_gpu", "date", "run_url",
)  # fmt: skip


def rows(tree: Tree) -> Iterator[dict[str, Any]]:
    for path in sorted(tree.paths(), key=len):  # the newest capture first: it names the image of each run
        for number, told in enumerate(json.loads(tree.text(path))):
            yield from _rows(tree, path, number, told)


def once(row: dict[str, Any]) -> tuple[object, ...]:
    """What identifies a figure that both captures hold."""
    setting = sorted((name, str(told)) for name, told in row["extra"].items() if name != "image")
    return row["chip"], row["software"].split()[0], row["precision"], row["unit"], row["value"], *setting


def _rows(tree: Tree, path: str, number: int, told: dict[str, Any]) -> Iterator[dict[str, Any]]:
    chip = tree.known(path, number, _CHIPS, told["hardware"])
    image = told.get("image") or ""
    extra = {"input_len": told["isl"], "output_len": told["osl"], "concurrency": told["conc"],
             "spec": told["spec_method"], "disagg": told["disagg"]}  # fmt: skip
    extra |= {name: told[name] for name in _KEPT if told[name] is not None} | {"hardware_label": told["hardware"]}
    version = image.rsplit("/", 1)[-1] or told["date"][:7]
    row = {
        "ref": tree.ref(path, f"#{number}"), "platform": "rocm" if chip.startswith("amd") else "cuda", "chip": chip,
        "software": f"{told['framework']} {version}", "precision": told["precision"],
        "model": tree.known(path, number, _MODELS, told["model"]), "batch": told["conc"], "seq_len": told["isl"],
        "phase": "serving", "n_chips": _chips(told), "extra": extra | ({"image": image} if image else {}),
    }  # fmt: skip
    for name, metric, unit, factor in _FIGURES:
        if told["metrics"].get(name):
            value = tree.number(path, number, told["metrics"][name]) * factor
            yield row | {"metric": metric, "unit": unit, "value": value}
        elif name not in ("avg_power_w", "joules_per_output_token"):
            tree.leave_out(f"a deployment without {name}")


def _chips(told: dict[str, Any]) -> int:
    """Chips of a deployment: those of prefill and decode together where they are separate."""
    decode = int(told["num_decode_gpu"])
    return decode + int(told["num_prefill_gpu"]) if told["disagg"] else decode
