"""Read the table of tuned sizes at the end of a Tensile logic file: (m, n, batch, k) with kernel and GFLOPS.

The files are YAML; the last list pairs sizes with [kernel, GFLOPS]. Only these two kinds of lines are read, without a
YAML parser, as files have megabytes. Time is 2·m·n·k·batch divided by the published GFLOPS.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from data_collection.upstream.files import Tree

__all__ = ["chips_of", "logic_rows"]

_NAME = re.compile(r"[a-z0-9]+_Cijk_A(il|li)k_B(jl|lj)k_(\w+)")
_SIZES = re.compile(r"-? +(?:- )?- - \[([\d, ]+)\]")
_SPEED = re.compile(r" +- \[(-?\d+), (-?[\d.e+-]+)\]")
_TRANS = {("il", "lj"): "NN", ("il", "jl"): "NT", ("li", "lj"): "TN", ("li", "jl"): "TT"}
_PRECISIONS = {  # code -> dtype, accumulation
    "HHS": ("fp16", "fp32-acc,fp16-out"), "HSS": ("fp16", "fp32-acc,fp32-out"), "HB": ("fp16", "fp16-acc"),
    "BBS": ("bf16", "fp32-acc,bf16-out"), "BSS": ("bf16", "fp32-acc,fp32-out"), "SB": ("fp32", ""), "DB": ("fp64", ""),
    "4xi8II": ("int8", "int32,packed-int8x4"), "I8II": ("int8", "int32"), "S_MX": ("tf32-xf32", ""),
}  # fmt: skip
_SIZES_A_ROW = 4
_MIXED = ("HF8", "F8H")


def logic_rows(tree: Tree, path: str, chip: str, software: str) -> Iterator[dict[str, Any]]:
    """Rows of one file; empty if its precision is not in the schema (complex numbers, fp8)."""
    name = _NAME.match(path.rsplit("/", 1)[1])
    prec = _precision(name[3]) if name else ""
    if name is None or not prec:
        tree.leave_out("a table of complex numbers or fp8, which the schema has not")
        return
    dtype, acc = _PRECISIONS[prec]
    common = {"platform": "rocm", "chip": chip, "software": software, "dtype": dtype, "phase": "fwd", "stat": "mean"}
    extra = {"trans": _TRANS[name[1], name[2]], "prec": prec, "acc": acc}
    for line, sizes, kernel, gflops in _tuned(tree, path):
        m, n, batch, k = sizes[:4]
        dims = {"m": m, "n": n, "k": k} if batch == 1 else {"b": batch, "m": m, "n": n, "k": k}
        yield common | {
            "ref": tree.ref(path, f"#L{line}"), "op": "Linear" if batch == 1 else "BMM", "dims": dims,
            "latency_ms": 2 * m * n * k * batch / gflops / 1e6,
            "extra": extra | {"kernel_idx": kernel, "gflops": gflops},
        }  # fmt: skip


def _precision(tail: str) -> str:
    """Code of the precision; after a mark of mixed fp8 inputs (HF8, F8H) the next part has it."""
    parts = tail.split("_")
    if parts[0] in _MIXED and parts[1:]:
        parts = parts[1:]
    if tail.startswith("S_MX"):
        return "S_MX"
    return parts[0] if parts[0] in _PRECISIONS else next((c for c in ("SB", "DB", "HB") if parts[0].startswith(c)), "")


def _tuned(tree: Tree, path: str) -> Iterator[tuple[int, list[int], int, float]]:
    """(line, sizes, kernel, GFLOPS) of each pair with a speed above 0."""
    sizes: list[int] | None = None
    for line, text in enumerate(tree.text(path).splitlines(), start=1):
        found = _SIZES.fullmatch(text)
        if found:
            sizes = [int(size) for size in found[1].split(",")]
            continue
        speed = _SPEED.fullmatch(text) if sizes else None
        if sizes and speed:
            if len(sizes) < _SIZES_A_ROW:
                tree.bad(path, line, f"{len(sizes)} sizes, at least 4 expected")
            if float(speed[2]) > 0:
                yield line, sizes, int(speed[1]), float(speed[2])
            else:
                tree.leave_out("a size without a speed")
        sizes = None


def chips_of(folders: Mapping[str, str], path: str) -> str | None:
    """The chip of the first folder that the path holds."""
    return next((chip for folder, chip in folders.items() if f"/{folder}/" in path), None)
