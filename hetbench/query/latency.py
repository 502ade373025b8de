"""Predicted latency of a whole model: whole-model surrogate and operator sum, blended by their validated error.

`hetbench.query.estimate` computes the figures. This module replaces a default stack that no measured row supports by
eager execution, names the rows behind a prediction in its notes, and splits it by operator type. A stack that the
caller named and that was never measured on a chip of the kind is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hetbench.catalog.chips import Chip
from hetbench.formats import STORED
from hetbench.graphs import ModelGraph, OperatorTable
from hetbench.predict.models import group_of
from hetbench.predict.whole_group import Calls
from hetbench.query.estimate import WHOLE, Estimator
from hetbench.query.estimates import Estimate
from hetbench.query.model_offsets import corrected, note_of
from hetbench.query.parts import Part
from hetbench.query.pieces import PROTOCOL, Terms, terms_of
from hetbench.query.plan import plan_of
from hetbench.query.question import DEFAULT_STACK, Question
from hetbench.query.stacks import source, strong
from hetbench.schema import element, itemsize

__all__ = ["PROTOCOL", "WHOLE", "LatencyPrediction", "estimator", "predict_latency", "trained_stack",
           "with_usable_stack"]


@dataclass(frozen=True, slots=True)
class LatencyPrediction:
    """Predicted latency of one call in ms, its interval, and the evidence behind it."""

    value: float
    lower: float
    upper: float
    level: str
    support: int
    surrogate: str
    stack: str
    protocol: str | None
    shares: Mapping[str, float]
    """Operator type -> its part of `value`, in ms."""
    notes: tuple[str, ...]


def with_usable_stack(question: Question, chip: Chip, predictor: str) -> Question:
    """The question itself; or, where its stack is a default that measured rows do not support, the question for eager.

    That is also so where the chip itself was measured under eager execution and not under the usual stack of its
    family. A stack that the caller named is never replaced. The replacement adds a note.
    """
    if not question.usual_stack or question.stack == DEFAULT_STACK:
        return question
    if predictor not in WHOLE:
        why = f"predictor {predictor} does not model stacks"
    elif not question.batch:
        why = "the whole-model surrogate needs a batch, and the inputs of the trace share no first axis"
    else:
        place = question.whole, chip, question.phase
        here, eager = (strong(*place, stack, question.precision) for stack in (question.stack, DEFAULT_STACK))
        if source(*place, question.stack, question.precision) is not None and (here or not eager):
            return question
        why = "the chip was measured under eager execution" if eager else (
            f"no measured rows of it on {chip.name} or a chip of its kind")  # fmt: skip
    note = f"predicted for eager execution instead of the usual stack {question.stack}: {why}"
    return replace(question, stack=DEFAULT_STACK, notes=(*question.notes, note))


def predict_latency(question: Question, chip: Chip, graph: ModelGraph, predictor: str) -> LatencyPrediction | None:
    """The predicted latency, or None where no measured row supports the stack of the question.

    The question is complete and has passed `with_usable_stack`.
    """
    made = estimator(question, chip, graph, predictor)
    found = made.source(question.stack, question.precision)
    if found is None and question.stack != DEFAULT_STACK:
        return None
    ms, share = made.latency(), made.share()
    parts: list[tuple[float, Mapping[str, float]]] = []
    notes: list[str] = []
    names: list[str] = []
    support = 0
    if found is not None and share:
        terms = made.terms(Part("whole", *found, *made.upper_sizes, question.image_size, element(question.precision)))
        parts.append((share, terms.by_operator))
        notes += _whole_notes(question, chip, found)
        names.append(question.whole.id)
        support = terms.support
    if share < 1:
        sizes = question.batch, question.seq_len, question.image_size
        terms = made.terms(Part("sum", DEFAULT_STACK, question.precision, *sizes))
        parts.append((1 - share, terms.by_operator))
        notes.append(_levels(terms.by_level))
        names.append(question.surrogate.id)
        support = support or terms.support
    if 0 < share < 1:
        notes.append(f"weights by held-out error: whole-model surrogate {share:.0%}, operator sum {1 - share:.0%}")
    notes += note_of(question, chip, made.factor)
    return LatencyPrediction(
        *ms, support,
        f"{' + '.join(names)}/{'whole' if share else predictor}", question.stack, "wall" if share else PROTOCOL,
        _mixed(parts, ms.value), tuple(notes),
    )  # fmt: skip


class SingleEstimator(Estimator):
    """The estimator of one question, which remembers the terms that it asked for."""

    def __init__(self, question: Question, chip: Chip, predictor: str, graph: ModelGraph) -> None:
        self._graph, self._plan = graph, plan_of(question, chip, graph, predictor)
        self._own: dict[Part, Terms] = {}
        self._table: tuple[Any, OperatorTable] | None = None
        super().__init__(
            question, chip, predictor, lambda part: self.terms(part).values, graph.longest, "decode" in graph.phases,
            graph.resizable,
        )
        self.factor = 1.0
        """By which observed passes have corrected `latency`."""

    def terms(self, part: Part) -> Terms:
        """The terms of a part."""
        found = self._own.get(part)
        if found is None:
            found = self._own[part] = self._plan.terms(self.phase, part, self._make)
        return found

    def _make(self, part: Part) -> Terms:
        sizes = part.batch, part.seq_len, part.image_size, part.dtype or part.precision
        if self._table is None or self._table[0] != sizes:  # work and sum are of the same operators
            self._table = sizes, self._graph.operators(*sizes, self.question.phase)
        return _terms(part, self._table[1], self._graph, self.question, self.chip, self.predictor)

    def latency(self) -> Estimate:
        """The estimate, corrected by passes that were observed on the chip."""
        before = super().latency()
        if not self.question.observed:
            return before
        found = corrected(before.arrays(), self.question, self.chip, np.array([self.floor()])).single()
        self.factor = found.value / before.value
        return found

    def evaluated(self, stack: str, taught: str, precision: str, batch: int, length: int | None) -> Calls:
        """Calls at one batch and length, kept for other questions about the network on the chip."""
        key = self.phase, stack, taught, precision, batch, length, self.question.image_size
        make = super().evaluated
        return self._plan.calls(key, lambda: make(stack, taught, precision, batch, length).single())


def estimator(question: Question, chip: Chip, graph: ModelGraph, predictor: str) -> SingleEstimator:
    """The estimator of one question."""
    return SingleEstimator(question, chip, predictor, graph)


def _terms(
    part: Part, table: OperatorTable, graph: ModelGraph, question: Question, chip: Chip, predictor: str
) -> Terms:
    params: float = graph.params
    if part.precision in STORED:
        params = graph.weights_bytes(part.precision) / itemsize(part.precision)
    return terms_of(part, table, params, question, chip, predictor)


def trained_stack(question: Question, chip: Chip) -> str | None:
    """The stack whose training rows the whole-model surrogate answers from: that of the question, or one alike.

    None where it has no such rows in the question's precision.

    >>> from hetbench.catalog.chips import chip
    >>> from hetbench.graphs.model_graph import load
    >>> where = chip("cuda")
    >>> trained_stack(Question.build(load("bert-base"), where, {"stack": "eager"}), where)
    'eager-amp'
    """
    if not question.batch:
        return None
    found = source(question.whole, chip, question.taught_phase, question.stack, question.precision)
    return found[0] if found is not None and found[1] == question.precision else None


def _whole_notes(question: Question, chip: Chip, found: tuple[str, str]) -> list[str]:
    stack, precision = found
    notes = []
    if stack != question.stack:
        notes.append(f"predicted from rows of stack {stack}; {chip.name} has none of {question.stack}")
    if precision != question.precision:
        notes.append(f"scaled from {precision} to {question.precision}: the same efficiencies on its own roofline")
    group = question.whole.group(group_of(chip.family, question.taught_phase))
    where = group.rows_of(question.whole.labels(chip, question.taught_phase, stack, precision))[0]
    return [*notes, f"whole models under {stack} in {precision}, {where}"]


def _mixed(parts: list[tuple[float, Mapping[str, float]]], total: float) -> dict[str, float]:
    """ms of each operator type, so that they add up to the total; parts count by their weight."""
    mixed: dict[str, float] = {}
    for weight, by_type in parts:
        whole = sum(by_type.values()) or 1.0
        for operator, ms in by_type.items():
            mixed[operator] = mixed.get(operator, 0.0) + weight * total * ms / whole
    return mixed


def _levels(by_level: Mapping[str, float]) -> str:
    total = sum(by_level.values()) or 1.0
    parts = ", ".join(f"{ms / total:.0%} at level {level}" for level, ms in sorted(by_level.items()))
    return f"sum over eagerly launched operators; evidence by predicted time: {parts}"
