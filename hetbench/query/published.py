"""Published measurements of whole models as answers, and as notes of a prediction.

A row answers only its own setting: model, chip, precision, batch, seq_len, image_size, phase and stack all equal. A row
of another stack is mentioned in the notes, never taken as the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from hetbench.answers import Answer
from hetbench.catalog import evidence
from hetbench.catalog.chips import Chip
from hetbench.catalog.models import models
from hetbench.metrics import metric as metric_named
from hetbench.query.estimate import WHOLE
from hetbench.query.question import DEFAULT_STACK, Question
from hetbench.query.stacks import source, vendor

__all__ = ["other_stacks", "published_answer", "unsupported_stack"]


def published_answer(question: Question, metric: str) -> Answer | None:
    """The published row of exactly this question, or None; throughput also as items per call / measured latency."""
    if question.chip is None or not question.batch:
        return None
    found = evidence.find(question.evidence_setting, question.stack, metric)
    if found:
        return _median_answer(question, metric, found, [row.value for row in found])
    found = evidence.find(question.evidence_setting, question.stack, "latency") if metric == "throughput" else ()
    if not found:
        return None
    done, what = question.items_per_call()
    values = [1e3 * done / row.value for row in found]
    return _median_answer(question, metric, found, values, f"{done} {what} per call / measured latency")


def _median_answer(
    question: Question, metric: str, found: Sequence[evidence.Row], values: Sequence[float], *notes: str
) -> Answer:
    """The median of the rows of one setting, with their range in the notes."""
    unit = metric_named(metric).unit
    if len(found) > 1:
        notes += (f"median of {len(found)} rows, {min(values):.4g} to {max(values):.4g} {unit}",)
    software = sorted({row.software for row in found if row.software})
    if software:
        notes += (f"measured with {', '.join(software)}",)
    notes += tuple(dict.fromkeys(f"note of the publisher: {row.note}" for row in found if row.note))
    return Answer(
        median(values), unit, kind="measured", level="A", support=len(found), metric=metric,
        refs=tuple(dict.fromkeys(row.ref for row in found)), **question.answer_fields((*question.notes, *notes)),
    )  # fmt: skip


def other_stacks(question: Question, metric: str) -> tuple[str, ...]:
    """Notes on rows of this setting measured under other stacks."""
    if question.chip is None or not question.batch:
        return ()
    return tuple(
        f"measured under stack {stack!r}: {median(row.value for row in found):.4g} {found[0].unit} ({found[0].ref})"
        for stack, found in sorted(evidence.stacks(question.evidence_setting, metric).items())
        if stack != question.stack
    )  # fmt: skip


def _rows_of_model(question: Question) -> tuple[evidence.Row, ...]:
    """Every row of the model, at any setting; none for a traced module."""
    return evidence.rows(model=question.model) if question.batch and question.model in models() else ()


def _predictable(question: Question, chip: Chip, predictor: str) -> tuple[str, ...]:
    """The stacks that are answered in the precision of a question whose own stack is not."""
    if not question.batch or predictor not in WHOLE:
        return (DEFAULT_STACK,)
    place = question.whole, chip, question.phase
    known = (name for name in question.whole.stacks(chip, question.phase)
             if name != question.stack and source(*place, name, question.precision) is not None)  # fmt: skip
    return tuple(dict.fromkeys((DEFAULT_STACK, *known)))


def unsupported_stack(question: Question, predictor: str = "auto") -> str:
    """Why the stack of a question cannot be answered, and where the model was measured instead."""
    chip = question.require_chip("latency")
    known = [row for row in _rows_of_model(question) if row.use == "answer" and row.stack is not None]
    own = vendor(question.stack)
    why = (
        f"it runs on {own} alone" if own not in (None, chip.family) else
        "that needs measured rows of it on a chip of the family, and predictor auto or autogluon" if question.batch else
        "a traced module is answered as the sum over eagerly launched operators"
    )
    text = (
        f"stack {question.stack!r} in {question.precision} cannot be predicted for {question.phase} on {chip.name}: "
        f"{why}. Stacks that can be predicted there: {', '.join(_predictable(question, chip, predictor))}."
    )
    exact = {row.stack for row in known if row.setting == question.evidence_setting} - {question.stack}
    here = {row.stack for row in known if row.chip == chip.name} - {question.stack}
    for stacks, where in ((exact, "at this setting"), (here, f"on this chip for {question.model}, at other settings")):
        if stacks:
            return f"{text} Measured {where}: {', '.join(sorted(map(str, stacks)))}."
    return text
