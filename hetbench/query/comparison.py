"""The answer for a target chip next to that for a source chip, and their ratio.

Both answers are published rows or both are predictions, so that errors common to both cancel in the ratio. A latency
that the caller measured on the source corrects the prediction for the target: target x (measured / predicted on the
source) ** exponent, with the exponent of `hetbench.predict.transfer`.
"""

from __future__ import annotations

import math
from dataclasses import replace

from hetbench.answers import Answer
from hetbench.errors import InvalidInputError, shown
from hetbench.graphs import ModelGraph
from hetbench.predict.transfer import transfer_factor
from hetbench.query.columns import positive_or_nan
from hetbench.query.metric_answers import answer_metric, predict_metric
from hetbench.query.question import Question
from hetbench.query.stacks import DEFAULT_STACK, kind_of

__all__ = ["answer_with_source"]

_ABSURD = 100.0  # times the prediction, either way: another unit is likelier than another speed


def answer_with_source(
    target: Question, source: Question | None, graph: ModelGraph, metric: str, predictor: str,
    source_value: float | None = None,
) -> Answer:  # fmt: skip
    """The answer for the target; where a source is named, with the source's answer and the ratio target / source.

    Args:
        target, source: complete questions about the same model; `source` may be None.
        graph: of the model.
        metric: name of the metric.
        predictor: auto, autogluon, rgat or roofline.
        source_value: the caller's own measurement on the source, latency in ms or throughput in 1/s.

    Raises:
        RefusedError: no evidence on either side.
        InvalidInputError: `source_value` without a source, for another metric, not positive, or a hundred times off.

    >>> from hetbench.catalog.chips import chip
    >>> from hetbench.graphs.model_graph import load
    >>> asked = [Question.build(load("gpt2"), chip(name), {"precision": "fp16"}) for name in ("cann", "cuda")]
    >>> found = answer_with_source(*asked, load("gpt2"), "latency", "auto")
    >>> found.ratio == found.value / found.source.value
    True
    """
    if source_value is not None:
        return _corrected(target, source, graph, metric, predictor, source_value)
    answer = answer_metric(target, graph, metric, predictor)
    if source is None:
        return answer
    origin = answer_metric(source, graph, metric, predictor)
    if "measured" in (answer.kind, origin.kind) and answer.kind != origin.kind:
        answer, origin = _both_predicted(target, source, graph, metric, predictor)
    notes = (*answer.notes, *_different_stacks(answer, origin))
    return replace(answer, source=origin, notes=notes, ratio=answer.value / origin.value if origin.value else None)


def _different_stacks(answer: Answer, origin: Answer) -> tuple[str, ...]:
    """A note where the two sides run different kinds of stack, so that the ratio is not one of the chips alone."""
    if answer.stack is None or origin.stack is None or kind_of(answer.stack) == kind_of(origin.stack):
        return ()
    return (
        f"the ratio compares stack {answer.stack} with {origin.stack} on {origin.chip}; name one stack, such as "
        f"{DEFAULT_STACK}, to compare the chips",
    )


def _both_predicted(
    target: Question, source: Question, graph: ModelGraph, metric: str, predictor: str
) -> tuple[Answer, Answer]:
    """Predictions for both sides where only one has a published row, which goes into the notes."""
    answers = []
    for side in (target, source):
        known, found = answer_metric(side, graph, metric, predictor), predict_metric(side, graph, metric, predictor)
        if known.kind == "measured":
            found = replace(found, notes=(*found.notes, _published_note(known)))
        answers.append(found)
    return answers[0], answers[1]


def _published_note(known: Answer) -> str:
    return f"published for {known.chip}: {known.value:.4g} {known.unit} ({', '.join(known.refs)})"


def _corrected(
    target: Question, source: Question | None, graph: ModelGraph, metric: str, predictor: str, source_value: float
) -> Answer:
    """The prediction for the target, corrected by the caller's measurement on the source."""
    if source is None or metric not in ("latency", "throughput"):
        raise InvalidInputError("source_value needs source= and goes with the metrics latency and throughput.")
    value = positive_or_nan(source_value)
    if math.isnan(value):
        raise InvalidInputError(f"source_value must be a positive number; given: {shown(source_value)}.")
    predicted, origin = (predict_metric(side, graph, metric, predictor) for side in (target, source))
    chips = source.require_chip("source_value"), target.require_chip("source_value")
    off = value / origin.value
    if not 1 / _ABSURD < off < _ABSURD:
        raise InvalidInputError(
            f"source_value={value:g} is {off:.3g} times what is predicted on {origin.chip}, {origin.value:.4g} "
            f"{origin.unit}: is it in {origin.unit}, and for this model and setting?"
        )
    factor, why = transfer_factor(value, origin.value, *chips, target.artifacts)
    notes = [why]
    for side in (target, source):
        row = answer_metric(side, graph, metric, predictor)
        if row.kind == "measured":
            notes.append(_published_note(row))
    measured = replace(
        origin, value=value, lower=None, upper=None, kind="measured", level=None, support=None, surrogate=None,
        shares={}, notes=(*source.notes, "measured by the caller"),
    )  # fmt: skip
    ratio, notes = predicted.value * factor / value, [*notes, *_different_stacks(predicted, origin)]
    return predicted.scaled(factor, ratio=ratio, source=measured, notes=(*predicted.notes, *notes))
