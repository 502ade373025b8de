"""Where to move a model: every chip ranked, with the chance of meeting a deadline, and those that cannot run it named.

A chip is left out where the model does not fit its memory, where its back end neither registers nor composes an
operator that the model calls, and where no evidence allows an answer; the reason is kept. What falls back to the CPU
or is not known is named beside the chip. The chance of meeting a deadline (SLO) takes the predictive interval for that
of a log-normal law whose median is the answer, with a spread of its own on either side: the half-width of the interval
there over the matching normal quantile. A measured answer meets it or does not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import log
from statistics import NormalDist
from typing import Any

from hetbench.answers import Answer, digits, number
from hetbench.catalog import support
from hetbench.catalog.chips import Chip
from hetbench.errors import InvalidInputError, RefusedError, UnknownNameError
from hetbench.graphs import Coverage, ModelGraph, operator_coverage
from hetbench.query.question import DEFAULT_STACK, Question
from hetbench.query.solve import energy_of, memory_bytes, per_call, solve

__all__ = ["OBJECTIVES", "Candidate", "Dropped", "Migration", "chance", "chips_of", "left_out", "pareto", "search"]

OBJECTIVES = {"latency": ("ms", False), "energy": ("J", False), "throughput-per-watt": ("1/J", True)}
"""Objective -> its unit and whether more is better. Throughput per watt is samples (generating: tokens) per joule."""

Ask = Callable[[str], tuple[Question, Answer]]
"""Chip -> the question about it, and the answer in latency, beside that of the source where there is one."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One chip that can run the model."""

    chip: str
    family: str
    score: float
    """In the unit of the objective."""
    latency: Answer
    energy: Answer | None
    """None where it is refused; `notes` say why."""
    meets: float | None
    """Probability of meeting the deadline, 0 to 1; None without one."""
    memory_share: float | None
    """Percent of the chip's memory that the model takes; None where either is not known."""
    beside: tuple[str, ...]
    """ATen operators that fall back to the CPU or of which nothing is known."""
    pareto: bool | None
    """Whether no other chip is as good in latency, energy and memory share and better in one; None where a figure of
    the three is missing."""
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
    """A chip that is left out, and why."""

    chip: str
    reason: str
    """memory, operators or evidence."""
    why: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"chip": self.chip, "reason": self.reason, "why": self.why}


@dataclass(frozen=True, slots=True)
class Migration:
    """The chips that one model can move to, best first: those whose latency meets the deadline before the others."""

    model: str
    objective: str
    slo_ms: float | None
    source: str | None
    candidates: tuple[Candidate, ...]
    dropped: tuple[Dropped, ...]

    @property
    def unit(self) -> str:
        """Of the scores."""
        return OBJECTIVES[self.objective][0]

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self, limit: int | None = None) -> list[str]:
        """The readable form, at most `limit` chips."""
        deadline = "" if self.slo_ms is None else f", deadline {digits(self.slo_ms)} ms"
        counts = f"{len(self.candidates)} chips, {len(self.dropped)} left out"
        lines = [f"{self.model} by {self.objective}{deadline}: {counts}"]
        lines += [f"{place:>4} {_line(each, self)}" for place, each in enumerate(self.candidates[:limit], start=1)]
        if limit is not None and len(self.candidates) > limit:
            lines.append(f"     and {len(self.candidates) - limit} more")
        return lines + left_out(self.dropped)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "model": self.model, "objective": self.objective, "unit": self.unit, "slo_ms": self.slo_ms,
            "source": self.source, "candidates": [each.to_dict() for each in self.candidates],
            "dropped": [each.to_dict() for each in self.dropped],
        }  # fmt: skip


