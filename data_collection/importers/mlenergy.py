"""ML.ENERGY leaderboard: energy of generative models, of the GPUs alone (Zeus on NVML).

The tables of 2023 (`legacy`) are Hugging Face generate calls at batch 1. The JSON files of 2024 are language models
served at a bounded batch in steady state and diffusion models; their precision is upstream's default, not stated.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from data_collection.upstream.files import Tree

__all__ = ["rows"]

_CHIPS = {
    "A100-SXM4-40GB": "nvidia-a100-sxm-40gb", "H100 80GB HBM3": "nvidia-h100-sxm-80gb",
    "A100": "nvidia-a100", "A40": "nvidia-a40", "V100": "nvidia-v100",
}  # fmt: skip
_LEGACY = (("throughput", "throughput", "tokens/s", 1.0), ("latency", "latency_ms", "ms/request", 1e3),
           ("energy", "energy_j", "J/request (GPU, NVML via Zeus)", 1.0))  # fmt: skip
_FIGURES = (
    ("Energy/req (J)", "energy_j", "J/request (GPU)", 1.0), ("Avg TPOT (s)", "tpot_ms", "ms/token", 1e3),
    ("Token tput (tok/s)", "throughput", "tokens/s", 1.0), ("Batch latency (s)", "latency_ms", "ms/batch", 1e3),
    ("Energy/image (J)", "energy_j", "J/image (GPU)", 1.0), ("Energy/video (J)", "energy_j", "J/video (GPU)", 1.0),
)  # fmt: skip


def rows(tree: Tree) -> Iterator[dict[str, Any]]:
    for path in tree.paths():
        yield from (_legacy if path.startswith("data/legacy/") else _report)(tree, path)


def _legacy(tree: Tree, path: str) -> Iterator[dict[str, Any]]:
    chip, task = path.rsplit("/", 1)[1].removesuffix("_benchmark.csv").split("_")
    for line, cells in tree.records(path):
        row = {
            "dataset": "mlenergy_legacy2023", "ref": tree.ref(path, f"#L{line}"), "platform": "cuda",
            "chip": tree.known(path, line, _CHIPS, chip), "model": cells["model"], "precision": "fp16", "batch": 1,
            "software": "pytorch transformers (2023, batch 1 HF generate)", "phase": "serving", "n_chips": 1,
            "extra": {"response_length": tree.number(path, line, cells["response_length"]), "task": task},
        }  # fmt: skip
        for column, metric, unit, factor in _LEGACY:
            yield row | {"metric": metric, "unit": unit, "value": tree.number(path, line, cells[column]) * factor}


def _report(tree: Tree, path: str) -> Iterator[dict[str, Any]]:
    told = json.loads(tree.text(path))
    parts = path.split("/")
    served = parts[1] != "diffusion"
    row = {
        "dataset": "mlenergy_v2", "ref": tree.ref(path), "platform": "cuda", "model": told["Model"],
        "chip": tree.known(path, 0, _CHIPS, parts[3]), "precision": "bf16/fp16 (upstream default)",
        "software": "vllm/tgi via ml.energy benchmark (2024)" if served else "pytorch diffusers (2024)",
        "batch": told["Max BS (reqs)" if served else "Batch size"], "phase": "serving" if served else "inference",
        "n_chips": told.get("TP", 1) * told.get("PP", 1),
        "extra": {name: value for name, value in told.items() if name != "Model"}
        | {"config": parts[-1].removesuffix(".json"), "task": "/".join(parts[1:3])},
    }  # fmt: skip
    for column, metric, unit, factor in _FIGURES:
        if column in told:
            yield row | {"metric": metric, "unit": unit, "value": tree.number(path, 0, told[column]) * factor}
