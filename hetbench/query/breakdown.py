"""A model's predicted latency split by operator, by the surrogate that answers the question.

The whole-model surrogate gives every operator its learned part, and the call an overhead; a sum over eager launches
gives every operator its own time, without overhead; where both answer, each counts by its weight. The parts sum to the
predicted latency; an analysis of a measured answer scales them to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hetbench.catalog.chips import Chip
from hetbench.graphs import ModelGraph, OperatorTable
from hetbench.predict.features import by_class
from hetbench.predict.model_features import composition
from hetbench.predict.models import group_of
from hetbench.query.latency import PROTOCOL, estimator, with_usable_stack
from hetbench.query.question import Question
from hetbench.query.training import predict_step
from hetbench.training import TrainingGraph

__all__ = ["Signature", "Split", "rows", "signature", "split"]

Signature = tuple[str, str, tuple[tuple[str, int], ...]]
"""Type, dtype and dims of an operator."""


@dataclass(frozen=True, slots=True)
class Split:
    """The parts of one call of a model, in ms."""

    call_ms: float
    """Overhead of the call: what no operator accounts for."""
    each: Mapping[Signature, float]
    """Time of one run of each distinct operator that does work at inference."""


def signature(op: str, dtype: str, dims: Mapping[str, int]) -> Signature:
    """The key of an operator instance: type, dtype, and dims sorted by name.

    >>> signature("Linear", "fp16", {"m": 1, "k": 2, "n": 3})
    ('Linear', 'fp16', (('k', 2), ('m', 1), ('n', 3)))
    """
    return op, dtype, tuple(sorted(dims.items()))


def rows(table: OperatorTable) -> Iterator[tuple[Signature, int]]:
    """Every distinct operator that does work at inference and its number of runs, in the order of the surrogates.

    >>> from hetbench.graphs.model_graph import load
    >>> next(rows(load("gpt2").operators(1, 8)))[0][0]
    'Add'
    """
    for groups in by_class(table).values():
        for group in groups:
            for index, count in enumerate(group.count.tolist()):
                yield signature(group.op, group.dtype, {k: int(v[index]) for k, v in group.dims.items()}), count


def split(question: Question, chip: Chip, graph: ModelGraph, predictor: str = "auto") -> Split:
    """The predicted latency of a model, split into the parts of its operators and the overhead of the call.

    >>> from hetbench.catalog.chips import chip
    >>> from hetbench.graphs.model_graph import load
    >>> graph, where = load("gpt2"), chip("cann")
    >>> found = split(Question.build(graph, where, {}), where, graph)
    >>> found.call_ms, len(found.each)
    (0.0, 11)
    """
    table, question = graph.operators(*question.sizes), with_usable_stack(question, chip, predictor)
    value, share, found = _known(question, chip, graph, predictor)
    call, ms = 0.0, np.zeros(len(list(rows(table))))
    if share < 1:
        parts = question.surrogate.predict_by_class(table, chip, PROTOCOL, predictor)
        summed = np.concatenate([bounds[0] for *_, bounds in parts])
        ms = ms + (1 - share) * summed / summed.sum()
    if share and found is not None:
        overhead, learned = _learned(question, chip, graph, found)
        call, ms = share * overhead, ms + share * learned
    each: dict[Signature, float] = {}
    for (key, count), part in zip(rows(table), ms.tolist(), strict=True):
        each[key] = value * part / count
    return Split(value * call, each)


def _known(
    question: Question, chip: Chip, graph: ModelGraph, predictor: str
) -> tuple[float, float, tuple[str, str] | None]:
    """Latency in ms, the share of whole models in it, and the stack and precision of their rows."""
    if isinstance(graph, TrainingGraph):
        return predict_step(question, chip, graph, predictor).value, 0.0, None
    made = estimator(question, chip, graph, predictor)
    return float(made.latency().value), made.share(), made.source(question.stack, question.precision)


def _learned(question: Question, chip: Chip, graph: ModelGraph, found: tuple[str, str]) -> tuple[float, Any]:
    """Shares of a call's overhead, and of each row times its count [rows], as the whole-model surrogate has them."""
    stack, precision = found
    phase = question.taught_phase
    group = question.whole.group(group_of(chip.family, phase))
    labels = question.whole.labels(chip, phase, stack, precision)
    on = question.whole.speaker(chip, phase, stack, precision)
    made = composition([(1.0, graph.operators(*question.sizes))], chip, on)
    learned = group.by_network(made, question.batch or 1, labels)
    operators = np.mean([parts / np.exp(total) for total, parts in learned], axis=0)  # [rows], of the learned total
    overhead = max(1.0 - float(operators.sum()), 0.0)
    return overhead, operators / (operators.sum() + overhead)
