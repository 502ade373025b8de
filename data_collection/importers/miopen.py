"""MIOpen find-db: for each convolution problem the solvers that apply, with time in ms and workspace in bytes.

A line is PROBLEM=solver:time,workspace,algorithm;... or, in older files, PROBLEM=algorithm:solver,time,workspace,....
The problem of a backward pass is written with the output first; dims here are always those of the forward
convolution. A row is the fastest solver; `flops` counts two for each multiply-add. Solvers with time 0 did not run.
Problems whose output is not of the size that the others give (transposed ones), or that have three sizes but two
paddings, are left out.
"""

from __future__ import annotations

import bz2
import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from data_collection.upstream.differences import Known
from data_collection.upstream.files import Tree

__all__ = ["KNOWN", "rows"]


def _faster_than_the_chip(row: dict[str, Any]) -> bool:
    """Above the 13.4 fp32 TFLOPS of gfx906, the slowest chip with such rows; applied only to unmatched rows."""
    return float(json.loads(row["extra"])["flops"]) / row["latency_ms"] / 1e9 > 13.4


KNOWN = (
    Known("here", "the same figure stands in a file of another chip (gfx803)",
          lambda row: row["chip"] == "amd-gfx900-64cu"),
    Known("here", "faster than the chip can be", _faster_than_the_chip),
)  # fmt: skip

_CHIPS = {
    "gfx1030_36": "amd-gfx1030-72cu", "gfx900_56": "amd-gfx900-56cu", "gfx900_64": "amd-gfx900-64cu",
    "gfx906_60": "amd-gfx906-60cu", "gfx906_64": "amd-gfx906-64cu", "gfx90878": "amd-mi100",
    "gfx90a68": "amd-gfx90a-104cu", "gfx90a6e": "amd-gfx90a-110cu", "gfx942130": "amd-mi300x",
}  # fmt: skip
_DTYPES = {"FP32": "fp32", "FP16": "fp16", "BF16": "bf16", "INT8": "int8"}
_PASSES = {"F": ("fwd", "fwd"), "B": ("bwd", "bwd_data"), "W": ("bwd", "bwd_weight")}
_PREFIX = "miopenConvolution"
_PAIR = r"(\d+x\d+(?:x\d+)?)"
_PROBLEM = re.compile(
    rf"(\d+)-((?:\d+-)?\d+-\d+)-{_PAIR}-(\d+)-((?:\d+-)?\d+-\d+)-(\d+)-{_PAIR}-{_PAIR}-{_PAIR}-\d+-"
    r"([A-Z]+)(?:-[A-Z]+-[A-Z]+)?-([A-Z0-9]+)-([FBW])(?:_g(\d+))?"
)


class _Solver(NamedTuple):
    time: float
    name: str
    workspace: int
    algorithm: str


def rows(tree: Tree) -> Iterator[dict[str, Any]]:
    for path in tree.paths():
        name, backend = path.rsplit("/", 1)[1].split(".")[:2]
        chip = tree.known(path, 1, _CHIPS, name)
        lines = bz2.decompress(tree.read(path)).decode().splitlines()
        for line, text in enumerate(lines, start=1):
            row = _row(tree, path, line, text, chip, backend) if text.strip() else None
            if row:
                yield row


def _row(tree: Tree, path: str, line: int, text: str, chip: str, backend: str) -> dict[str, Any] | None:
    problem, _, listed = text.strip().partition("=")
    found = _PROBLEM.fullmatch(problem)
    if found is None or not listed:
        tree.bad(path, line, f"{problem[:60]!r} is no convolution problem with solvers")
    dims, layout, flops = _dims(found)
    phase, way = _PASSES[found[12]]
    if found[11] not in _DTYPES:
        tree.bad(path, line, f"unknown precision {found[11]}")
    solvers = [_solver(tree, path, line, entry) for entry in listed.split(";")]
    solvers = [solver for solver in solvers if solver.time > 0]
    if not solvers or not _fits(found, dims):
        tree.leave_out("a problem whose output does not fit its sizes" if solvers else "a problem without a time")
        return None
    best = min(solvers)
    return {
        "ref": tree.ref(path, f"#L{line}"), "platform": "rocm", "chip": chip,
        "software": f"MIOpen find-db ({backend})", "op": "Conv3d" if "d" in dims else "Conv2d",
        "dtype": _DTYPES[found[11]], "phase": phase, "dims": dims, "latency_ms": best.time, "stat": "unknown",
        "extra": {"pass": way, "solver": best.name, "algo": best.algorithm, "workspace_b": best.workspace,
                  "n_solvers": len(solvers), "layout": layout, "backend": backend, "flops": flops},
    }  # fmt: skip


def _dims(found: re.Match[str]) -> tuple[dict[str, int], str, int]:
    first, second = (int(found[1]), _sizes(found[2])), (int(found[4]), _sizes(found[5]))
    (c, inner), (oc, outer) = (first, second) if found[12] == "F" else (second, first)
    kernel, pad, stride, dilation = (_sizes(found[place]) for place in (3, 7, 8, 9))
    groups = int(found[13] or 1)
    dims = {
        "n": int(found[6]), "c": c, "h": inner[-2], "w": inner[-1], "oc": oc, "kh": kernel[-2], "kw": kernel[-1],
        "stride": stride[-2], "pad": pad[-2], "groups": groups,
    }  # fmt: skip
    if stride[-1] != stride[-2]:
        dims["stride_w"] = stride[-1]
    if pad[-1] != pad[-2]:
        dims["pad_w"] = pad[-1]
    if dilation[-2:] != [1, 1]:
        dims |= {"dil_h": dilation[-2], "dil_w": dilation[-1]}
    dims |= {"oh": outer[-2], "ow": outer[-1]}
    if len(inner) == 3:
        dims |= {"d": inner[0], "kd": kernel[0], "stride_d": stride[0], "pad_d": pad[0], "od": outer[0]}
    flops = 2 * dims["n"] * oc * (c // groups)
    for size in (*kernel, *outer):
        flops *= size
    return dims, found[10], flops


def _fits(found: re.Match[str], dims: dict[str, int]) -> bool:
    """Whether all sizes have two or three numbers alike, and the output is of the size that the others give."""
    if len({len(_sizes(found[place])) for place in (2, 3, 7, 8, 9)}) > 1:
        return False
    pad, stride, dilation = (_sizes(found[place])[-2:] for place in (7, 8, 9))
    for axis, name in enumerate("hw"):
        reach = dilation[axis] * (dims[f"k{name}"] - 1) + 1
        if (dims[name] + 2 * pad[axis] - reach) // stride[axis] + 1 != dims[f"o{name}"]:
            return False
    return True


def _solver(tree: Tree, path: str, line: int, entry: str) -> _Solver:
    head, _, rest = entry.partition(":")
    parts = rest.split(",")
    old = len(parts) > 3  # algorithm first, then solver, time, workspace
    try:
        if old:
            return _Solver(float(parts[1]), parts[0], int(parts[2]), head.removeprefix(_PREFIX))
        return _Solver(float(parts[0]), head, int(parts[1]), parts[2].removeprefix(_PREFIX))
    except (ValueError, IndexError):
        tree.bad(path, line, f"{entry[:60]!r} is no solver with time and workspace")


def _sizes(text: str) -> list[int]:
    return [int(size) for size in re.split("[-x]", text)]
