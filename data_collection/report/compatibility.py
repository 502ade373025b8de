"""Compatibility of models and chips: registered operators, memory, evidence of the latency answer, and a rating."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from data_collection.pages import Table, shown
from hetbench.api import HetBench
from hetbench.catalog.own_chips import any_chip as chip_named
from hetbench.errors import RefusedError
from hetbench.graphs import load, operator_coverage

__all__ = ["RULE", "Match", "match", "matrix"]

ROOM = 0.9
"""Share of the chip's memory that a model may use; the rest is left to the runtime and its allocator."""
RULE = (
    "Rating, the first that applies. no: weights, activations and cache need more than 90 % of the chip's memory. "
    "–: coverage, memory or level is not known. partial: the back end neither registers nor composes some call, so "
    "that it fails or runs on the CPU. good, fair, weak: every call is covered and it fits, and the latency answer is "
    "of level A or B (measured, or this chip's operators were), C (few operator rows of this chip, or whole models "
    "only), D (its datasheet only). Every cell is of the model's default sizes, batch 1, the chip's default precision "
    "and stack."
)


@dataclass(frozen=True, slots=True)
class Match:
    """One model on one chip; unknown values are None."""

    model: str
    chip: str
    precision: str | None
    covered_percent: float | None
    """Percent of operator calls that the back end registers or composes."""
    needs_mb: float | None
    has_mb: float | None
    level: str | None
    latency_ms: float | None
    interval_ms: str | None = None
    """The 90 % interval of the latency answer; None if it was measured."""

    @property
    def fits(self) -> bool | None:
        if self.needs_mb is None or self.has_mb is None:
            return None
        return self.needs_mb <= ROOM * self.has_mb

    @property
    def rating(self) -> str | None:
        """Rating by `RULE`."""
        if self.fits is False:
            return "no"
        if self.fits is None or self.covered_percent is None or self.level is None:
            return None
        if self.covered_percent < 100:
            return "partial"
        return {"A": "good", "B": "good", "C": "fair"}.get(self.level, "weak")


def match(api: HetBench, model: str, chip: str) -> Match:
    """Coverage, memory and latency of a model on a chip; a refused answer is unknown."""
    known = chip_named(chip)
    latency = memory = covered = None
    with suppress(RefusedError):
        latency = api.query(model, target=known.name, metric="latency", batch=1)
    with suppress(RefusedError):
        memory = api.query(model, target=known.name, metric="memory", batch=1)
        covered = operator_coverage(load(model), known, precision=memory.precision, batch=1).share
    return Match(
        model, known.name, memory.precision if memory else None, covered, memory.value if memory else None,
        None if known.memory_bytes is None else known.memory_bytes / 1e6,
        latency.level if latency else None, latency.value if latency else None,
        f"{shown(latency.lower)} to {shown(latency.upper)}" if latency and latency.lower is not None else None,
    )  # fmt: skip


def matrix(models: Iterable[str], chips: Iterable[str]) -> list[Table]:
    """The ratings of all pairs, then the values behind them."""
    api, chips = HetBench(), list(chips)
    found = {name: [match(api, name, chip) for chip in chips] for name in models}
    glance = [[name, *(each.rating for each in row)] for name, row in found.items()]
    detail = [
        [each.model, each.chip, each.precision, each.covered_percent, each.needs_mb, each.has_mb, each.fits,
         each.level, each.latency_ms, each.interval_ms, each.rating]
        for row in found.values() for each in row
    ]  # fmt: skip
    columns = ["model", "chip", "precision", "calls covered, %", "needs, MB", "has, MB", "fits", "level",
               "latency answer, ms", "90 % interval, ms", "rating"]  # fmt: skip
    return [Table("Rating", ["model", *chips], glance), Table("What the rating follows from", columns, detail)]
