"""fp8 GEMM and collective timings of pipeweave.

GEMM times are averages in microseconds, one row per chip and shape. Collective times are medians in milliseconds, one
row per rank; the unit of their `size` is not stated upstream.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from data_collection.importers._collectives import OPERATORS, statistics
from data_collection.upstream.files import Tree

__all__ = ["rows"]

_GEMM_CHIPS = {
    "NVIDIA H20": "nvidia-h20", "NVIDIA H800": "nvidia-h800", "NVIDIA H100": "nvidia-h100-sxm5-80gb",
    "NVIDIA H200": "nvidia-h200",
}  # fmt: skip
_FOLDER_CHIPS = {
    "A100": "nvidia-a100-sxm4-80gb", "H100": "nvidia-h100-sxm5-80gb", "H20": "nvidia-h20", "H800": "nvidia-h800",
    "RTX 6000 Ada": "nvidia-rtx-6000-ada", "RTX PRO 6000 S": "nvidia-rtx-pro-6000-server",
}  # fmt: skip


def rows(tree: Tree) -> Iterator[dict[str, Any]]:
    for path in tree.paths("dataset/gemm_fp8_*.csv"):
        yield from _gemm(tree, path)
    for path in tree.paths("dataset/collective/*/*.csv"):
        yield from _collective(tree, path)


def _gemm(tree: Tree, path: str) -> Iterator[dict[str, Any]]:
    split = path.removesuffix(".csv").rsplit("_", 1)[1]
    for line, cells in tree.records(path):
        micros = tree.number(path, line, cells["avg_duration"])
        yield {
            "ref": tree.ref(path, f"#L{line}"), "platform": "cuda",
            "chip": tree.known(path, line, _GEMM_CHIPS, cells["hardware"]),
            "software": "not stated (fp8 scaled GEMM kernel)", "op": "Linear", "dtype": "fp8", "phase": "fwd",
            "dims": {name.lower(): tree.whole(path, line, cells[name]) for name in ("M", "N", "K")},
            "latency_ms": micros / 1e3, "stat": "mean", "split": split,
            "extra": {"avg_duration_us": micros, "overall_perf": tree.number(path, line, cells["overall_perf"])},
        }  # fmt: skip


def _collective(tree: Tree, path: str) -> Iterator[dict[str, Any]]:
    chip = tree.known(path, 1, _FOLDER_CHIPS, path.split("/")[2])
    for line, cells in tree.records(path):
        told = statistics(tree, path, line, cells)
        yield {
            "ref": tree.ref(path, f"#L{line}"), "platform": "cuda", "chip": chip,
            "software": "not stated (Vidur-style collective profiler, NCCL)",
            "op": OPERATORS[cells["collective"]], "dtype": "n/a", "phase": "fwd",
            "dims": {"size": tree.whole(path, line, cells["size"]),
                     "n_chips": tree.whole(path, line, cells["num_workers"])},
            "latency_ms": told["median"], "stat": "median", "split": "",
            "extra": {
                **{f"{name}_ms": told[name] for name in ("mean", "min", "max", "std")},
                **{name: tree.whole(path, line, cells[name])
                   for name in ("rank", "devices_per_node", "max_devices_per_node")},
                "size_unit": "not stated upstream (Vidur profiler: bytes)",
            },
        }  # fmt: skip
