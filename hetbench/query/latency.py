"""Predicted latency of a whole model: the whole-model surrogate where it has seen the stack, else a sum over operators.

- The whole-model surrogate has rows of this chip, stack and precision: it predicts, at level C.
- Else, for eager execution: the sum over the operator graph, each operator launched by itself.
- Else, for a stack that the caller named and that has rows on other chips of the family: the whole-model surrogate
  predicts, at level D. A named stack without such rows is refused.
- Else, for the default stack of the chip: eager execution is predicted instead, with a note.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from hetbench.catalog.chips import Chip
from hetbench.graphs import ModelGraph
from hetbench.predict import models
from hetbench.predict.intervals import pass_interval
from hetbench.query.question import DEFAULT_STACK, Question

__all__ = ["LAUNCH_BOUND", "PROTOCOL", "WHOLE", "LatencyPrediction", "predict_latency", "trained_stack",
           "with_usable_stack"]

PROTOCOL = "event"  # an eager model launches its operators one by one
LAUNCH_BOUND = 2.0  # a sum below so many times its launch floors is launch-bound: it hardly depends on the batch
WHOLE = ("auto", "autogluon")  # the predictors that use the whole-model surrogate
_BATCH_1_NOTE = "answered with the latency at batch 1, which is predicted to be higher than at this batch"
_STAND_INS = {("eager", "fp16"): "eager-amp"}  # autocast runs the same GEMMs in half precision, eagerly


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
    """The question itself; or, where its stack is a default that no training row supports, the question for eager.

    A stack that the caller named is never replaced. The replacement adds a note.
    """
    if not question.usual_stack or question.stack == DEFAULT_STACK:
        return question
    if predictor in WHOLE and trained_stack(question, chip) is not None:
        return question
    if predictor not in WHOLE:
        why = f"predictor {predictor} does not model stacks"
    elif not question.batch:
        why = "the whole-model surrogate does not cover traced modules"
    else:
        why = f"no measured rows of {chip.name} under it"
    note = f"predicted for eager execution instead of the usual stack {question.stack}: {why}"
    return replace(question, stack=DEFAULT_STACK, notes=(*question.notes, note))


def predict_latency(question: Question, chip: Chip, graph: ModelGraph, predictor: str) -> LatencyPrediction | None:
    """The predicted latency, or None where nothing supports the stack of the question.

    The question is complete and has passed `with_usable_stack`.
    """
    found = _whole(question, chip, graph) if predictor in WHOLE else None
    if found is None and question.stack == DEFAULT_STACK:
        return _summed(question, chip, graph, predictor)
    return found


def trained_stack(question: Question, chip: Chip) -> str | None:
    """The stack whose training rows the whole-model surrogate answers from: that of the question, or one alike.

    None where the surrogate has no such rows, so that the sum over operators answers. `eager-amp` stands in for eager
    fp16, since autocast runs the same GEMMs in half precision.

    >>> from hetbench.catalog.chips import chip
    >>> from hetbench.graphs.model_graph import load
    >>> where = chip("cuda")
    >>> trained_stack(Question.build(load("gpt2"), where, {"stack": "eager"}), where)
    'eager-amp'
    """
    if not question.batch:
        return None
    surrogate, stack = question.whole, question.stack
    level = surrogate.level(chip, question.phase, stack, question.precision)
    stand_in = _STAND_INS.get((stack, question.precision))
    if level != "C" and stand_in and surrogate.level(chip, question.phase, stand_in, question.precision) == "C":
        return stand_in
    if level is None or (level == "D" and (stack == DEFAULT_STACK or question.usual_stack)):
        return None
    return stack


def _whole(question: Question, chip: Chip, graph: ModelGraph) -> LatencyPrediction | None:
    """The prediction of the whole-model surrogate; None where it has no training rows for this stack."""
    stack = trained_stack(question, chip)
    if stack is None or not question.batch:
        return None
    notes: tuple[str, ...] = ()
    if stack != question.stack:
        missing = f"{question.stack} in {question.precision}"
        notes = (f"predicted from rows of stack {stack}; {chip.name} has none of {missing}",)
    found = _predicted(question.whole, graph, question.sizes, chip, stack, question.confidence)
    if question.batch > 1:
        alone = _predicted(question.whole, graph, (1, *question.sizes[1:]), chip, stack, question.confidence)
        if alone.value > found.value:
            found, notes = alone, (*notes, _BATCH_1_NOTE)
    return LatencyPrediction(
        found.value, found.lower, found.upper, found.level, found.support, f"{question.whole.id}/whole", question.stack,
        "wall", dict(found.by_operator), (*notes, found.source),
    )  # fmt: skip


@lru_cache(maxsize=4096)
def _predicted(
    surrogate: models.WholeModelSurrogate, graph: ModelGraph, sizes: tuple[Any, ...], chip: Chip, stack: str,
    confidence: float,
) -> models.WholeModelPrediction:
    """One call of the model; cached, since a prediction for any batch needs that for batch 1 too."""
    batch, *_, precision, phase = sizes
    return surrogate.predict(
        [(1.0, graph.operators(*sizes))], chip, phase=phase, stack=stack, precision=precision, batch=batch,
        confidence=confidence,
    )  # fmt: skip


def _summed(question: Question, chip: Chip, graph: ModelGraph, predictor: str) -> LatencyPrediction:
    """The sum over the operator graph, each operator launched eagerly; not below the sum at batch 1 if launch-bound."""
    surrogate = question.surrogate
    table = graph.operators(*question.sizes)
    found = surrogate.predict_model(table, chip, protocol=PROTOCOL, predictor=predictor)
    notes: tuple[str, ...] = (_levels(found.by_level),)
    if (question.batch or 1) > 1 and found.value < LAUNCH_BOUND * found.launch_ms:
        alone = surrogate.predict_model(
            graph.operators(1, *question.sizes[1:]), chip, protocol=PROTOCOL, predictor=predictor
        )
        if alone.value > found.value:
            found, notes = alone, (*notes, f"launch-bound: {_BATCH_1_NOTE}")
    lower, upper = pass_interval(surrogate, found.value, found.lower, found.upper, question.confidence)
    return LatencyPrediction(
        found.value, float(lower), float(upper), found.level, found.support, f"{surrogate.id}/{predictor}",
        question.stack, PROTOCOL, dict(found.by_operator), notes,
    )  # fmt: skip


def _levels(by_level: Mapping[str, float]) -> str:
    total = sum(by_level.values()) or 1.0
    parts = ", ".join(f"{ms / total:.0%} at level {level}" for level, ms in sorted(by_level.items()))
    return f"sum over eagerly launched operators; evidence by predicted time: {parts}"
