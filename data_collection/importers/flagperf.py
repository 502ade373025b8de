"""Operator reports of FlagPerf on an A100: one README per operator and precision, PyTorch and FlagGems (Triton).

A row is the median kernel time in microseconds; the nine operators with a backward pass have a second row for one
host-timed forward call. The report does not state the size of an operator; the table below has it from upstream's
case_config.yaml and main.py, one large shape each. Card power is in `extra`; no energy is derived.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from data_collection.upstream.files import Tree

__all__ = ["rows"]

_GIGA, _SIDE = 1 << 30, 81920
_SQUARE = {"rows": _SIDE, "cols": _SIDE, "numel": _SIDE**2}
_OPERATORS = {
    "abs": "Abs", "add": "Add", "addmm": "AddMM", "all": "ReduceAll", "amax": "ReduceMax", "argmax": "ArgMax",
    "bitwise_and": "BitwiseAnd", "bitwise_not": "BitwiseNot", "bitwise_or": "BitwiseOr", "bmm": "BMM", "cos": "Cos",
    "cross_entropy_loss": "CrossEntropyLoss", "div": "Div", "dropout": "Dropout", "eq": "Equal", "exp": "Exp",
    "ge": "GreaterEqual", "gelu": "GELU", "group_norm": "GroupNorm", "gt": "Greater", "isinf": "IsInf",
    "isnan": "IsNan", "le": "LessEqual", "linear": "Linear", "log_softmax": "LogSoftmax", "lt": "Less",
    "max": "ReduceMax", "mean": "ReduceMean", "min": "ReduceMin", "mm": "MatMul", "mul": "Mul", "mv": "MatVec",
    "native_dropout": "Dropout", "native_group_norm": "GroupNorm", "ne": "NotEqual", "neg": "Neg", "outer": "Outer",
    "pow": "Pow", "prod": "ReduceProd", "reciprocal": "Reciprocal", "relu": "ReLU", "rsqrt": "Rsqrt", "rsub": "RSub",
    "sigmoid": "Sigmoid", "silu": "SiLU", "sin": "Sin", "softmax": "Softmax", "sub": "Sub", "sum": "ReduceSum",
    "tanh": "Tanh", "triu": "Triu",
}  # fmt: skip
_DIMS: dict[str, dict[str, int]] = {  # the others are pointwise or full reductions of 2**30 elements
    "addmm": {"m": 4096, "n": 4096, "k": 4096}, "bmm": {"b": 2, "m": 4096, "n": 4096, "k": 4096},
    "linear": {"m": 8192, "n": 8192, "k": 8192}, "mm": {"m": 8192, "n": 8192, "k": 8192},
    "mv": {"m": 1024, "n": 1, "k": 1024}, "outer": {"m": 10240, "n": 10240, "k": 1}, "amax": _SQUARE,
    "argmax": _SQUARE, "triu": {"rows": 51200, "cols": 51200, "numel": 51200**2},
    "cross_entropy_loss": {"rows": 1024, "cols": 128000}, "log_softmax": {"rows": 1 << 20, "cols": 10},
    "softmax": {"rows": 1 << 20, "cols": 1024, "shape0": 1024, "shape1": 1024, "shape2": 1024, "axis": 1},
    "group_norm": {"n": 20, "c": 6, "hw": 65536, "groups": 3},
    "native_group_norm": {"n": 20, "c": 6, "hw": 32768, "groups": 3},
}  # fmt: skip
_WITH_BACKWARD = ("cross_entropy_loss", "native_dropout", "native_group_norm", "log_softmax", "relu", "sigmoid", "silu",
                  "softmax", "tanh")  # fmt: skip
_MEDIAN = "kerneltime (triton do_bench median)"
_ONCE = "latency_warm: ONE forward call, host wall clock incl. launch + sync"
_BACKWARD = "do(): forward + .sum() + autograd.grad; includes the extra sum reduction"
_LIBRARY = re.compile(r"Commit ID: ?([0-9a-f]{40})")
Cells = dict[str, tuple[int, list[str]]]


def rows(tree: Tree) -> Iterator[dict[str, Any]]:
    for path in tree.paths():
        upstream, precision = path.split("/")[2], path.rsplit("/", 1)[1].split("_")[0]
        op = tree.known(path, 0, _OPERATORS, upstream)
        text = tree.text(path)
        gems = _LIBRARY.search(text)
        tables = _tables(text)
        for library in ("flaggems", "nativetorch"):
            yield from _rows(tree, path, op, upstream, precision, library, tables, gems[1][:8] if gems else "unstated")


def _tables(text: str) -> dict[str, Cells]:
    """First cell of a line of any table -> the lines that begin so, by the first heading of their table."""
    found: dict[str, Cells] = {}
    head = ""
    for line, told in enumerate(text.splitlines(), start=1):
        cells = [cell.strip() for cell in told.strip().strip("|").split("|")]
        if not told.strip().startswith("|"):
            head = ""
        elif not head:
            head = cells[1]
        elif not set(told) <= set("|- "):
            found.setdefault(head, {})[cells[0]] = (line, cells[1:])
    return found


def _rows(tree: Tree, path: str, op: str, upstream: str, precision: str, library: str, tables: dict[str, Cells],
          gems: str) -> Iterator[dict[str, Any]]:  # fmt: skip
    watched = f"{library}监控结果"
    try:
        line, core = tables["correctness"][library]
        _, times = tables["cputime"][library]
        _, power = tables["系统平均功耗"][watched]
        _, memory = tables["系统平均CPU占用"][watched]
        cpu, kernel, cold, warm = (_bare(times[place]) for place in (0, 1, 4, 5))
        extra: dict[str, Any] = {
            "upstream_op": upstream, "oplib": library, "declared_dtype": precision, "cputime_us": cpu,
            "kerneltime_us": kernel, "latency_nowarm_us": cold, "latency_warm_us": warm,
            "tflops_kernel": _bare(core[2]), "tflops_cpu": _bare(core[1]), "util_kernel": core[4],
            "dims_consistent_with_reported_tflops": True, "bench_file_dims": "current case_config.yaml",
            "card_avg_power_w": _bare(power[4]), "card_max_power_w": _bare(power[5]), "card_tdp_w": _bare(power[7]),
            "card_max_mem_pct": _bare(memory[3]), "correctness": core[0],
        }  # fmt: skip
    except (KeyError, IndexError, ValueError) as error:
        tree.bad(path, 0, f"no complete report of {library}: {error}")
    backward = upstream in _WITH_BACKWARD
    tensor_cores = upstream == "mm" and precision == "FP32" and library == "nativetorch"  # 127 TFLOPS: tf32
    row = {
        "ref": tree.ref(path, f"#L{line}"), "platform": "cuda", "chip": "nvidia-a100-sxm4-40gb", "op": op,
        "software": "pytorch (ngc 24.03 image) " + (f"+ FlagGems@{gems}" if library == "flaggems" else "native"),
        "dtype": "tf32" if tensor_cores else precision.lower(), "dims": _DIMS.get(upstream, {"numel": _GIGA}),
    }  # fmt: skip
    note = {"note2": _BACKWARD} if backward else {}
    yield row | {"phase": "fwd+bwd" if backward else "fwd", "stat": "median", "latency_ms": kernel / 1e3,
                 "extra": extra | {"timer": _MEDIAN} | note}  # fmt: skip
    if backward:
        yield row | {"phase": "fwd", "stat": "unknown", "latency_ms": warm / 1e3, "extra": extra | {"timer": _ONCE}}


def _bare(cell: str) -> float:
    """The number at the start of a cell with a unit."""
    found = re.match(r"-?[\d.]+(?:e[+-]?\d+)?", cell)
    if found is None:
        raise ValueError(f"{cell!r} has no number")
    return float(found[0])
