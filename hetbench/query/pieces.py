"""What adds up over the parts of a network, for each way to estimate its latency: see `hetbench.query.estimate`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hetbench.catalog.chips import Chip
from hetbench.graphs import OperatorTable
from hetbench.graphs.operator_table import SizedTable
from hetbench.predict.model_features import composition
from hetbench.predict.models import group_of
from hetbench.predict.operators import OperatorSurrogate
from hetbench.predict.whole_group import Group
from hetbench.query.parts import LEVELS, Part
from hetbench.query.question import Question
from hetbench.schema import itemsize, weight_bytes

__all__ = ["PROTOCOL", "Terms", "terms_of", "work_of"]

PROTOCOL = "event"  # an eager model launches its operators one by one
_WEIGHTS = {"Linear": ("n", "k"), "Conv2d": ("oc", "c", "kh", "kw"), "Conv1d": ("oc", "c", "k")}
"""Dims whose product is the number of weights that an operator reads, per group of channels."""


class Terms(NamedTuple):
    """The additive terms of one part, and the operators that they are of, where the part has them."""

    values: tuple[float, ...]
    operators: Sequence[str]
    """Type of each operator; a type may be there several times."""
    each: Sequence[float]
    """ms of each operator, or its share."""
    support: int
    """Measured rows behind them."""

    @property
    def by_level(self) -> dict[str, float]:
        """ms at each evidence level of an operator sum."""
        return {level: ms for level, ms in zip(LEVELS, self.values[4:], strict=True) if ms}

    @property
    def by_operator(self) -> dict[str, float]:
        """ms or share of each operator type."""
        found: dict[str, float] = {}
        for operator, ms in zip(self.operators, self.each, strict=True):
            found[operator] = found.get(operator, 0.0) + ms
        return found


def terms_of(part: Part, table: OperatorTable, params: float, question: Question, chip: Chip, predictor: str) -> Terms:
    """The additive terms of one part of a network, `params` its parameters, those in a narrower format counted less.

    >>> from hetbench.catalog.chips import chip
    >>> from hetbench.graphs.model_graph import load
    >>> graph, where = load("gpt2"), chip("cuda")
    >>> table = graph.operators(1, 8, precision="fp16")
    >>> part, question = Part("work", "", "fp16", 1, 8), Question.build(graph, where, {})
    >>> found = terms_of(part, table, graph.params, question, where, "auto").values
    >>> int(found[1]) == 2 * graph.params, bool(found[2] < found[1])
    (True, True)
    """
    if part.kind == "work":
        done = work_of(table, question)[0]
        work = done, float(params * itemsize(part.precision)), read_weights(table)
        return Terms(work, (), (), 0)
    if part.kind == "sum":
        return _sum(table, question.surrogate, chip, predictor)
    group = question.whole.group(group_of(chip.family, question.taught_phase))
    labels = question.whole.labels(chip, question.taught_phase, part.stack, part.precision)
    values, operators, shares = _whole(part, table, group, question, chip)
    return Terms(tuple(values.tolist()), operators, shares.tolist(), group.rows_of(labels)[1])


def _sum(table: OperatorTable, surrogate: OperatorSurrogate, chip: Chip, predictor: str) -> Terms:
    found = surrogate.sum_parts(table, chip, PROTOCOL, predictor)
    by_level = dict.fromkeys(LEVELS, 0.0)
    if found is None:
        made = surrogate.predict_model(table, chip, protocol=PROTOCOL, predictor=predictor)
        by_level |= made.by_level
        values = made.value, made.lower, made.upper, made.launch_ms, *by_level.values()
        return Terms(values, tuple(made.by_operator), tuple(made.by_operator.values()), made.support)
    plan, ms = found
    value, lower, upper, *each = ms.tolist()
    for (level, _), own in zip(plan.names, each, strict=True):
        by_level[level] += own
    return Terms((value, lower, upper, plan.launch_ms, *by_level.values()), plan.operators, each, plan.support)


def _whole(
    part: Part, table: OperatorTable, group: Group, question: Question, chip: Chip
) -> tuple[NDArray[np.float64], tuple[str, ...], NDArray[np.float64]]:
    """Pieces of a whole model, and the share of operators in the networks' time."""
    place = chip, question.taught_phase, part.stack, part.precision
    labels, on = question.whole.labels(*place), question.whole.speaker(*place)
    if isinstance(table, SizedTable):
        sums = question.surrogate.sums
        found = group.whole_kernel.pieces(group, table, sums, (chip, on), part.batch or 1, labels)
        if found is not None:
            return found
    made = composition([(1.0, table)], chip, on)
    values, shares = group.pieces(made, part.batch or 1, labels)
    return values, made.operators, shares


def work_of(table: OperatorTable, question: Question) -> tuple[float, float]:
    """FLOP and bytes of one pass, for what needs them to a few digits; `table.flops` and `table.bytes` are exact."""
    found = question.surrogate.sums.work(table) if isinstance(table, SizedTable) else None
    return (float(table.flops), float(table.bytes)) if found is None else found


def read_weights(table: OperatorTable) -> float:
    """Bytes of weights that the operators of a table read, each as often as it runs."""
    if not isinstance(table, SizedTable):
        return _read_weights(table)
    kept: dict[Any, Any] = table.structure.kept
    key = "weights", table.precision
    if key not in kept:  # the same at all settings, or None
        groups = table.structure.groups(table.precision)
        read = [sizes[[names.index(name) for name in (*_WEIGHTS[op], "groups") if name in names]]
                for op, _, names, sizes, _ in groups if op in _WEIGHTS]  # fmt: skip
        fixed = all(table.structure.fixed[each].all() for each in read)
        kept[key] = _read_weights(table) if fixed else None
    known: float | None = kept[key]
    return _read_weights(table) if known is None else known


def _read_weights(table: OperatorTable) -> float:
    total: Any = 0.0
    for group in table.groups:
        dims = _WEIGHTS.get(group.op)
        if dims is None:
            continue
        each: Any = 1.0
        for name in dims:
            each = each * group.dims[name].astype(np.float64)
        total += float((each / group.dims.get("groups", 1) * group.count).sum()) * weight_bytes(group.dtype)
    return float(total)
