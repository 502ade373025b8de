"""Chips ranked for a model by latency, energy or efficiency, and the chips that cannot run it with the reasons.

Chips are compared under one kind of stack: eager execution, compiled inference or serving. A chip without measured rows
of the kind, its own or of others, is answered for eager execution, and its line says so. A chip is left out where the
model does not fit its memory, where its PyTorch back end lacks an operator that the model calls, and where no evidence
supports an answer. Operators that fall back to the CPU, or of which nothing is known, are listed with the chip.

The probability of meeting a latency objective assumes a log-normal distribution whose median is the answer, with a
spread of its own on either side: log(bound / answer) over the normal quantile of the interval. A measured answer meets
the objective or does not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import log
from statistics import NormalDist
from typing import Any

from hetbench import schema
from hetbench.answers import Answer, digits
from hetbench.catalog import support
from hetbench.catalog.chips import Chip
from hetbench.errors import InvalidInputError, RefusedError, UnknownNameError, shown
from hetbench.graphs import Coverage, ModelGraph, operator_coverage
from hetbench.migration.results import OBJECTIVES, Candidate, Dropped, Migration, dropped_lines, is_other_kind
from hetbench.query.columns import positive_or_nan
from hetbench.query.exact import memory_bytes
from hetbench.query.metric_answers import answer_metric, energy_of
from hetbench.query.question import DEFAULT_STACK, Question
from hetbench.query.stacks import KINDS, of_kind
from hetbench.schema import PHASES

__all__ = ["deadline_probability", "pareto", "rank_chips", "select_chips", "stack_options"]

Ask = Callable[[str], tuple[Question, Answer]]
"""Name of a chip -> the question about it and its latency answer, with that of the source where there is one."""


def rank_chips(
    graph: ModelGraph, chips: Sequence[Chip], ask: Ask, *, objective: str = "latency", slo_ms: float | None = None,
    corrected: bool = False, predictor: str = "auto", stack: str = DEFAULT_STACK,
) -> Migration:  # fmt: skip
    """Rank chips for a model.

    Args:
        graph: of the model.
        chips: to choose from.
        ask: answers the latency question on a chip.
        objective: latency, energy or throughput-per-watt.
        slo_ms: latency objective in ms.
        corrected: the latencies are corrected by a measurement of the caller, so energy must be derived from them.
        predictor: auto, autogluon, rgat or roofline.
        stack: kind of stack (`hetbench.query.stacks.KINDS`) or the one stack that `ask` asks for.

    Raises:
        UnknownNameError: another objective.
        InvalidInputError: a latency objective that is not above 0.
        RefusedError: every chip is left out.

    >>> from hetbench import HetBench
    >>> found = HetBench().migrate("gpt2", targets="mlu", slo_ms=50)
    >>> found.candidates[0].family, found.objective
    ('mlu', 'latency')
    """
    if not isinstance(objective, str) or objective not in OBJECTIVES:
        raise UnknownNameError("objective", objective, OBJECTIVES)
    if slo_ms is not None and math.isnan(positive_or_nan(slo_ms)):
        raise InvalidInputError(f"slo_ms must be above 0 ms; given: {shown(slo_ms)}.")
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
        share = None if not graph.has_memory or not chip.memory_bytes else (
            100.0 * memory_bytes(graph, question.sizes) / chip.memory_bytes)  # fmt: skip
        if share is not None and share > 100.0:
            need = f"needs {digits(share * (chip.memory_bytes or 0) / 1e11)} GB of {digits(chip.mem_gb or 0)} GB"
            dropped.append(Dropped(chip.name, "memory", need))
            continue
        lacking, beside, more = _operator_support(graph, question, chip, coverage, stack)
        if lacking:
            dropped.append(Dropped(chip.name, "operators", f"does not register {', '.join(lacking)}"))
            continue
        meets = None if slo_ms is None else deadline_probability(answer, slo_ms)
        found.append(Candidate(chip.name, chip.family, score, answer, energy, meets, share, beside, None,
                               (*notes, *more, *_other_kind(answer, stack))))  # fmt: skip
    if not found:
        reasons = "\n".join(dropped_lines(dropped))
        raise RefusedError(f"none of the {len(chips)} chips can run {graph.name}.\n{reasons}")
    ranked = _ranked(found, objective, slo_ms)
    return Migration(graph.name, objective, slo_ms, source, ranked, tuple(dropped), stack)


def stack_options(
    graph: ModelGraph, options: Mapping[str, Any]
) -> tuple[str, Callable[[Chip], dict[str, Any]]]:  # fmt: skip
    """The kind of stack that a ranking compares under, or the stack that its options name; and the options on a chip.

    Without a named stack the kind is eager for models that generate tokens and for traced modules, else compiled. A
    chip where no stack of the kind is known takes eager execution.

    >>> from hetbench.catalog.chips import chip
    >>> from hetbench.graphs import load
    >>> kind, placed = stack_options(load("resnet-50"), {})
    >>> kind, [placed(chip(name))["stack"] for name in ("cann", "mlu")], stack_options(load("gpt2"), {})[0]
    ('compiled', ['acl', 'magicmind'], 'eager')
    """
    phase = options.get("phase")
    eager = "decode" in graph.phases or (isinstance(phase, str) and phase != PHASES[0]) or graph.fixed
    given = options.get("stack")
    if given is not None and not isinstance(given, str):
        raise InvalidInputError(f"a stack is named by a text; given: {shown(given)}.")
    kind = (given or (DEFAULT_STACK if eager else "compiled")).lower()

    def placed(chip: Chip) -> dict[str, Any]:
        if kind not in KINDS:
            return dict(options)
        made = Question.build(graph, chip, {**options, "stack": None})
        return dict(options) | {
            "stack": of_kind(kind, made.whole, chip, made.phase, made.precision) or DEFAULT_STACK
        }

    return kind, placed


def select_chips(targets: str | Sequence[str], known: Sequence[Chip], named: Callable[[str], Chip]) -> list[Chip]:
    """The chips that `targets` means: `all`, families (every chip of each) and chips, as a list or comma-separated.

    `known` are the chips to choose from; `named` finds a chip by name or alias and raises for an unknown name.

    >>> from hetbench.catalog.chips import chip, chips
    >>> len(select_chips("mlu,nvidia-l4", list(chips().values()), chip))
    9
    """
    words = targets.split(",") if isinstance(targets, str) else targets
    listed = isinstance(words, list | tuple | set | frozenset) and len(words) > 0
    if not listed or not all(isinstance(word, str) for word in words):
        raise InvalidInputError(f"targets are all, or names of chips and families; given: {shown(targets)}.")
    found: dict[str, Chip] = {}
    for word in (each.strip() for each in words):
        all_of, family = word.lower() == "all", schema.family(word)
        meant = [each for each in known if all_of or each.family == family]
        found |= {each.name: each for each in meant or [named(word)]}
    return list(found.values())


def deadline_probability(answer: Answer, slo_ms: float) -> float:
    """Probability that the latency is at most `slo_ms`, from the interval of the answer (formula: see the module).

    >>> answer = Answer(10.0, "ms", 5.0, 40.0)
    >>> [round(deadline_probability(answer, slo_ms), 3) for slo_ms in (10.0, 40.0, 5.0)]
    [0.5, 0.95, 0.05]
    """
    away = log(slo_ms / answer.value)
    bound = answer.upper if away >= 0 else answer.lower
    width = 0.0 if bound is None else abs(log(bound / answer.value))
    if not width:
        return 1.0 if away >= 0 else 0.0
    law = NormalDist()
    return law.cdf(away / width * law.inv_cdf((1 + answer.interval_level) / 2))


def pareto(points: Sequence[tuple[float, ...] | None]) -> list[bool | None]:
    """Which points are on the Pareto front, less being better in every figure; None for a point that is None.

    >>> pareto([(1.0, 2.0), (2.0, 1.0), (2.0, 2.0), None])
    [True, True, False, None]
    """
    known = [point for point in points if point is not None]
    return [
        None if point is None else not any(
            other != point and all(a <= b for a, b in zip(other, point, strict=True)) for other in known
        ) for point in points
    ]  # fmt: skip


def _score(objective: str, question: Question, latency: Answer, energy: Answer | None, notes: tuple[str, ...]) -> float:
    if objective == "latency":
        return latency.value
    if energy is None:
        raise RefusedError("; ".join(notes))
    return energy.value if objective == "energy" else question.items_per_call()[0] / energy.value


def _energy(
    graph: ModelGraph, question: Question, latency: Answer, corrected: bool, predictor: str
) -> tuple[Answer | None, tuple[str, ...]]:
    try:
        if corrected:
            return energy_of(question, graph, latency), ()
        return answer_metric(question, graph, "energy", predictor), ()
    except RefusedError as why:
        return None, (f"no energy: {why}",)


def _operator_support(
    graph: ModelGraph, question: Question, chip: Chip, known: dict[tuple[Any, ...], Coverage], stack: str
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Absent operators, operators that fall back or are unknown, and notes; `known` caches coverage by platform."""
    if graph.compact:
        return (), (), ("operator coverage not checked: its graph names no ATen operators",)
    if question.stack != DEFAULT_STACK and stack not in KINDS:
        return (), (), (f"operator coverage not checked: it is known for eager PyTorch, not for {question.stack}",)
    batch, seq_len, image_size, precision, phase = question.sizes
    try:
        key = (support.platform_of(chip), precision)
    except RefusedError as why:
        return (), (), (f"operator coverage not checked: {why}",)
    if key not in known:
        known[key] = operator_coverage(
            graph, chip, precision=precision, phase=phase, batch=batch, seq_len=seq_len, image_size=image_size
        )
    found = known[key]
    beside = (*found.fallback, *found.unknown)
    return tuple(each.operator for each in found.absent), tuple(each.operator for each in beside), ()


def _other_kind(answer: Answer, stack: str) -> tuple[str, ...]:
    """A note where the answer is of another kind of stack than the ranking."""
    return (f"stack {answer.stack}: no {stack} one is known there",) if is_other_kind(answer, stack) else ()


def _ranked(found: Sequence[Candidate], objective: str, slo_ms: float | None) -> tuple[Candidate, ...]:
    """Candidates best first, with the Pareto front marked."""
    marks = pareto([
        None if each.energy is None or each.memory_share is None
        else (each.latency.value, each.energy.value, each.memory_share) for each in found
    ])  # fmt: skip
    sign = -1.0 if OBJECTIVES[objective][1] else 1.0
    marked = (replace(each, pareto=mark) for each, mark in zip(found, marks, strict=True))

    def key(each: Candidate) -> tuple[Any, ...]:
        return (slo_ms is not None and each.latency.value > slo_ms, sign * each.score, each.chip)

    return tuple(sorted(marked, key=key))
