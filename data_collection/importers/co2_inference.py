"""Energy of Hugging Face pipelines: 1,000 queries of a model on one GPU of a node with eight, by codecarbon.

The tables in `complete` list the runs of a task; figures are from the `query model` line of the run's file in `base`.
There are three rows per run: time and energy (total / 1,000), and mean power of all eight GPUs. The text-to-image
tables are not read, as the number of steps is not stated.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from data_collection.upstream.files import Tree

__all__ = ["rows"]

_QUERIES = 1000
_JOULES = 3.6e6  # in a kWh
_GENERATING = ("itt_", "summarize_", "textgen_", "zeroshot_")
_GPUS = "NVML, 8 GPUs incl. 7 idle"
_NOTE = (
    "HF pipeline, batch 1, device=0; gpu energy is the sum of all 8 GPUs of the node (7 idle); "
    "includes tokenisation/pre-processing on CPU"
)


def rows(tree: Tree) -> Iterator[dict[str, Any]]:
    for path in tree.paths("data/emissions/complete/*.csv"):
        task = path.rsplit("/", 1)[1].removesuffix(".csv")
        for _, run in tree.records(path) if not task.startswith("tti_") else ():
            yield from _run(tree, task, run["run_id"])


def _run(tree: Tree, task: str, run: str) -> Iterator[dict[str, Any]]:
    path = f"data/emissions/base/emissions_base_{run}.csv"
    found = [(line, cells) for line, cells in tree.records(path) if cells["task_name"] == "query model"]
    if len(found) != 1:
        tree.bad(path, 1, f"{len(found)} lines of 'query model', 1 expected")
    line, cells = found[0]
    seconds = tree.number(path, line, cells["duration"])
    kwh = tree.number(path, line, cells["gpu_energy"])
    row = {
        "ref": tree.ref(path), "platform": "cuda", "chip": "nvidia-a100-sxm-80gb",
        "software": "pytorch transformers pipeline (2023), codecarbon 2.3.1", "model": cells["project_name"],
        "precision": "fp32", "batch": 1, "phase": "serving" if task.startswith(_GENERATING) else "inference",
        "n_chips": 1,
        "extra": {
            "codecarbon_cpu_kwh_modelled": float(cells["cpu_energy"]),
            "codecarbon_ram_kwh_modelled": float(cells["ram_energy"]),
            "codecarbon_total_kwh": float(cells["energy_consumed"]), "host": cells["cpu_model"],
            "n_queries": _QUERIES, "note": _NOTE, "run_id": run, "task": task, "timestamp": cells["timestamp"],
            "total_duration_s": round(seconds, 3), "total_gpu_energy_kwh": kwh,
        },
    }  # fmt: skip
    yield row | {"metric": "latency_ms", "unit": "ms/query (mean of 1000)", "value": seconds * 1e3 / _QUERIES}
    yield row | {"metric": "energy_j", "unit": f"J/query (mean of 1000; {_GPUS})", "value": kwh * _JOULES / _QUERIES}
    yield row | {"metric": "power_w", "unit": f"W ({_GPUS})", "value": tree.number(path, line, cells["gpu_power"])}
