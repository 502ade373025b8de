"""Ensembles of oblivious decision trees, evaluated with numpy on all trees at once.

An oblivious tree (the kind that CatBoost grows) has one comparison per level, so a leaf index is `depth` comparisons
packed in bits. Stored as plain arrays, the trees need neither CatBoost nor pickle; one row takes tens of microseconds,
large batches run at hundreds of thousands of rows per second.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Forest"]

_CHUNK = 2048  # rows per block, so that the working set of a few hundred trees fits the second-level cache


@dataclass(frozen=True, slots=True)
class Forest:
    """A sum of oblivious trees over a float32 matrix [rows, columns]."""

    columns: NDArray[np.int64]
    """Columns of the feature matrix that the trees use, [used]."""
    borders: tuple[NDArray[np.float32], ...]
    """Sorted thresholds of each used column, in the order of `columns`."""
    split_column: NDArray[np.int64]
    """Index into `columns` of each comparison, [depth, trees]."""
    split_rank: NDArray[np.uint8]
    """A comparison is true where the value is above more than this many borders, [depth, trees, 1]."""
    leaves: NDArray[np.float32]
    """Leaf values, [trees * 2**depth]."""
    bias: float

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], prefix: str) -> Forest:
        """Read the arrays that `to_arrays` wrote under `prefix`."""
        cuts = arrays[f"{prefix}.border_counts"].cumsum()[:-1]
        return cls(
            arrays[f"{prefix}.columns"].astype(np.int64),
            tuple(np.split(arrays[f"{prefix}.borders"].astype(np.float32), cuts)),
            arrays[f"{prefix}.split_column"].astype(np.int64),
            arrays[f"{prefix}.split_rank"].astype(np.uint8)[:, :, None],
            arrays[f"{prefix}.leaves"].astype(np.float32).ravel(),
            float(arrays[f"{prefix}.bias"]),
        )

    def to_arrays(self, prefix: str) -> dict[str, NDArray[Any]]:
        """The forest as plain arrays of the smallest sufficient types, named with `prefix`."""
        return {
            f"{prefix}.columns": self.columns.astype(np.uint8),
            f"{prefix}.borders": np.concatenate(self.borders).astype(np.float32),
            f"{prefix}.border_counts": np.array([len(b) for b in self.borders], dtype=np.uint16),
            f"{prefix}.split_column": self.split_column.astype(np.uint8),
            f"{prefix}.split_rank": self.split_rank[:, :, 0].astype(np.uint8),
            f"{prefix}.leaves": self.leaves.astype(np.float32),
            f"{prefix}.bias": np.asarray(self.bias),
        }

    def __call__(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        """Predictions [rows] of a matrix [rows, columns]; NaN counts as below every threshold."""
        out = np.empty(len(matrix), dtype=np.float64)
        for start in range(0, len(matrix), _CHUNK):
            out[start : start + _CHUNK] = self._chunk(matrix[start : start + _CHUNK])
        return out

    def _chunk(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        ranks = np.empty((len(self.columns), len(matrix)), dtype=np.uint8)  # [used, rows]
        for row, (column, borders) in enumerate(zip(self.columns, self.borders, strict=True)):
            values = matrix[:, column]
            ranks[row] = np.searchsorted(borders, np.where(np.isnan(values), -np.inf, values))
        depth, trees = self.split_column.shape
        leaf = np.zeros((trees, len(matrix)), dtype=np.uint16)
        for level in range(depth):
            above = ranks[self.split_column[level]] > self.split_rank[level]  # [trees, rows]
            leaf += above.view(np.uint8) * np.uint16(1 << level)
        index = leaf + (np.arange(trees, dtype=np.int64) << depth)[:, None]
        total: NDArray[np.float64] = self.leaves[index].sum(axis=0, dtype=np.float64)
        return total + self.bias
