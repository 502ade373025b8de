"""Choosing a chip for a fleet of models: chips that can run all of them, ranked by the sum over one call of each.

Latencies and energies are summed over the models, and the slowest model is named. A chip that is left out for one model
is left out for the fleet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hetbench.answers import LEVEL_TEXTS, digits, number
from hetbench.display import Level, Range, Tabular, View
from hetbench.errors import InvalidInputError
from hetbench.migration.ranking import pareto
from hetbench.migration.results import OBJECTIVES, Candidate, Dropped, Migration, dropped_lines

__all__ = ["Fleet", "FleetChip", "rank_fleet"]


@dataclass(frozen=True, slots=True)
class FleetChip:
    """A chip that can run all models."""

    chip: str
    family: str
    score: float
    """In the unit of the objective: total ms or J of one call of each model, or the sum of samples per joule."""
    total_ms: float
    energy_j: float | None
    """Sum over the models; None where one is refused."""
    worst: str
    """The slowest model."""
    worst_ms: float
    meets: float | None
    """Share of the models whose latency meets the objective, 0 to 1; None without an objective."""
    expected: float | None
    """Mean probability of meeting it."""
    memory_share: float | None
    """Percent of the memory that the largest model needs; models run one at a time."""
    pareto: bool | None
    """Whether the chip is on the Pareto front of total latency, energy and memory share."""
    level: str
    """The weakest evidence level of the latencies."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Fleet(Tabular):
    """The ranking of chips for several models, best first; more models that meet the objective come first."""

    models: tuple[str, ...]
    objective: str
    slo_ms: float | None
    chips: tuple[FleetChip, ...]
    dropped: tuple[Dropped, ...]
    migrations: tuple[Migration, ...]
    """The ranking for each model by itself."""

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self, limit: int | None = None) -> list[str]:
        """The ranking as text, one line a chip, at most `limit` of them."""
        deadline = "" if self.slo_ms is None else f", deadline {digits(self.slo_ms)} ms"
        head = f"{len(self.models)} models by {self.objective}{deadline}: {len(self.chips)} chips run all of them"
        lines = [f"{head}, {len(self.dropped)} left out"]
        for place, each in enumerate(self.chips[:limit], start=1):
            met = "" if each.meets is None else f", {100 * each.meets:.0f} % meet the deadline"
            energy = "" if each.energy_j is None else f", {digits(each.energy_j)} J"
            slowest = f"slowest {each.worst} {digits(each.worst_ms)} ms"
            total = f"{digits(each.total_ms)} ms for one call of each, level {each.level}"
            lines.append(f"{place:>4} {each.chip}: {total}, {slowest}{met}{energy}{' *' if each.pareto else ''}")
        if limit is not None and len(self.chips) > limit:
            lines.append(f"     and {len(self.chips) - limit} more")
        return lines + dropped_lines(self.dropped)

    def records(self) -> list[dict[str, Any]]:
        """One row a chip, best first; then one for each chip left out, with the reason."""
        rows = [{"place": place, **each.to_dict(), "left_out": None} for place, each in enumerate(self.chips, start=1)]
        return rows + [{"chip": each.chip, "left_out": f"{each.reason}: {each.why}"} for each in self.dropped]

    def view(self) -> View:
        """One row a chip, best first; the chips left out among the notes."""
        rows = tuple(
            (
                each.chip, Range(each.total_ms, "ms"), Level(each.level, LEVEL_TEXTS[each.level]),
                f"{each.worst}: {digits(each.worst_ms)} ms",
                "" if each.energy_j is None else number(each.energy_j, "J"),
                "" if each.meets is None else f"{100 * each.meets:.0f} %",
            )
            for each in self.chips
        )  # fmt: skip
        columns = ("chip", "one call of each model", "evidence", "slowest model", "energy", "meet the deadline")
        return View(self.lines(0)[0], columns, rows, tuple(line.strip() for line in dropped_lines(self.dropped)))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, with the ranking for each model."""
        return {
            "models": list(self.models), "objective": self.objective, "unit": OBJECTIVES[self.objective][0],
            "slo_ms": self.slo_ms, "chips": [each.to_dict() for each in self.chips],
            "dropped": [each.to_dict() for each in self.dropped],
            "migrations": [each.to_dict() for each in self.migrations],
        }  # fmt: skip


def rank_fleet(migrations: Sequence[Migration]) -> Fleet:
    """Combine the rankings for several models into one; `InvalidInputError` for an empty list.

    >>> from hetbench import HetBench
    >>> found = HetBench().migrate(["gpt2", "bert-base"], targets="cann", slo_ms=20)
    >>> found.models, found.chips[0].total_ms > found.chips[0].worst_ms
    (('gpt2', 'bert-base'), True)
    """
    if not migrations:
        raise InvalidInputError("a fleet needs at least one model; none was given.")
    first = migrations[0]
    dropped: dict[str, Dropped] = {}
    for each in migrations:
        for lost in each.dropped:
            dropped.setdefault(lost.chip, Dropped(lost.chip, lost.reason, f"{each.model}: {lost.why}"))
    by_chip: dict[str, list[Candidate]] = {}
    for each in migrations:
        for candidate in each.candidates:
            by_chip.setdefault(candidate.chip, []).append(candidate)
    names = tuple(each.model for each in migrations)
    whole = {chip: found for chip, found in by_chip.items() if chip not in dropped}
    marks = pareto([_point(found) for found in whole.values()])
    rows = [_row(found, names, first.slo_ms, mark) for found, mark in zip(whole.values(), marks, strict=True)]
    sign = -1.0 if OBJECTIVES[first.objective][1] else 1.0
    rows.sort(key=lambda row: (-(row.meets or 0.0), sign * row.score, row.chip))
    return Fleet(names, first.objective, first.slo_ms, tuple(rows), tuple(dropped.values()), tuple(migrations))


def _sums(found: Sequence[Candidate]) -> tuple[float, float | None, float | None]:
    """Total ms, total J, largest memory share; None where not known for every model."""
    energies = [each.energy.value for each in found if each.energy is not None]
    shares = [each.memory_share for each in found if each.memory_share is not None]
    return (
        sum(each.latency.value for each in found), sum(energies) if len(energies) == len(found) else None,
        max(shares) if len(shares) == len(found) else None,
    )  # fmt: skip


def _point(found: Sequence[Candidate]) -> tuple[float, ...] | None:
    ms, joules, share = _sums(found)
    return None if joules is None or share is None else (ms, joules, share)


def _row(found: Sequence[Candidate], names: Sequence[str], slo_ms: float | None, mark: bool | None) -> FleetChip:
    ms, joules, share = _sums(found)
    worst = max(range(len(found)), key=lambda place: found[place].latency.value)
    met = None if slo_ms is None else sum(each.latency.value <= slo_ms for each in found) / len(found)
    expected = None if slo_ms is None else sum(each.meets or 0.0 for each in found) / len(found)
    return FleetChip(
        found[0].chip, found[0].family, sum(each.score for each in found), ms, joules, names[worst],
        found[worst].latency.value, met, expected, share, mark, max(str(each.latency.level) for each in found),
    )  # fmt: skip
