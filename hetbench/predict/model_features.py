"""Features of a whole model: a matrix with a row per operator, and its summary in one row.

Unlike `features`, which treats one class of operators at a time, all operators have the same columns here, so that one
network reads the whole model and learns fusion, overlap, layout changes and framework overhead. A generation has
several calls (a prefill and decoding steps), each counted as often as it runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hetbench.catalog.chips import Chip
from hetbench.predict.canonical import canonical_dims
from hetbench.predict.features import Facts, by_class, chip_facts
from hetbench.schema import itemsize as element_bytes

if TYPE_CHECKING:
    from hetbench.graphs import OperatorTable

__all__ = ["COLUMNS", "SUMMARY", "USUAL_CACHE", "USUAL_UNITS", "Composition", "composition", "kind_of", "summaries"]

Array = NDArray[Any]
_CLASSES = ("conv", "gemm", "attention", "vector")
COLUMNS = (
    "flops", "bytes", "intensity", "rows", "cols", "inner", "groups", "taps", "stride", "special", "aligned_cols",
    "aligned_inner", "spatial", "touched", "work", "itemsize", *_CLASSES,
    "compute_over_memory", "base", "bytes_over_cache", "waves", "wave_fill",
)  # fmt: skip
"""Sizes are log2; the last five are relative to the chip, none is an absolute property of it."""
_AT = {name: index for index, name in enumerate(COLUMNS)}
_GROUPS = (
    "Linear", "BMM", "Attention", "norm", "BatchNorm2d", "Softmax", "Add", "Mul", "ReLU", "activation", "copy", "pool",
    "other", "dense conv", "pointwise conv", "grouped conv", "depthwise conv",
)  # fmt: skip
_GROUP_OF = {
    "Linear": 0, "BMM": 1, "MatMul": 1, "Attention": 2, "LayerNorm": 3, "RMSNorm": 3, "GroupNorm": 3,
    "BatchNorm2d": 4, "Softmax": 5, "Add": 6, "Mul": 7, "ReLU": 8, "ReLU6": 8, "GELU": 9, "SiLU": 9, "Sigmoid": 9,
    "Tanh": 9, "Concat": 10, "Copy": 10, "MaxPool2d": 11, "AvgPool2d": 11, "AdaptiveAvgPool2d": 11,
}  # fmt: skip
_MEANS = ("rows", "cols", "inner", "groups", "taps", "aligned_cols", "aligned_inner", "spatial",
          "compute_over_memory", "bytes_over_cache", "wave_fill")  # fmt: skip
SUMMARY = (
    "base", *(f"{kind} of {name}" for name in _GROUPS for kind in ("share", "launches")), "flops", "bytes",
    "intensity", "launches", "base a launch", *(f"mean {name}" for name in _MEANS), "memory-bound share",
)  # fmt: skip
_TILE = 128
USUAL_UNITS, USUAL_CACHE = 64, 8e6
"""Of chips that state none."""
_LEAST, _MOST = -20.0, 60.0


@dataclass(frozen=True, slots=True)
class Composition:
    """The operators of the calls that make up one latency, as features on one chip."""

    matrix: NDArray[np.float32]
    """[rows, COLUMNS], one row per distinct operator."""
    operators: tuple[str, ...]
    """Operator type of each row."""
    count: NDArray[np.float64]
    """How often each row runs, [rows]."""
    base_ms: NDArray[np.float64]
    """max(time at the peak, time at the bandwidth) of one run, [rows]."""
    compute_ms: float
    """Time of all runs at the peak of the chip: a lower bound of the latency."""
    own_ms: float | None = None
    """`base_ms` of all runs on the chip itself, where the matrix is that of another chip of its die."""

    def sums(self) -> NDArray[np.float64]:
        """The additive quantities that `summary` is computed from, [sums]; those of parts of a network add up."""
        x, base = self.matrix.astype(np.float64), self.base_ms * self.count
        group = np.array([kind_of(name) for name in self.operators])
        conv = x[:, _AT["conv"]] > 0
        group[conv] = 13 + np.select(
            [x[conv, _AT["special"]] > 0, x[conv, _AT["groups"]] > 0, x[conv, _AT["taps"]] == 0], [3, 2, 1], 0
        )
        return np.concatenate((
            [self.compute_ms, base.sum(), self.count.sum(), base @ (x[:, _AT["compute_over_memory"]] < 0)],
            *([np.exp2(x[:, _AT[name]]) @ self.count] for name in ("flops", "bytes")),
            [base @ x[:, _AT[name]] for name in _MEANS],
            np.bincount(group, base, len(_GROUPS)), np.bincount(group, self.count, len(_GROUPS)),
            [base.sum() if self.own_ms is None else self.own_ms],
        ))  # fmt: skip

    def summary(self) -> NDArray[np.float32]:
        """One row of `SUMMARY` columns."""
        row: NDArray[np.float32] = summaries(self.sums()[None])[0]
        return row


def kind_of(op: str) -> int:
    """Index among the kinds of a summary; that of convolutions depends on their shape."""
    return _GROUP_OF.get(op, 12)


def summaries(sums: NDArray[np.float64]) -> NDArray[np.float32]:
    """Rows of `SUMMARY` columns from rows of `Composition.sums`, [rows, sums]."""
    _, total, launches, bound, flops, moved = sums[:, :6].T
    means, rest = sums[:, 6 : 6 + len(_MEANS)] / total[:, None], sums[:, 6 + len(_MEANS) : -1]
    shares, counts = rest[:, : len(_GROUPS)] / total[:, None], np.log2(1 + rest[:, len(_GROUPS) :])
    columns = np.column_stack((
        np.log2(total), np.stack((shares, counts), axis=2).reshape(len(sums), -1), np.log2(flops + 1), np.log2(moved),
        np.log2(flops / moved + 1e-3), np.log2(launches), np.log2(total / launches), means, bound / total,
    ))  # fmt: skip
    return np.asarray(columns, dtype=np.float32)


def composition(
    calls: Sequence[tuple[float, OperatorTable]], chip: Chip, on: Chip | None = None
) -> Composition:
    """The composition of `calls`, each (how often it runs, operator table), on one chip.

    With `on`, another chip of the die, matrix and base are those of `on`: its measurements speak for `chip`.

    >>> from hetbench.catalog.chips import chip
    >>> from hetbench.graphs import load
    >>> made = composition([(1.0, load("resnet-50").operators(8, precision="fp16"))], chip("cuda"))
    >>> made.matrix.shape == (len(made.count), len(COLUMNS))
    True
    """
    pair = chip, chip if on is None else on
    blocks = [_block(cls, groups, *pair, times) for times, table in calls for cls, groups in by_class(table).items()]
    matrix, count, base, compute, own = (np.concatenate([block[i] for block in blocks]) for i in range(5))
    operators = tuple(name for block in blocks for name in block[5])
    matrix = np.clip(np.nan_to_num(matrix, posinf=_MOST, neginf=_LEAST), _LEAST, _MOST).astype(np.float32)
    return Composition(matrix, operators, count, base, float(compute @ count), float(own @ count))


def _block(
    cls: str, groups: Sequence[Any], chip: Chip, on: Chip, times: float
) -> tuple[Array, Array, Array, Array, Array, list[str]]:  # fmt: skip
    """Matrix, counts and base ms of one class on the chip `on`; compute and base ms on `chip`; operator types."""
    shared = [canonical_dims(g.op, g.dims, element_bytes(g.dtype)) for g in groups]
    names = [name for name in shared[0] if all(name in each for each in shared)]
    d = {name: np.concatenate([each[name] for each in shared]) for name in names}
    sizes = [len(g.count) for g in groups]
    facts = [chip_facts(on, g.dtype, 0.0) for g in groups]
    itemsize = np.repeat([float(f.itemsize) for f in facts], sizes)
    flops, moved = d["flops"], d["bytes"]
    compute, memory = _bounds(cls, d, facts, sizes)
    base = own = np.maximum(compute, memory)
    own_compute = compute
    if on is not chip:
        own_compute, own_memory = _bounds(cls, d, [chip_facts(chip, g.dtype, 0.0) for g in groups], sizes)
        own = np.maximum(own_compute, own_memory)
    kind = "attention" if cls in ("prefill", "decode") else cls
    rows, cols, inner, batches, taps, stride, special, spatial, touched, work = _SHAPES[kind](d)
    tiles = np.maximum(np.ceil(rows / _TILE), 1) * np.maximum(np.ceil(cols / _TILE), 1)
    waves = tiles * (batches if kind == "conv" else 1) / np.nan_to_num(facts[0].compute_units, nan=USUAL_UNITS)
    cache = np.nan_to_num(facts[0].l2_bytes, nan=USUAL_CACHE)
    columns = [
        _log2(flops), _log2(moved), _log2(flops) - _log2(moved),
        *map(_log2, (rows, cols, inner, batches, taps, stride)), special,
        _aligned(cols), _aligned(inner), _log2(spatial), touched / 4, np.minimum(work, 64) / 16, itemsize,
        *(np.float64(kind == name) for name in _CLASSES),
        np.log2(np.maximum(compute, 1e-9) / np.maximum(memory, 1e-9)), np.log2(np.maximum(base, 1e-6)),
        np.log2(np.maximum(moved, 1.0) / cache), np.log2(waves), waves / np.ceil(waves),
    ]  # fmt: skip
    matrix = np.empty((len(flops), len(COLUMNS)))
    for index, column in enumerate(columns):
        matrix[:, index] = column
    counts = times * np.concatenate([g.count for g in groups])
    names = [g.op for g, size in zip(groups, sizes, strict=True) for _ in range(size)]
    return matrix, counts, base, own_compute, own, names


def _bounds(cls: str, d: Any, facts: Sequence[Facts], sizes: Sequence[int]) -> tuple[Array, Array]:
    """ms at the peak and at the bandwidth of one run, each [rows]."""
    peak = np.repeat([f.vector_peak if cls == "vector" else f.peak for f in facts], sizes)
    return np.nan_to_num(1e3 * d["flops"] / peak), 1e3 * d["bytes"] / facts[0].bandwidth


def _log2(value: Any) -> Array:
    out: Array = np.log2(np.maximum(np.asarray(value, dtype=np.float64), 2.0**-10))
    return out


def _aligned(value: Any) -> Array:
    """Largest power of two up to 64 that divides a size, as 0..1."""
    whole = np.maximum(np.asarray(value).astype(np.int64), 1)
    out: Array = np.log2(np.minimum(whole & -whole, 64)) / 6
    return out


# rows, cols, inner, groups, taps, stride, special (depthwise or windowed), spatial, touched and work of each class
def _gemm(d: Any) -> tuple[Any, ...]:
    return d["b"] * d["m"], d["n"], d["k"], d["b"], 1, 1, 0, 1, 0, 0


def _conv(d: Any) -> tuple[Any, ...]:
    groups, taps, positions = d["groups"], d["kh"] * d["kw"], d["out_h"] * d["out_w"]
    depthwise = (groups == d["c"]) & (groups > 1)
    return (d["n"] * positions, d["oc"] // groups, d["c"] // groups * taps, groups, taps, d["stride"], depthwise,
            positions, 0, 0)  # fmt: skip


def _attention(d: Any) -> tuple[Any, ...]:
    rows = d["batch"] * d["heads"] * d["q_len"]
    return rows, d["head_dim"], d["kv_len"], d["heads"] / d["kv_heads"], 1, 1, d["window"] > 0, d["q_len"], 0, 0


def _vector(d: Any) -> tuple[Any, ...]:
    return d["rows"], d["cols"], 1, 1, 1, 1, 0, 1, d["touched"], d["work"]


_SHAPES = {"gemm": _gemm, "conv": _conv, "attention": _attention, "vector": _vector}
