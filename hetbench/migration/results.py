"""Records of a ranking of chips for one model: candidates, chips left out, and the ranking as text and for JSON.

`hetbench.migration.ranking` computes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hetbench.answers import Answer, digits, level_cell, number, percent
from hetbench.display import Range, Tabular, View
from hetbench.query.stacks import DEFAULT_STACK, KINDS, kind_of

__all__ = ["OBJECTIVES", "Candidate", "Dropped", "Migration", "dropped_lines", "is_other_kind"]

OBJECTIVES = {"latency": ("ms", False), "energy": ("J", False), "throughput-per-watt": ("1/J", True)}
"""Objective -> unit, and whether more is better. Throughput per watt is samples (in generation: tokens) per joule."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A chip that can run the model."""

    chip: str
    family: str
    score: float
    """In the unit of the objective."""
    latency: Answer
    energy: Answer | None
    """Of one call; None where it is refused, with the reason in `notes`."""
    meets: float | None
    """Probability of meeting the latency objective, 0 to 1; None without an objective."""
    memory_share: float | None
    """Percent of the chip's memory that the model needs; None where either is not known."""
    beside: tuple[str, ...]
    """ATen operators that fall back to the CPU or whose support is not known."""
    pareto: bool | None
    """Whether the chip is on the Pareto front of latency, energy and memory share; None where one is missing."""
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        names = ("chip", "family", "score", "meets", "memory_share", "pareto")
        return {name: getattr(self, name) for name in names} | {
            "latency": self.latency.to_dict(), "energy": None if self.energy is None else self.energy.to_dict(),
            "beside": list(self.beside), "notes": list(self.notes),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Dropped:
    """A chip that is left out of a ranking."""

    chip: str
    reason: str
    """Kind of reason: memory, operators or evidence."""
    why: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"chip": self.chip, "reason": self.reason, "why": self.why}


@dataclass(frozen=True, slots=True)
class Migration(Tabular):
    """The ranking of chips for one model, best first; chips that meet the latency objective come before the others."""

    model: str
    objective: str
    slo_ms: float | None
    source: str | None
    candidates: tuple[Candidate, ...]
    dropped: tuple[Dropped, ...]
    stack: str = DEFAULT_STACK
    """The kind of stack that all chips are ranked under, or the one stack that the caller named."""

    @property
    def unit(self) -> str:
        """Unit of the scores."""
        return OBJECTIVES[self.objective][0]

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self, limit: int | None = None) -> list[str]:
        """The ranking as text, one line a chip, at most `limit` of them."""
        deadline = "" if self.slo_ms is None else f", deadline {digits(self.slo_ms)} ms"
        counts = f"{len(self.candidates)} chips, {len(self.dropped)} left out"
        lines = [f"{self.model} by {self.objective}, stack {self.stack}{deadline}: {counts}"]
        lines += [f"{place:>4} {_line(each, self)}" for place, each in enumerate(self.candidates[:limit], start=1)]
        if limit is not None and len(self.candidates) > limit:
            lines.append(f"     and {len(self.candidates) - limit} more")
        return lines + dropped_lines(self.dropped)

    def records(self) -> list[dict[str, Any]]:
        """One row a candidate, best first; then one for each chip left out, with the reason."""
        rows = [_record(place, each) for place, each in enumerate(self.candidates, start=1)]
        return rows + [{"chip": each.chip, "left_out": f"{each.reason}: {each.why}"} for each in self.dropped]

    def view(self) -> View:
        """One row a candidate, best first; the chips left out among the notes."""
        rows = tuple(
            (
                each.chip, Range(each.latency.value, "ms", each.latency.lower, each.latency.upper),
                level_cell(each.latency.level, each.latency.kind), f"{each.latency.precision}, {each.latency.stack}",
                "" if each.energy is None else number(each.energy.value, "J"),
                "" if each.meets is None else f"{100 * each.meets:.0f} %",
                "" if each.latency.ratio is None else f"{digits(each.latency.ratio)} x {self.source}",
            )
            for each in self.candidates
        )  # fmt: skip
        columns = ("chip", "latency", "evidence", "precision, stack", "energy", "meets the deadline", "compared")
        return View(self.lines(0)[0], columns, rows, tuple(line.strip() for line in dropped_lines(self.dropped)))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "model": self.model, "objective": self.objective, "unit": self.unit, "slo_ms": self.slo_ms,
            "source": self.source, "stack": self.stack, "candidates": [each.to_dict() for each in self.candidates],
            "dropped": [each.to_dict() for each in self.dropped],
        }  # fmt: skip


def _record(place: int, each: Candidate) -> dict[str, Any]:
    latency = each.latency
    return {
        "place": place, "chip": each.chip, "family": each.family, "score": each.score, "latency_ms": latency.value,
        "lower_ms": latency.lower, "upper_ms": latency.upper, "level": latency.level, "kind": latency.kind,
        "precision": latency.precision, "stack": latency.stack,
        "energy_j": None if each.energy is None else each.energy.value, "meets": each.meets,
        "memory_share": each.memory_share, "pareto": each.pareto, "ratio": latency.ratio, "left_out": None,
    }  # fmt: skip


def is_other_kind(answer: Answer, stack: str) -> bool:
    """Whether an answer is of another kind of stack than the ranking asks for.

    >>> is_other_kind(Answer(1.0, "ms", stack="eager"), "compiled")
    True
    """
    return stack in KINDS and answer.stack is not None and kind_of(answer.stack) != stack


def dropped_lines(dropped: Sequence[Dropped]) -> list[str]:
    """Lines on the chips left out, one for each reason and text."""
    by: dict[tuple[str, str], list[str]] = {}
    for each in dropped:
        by.setdefault((each.reason, each.why.replace(each.chip, "it")), []).append(each.chip)
    return [f"  left out ({reason}): {', '.join(chips)}: {why}" for (reason, why), chips in by.items()]


def _line(each: Candidate, found: Migration) -> str:
    latency = each.latency
    between = "" if latency.lower is None or latency.upper is None else (
        f" [{digits(latency.lower)}, {digits(latency.upper)}]")  # fmt: skip
    stack = f"{latency.stack}" + (f" (not {found.stack})" if is_other_kind(latency, found.stack) else "")
    figure = f"{number(latency.value, 'ms')}{between}"
    parts = [f"{each.chip}: {figure}, {latency.precision}, {stack}, level {latency.level}"]
    if each.meets is not None:
        parts.append(f"meets {100 * each.meets:.0f} %")
    if each.energy is not None:
        parts.append(number(each.energy.value, "J"))
    if found.objective == "throughput-per-watt":
        parts.append(f"{digits(each.score)} per J")
    if each.memory_share is not None:
        parts.append(f"{percent(each.memory_share)} of memory")
    if latency.ratio is not None:
        parts.append(f"{digits(latency.ratio)} x {found.source}")
    if each.beside:
        parts.append(f"CPU fallback or unknown: {', '.join(each.beside)}")
    return ", ".join(parts) + (" *" if each.pareto else "")