def search(
    graph: ModelGraph, chips: Sequence[Chip], ask: Ask, *, objective: str = "latency", slo_ms: float | None = None,
    corrected: bool = False, predictor: str = "auto",
) -> Migration:  # fmt: skip
    """Rank `chips` for a model; `corrected` says that the latencies hold a measurement of the caller's.

    Raises `UnknownNameError` for another objective, `InvalidInputError` for a deadline that is not above 0,
    `RefusedError` where every chip is left out.

    >>> from hetbench import HetBench
    >>> found = HetBench().migrate("gpt2", targets="mlu", slo_ms=50)
    >>> found.candidates[0].family, found.objective
    ('mlu', 'latency')
    """
    if objective not in OBJECTIVES:
        raise UnknownNameError("objective", str(objective), OBJECTIVES)
    if slo_ms is not None and not slo_ms > 0:
        raise InvalidInputError(f"the deadline must be above 0 ms; given: {slo_ms!r}.")
    found: list[Candidate] = []
    dropped: list[Dropped] = []
    source = None
    coverage: dict[tuple[Any, ...], Coverage] = {}
    for chip in chips:
        try:
            question, answer = ask(chip.name)
            energy, notes = _energy(graph, question, answer, corrected, predictor)
            score = _score(objective, question, answer, energy, notes)
        except RefusedError as why:
            dropped.append(Dropped(chip.name, "evidence", str(why)))
            continue
        source = None if answer.source is None else answer.source.chip
        share = None if graph.compact or not chip.memory_bytes else (
            100.0 * memory_bytes(graph, question.sizes) / chip.memory_bytes)  # fmt: skip
        if share is not None and share > 100.0:
            need = f"needs {digits(share * (chip.memory_bytes or 0) / 1e11)} GB of {digits(chip.mem_gb or 0)} GB"
            dropped.append(Dropped(chip.name, "memory", need))
            continue
        lacking, beside, more = _covered(graph, question, chip, coverage)
        if lacking:
            dropped.append(Dropped(chip.name, "operators", f"does not register {', '.join(lacking)}"))
            continue
        meets = None if slo_ms is None else chance(answer, slo_ms)
        found.append(Candidate(chip.name, chip.family, score, answer, energy, meets, share, beside, None,
                               (*notes, *more)))  # fmt: skip
    if not found:
        raise RefusedError(f"{graph.name} can go to none of the {len(chips)} chips.\n" + "\n".join(left_out(dropped)))
    return Migration(graph.name, objective, slo_ms, source, _ranked(found, objective, slo_ms), tuple(dropped))


def chips_of(targets: str | Sequence[str], known: Sequence[Chip], named: Callable[[str], Chip]) -> list[Chip]:
    """The chips that are meant: `all`, families (every chip of them) and chips, listed or parted by commas.

    >>> from hetbench.catalog.chips import chip, chips
    >>> len(chips_of("mlu,nvidia-l4", list(chips().values()), chip))
    9
    """
    words = targets.split(",") if isinstance(targets, str) else list(targets)
    found: dict[str, Chip] = {}
    for word in (each.strip() for each in words):
        family = [each for each in known if word == "all" or each.family == word]
        found |= {each.name: each for each in family or [named(word)]}
    return list(found.values())


def chance(answer: Answer, slo_ms: float) -> float:
    """Probability that the latency is at most `slo_ms`.

    >>> answer = Answer(10.0, "ms", 5.0, 40.0)
    >>> chance(answer, 10.0), round(chance(answer, 40.0), 3), round(chance(answer, 5.0), 3)
    (0.5, 0.95, 0.05)
    """
    away = log(slo_ms / answer.value)
    bound = answer.upper if away >= 0 else answer.lower
    width = 0.0 if bound is None else abs(log(bound / answer.value))
    if not width:
        return 1.0 if away >= 0 else 0.0
    law = NormalDist()
    return law.cdf(away / width * law.inv_cdf((1 + answer.interval_level) / 2))


def pareto(points: Sequence[tuple[float, ...] | None]) -> list[bool | None]:
    """Which points no other one dominates, less being better; None for a point that is None.

    >>> pareto([(1.0, 2.0), (2.0, 1.0), (2.0, 2.0), None])
    [True, True, False, None]
    """
    known = [point for point in points if point is not None]
    return [
        None if point is None else not any(
            other != point and all(a <= b for a, b in zip(other, point, strict=True)) for other in known
        ) for point in points
    ]  # fmt: skip


