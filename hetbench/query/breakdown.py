"""What a model's latency is made of, operator by operator: the split of the surrogates that answer the question.

The surrogate of whole models gives every operator its learned part and each call an overhead; a sum over eager
launches gives every operator its own time and no overhead. Where both answer, each counts by its share. Parts are in
ms as predicted: whoever explains an answer scales them to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hetbench.catalog.chips import Chip
from hetbench.graphs.model_graph import ModelGraph, OperatorTable
from hetbench.predict.features import by_class
from hetbench.predict.model_features import composition
from hetbench.predict.models import group_of
from hetbench.predict.pooling import label_of
from hetbench.query.latency import PROTOCOL, estimator, settled
from hetbench.query.question import Question

__all__ = ["Signature", "Split", "rows", "signature", "split"]

Signature = tuple[str, str, tuple[tuple[str, int], ...]]
"""Type, dtype and dims of an operator."""


@dataclass(frozen=True, slots=True)
class Split:
    """The parts of one call, in ms."""

    call_ms: float
    """What the call costs before any operator runs."""
    each: Mapping[Signature, float]
    """One run of each distinct operator that runs something."""


def signature(op: str, dtype: str, dims: Mapping[str, int]) -> Signature:
    """The key of an operator, dims in order of their names.

    >>> signature("Linear", "fp16", {"m": 1, "k": 2, "n": 3})
    ('Linear', 'fp16', (('k', 2), ('m', 1), ('n', 3)))
    """
    return op, dtype, tuple(sorted(dims.items()))


def rows(table: OperatorTable) -> Iterator[tuple[Signature, int]]:
    """Every operator that runs something and how often, in the order in which the surrogates see them.

    >>> from hetbench.graphs.model_graph import load
    >>> next(rows(load("gpt2").operators(1, 8)))[0][0]
    'Add'
    """
    for groups in by_class(table).values():
        for group in groups:
            for index, count in enumerate(group.count.tolist()):
                yield signature(group.op, group.dtype, {k: int(v[index]) for k, v in group.dims.items()}), count


def split(question: Question, chip: Chip, graph: ModelGraph, predictor: str = "auto") -> Split:
    """The parts of the predicted latency of a question.

    >>> from hetbench.catalog.chips import chip
    >>> from hetbench.graphs.model_graph import load
    >>> graph, where = load("gpt2"), chip("cann")
    >>> found = split(Question.build(graph, where, {}), where, graph)
    >>> found.call_ms, len(found.each)
    (0.0, 11)
    """
    table, question = graph.operators(*question.sizes), settled(question, chip, predictor)
    made = estimator(question, chip, graph, predictor)
    value, share, found = float(made.latency().value[0]), made.share(), made.source(question.stack, question.precision)
    call, ms = 0.0, np.zeros(len(list(rows(table))))
    if share < 1:
        parts = question.surrogate.parts(table, chip, PROTOCOL, predictor)
        summed = np.concatenate([bounds[0] for *_, bounds in parts])
        ms = ms + (1 - share) * summed / summed.sum()
    if share and found is not None:
        overhead, learned = _learned(question, chip, graph, found)
        call, ms = share * overhead, ms + share * learned
    each: dict[Signature, float] = {}
    for (key, count), part in zip(rows(table), ms.tolist(), strict=True):
        each[key] = value * part / count
    return Split(value * call, each)


def _learned(question: Question, chip: Chip, graph: ModelGraph, found: tuple[str, str]) -> tuple[float, Any]:
    """Shares of a call's overhead, and of each row times its count [rows], as the whole-model surrogate has them."""
    stack, precision = found
    group = question.whole.group(group_of(chip.family, question.phase))
    labels = label_of(chip.name, chip.die, stack, precision)
    table = graph.operators(question.batch, question.seq_len, question.image_size, precision, question.phase)
    learned = group.learned(composition([(1.0, table)], chip), question.batch or 1, labels)
    operators = np.mean([parts / np.exp(total) for total, parts in learned], axis=0)  # [rows], of the learned total
    overhead = max(1.0 - float(operators.sum()), 0.0)
    return overhead, operators / (operators.sum() + overhead)
