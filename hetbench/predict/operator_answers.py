"""What the operator surrogates answer: a prediction of operators of one type, the sum over a model, and its parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hetbench.predict.cells import Choice

if TYPE_CHECKING:
    from hetbench.graphs import OperatorGroup

__all__ = ["ClassPart", "Prediction", "SumPrediction"]


@dataclass(frozen=True, slots=True)
class Prediction:
    """Latency of operators of one type on one chip; arrays in ms, [rows]."""

    value: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    level: str
    """Evidence level B, C or D, common to all rows."""
    support: int
    """Number of measured rows in the cell behind the prediction; 0 without a cell."""
    source: str
    """Head and rows that it rests on, as text for people."""
    head: str
    """Head that predicted: full, ratio, ratio+rgat, rgat, chip or roofline."""


@dataclass(frozen=True, slots=True)
class SumPrediction:
    """Latency of a model in ms as the sum over its operators, and its parts."""

    value: float
    lower: float
    upper: float
    level: str
    support: int
    """Number of measured rows in all the cells behind the prediction."""
    by_operator: Mapping[str, float]
    by_level: Mapping[str, float]
    """Predicted ms by operator type, and by evidence level."""
    launch_ms: float
    """Sum of the launch floors of all operators, in ms."""


class ClassPart(NamedTuple):
    """The operators of one class in a table, and their predicted latencies."""

    cls: str
    groups: list[OperatorGroup]
    choices: list[Choice]
    """Head and cell that answer for each group."""
    which: NDArray[np.int64]
    """Group of each row, [rows]."""
    bounds: NDArray[np.float64]
    """Count x (value, lower, upper) in ms, [3, rows]."""
