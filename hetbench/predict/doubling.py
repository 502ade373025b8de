"""Answers that do not fall where the work doubles.

A learned head knows efficiencies, not that more work takes more time: in one answer of a hundred twice the rows would
be done more than 5 % sooner. So an operator is answered together with those of a half, a quarter and so on of its rows,
and takes at least `LEAST` of the time of each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetbench.operators import operator_type

__all__ = ["DOUBLINGS", "GROWN", "LEAST", "Halves", "held_by_halves", "rows_of_work", "with_halves"]

LEAST = 0.96
"""Share of an operator's time that those of twice, four times ... the rows take at least; more work may fill the last
wave of blocks, or reach an aligned size."""
DOUBLINGS = 16
"""How often an operator is halved at most."""
GROWN = 1.9
"""An operator whose base latency nearly doubled since it was halved is not held up by its half."""
_AXES = ("b", "batch", "m", "rows", "tokens", "numel", "n")


@dataclass(frozen=True, slots=True)
class Halves:
    """Which rows of a batch are operators asked for, and which are the halves that hold them up."""

    row: NDArray[np.int64]
    """Index in the batch of the operator that each row belongs to; its own where it is asked for, [rows]."""
    times: NDArray[np.int64]
    """How often the operator was halved, [rows]; 0 where it is asked for."""

    def __len__(self) -> int:
        return len(self.row)

    @property
    def whole(self) -> NDArray[np.bool_]:
        """Rows that are asked for, [rows]."""
        out: NDArray[np.bool_] = self.times == 0
        return out

    def that_matter(self, base_ms: NDArray[np.float64]) -> NDArray[np.int64]:
        """Indices of the rows asked for and of the halves whose base latency is close to that of their operator."""
        return np.flatnonzero(self.whole | (base_ms * GROWN > base_ms[self.row]))

    @classmethod
    def joined(cls, parts: Sequence[Halves]) -> Halves:
        """The batches of several operator types, one after another."""
        start = np.cumsum([0, *(len(part) for part in parts)])
        row = np.concatenate([part.row + at for part, at in zip(parts, start[:-1], strict=True)])
        return cls(row, np.concatenate([part.times for part in parts]))


@lru_cache(maxsize=1024)
def rows_of_work(op: str) -> str:
    """The dim of an operator type whose doubling doubles the work: batch, rows or elements.

    >>> rows_of_work("Linear"), rows_of_work("Conv2d"), rows_of_work("Add")
    ('m', 'n', 'numel')
    """
    dims = operator_type(op).dims
    return next(name for name in _AXES if name in dims)


def with_halves(op: str, dims: Mapping[str, Any], most: int = DOUBLINGS) -> tuple[dict[str, Any], Halves]:
    """Dims of the operators, ints or arrays [rows], followed by those of a half, a quarter ... of their rows.

    A size is halved as long as it is even, at most `most` times.

    >>> sizes, halves = with_halves("Linear", {"m": [12, 7], "n": 8, "k": 8})
    >>> sizes["m"].tolist(), halves.row.tolist(), halves.times.tolist()
    ([12, 7, 6, 3], [0, 1, 0, 0], [0, 0, 1, 2])
    """
    axis = rows_of_work(op)
    given = {name: np.atleast_1d(np.asarray(value, dtype=np.int64)) for name, value in dims.items()}
    rows = max(len(value) for value in given.values())
    size = np.broadcast_to(given[axis], rows)
    even = np.minimum(np.log2(np.maximum(size & -size, 1)).astype(np.int64), most)  # how often it can be halved
    row = np.repeat(np.arange(rows), even)
    times = np.arange(1, len(row) + 1) - np.repeat(np.cumsum(even) - even, even)
    index = np.concatenate((np.arange(rows), row))
    halved = np.concatenate((np.zeros(rows, dtype=np.int64), times))
    sizes = {name: value if len(value) == 1 else value[index] for name, value in given.items()}
    return {**sizes, axis: size[index] >> halved}, Halves(index, halved)


def held_by_halves(
    bounds: NDArray[np.float64], halves: Halves, kept: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Value, lower and upper of the operators asked for, [3, operators], held up by their halves.

    `bounds` [3, rows] are those of the batch; only its rows `kept` count.
    """
    value = bounds[0]
    least = np.zeros(len(halves))
    np.maximum.at(least, halves.row[kept], value[kept] * np.where(halves.whole[kept], 1.0, LEAST))
    whole = halves.whole
    out: NDArray[np.float64] = bounds[:, whole] * np.maximum(least[whole] / value[whole], 1.0)
    return out
