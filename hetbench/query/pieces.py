"""What adds up over the parts of a network, for each way to estimate its latency: see `hetbench.query.estimate`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetbench.catalog.chips import Chip
from hetbench.graphs.model_graph import OperatorTable
from hetbench.predict.model_features import composition
from hetbench.predict.models import group_of
from hetbench.predict.pooling import label_of
from hetbench.query.estimate import LEVELS, Part
from hetbench.query.question import Question
from hetbench.schema import itemsize

__all__ = ["PROTOCOL", "pieces_of"]

PROTOCOL = "event"  # an eager model launches its operators one by one
_WEIGHTS = {"Linear": ("n", "k"), "Conv2d": ("oc", "c", "kh", "kw"), "Conv1d": ("oc", "c", "k")}
"""Dims whose product is the number of weights that an operator reads, per group of channels."""


def pieces_of(
    part: Part, table: OperatorTable, params: float, question: Question, chip: Chip, predictor: str
) -> NDArray[np.float64]:
    """The pieces of one part of a network, `params` its parameters.

    >>> from hetbench.catalog.chips import chip
    >>> from hetbench.graphs.model_graph import load
    >>> graph, where = load("gpt2"), chip("cuda")
    >>> table = graph.operators(1, 8, precision="fp16")
    >>> part, question = Part("work", "", "fp16", 1, 8), Question.build(graph, where, {})
    >>> found = pieces_of(part, table, graph.params, question, where, "auto")
    >>> int(found[1]) == 2 * graph.params, found[2] < found[1]
    (True, True)
    """
    if part.kind == "work":
        return np.array([table.flops, params * itemsize(part.precision), read_weights(table)], dtype=np.float64)
    if part.kind == "sum":
        found = question.surrogate.predict_model(table, chip, protocol=PROTOCOL, predictor=predictor)
        levels = [found.by_level.get(level, 0.0) for level in LEVELS]
        return np.array([found.value, found.lower, found.upper, found.launch_ms, *levels])
    group = question.whole.group(group_of(chip.family, question.phase))
    labels = label_of(chip.name, chip.die, part.stack, part.precision)
    return group.pieces(composition([(1.0, table)], chip), part.batch or 1, labels)


def read_weights(table: OperatorTable) -> float:
    """Bytes of weights that the operators of a table read, each as often as it runs."""
    total: Any = 0.0
    for group in table.groups:
        dims = _WEIGHTS.get(group.op)
        if dims is None:
            continue
        each: Any = 1.0
        for name in dims:
            each = each * group.dims[name].astype(np.float64)
        total += float((each / group.dims.get("groups", 1) * group.count).sum()) * itemsize(group.dtype)
    return float(total)
