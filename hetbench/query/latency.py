"""Latency of a whole model: measured whole models and sums of operators, blended by their validated error.

`hetbench.query.estimate` computes; here is what one question means for it: which stack speaks for the one asked for,
which notes say so, and what share of the time each operator type takes. A stack that nobody measured on a chip of the
kind is refused, unless it is only the usual stack of the chip's family and the caller named none: then eager answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hetbench.catalog.chips import Chip
from hetbench.graphs.model_graph import ModelGraph
from hetbench.predict.model_features import composition
from hetbench.predict.models import group_of
from hetbench.predict.operators import ModelPrediction, OperatorSurrogate
from hetbench.predict.pooling import label_of
from hetbench.query.estimate import WHOLE, Estimator, Part
from hetbench.query.pieces import PROTOCOL, pieces_of
from hetbench.query.question import DEFAULT_STACK, Question
from hetbench.query.stacks import source, strong

__all__ = ["PROTOCOL", "WHOLE", "Latency", "estimator", "latency", "settled", "taught"]


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
    """The question with eager launches, and a note, for a usual stack that no row of the chip's kind teaches.

    The same where the chip itself was measured under eager launches and not under its family's usual stack.
    """
    if not question.usual_stack or question.stack == DEFAULT_STACK:
        return question
    if predictor in WHOLE and question.batch:
        place = question.whole, chip, question.phase
        here, eager = (strong(*place, stack, question.precision) for stack in (question.stack, DEFAULT_STACK))
        if source(*place, question.stack, question.precision) is not None and (here or not eager):
            return question
        why = f"no row of {chip.name} or its kind teaches its usual stack" if not eager else (
            f"{chip.name} was measured under eager launches")  # fmt: skip
    else:
        why = f"predictor {predictor} knows no stack" if predictor not in WHOLE else "a traced module knows no stack"
    note = f"{why}: eager launches instead of {question.stack}"
    return replace(question, stack=DEFAULT_STACK, notes=(*question.notes, note))


def latency(question: Question, chip: Chip, graph: ModelGraph, predictor: str) -> Latency | None:
    """The prediction for a complete, settled question; None where nothing supports the stack that was asked for."""
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
        by_type, support = _whole_shares(question, chip, graph, found)
        parts.append((share, by_type))
        notes += _whole_notes(question, chip, found)
        names.append(question.whole.id)
    if share < 1:
        summed = _sum_of(question.surrogate, graph, question.sizes, chip, predictor)
        parts.append((1 - share, summed.by_operator))
        notes.append(_levels(summed.by_level))
        names.append(question.surrogate.id)
        support = support or summed.support
    if 0 < share < 1:
        notes.append(f"whole models count {share:.0%}, the operator sum {1 - share:.0%}, by their error on held-out rows")
    return Latency(
        float(ms.value[0]), float(ms.lower[0]), float(ms.upper[0]), str(ms.level[0]), support,
        f"{' + '.join(names)}/{'whole' if share else predictor}", question.stack, "wall" if share else PROTOCOL,
        _mixed(parts, float(ms.value[0])), tuple(notes),
    )  # fmt: skip


def estimator(question: Question, chip: Chip, graph: ModelGraph, predictor: str) -> Estimator:
    """What estimates one question; its pieces are kept, since other batches and precisions ask for some of them."""
    kept = question.operators is None
    plain = replace(question, notes=(), usual_stack=False, batch=None, precision="fp32", stack=DEFAULT_STACK) if (
        kept) else question  # fmt: skip

    def pieces(part: Part) -> NDArray[np.float64]:
        make = _kept_pieces if kept and part.kind == "whole" else _pieces
        return make(part, graph, plain, chip, predictor)

    return Estimator(question, chip, predictor, pieces)


def _pieces(part: Part, graph: ModelGraph, question: Question, chip: Chip, predictor: str) -> NDArray[np.float64]:
    table = graph.operators(part.batch, question.seq_len, question.image_size, part.precision, question.phase)
    return pieces_of(part, table, graph.params, question, chip, predictor)[None]


_kept_pieces = lru_cache(maxsize=4096)(_pieces)


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
    found = source(question.whole, chip, question.phase, question.stack, question.precision)
    return found[0] if found is not None and found[1] == question.precision else None


def _whole_shares(
    question: Question, chip: Chip, graph: ModelGraph, found: tuple[str, str]
) -> tuple[dict[str, float], int]:
    """Time of each operator type by the surrogate of whole models, and the rows behind it."""
    stack, precision = found
    group = question.whole.group(group_of(chip.family, question.phase))
    labels = label_of(chip.name, chip.die, stack, precision)
    table = graph.operators(question.batch, question.seq_len, question.image_size, precision, question.phase)
    made = composition([(1.0, table)], chip)
    each = np.mean([parts for _, parts in group.learned(made, question.batch or 1, labels)], axis=0)
    by_type: dict[str, float] = {}
    for operator, ms in zip(made.operators, each.tolist(), strict=True):
        by_type[operator] = by_type.get(operator, 0.0) + ms
    return by_type, group.rows_of(labels)[1]


def _whole_notes(question: Question, chip: Chip, found: tuple[str, str]) -> list[str]:
    stack, precision = found
    notes = []
    if stack != question.stack:
        notes.append(f"{stack} stands in for {question.stack}")
    if precision != question.precision:
        notes.append(f"{question.precision} under {stack} follows from {precision}, by what the operators say of both")
    group = question.whole.group(group_of(chip.family, question.phase))
    where = group.rows_of(label_of(chip.name, chip.die, stack, precision))[0]
    return [*notes, f"whole models under {stack} in {precision}, {where}"]


def _sum_of(
    surrogate: OperatorSurrogate, graph: ModelGraph, sizes: tuple[int | None, int | None, int | None, str, str],
    chip: Chip, predictor: str,
) -> ModelPrediction:  # fmt: skip
    return surrogate.predict_model(graph.operators(*sizes), chip, protocol=PROTOCOL, predictor=predictor)


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
    parts = ", ".join(f"{ms / total:.0%} level {level}" for level, ms in sorted(by_level.items()))
    return f"sum over the operators, each launched eagerly; of the time {parts}"
