"""Predictions against held-out measurements: median error, share inside the interval, and its width."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from data_collection.calibrate.measure import Timed
from hetbench.api import HetBench

__all__ = ["Score", "model_table", "operator_table", "score"]


@dataclass(frozen=True, slots=True)
class Score:
    """Quality of the predictions for some measurements."""

    count: int
    error: float
    """Median of |predicted / measured - 1|."""
    inside: float
    """Share of the measurements inside the 90 % interval, 0 to 1."""
    width: float
    """Median of upper / lower."""

    def __str__(self) -> str:
        return f"error {100 * self.error:.1f} %, {100 * self.inside:.0f} % inside, upper/lower {self.width:.2f}"


def operator_table(timed: Sequence[Timed], chip: str) -> dict[str, list[Any]]:
    """Timed operators as the columns that `HetBench.observe` and `query_operators` take."""
    return {
        "op": [each.task.name for each in timed], "dims": [each.task.dims for each in timed],
        "dtype": [each.task.precision for each in timed], "phase": ["fwd"] * len(timed), "chip": [chip] * len(timed),
        "protocol": [each.task.protocol for each in timed], "latency_ms": [each.latency_ms for each in timed],
    }  # fmt: skip


def model_table(timed: Sequence[Timed], chip: str) -> dict[str, list[Any]]:
    """Timed passes as the columns that `HetBench.observe` and `query_models` take."""
    names = ("batch", "seq_len", "image_size", "precision", "phase", "stack")
    return {
        "model": [each.task.name for each in timed], "chip": [chip] * len(timed),
        **{name: [getattr(each.task, name) for each in timed] for name in names},
        "latency_ms": [each.latency_ms for each in timed],
    }  # fmt: skip


def score(api: HetBench, timed: Sequence[Timed], chip: str) -> Score | None:
    """The quality of today's answers for timed operators or passes; None where none is answered."""
    if not timed:
        return None
    if timed[0].task.kind == "operator":
        found = api.query_operators(operator_table(timed, chip))
    else:
        found = api.query_models(model_table(timed, chip))
    rows = [
        (value, low, high, each.latency_ms)
        for value, low, high, each in zip(found["value"], found["lower"], found["upper"], timed, strict=True)
        if math.isfinite(value) and math.isfinite(low)
    ]
    if not rows:
        return None
    return Score(
        len(rows), statistics.median(abs(value / ms - 1) for value, _, _, ms in rows),
        sum(low <= ms <= high for _, low, high, ms in rows) / len(rows),
        statistics.median(high / low for _, low, high, _ in rows),
    )  # fmt: skip
