"""A kernel table of the Ascend profiler: one training step of a GPT, one execution per line, microseconds.

Dims are the shape of the first output; matrix products have m, n and k (and b) from output and first input. Scalars and
communication have no dims. The chip is not named; the numbers of cube and vector cores are those of the 910B family.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

from data_collection.upstream.files import Tree

__all__ = ["rows"]

_OPERATORS = {
    "GatherV2": "Embedding", "LayerNormV3": "LayerNorm", "MatMul": "Linear", "BatchMatMul": "BMM", "FastGelu": "GELU",
    "ReduceSumD": "ReduceSum", "RealDiv": "Div", "hcom_broadcast_": "Broadcast", "hcom_allReduce_": "AllReduce",
}  # fmt: skip
_DTYPES = {
    "FLOAT16": "fp16", "FLOAT": "fp32", "INT32": "int32", "INT64": "int64", "BOOL": "bool", "UNDEFINED": "undefined",
    "N/A": "n/a",
}  # fmt: skip
_KEPT = (
    "Name", "Type", "Accelerator Core", "Start Time(us)", "Wait Time(us)", "Block Dim", "Input Shapes",
    "Input Data Types", "Input Formats", "Output Shapes", "aicore_time(us)", "aic_mac_fp16_ratio", "aic_cube_fops",
    "aiv_time(us)", "aiv_vector_fops",
)  # fmt: skip
_CHIP = (
    "upstream does not name the chip; Block Dim 24 cube / 48 vector cores and split aic/aiv counters = "
    "Ascend 910B family"
)


def rows(tree: Tree) -> Iterator[dict[str, Any]]:
    for path in tree.paths():
        for line, cells in tree.records(path):
            kind = cells["Type"]
            extra: dict[str, Any] = {name: cells[name] for name in _KEPT} | {"synthetic_suspect": False}
            if cells["Accelerator Core"] == "HCCL":
                extra["collective"] = True
            yield {
                "ref": tree.ref(path, f"#L{line}"), "platform": "cann", "chip": "huawei-ascend-910b",
                "software": "torch_npu profiler (CANN version not stated; Nov 2023)",
                "op": _OPERATORS.get(kind, kind), "phase": "unknown (training step)", "stat": "single",
                "dtype": tree.known(path, line, _DTYPES, cells["Input Data Types"].split(";")[0]),
                "dims": _dims(tree, path, line, cells), "extra": extra | {"chip_note": _CHIP},
                "latency_ms": tree.number(path, line, cells["Duration(us)"]) / 1e3,
            }  # fmt: skip


def _dims(tree: Tree, path: str, line: int, cells: dict[str, str]) -> dict[str, Any] | None:
    into = _shape(tree, path, line, cells["Input Shapes"])
    out = _shape(tree, path, line, cells["Output Shapes"])
    if not out:
        return None
    if cells["Type"] in ("MatMul", "BatchMatMul"):
        batch = {"b": out[0]} if len(out) == 3 else {}
        return batch | {"m": out[-2], "n": out[-1], "k": prod(into) // prod(out[:-1])}
    if cells["Type"] == "LayerNormV3":
        return {"rows": prod(into[:-1]), "cols": into[-1]}
    return {"shape": out, "numel": prod(out)}


def _shape(tree: Tree, path: str, line: int, text: str) -> list[int]:
    first = text.strip('"').split(";")[0]
    return [] if first in ("", "N/A") else [tree.whole(path, line, size) for size in first.split(",")]
