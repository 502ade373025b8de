"""A model's latency split by operator type, in every precision that it can run in.

In the precision of the question the split is that of `hetbench.query.breakdown`, with the per-call overhead distributed
in proportion. In another precision, each type's time is scaled by the ratio of the operator surrogate's sums. The total
is then scaled to the answer in that precision if both answers are comparable: both measured rows, both predicted by the
whole-model surrogate under one stack, or both sums over operators. Otherwise the ratio itself is used, starting from
fp16 if the fp16 answer is comparable.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hetbench.answers import Answer
from hetbench.attribution import Flow, flow
from hetbench.catalog.chips import Chip
from hetbench.errors import InvalidInputError, RefusedError
from hetbench.formats import STORED
from hetbench.graphs import GraphNode, ModelGraph
from hetbench.operators import operator_type
from hetbench.predict import operators
from hetbench.query import (
    PROTOCOL,
    WHOLE,
    Question,
    answer_metric,
    predict_metric,
    signature,
    split,
    trained_stack,
    with_usable_stack,
)
from hetbench.schema import element

__all__ = ["Baseline", "Floats", "PrecisionTimes", "baseline", "times_in"]

Floats = NDArray[np.float64]
Sums = Mapping[str, tuple[Floats, str]]
"""Operator type -> [value, lower, upper] in ms of its eager launches by the operator surrogate, evidence level."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """The unoptimised model on its chip: the answer, and the parts of its graph that the actions depend on."""

    graph: ModelGraph
    question: Question
    answer: Answer
    predictor: str
    chip: Chip
    nodes: Sequence[GraphNode]
    """The operator instances that launch a kernel, [operators]."""
    flow: Flow
    groups: tuple[str, ...]
    """Operator types in the order of their first run."""
    group: NDArray[np.int64]
    """Index of the group of each instance, [operators]."""
    elements: NDArray[np.int64]
    """Number of elements of each output tensor, [operators]."""
    ms: Floats
    """Share of each in the answer, ms, [operators]."""
    sums: Sums

    def own_rows(self, op: str, dtype: str | None = None) -> int:
        """Number of rows of an operator type that trained this chip's own head, in one precision or in all."""
        cost = operator_type(op).cost_class
        found = 0
        for cls in ("prefill", "decode") if cost == "attention" else (cost,):
            spec, _ = self.surrogate.class_surrogate(cls).chip_heads.get(self.chip.name, ({"cells": ()}, None))
            found += sum(rows for name, kind, rows, *_ in spec["cells"] if name == op and dtype in (None, kind))
        return found

    @property
    def surrogate(self) -> operators.OperatorSurrogate:
        """The operator surrogate of the question."""
        return self.question.surrogate

    def summed(self, values: Floats) -> Floats:
        """Sum of values [operators] by group, [groups]."""
        found: Floats = np.bincount(self.group, values, len(self.groups)).astype(np.float64)
        return found


@dataclass(frozen=True, slots=True)
class PrecisionTimes:
    """A model's time by group in one precision."""

    ms: Floats
    """Value, lower and upper bound in ms, [3, groups]."""
    levels: tuple[str, ...]
    """Weaker evidence level of this precision and the baseline's, [groups]."""
    level: str
    """Evidence level of the total: A if both answers are measured rows."""
    whole: bool = False
    """Whether the change is predicted by the whole-model surrogate or measured."""


def baseline(graph: ModelGraph, question: Question, answer: Answer, predictor: str = "auto") -> Baseline:
    """The unoptimised model of a question with its latency answer.

    Raises `RefusedError` for a network without data flow, `InvalidInputError` for a question without a chip.

    >>> from hetbench.catalog.chips import chip
    >>> from hetbench.graphs.model_graph import load
    >>> question = Question.build(load("gpt2"), chip("cann"), {"precision": "fp32"})
    >>> base = baseline(load("gpt2"), question, answer_metric(question, load("gpt2"), "latency"))
    >>> base.groups[0], bool(np.isclose(base.ms.sum(), base.answer.value))
    ('Embedding', True)
    """
    chip = question.chip
    if chip is None:
        raise InvalidInputError("a plan needs a chip: name one with target=.")
    if question.precision in STORED:
        raise RefusedError(
            f"plans start from a precision of elements, not from weights in {question.precision}. Use precision="
            f"{element(question.precision)!r}."
        )
    every, made = graph.nodes(*question.sizes), graph.node_bytes(*question.sizes)
    found = flow(every)
    if not found.nodes:
        raise RefusedError(f"{graph.name} launches no operator, so there is nothing to optimise.")
    nodes = [every[index] for index in found.nodes]
    groups = tuple(dict.fromkeys(node.op for node in nodes))
    place = {name: at for at, name in enumerate(groups)}
    each = split(question, chip, graph, predictor).each
    ms = np.array([each[signature(node.op, node.dtype, node.dims)] for node in nodes])
    width = 8 if question.precision == "fp64" else 4 if question.precision in ("fp32", "tf32") else 2
    return Baseline(
        graph, question, answer, predictor, chip, nodes, found, groups, np.array([place[node.op] for node in nodes]),
        made.results[np.array(found.nodes)] // width, ms * answer.value / ms.sum(),
        _sums(graph, question, chip, predictor),
    )  # fmt: skip