def left_out(dropped: Sequence[Dropped]) -> list[str]:
    """Lines on the chips left out, those of one reason and text together."""
    by: dict[tuple[str, str], list[str]] = {}
    for each in dropped:
        by.setdefault((each.reason, each.why.replace(each.chip, "it")), []).append(each.chip)
    return [f"  left out ({reason}): {', '.join(chips)}: {why}" for (reason, why), chips in by.items()]


def _score(objective: str, question: Question, latency: Answer, energy: Answer | None, notes: tuple[str, ...]) -> float:
    if objective == "latency":
        return latency.value
    if energy is None:
        raise RefusedError("; ".join(notes))
    return energy.value if objective == "energy" else per_call(question)[0] / energy.value


def _energy(
    graph: ModelGraph, question: Question, latency: Answer, corrected: bool, predictor: str
) -> tuple[Answer | None, tuple[str, ...]]:
    try:
        if corrected:
            return energy_of(question, graph, latency), ()
        return solve(question, graph, "energy", predictor), ()
    except RefusedError as why:
        return None, (f"no energy: {why}",)


def _covered(
    graph: ModelGraph, question: Question, chip: Chip, known: dict[tuple[Any, ...], Coverage]
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Operators that are absent, those that fall back or are unknown, and notes; coverage is kept by platform."""
    if graph.compact:
        return (), (), ("operators not checked: an auxiliary graph names no ATen operators",)
    if question.stack != DEFAULT_STACK and not question.usual_stack:
        return (), (), (f"operators not checked: registrations are of eager PyTorch, not of {question.stack}",)
    batch, seq_len, image_size, precision, phase = question.sizes
    try:
        key = (support.platform_of(chip), precision)
    except RefusedError as why:
        return (), (), (f"operators not checked: {why}",)
    if key not in known:
        known[key] = operator_coverage(
            graph, chip, precision=precision, phase=phase, batch=batch, seq_len=seq_len, image_size=image_size
        )
    found = known[key]
    beside = (*found.fallback, *found.unknown)
    return tuple(each.operator for each in found.absent), tuple(each.operator for each in beside), ()


def _ranked(found: Sequence[Candidate], objective: str, slo_ms: float | None) -> tuple[Candidate, ...]:
    """Best first, the Pareto set marked."""
    marks = pareto([
        None if each.energy is None or each.memory_share is None
        else (each.latency.value, each.energy.value, each.memory_share) for each in found
    ])  # fmt: skip
    sign = -1.0 if OBJECTIVES[objective][1] else 1.0
    marked = (replace(each, pareto=mark) for each, mark in zip(found, marks, strict=True))

    def key(each: Candidate) -> tuple[Any, ...]:
        return (slo_ms is not None and each.latency.value > slo_ms, sign * each.score, each.chip)

    return tuple(sorted(marked, key=key))


def _line(each: Candidate, found: Migration) -> str:
    latency = each.latency
    between = "" if latency.lower is None or latency.upper is None else (
        f" [{digits(latency.lower)}, {digits(latency.upper)}]")  # fmt: skip
    parts = [f"{each.chip}: {number(latency.value, 'ms')}{between}, {latency.precision}, level {latency.level}"]
    if each.meets is not None:
        parts.append(f"meets {100 * each.meets:.0f} %")
    if each.energy is not None:
        parts.append(number(each.energy.value, "J"))
    if found.objective == "throughput-per-watt":
        parts.append(f"{digits(each.score)} per J")
    if each.memory_share is not None:
        parts.append(f"{digits(each.memory_share)} % of memory")
    if latency.ratio is not None:
        parts.append(f"{digits(latency.ratio)} x {found.source}")
    if each.beside:
        parts.append(f"on the CPU or unknown: {', '.join(each.beside)}")
    return ", ".join(parts) + (" *" if each.pareto else "")
