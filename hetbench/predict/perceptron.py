"""A residual multilayer perceptron with an embedding per measurement cell, evaluated with numpy.

The embedding of the cell (operator, chip, dtype, protocol, library, layout) is added to the first layer on the
standardised features. Weights are plain float32 arrays, trained in `surrogates.operators`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetbench.predict.products import product

__all__ = ["Perceptron", "silu"]

_CHUNK = 2048
_CLIP = 6.0  # standard deviations at which standardised features are clipped


@dataclass(frozen=True, slots=True)
class Perceptron:
    """x -> silu(W0 x + cell) -> (x + silu(W x + b)) ... -> w x + b over a float32 matrix [rows, columns]."""

    mean: NDArray[np.float32]
    scale: NDArray[np.float32]
    cells: NDArray[np.float32]
    """Embedding of each cell, added to the first layer, bias included, [cells, hidden]."""
    weights: tuple[NDArray[np.float32], ...]
    """[columns, hidden], then [hidden, hidden] ..., then [hidden, 1]."""
    biases: tuple[NDArray[np.float32], ...]
    """Biases of every layer but the first."""
    offset: float

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], prefix: str) -> Perceptron:
        """Read the arrays that `to_arrays` wrote under `prefix`."""
        layers = int(arrays[f"{prefix}.layers"])
        return cls(
            arrays[f"{prefix}.mean"], arrays[f"{prefix}.scale"], arrays[f"{prefix}.cells"].astype(np.float32),
            tuple(arrays[f"{prefix}.weight{i}"].astype(np.float32) for i in range(layers)),
            tuple(arrays[f"{prefix}.bias{i}"].astype(np.float32) for i in range(1, layers)),
            float(arrays[f"{prefix}.offset"]),
        )  # fmt: skip

    def to_arrays(self, prefix: str) -> dict[str, NDArray[Any]]:
        """The perceptron as plain arrays, named with `prefix`."""
        arrays: dict[str, Any] = {"mean": self.mean, "scale": self.scale, "cells": self.cells}
        arrays |= {f"weight{i}": weight for i, weight in enumerate(self.weights)}
        arrays |= {f"bias{i}": bias for i, bias in enumerate(self.biases, 1)}
        arrays |= {"layers": np.int64(len(self.weights)), "offset": np.float64(self.offset)}
        return {f"{prefix}.{name}": np.asarray(value) for name, value in arrays.items()}

    def __call__(self, matrix: NDArray[np.float32], cell: NDArray[np.int64] | int) -> NDArray[np.float64]:
        """Predictions [rows] of a matrix [rows, columns] and the cell of each row; NaN counts as the mean."""
        out = np.empty(len(matrix), dtype=np.float64)
        for start in range(0, len(matrix), _CHUNK):
            rows = slice(start, start + _CHUNK)
            out[rows] = self._chunk(matrix[rows], cell if isinstance(cell, int) else cell[rows])
        return out

    def _chunk(self, matrix: NDArray[np.float32], cell: NDArray[np.int64] | int) -> NDArray[np.float64]:
        x = (matrix - self.mean) / self.scale
        np.clip(np.nan_to_num(x, copy=False), -_CLIP, _CLIP, out=x)
        hidden = silu(product(x, self.weights[0]) + self.cells[cell])
        for weight, bias in zip(self.weights[1:-1], self.biases[:-1], strict=True):
            hidden += silu(product(hidden, weight) + bias)
        out: NDArray[np.float64] = (product(hidden, self.weights[-1]) + self.biases[-1])[:, 0].astype(np.float64)
        return out + self.offset


def silu(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """x / (1 + exp(-x)), elementwise; exponents are clipped to 60."""
    gate = np.exp(-np.clip(x, -60, 60))
    gate += 1
    np.divide(x, gate, out=gate)
    return gate