def times_in(base: Baseline, precision: str) -> PrecisionTimes:
    """Time by group in a precision. Raises `RefusedError` if the model has no answer in it."""
    own, question = base.question.precision, replace(base.question, precision=precision, notes=())
    if precision == own:
        parts = base.summed(base.ms)
        return _with_bounds(base, parts, base.answer, base.sums, False)
    other, factor, whole = _answers(base, question)
    sums = _sums(base.graph, question, base.chip, base.predictor)
    ratio = np.array([_ratio(sums, base.sums, name) for name in base.groups])
    parts = base.summed(base.ms) * ratio
    if factor is None:
        factor = _through_half(base, question, sums)
    if factor is not None:
        parts *= base.answer.value * factor / parts.sum()
    return _with_bounds(base, parts, other, sums, whole)


def _answers(base: Baseline, question: Question) -> tuple[Answer, float | None, bool]:
    """The answer in another precision, its ratio to the baseline's, and whether whole models support that ratio.

    The ratio is None if the two answers are not comparable.
    """
    known, own = answer_metric(question, base.graph, "latency", base.predictor), base.answer
    if known.kind == own.kind == "measured":
        return known, known.value / own.value, True
    there = predict_metric(question, base.graph, "latency", base.predictor)
    here = own if own.kind == "predicted" else predict_metric(base.question, base.graph, "latency", base.predictor)
    alike = (there.protocol, there.stack) == (here.protocol, here.stack)
    usable = with_usable_stack(question, base.chip, base.predictor)
    whole = alike and base.predictor in WHOLE and trained_stack(usable, base.chip)
    return there, there.value / here.value if alike else None, bool(whole)


def _through_half(base: Baseline, question: Question, sums: Sums) -> float | None:
    """The ratio to the baseline via fp16, if fp16 is comparable: from fp16 on, that of the operator sums."""
    if question.precision not in ("bf16", "fp8", "int8") or base.question.precision == "fp16":
        return None
    half = replace(question, precision="fp16")
    try:
        _, factor, _ = _answers(base, half)
    except RefusedError:
        return None
    if factor is None:
        return None
    start = _sums(base.graph, half, base.chip, base.predictor)
    return factor * _total(sums) / _total(start)


def _total(sums: Sums) -> float:
    return float(sum(ms[0] for ms, _ in sums.values()))


def _ratio(sums: Sums, own: Sums, name: str) -> float:
    """Factor on a type's time; 0 if it does not run in that precision, 1 if the surrogate does not predict it."""
    if name not in own or not own[name][0][0]:
        return 1.0
    return float(sums[name][0][0] / own[name][0][0]) if name in sums else 0.0


def _sums(graph: ModelGraph, question: Question, chip: Chip, predictor: str) -> dict[str, tuple[Floats, str]]:
    """Operator type -> ms [3] of all its eager launches, and the weakest evidence level among them."""
    surrogate, found = question.surrogate, dict[str, tuple[Floats, str]]()
    for _, groups, choices, which, bounds in surrogate.predict_by_class(
        graph.operators(*question.sizes), chip, PROTOCOL, predictor
    ):
        for index, (group, choice) in enumerate(zip(groups, choices, strict=True)):
            before, level = found.get(group.op, (np.zeros(3), choice.level))
            found[group.op] = before + bounds[:, which == index].sum(axis=1), max(level, choice.level)
    return found


def _bounded(base: Baseline, parts: Floats, answer: Answer, sums: Sums) -> Floats:
    """Times with bounds, [3, groups]: relative widths of the operators, scaled to the interval of the answer."""
    if answer.lower is None or answer.upper is None:  # a measured row has none
        return np.stack((parts, parts, parts))
    out = [parts]
    by_operator = answer.protocol == PROTOCOL
    for end, bound in ((1, answer.lower), (2, answer.upper)):
        usual = bound / answer.value
        share = np.array([
            sums[name][0][end] / sums[name][0][0] if by_operator and name in sums else usual for name in base.groups
        ])  # fmt: skip
        width = parts * (share - 1.0)
        wanted = parts.sum() * (usual - 1.0)
        scaled = width * wanted / width.sum() if width.sum() else np.full(len(parts), wanted / len(parts))
        if (parts + scaled < 0).any():  # no group takes less than nothing: all get the width of the answer
            scaled = parts * (usual - 1.0)
        out.append(parts + scaled)
    return np.stack(out)


def _with_bounds(base: Baseline, parts: Floats, answer: Answer, sums: Sums, whole: bool) -> PrecisionTimes:
    """Times with bounds and levels; a measured total is split by the operator surrogate, whose level applies."""
    def levels(found: Answer, of: Sums) -> list[str]:
        whole_model = found.kind == "predicted" and found.protocol != PROTOCOL
        return [found.level or "D" if whole_model or name not in of else of[name][1] for name in base.groups]

    each = tuple(max(pair) for pair in zip(levels(base.answer, base.sums), levels(answer, sums), strict=True))
    level = "A" if answer.kind == base.answer.kind == "measured" else max(each)
    return PrecisionTimes(_bounded(base, parts, answer, sums), each, level, whole)
