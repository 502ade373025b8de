"""An answer for the target beside that of the source: measured with measured, predicted with predicted, or corrected.

What the caller measured on the source corrects the prediction for the target by as much as `hetbench.predict.transfer`
says.
"""

from __future__ import annotations

import math
from dataclasses import replace

from hetbench.answers import Answer
from hetbench.catalog.chips import Chip
from hetbench.errors import InvalidInputError
from hetbench.graphs.model_graph import ModelGraph
from hetbench.predict.transfer import transfer_factor
from hetbench.query import tables
from hetbench.query.question import Question
from hetbench.query.solve import predict, solve

__all__ = ["answered"]


def answered(
    target: Question, source: Question | None, graph: ModelGraph, metric: str, predictor: str,
    source_value: float | None = None,
) -> Answer:  # fmt: skip
    """The answer for the target, with that of the source and the ratio where a source is named.

    >>> from hetbench.catalog.chips import chip
    >>> from hetbench.graphs.model_graph import load
    >>> asked = [Question.build(load("gpt2"), chip(name), {"precision": "fp16"}) for name in ("cann", "cuda")]
    >>> found = answered(*asked, load("gpt2"), "latency", "auto")
    >>> found.ratio == found.value / found.source.value
    True
    """
    if source_value is not None:
        return _scaled(target, source, graph, metric, predictor, source_value)
    answer = solve(target, graph, metric, predictor)
    if source is None:
        return answer
    origin = solve(source, graph, metric, predictor)
    if "measured" in (answer.kind, origin.kind) and answer.kind != origin.kind:
        answer, origin = _both_predicted(target, source, graph, metric, predictor)
    return replace(answer, source=origin, ratio=answer.value / origin.value if origin.value else None)


def _both_predicted(
    target: Question, source: Question, graph: ModelGraph, metric: str, predictor: str
) -> tuple[Answer, Answer]:
    """Both sides predicted where only one was measured, so that the ratio compares like with like; the row is noted."""
    sides = []
    for side in (target, source):
        known, found = solve(side, graph, metric, predictor), predict(side, graph, metric, predictor)
        if known.kind == "measured":
            found = replace(found, notes=(*found.notes, _published(known)))
        sides.append(found)
    return sides[0], sides[1]


def _published(known: Answer) -> str:
    return f"published for {known.chip}: {known.value:.4g} {known.unit} ({', '.join(known.refs)})"


def _scaled(
    target: Question, source: Question | None, graph: ModelGraph, metric: str, predictor: str, source_value: float
) -> Answer:
    """The target predicted, corrected by what of measured / predicted on the source carries over to it."""
    if source is None or metric not in ("latency", "throughput"):
        raise InvalidInputError("source_value needs source= and goes with the metrics latency and throughput.")
    value = tables.positive(source_value)
    if math.isnan(value):
        raise InvalidInputError(f"source_value must be a positive number; given: {source_value!r}.")
    there, origin = (predict(side, graph, metric, predictor) for side in (target, source))
    factor, why = transfer_factor(value, origin.value, _placed(source), _placed(target), target.artifacts)
    notes = [why]
    for side in (target, source):
        row = solve(side, graph, metric, predictor)
        if row.kind == "measured":
            notes.append(_published(row))
    measured = replace(
        origin, value=value, lower=None, upper=None, kind="measured", level=None, support=None, surrogate=None,
        shares={}, notes=(*source.notes, "measured by the caller"),
    )  # fmt: skip
    ratio = there.value * factor / value
    return there.scaled(factor, ratio=ratio, source=measured, notes=(*there.notes, *notes))


def _placed(question: Question) -> Chip:
    """The chip of a question that has one."""
    if question.chip is None:
        raise InvalidInputError("source_value needs a chip on both sides.")
    return question.chip
