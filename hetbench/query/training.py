"""Predicted latency of a training step: the forward pass as inference is answered, the rest by its operators.

    step = pass x (forward and backward operators / forward operators) + update + all-reduce

The pass comes from whole models and operator sums of inference (`hetbench.query.estimate`), so that what is known of a
chip and stack speaks for training too. What measured steps take over this, and the interval, are those of
`hetbench.training.surrogate`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from hetbench.answers import Answer
from hetbench.catalog.chips import Chip
from hetbench.errors import RefusedError
from hetbench.graphs import OperatorTable
from hetbench.predict.intervals import pass_factor
from hetbench.predict.offsets import OffsetRows
from hetbench.query.estimates import Estimate
from hetbench.query.exact import memory_shortfall, refuse_similar
from hetbench.query.latency import WHOLE, LatencyPrediction, estimator
from hetbench.query.model_offsets import corrected, deviation, note_of, pass_rows
from hetbench.query.pieces import PROTOCOL
from hetbench.query.question import DEFAULT_STACK, Question
from hetbench.serving.collectives import collective
from hetbench.training import TrainingGraph, TrainingMemory
from hetbench.training import surrogate as steps
from hetbench.training.memory import MIXED

__all__ = ["StepParts", "observed_step", "predict_step", "step_memory", "step_parts"]

_BUCKET = 25 * 2**20  # bytes of gradients that are sent together


@dataclass(frozen=True, slots=True)
class StepParts:
    """What a step is composed of, in ms, before the factors of measured steps."""

    forward: float
    """The pass as inference is answered, with what training adds to it."""
    backward: float
    update: float
    summed: float
    """The whole step as the sum of its operators alone, times what passes usually take over theirs."""
    level: str
    """Of the pass."""
    support: int
    shares: Mapping[str, float]
    """ms by operator type, in proportion to the operators' own sum."""

    @property
    def total(self) -> float:
        """The step."""
        return self.forward + self.backward + self.update


def step_parts(question: Question, chip: Chip, graph: TrainingGraph, predictor: str = "auto") -> StepParts:
    """The parts of a step on one chip; `question` is complete, in phase training."""
    tables = graph.tables(question.batch, question.seq_len, question.image_size, question.precision)
    forward, beside, backward, update = (_summed(question, chip, table, predictor) for table in tables)
    asked = replace(question, phase=graph.forward_phase, stack=DEFAULT_STACK, taught=None)
    made = estimator(asked, chip, graph.network, predictor)
    found = made.latency()
    scale = float(found.value) / forward[0] if forward[0] else 1.0
    usual = pass_factor(question.surrogate, chip) if predictor in WHOLE else 1.0
    shares: dict[str, float] = {}
    for each, factor in ((forward, scale), (beside, scale), (backward, scale), (update, 1.0)):
        for op, ms in each[1].items():
            shares[op] = shares.get(op, 0.0) + factor * ms
    return StepParts(
        scale * (forward[0] + beside[0]), scale * backward[0], update[0],
        usual * (forward[0] + beside[0] + backward[0]) + update[0], str(found.level), forward[2], shares,
    )  # fmt: skip


def _summed(
    question: Question, chip: Chip, table: OperatorTable, predictor: str
) -> tuple[float, Mapping[str, float], int]:
    if not table.groups:
        return 0.0, {}, 0
    found = question.surrogate.predict_model(table, chip, protocol=PROTOCOL, predictor=predictor)
    return found.value, found.by_operator, found.support


def predict_step(question: Question, chip: Chip, graph: TrainingGraph, predictor: str) -> LatencyPrediction:
    """The predicted latency of a step; `question` is complete, in phase training.

    Raises `RefusedError` for a stack under which no step was measured.
    """
    known, stack = steps.load(question.artifacts), question.stack.removesuffix("-amp")
    if stack != DEFAULT_STACK and stack not in known.stacks:
        raise RefusedError(
            f"no training step was measured under stack {question.stack!r}. Stacks that can be predicted: "
            f"{', '.join(known.stacks)}."
        )
    parts = step_parts(replace(question, stack=stack), chip, graph, predictor)
    whole = known.share if predictor in WHOLE else 0.0
    composed = math.exp(whole * math.log(parts.total) + (1 - whole) * math.log(parts.summed))
    ratio = known.ratio(chip, stack, question.precision, bool(graph.optimizer.operators), question.confidence)
    if predictor not in WHOLE:
        ratio = replace(ratio, value=1.0, lower=ratio.lower / ratio.value, upper=ratio.upper / ratio.value, level="D")
    made = _estimate(question, chip, composed, ratio, _least_ms(question, chip, graph))
    value, lower, upper = (float(each) for each in (made.value, made.lower, made.upper))
    waits, level, notes = _all_reduce(question, chip, graph, value * parts.backward / parts.total)
    notes = (*_said(ratio, parts, chip, graph, question.precision, stack), *notes,
             *note_of(question, chip, value / (composed * ratio.value)))  # fmt: skip
    return LatencyPrediction(
        value + waits[0], lower + waits[1], upper + waits[2], max(str(made.level), level),
        ratio.support or parts.support, f"{known.id} x {question.surrogate.id}/{predictor}", question.stack, "wall",
        {op: (value + waits[0]) * ms / sum(parts.shares.values()) for op, ms in parts.shares.items()}, notes,
    )  # fmt: skip


