"""Latency of a whole model: the whole-model surrogate where the stack was measured, else the sum over the operators.

Where the very cell (chip, stack, precision) was measured, the surrogate of whole models answers, at level C. Eager
launches of any other chip are the sum over the operator graph. A stack that only other chips of the family were
measured under is answered at level D; one that nobody measured is refused, unless it is only the usual stack
of the chip's family and the caller named none: then eager answers, and the notes say so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from hetbench.catalog.chips import Chip
from hetbench.graphs.model_graph import ModelGraph
from hetbench.predict import models
from hetbench.predict.intervals import pass_interval
from hetbench.query.question import DEFAULT_STACK, Question

__all__ = ["LAUNCH_BOUND", "PROTOCOL", "WHOLE", "Latency", "latency", "settled", "taught"]

PROTOCOL = "event"  # an eager model launches its operators one by one
LAUNCH_BOUND = 2.0  # below so many times its launch floors, a model's latency hardly depends on the batch
WHOLE = ("auto", "autogluon")  # the predictors that take whole models into account
_STAND_INS = {("eager", "fp16"): "eager-amp"}  # autocast runs the same products in half precision, eagerly


@dataclass(frozen=True, slots=True)
class Latency:
    """Predicted ms of one call with its interval, and what it rests on."""

    value: float
    lower: float
    upper: float
    level: str
    support: int
    surrogate: str
    stack: str
    protocol: str | None
    shares: Mapping[str, float]
    """Operator type -> ms."""
    notes: tuple[str, ...]


def settled(question: Question, chip: Chip, predictor: str) -> Question:
    """The question with eager launches, and a note, for a usual stack that no row of the chip teaches."""
    if not question.usual_stack or question.stack == DEFAULT_STACK:
        return question
    if predictor in WHOLE and taught(question, chip) is not None:
        return question
    why = f"no row of {chip.name} teaches its usual stack" if predictor in WHOLE else (
        f"predictor {predictor} knows no stack")  # fmt: skip
    note = f"{why}: eager launches instead of {question.stack}"
    return replace(question, stack=DEFAULT_STACK, notes=(*question.notes, note))


def latency(question: Question, chip: Chip, graph: ModelGraph, predictor: str) -> Latency | None:
    """The prediction for a complete, settled question; None where nothing supports the stack that was asked for."""
    found = _whole(question, chip, graph) if predictor in WHOLE else None
    if found is None and question.stack == DEFAULT_STACK:
        return _summed(question, chip, graph, predictor)
    return found


def taught(question: Question, chip: Chip) -> str | None:
    """The stack whose rows teach whole models this question, the asked one or its stand-in; None: the sum answers.

    >>> from hetbench.catalog.chips import chip
    >>> from hetbench.graphs.model_graph import load
    >>> where = chip("cuda")
    >>> taught(Question.build(load("gpt2"), where, {"stack": "eager"}), where)
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


def _whole(question: Question, chip: Chip, graph: ModelGraph) -> Latency | None:
    """What the surrogate of whole models says; None where it was not taught the setting, or eager not on this chip."""
    stack = taught(question, chip)
    if stack is None or not question.batch:
        return None
    notes = () if stack == question.stack else (f"{stack} of {chip.name} stands in for {question.stack}",)
    found = _predicted(question.whole, graph, question.sizes, chip, stack, question.confidence)
    if question.batch > 1:
        alone = _predicted(question.whole, graph, (1, *question.sizes[1:]), chip, stack, question.confidence)
        if alone.value > found.value:
            found, notes = alone, (*notes, "as slow as batch 1")
    return Latency(
        found.value, found.lower, found.upper, found.level, found.support, f"{question.whole.id}/whole", question.stack,
        "wall", dict(found.by_operator), (*notes, found.source),
    )  # fmt: skip


@lru_cache(maxsize=4096)
def _predicted(
    surrogate: models.WholeModelSurrogate, graph: ModelGraph, sizes: tuple[Any, ...], chip: Chip, stack: str,
    confidence: float,
) -> models.WholeModelPrediction:
    """One call of the model; kept, since every batch asks for batch 1 too."""
    batch, *_, precision, phase = sizes
    return surrogate.predict(
        [(1.0, graph.operators(*sizes))], chip, phase=phase, stack=stack, precision=precision, batch=batch,
        confidence=confidence,
    )  # fmt: skip


def _summed(question: Question, chip: Chip, graph: ModelGraph, predictor: str) -> Latency:
    """The sum over the operator graph, each operator launched eagerly."""
    surrogate = question.surrogate
    table = graph.operators(*question.sizes)
    found = surrogate.predict_model(table, chip, protocol=PROTOCOL, predictor=predictor)
    notes: tuple[str, ...] = (_levels(found.by_level),)
    if (question.batch or 1) > 1 and found.value < LAUNCH_BOUND * found.launch_ms:
        alone = surrogate.predict_model(
            graph.operators(1, *question.sizes[1:]), chip, protocol=PROTOCOL, predictor=predictor
        )
        if alone.value > found.value:
            found, notes = alone, (*notes, "the launches take the time: as slow as batch 1")
    lower, upper = pass_interval(surrogate, found.value, found.lower, found.upper, question.confidence)
    return Latency(
        found.value, float(lower), float(upper), found.level, found.support, f"{surrogate.id}/{predictor}",
        question.stack, PROTOCOL, dict(found.by_operator), notes,
    )  # fmt: skip


def _levels(by_level: Mapping[str, float]) -> str:
    total = sum(by_level.values()) or 1.0
    parts = ", ".join(f"{ms / total:.0%} level {level}" for level, ms in sorted(by_level.items()))
    return f"sum over the operators, each launched eagerly; of the time {parts}"
