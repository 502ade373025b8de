"""The order in which operators are worth measuring, by the surrogate's own covariance of their errors.

Each step takes the operator whose measurement reduces the expected squared error of the portfolio most for its cost:
the sum over all operators of weight squared times the variance that it explains. The covariance is that of
`hetbench.predict.gaussian_process`, on which `observe` conditions.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_collection.calibrate.portfolio import Candidate
from hetbench.catalog.chips import Chip
from hetbench.operators import operator_type
from hetbench.predict.canonical import canonical_dims
from hetbench.predict.features import class_of
from hetbench.predict.gaussian_process import OperatorRows, covariance
from hetbench.predict.operators import OperatorSurrogate
from hetbench.schema import STORAGE_BYTES

__all__ = ["order", "prior"]

Floats = NDArray[np.float64]
MOST = 600
"""Operators that are compared with one another; the lightest beyond are left out."""


def prior(surrogate: OperatorSurrogate, chip: Chip, asked: Sequence[Candidate]) -> tuple[Floats, Floats]:
    """Covariance of the log errors of operators [n, n], and the variance of their measurement [n]."""
    rows = [_rows(surrogate, chip, each) for each in asked]
    joined = OperatorRows(*(
        np.concatenate([getattr(each, name) for each in rows])
        for name in ("cls", "cell", "coordinates", "noise", "amplitude")
    ))  # fmt: skip
    scale = surrogate.network.scale
    return covariance(scale, joined, joined), (joined.noise * joined.amplitude) ** 2


def _rows(surrogate: OperatorSurrogate, chip: Chip, asked: Candidate) -> OperatorRows:
    """One operator as an input of the covariance."""
    task = asked.task
    sizes: dict[str, Any] = {name: np.array([size]) for name, size in json.loads(task.dims or "{}").items()}
    kind = operator_type(task.name)
    full = {name: sizes.get(name, np.array([0])) for name in (*kind.dims, *kind.optional)}
    cls, shared = class_of(kind.name, full), canonical_dims(kind.name, full, STORAGE_BYTES[task.precision])
    choices = [surrogate.choose(cls, kind.name, task.precision, chip, task.protocol, None, None)]
    return surrogate.operator_rows(cls, shared, chip, task.protocol, choices, np.zeros(1, dtype=np.int64))


def order(shared: Floats, noise: Floats, weights: Floats, costs: Floats, allowed: NDArray[np.bool_]) -> list[int]:
    """Indices of the allowed operators, the most worth measuring first.

    Args:
        shared: covariance of the log errors, [n, n].
        noise: variance of a measurement, [n].
        weights: of the operators in the portfolio, [n].
        costs: of a measurement, [n], in any unit.
        allowed: which may be measured, [n].

    >>> shared = np.array([[1.0, 0.9, 0.0], [0.9, 1.0, 0.0], [0.0, 0.0, 0.5]])
    >>> order(shared, np.full(3, 0.01), np.array([1.0, 1.0, 1.0]), np.ones(3), np.ones(3, dtype=bool))
    [0, 2, 1]
    """
    left, found = shared.copy(), list[int]()
    squared, free = weights**2, allowed.copy()
    while free.any():
        explained = (squared[:, None] * left**2).sum(0) / (np.diag(left) + noise)
        worth = np.where(free, explained / costs, -1.0)
        best = int(worth.argmax())
        found.append(best)
        free[best] = False
        left = left - np.outer(left[:, best], left[best]) / (left[best, best] + noise[best])
    return found