def _least_ms(question: Question, chip: Chip, graph: TrainingGraph) -> float:
    """ms of the step's work at the chip's peak; 0 where the datasheet states none."""
    peak = chip.peak_flops(question.precision)
    return 1e3 * graph.operators(*question.sizes).flops / peak if peak else 0.0


def _estimate(question: Question, chip: Chip, composed: float, ratio: steps.Ratio, least_ms: float) -> Estimate:
    """The composed step times its factor, corrected by steps observed on the chip; nothing below the least."""
    value, lower, upper = (max(composed * factor, least_ms) for factor in (ratio.value, ratio.lower, ratio.upper))
    made = Estimate(value, lower, upper, ratio.level)
    return corrected(made.arrays(), question, chip, np.array([least_ms])).single() if question.observed else made


def _said(
    ratio: steps.Ratio, parts: StepParts, chip: Chip, graph: TrainingGraph, precision: str, stack: str
) -> tuple[str, ...]:
    share = [f"{name} {ms / parts.total:.0%}" for name, ms in (
        ("forward", parts.forward), ("backward", parts.backward), (f"update by {graph.optimizer.name}", parts.update),
    )]  # fmt: skip
    kind = "half precision" if precision in MIXED else "full precision"
    where = (f"{ratio.support} measured steps of this die under {stack} in {kind}" if ratio.support else
             f"no step of {kind} under {stack} was measured on the die of {chip.name}")  # fmt: skip
    mixed = (f"mixed precision: products in {precision}, weights and update in fp32",) if precision in MIXED else ()
    return (*mixed, ", ".join(share), where)


def _all_reduce(
    question: Question, chip: Chip, graph: TrainingGraph, backward_ms: float
) -> tuple[tuple[float, float, float], str, tuple[str, ...]]:
    """What a step waits for the gradients of other chips, with bounds: they are sent while the backward pass goes on.

    At least the last bucket of 25 MB is waited for, at most all of it.
    """
    if graph.chips == 1:
        return (0.0, 0.0, 0.0), "A", ()
    size = 4 * graph.params
    found = collective("AllReduce", {"bytes": size, "chips": graph.chips}, chip, confidence=question.confidence)
    last = min(1.0, _BUCKET / size)
    upper = found.value if found.upper is None else found.upper
    value = max(found.value - backward_ms * (1 - last), found.value * last)
    note = (
        f"data parallel over {graph.chips} chips, batch of each; AllReduce of {size / 1e6:,.0f} MB takes "
        f"{found.value:.3g} ms, of which {value:.3g} ms are not hidden by the backward pass"
    )
    bounds = value, min(float(found.lower or 0.0) * last, value), float(upper)
    return bounds, "D", (note, *found.notes[:1])  # no step of several chips was scored


def step_memory(question: Question, graph: TrainingGraph) -> Answer:
    """Peak memory of a step in MB: the arithmetic of its tensors, and what frameworks add.

    Raises `RefusedError` where the name means only a network with the same layers.
    """
    refuse_similar("memory", graph)
    need = graph.memory(question.batch, question.seq_len, question.image_size, question.precision)
    assert isinstance(need, TrainingMemory)
    known = steps.load(question.artifacts)
    found = known.memory_mb(need.total_bytes / 1e6, question.chip, question.confidence)
    named = (("weights", need.weights_bytes), ("half copies", need.copies_bytes), ("gradients", need.gradients_bytes),
             ("optimizer", need.optimizer_bytes), ("kept for the backward", need.activations_peak_bytes))  # fmt: skip
    parts = ", ".join(f"{name} {size / 1e6:,.1f} MB" for name, size in named if size)
    notes = (*question.notes, parts, f"at once {need.total_bytes / 1e6:,.1f} MB, the rest is what frameworks add",
             *memory_shortfall(question, graph, question.chip))  # fmt: skip
    return Answer(
        found.value, "MB", found.lower, found.upper, question.confidence, "predicted", found.level, metric="memory",
        surrogate=known.id,
        **question.answer_fields(notes),
    )  # fmt: skip


def observed_step(
    question: Question, chip: Chip, graph: TrainingGraph, metric: str
) -> tuple[float, OffsetRows, float, float, float]:
    """Of a step that was observed: predicted figure, row, middle and deviation, and its least at the chip's peak, the
    figures in the unit of `metric`, latency or throughput."""
    found = predict_step(question, chip, graph, "auto")
    made = Estimate(found.value, found.lower, found.upper, found.level).arrays()
    middle, sd = deviation(made.lower / made.value, made.upper / made.value, 0.9)
    least = _least_ms(question, chip, graph)
    done = 1e3 * question.items_per_call()[0] * graph.chips
    if metric != "latency":
        least = done / least if least else 0.0
    predicted = found.value if metric == "latency" else done / found.value
    return predicted, pass_rows(question, made), float(middle[0]), float(sd[0]), least
