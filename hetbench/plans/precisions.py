"""A model's time by operator type in every precision in which it could run: the parts of one answer each.

The parts of the precision that was asked are those of `hetbench.query.breakdown`, a call's overhead shared out in
proportion. Those of another precision follow from them by the ratio of the operator surrogate's sums, type by type, and
are scaled to the answer in that precision where the same surrogate gave both answers (both measured rows, both of whole
models under one stack, or both sums over operators); else the change is the ratio itself, from fp16 on where that is
alike. So all types in one precision are what `query` answers there, where the same surrogate answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hetbench.answers import Answer
from hetbench.attribution.placement import Flow, flow
from hetbench.catalog.chips import Chip
from hetbench.errors import InvalidInputError, RefusedError
from hetbench.graphs import GraphNode, ModelGraph
from hetbench.operators import operator_type
from hetbench.predict import operators
from hetbench.query.breakdown import signature, split
from hetbench.query.latency import PROTOCOL, WHOLE, settled, taught
from hetbench.query.question import Question
from hetbench.query.solve import predict, solve

__all__ = ["Base", "Floats", "Row", "asked", "row"]

Floats = NDArray[np.float64]
Sums = Mapping[str, tuple[Floats, str]]
"""Operator type -> value, lower and upper ms of its eager launches by the operator surrogate, and the level."""


@dataclass(frozen=True, slots=True)
class Base:
    """A model on a chip as it was asked, and what of its graph the effects need."""

    graph: ModelGraph
    question: Question
    answer: Answer
    predictor: str
    chip: Chip
    nodes: Sequence[GraphNode]
    """The operator instances that run something, [operators]."""
    flow: Flow
    groups: tuple[str, ...]
    """Operator types, as they first run."""
    group: NDArray[np.int64]
    """Of each instance, [operators]."""
    elements: NDArray[np.int64]
    """Elements of the tensor that each hands on, [operators]."""
    ms: Floats
    """Part of the answer of each, [operators]."""
    sums: Sums

    def own_rows(self, op: str, dtype: str | None = None) -> int:
        """Rows of a type that taught the head of this chip alone, where it has one; in a precision or in all."""
        cost = operator_type(op).cost_class
        found = 0
        for cls in ("prefill", "decode") if cost == "attention" else (cost,):
            spec, _ = self.surrogate.class_surrogate(cls).chip_heads.get(self.chip.name, ({"cells": ()}, None))
            found += sum(rows for name, kind, rows, *_ in spec["cells"] if name == op and dtype in (None, kind))
        return found

    @property
    def surrogate(self) -> operators.OperatorSurrogate:
        """The operator surrogate that answers."""
        return self.question.surrogate

    def summed(self, values: Floats) -> Floats:
        """Values of the operators [operators], added up by group [groups]."""
        found: Floats = np.bincount(self.group, values, len(self.groups)).astype(np.float64)
        return found


@dataclass(frozen=True, slots=True)
class Row:
    """A model's parts in one precision."""

    ms: Floats
    """Value, lower and upper bound, [3, groups]."""
    levels: tuple[str, ...]
    """[groups]: the weaker of the levels in this precision and in the one that was asked."""
    level: str
    """Of all of them together: A where both answers are measured rows."""
    whole: bool = False
    """Whether whole models taught the change."""


def asked(graph: ModelGraph, question: Question, answer: Answer, predictor: str = "auto") -> Base:
    """The model as it was asked. Raises `RefusedError` for a network without a data flow.

    >>> from hetbench.catalog.chips import chip
    >>> from hetbench.graphs.model_graph import load
    >>> question = Question.build(load("gpt2"), chip("cann"), {"precision": "fp32"})
    >>> base = asked(load("gpt2"), question, solve(question, load("gpt2"), "latency"))
    >>> base.groups[0], bool(np.isclose(base.ms.sum(), base.answer.value))
    ('Embedding', True)
    """
    chip = question.chip
    if chip is None:
        raise InvalidInputError("advice is for a chip: name one with target=.")
    every, made = graph.nodes(*question.sizes), graph.node_bytes(*question.sizes)
    found = flow(every)
    if not found.nodes:
        raise RefusedError(f"{graph.name} runs no operator, so there is nothing to optimise.")
    nodes = [every[index] for index in found.nodes]
    groups = tuple(dict.fromkeys(node.op for node in nodes))
    place = {name: at for at, name in enumerate(groups)}
    each = split(question, chip, graph, predictor).each
    ms = np.array([each[signature(node.op, node.dtype, node.dims)] for node in nodes])
    width = 8 if question.precision == "fp64" else 4 if question.precision in ("fp32", "tf32") else 2
    return Base(
        graph, question, answer, predictor, chip, nodes, found, groups, np.array([place[node.op] for node in nodes]),
        made.results[np.array(found.nodes)] // width, ms * answer.value / ms.sum(),
        _sums(graph, question, chip, predictor),
    )  # fmt: skip


def row(base: Base, precision: str) -> Row:
    """The parts in a precision; `RefusedError` where the model has no answer in it."""
    own, question = base.question.precision, replace(base.question, precision=precision, notes=())
    if precision == own:
        parts = base.summed(base.ms)
        return _row(base, parts, base.answer, base.sums, False)
    other, factor, whole = _answers(base, question)
    sums = _sums(base.graph, question, base.chip, base.predictor)
    ratio = np.array([_ratio(sums, base.sums, name) for name in base.groups])
    parts = base.summed(base.ms) * ratio
    if factor is None:
        factor = _through_half(base, question, sums)
    if factor is not None:
        parts *= base.answer.value * factor / parts.sum()
    return _row(base, parts, other, sums, whole)


def _answers(base: Base, question: Question) -> tuple[Answer, float | None, bool]:
    """The answer in another precision; its ratio to that asked, None where the two are not alike; whether whole models
    taught it."""
    known, own = solve(question, base.graph, "latency", base.predictor), base.answer
    if known.kind == own.kind == "measured":
        return known, known.value / own.value, True
    there = predict(question, base.graph, "latency", base.predictor)
    here = own if own.kind == "predicted" else predict(base.question, base.graph, "latency", base.predictor)
    alike = (there.protocol, there.stack) == (here.protocol, here.stack)
    whole = alike and base.predictor in WHOLE and taught(settled(question, base.chip, base.predictor), base.chip)
    return there, there.value / here.value if alike else None, bool(whole)


def _through_half(base: Base, question: Question, sums: Sums) -> float | None:
    """The ratio by way of fp16, where that is alike: from there on that of the operator sums."""
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
    """How a type's time changes; 0 for one that is not run there, 1 for one that the surrogates do not time."""
    if name not in own or not own[name][0][0]:
        return 1.0
    return float(sums[name][0][0] / own[name][0][0]) if name in sums else 0.0


def _sums(graph: ModelGraph, question: Question, chip: Chip, predictor: str) -> dict[str, tuple[Floats, str]]:
    """Operator type -> ms [3] of all its eager launches, and the weakest level among them."""
    surrogate, found = question.surrogate, dict[str, tuple[Floats, str]]()
    for _, groups, choices, which, bounds in surrogate.predict_by_class(
        graph.operators(*question.sizes), chip, PROTOCOL, predictor
    ):
        for index, (group, choice) in enumerate(zip(groups, choices, strict=True)):
            before, level = found.get(group.op, (np.zeros(3), choice.level))
            found[group.op] = before + bounds[:, which == index].sum(axis=1), max(level, choice.level)
    return found


def _bounded(base: Base, parts: Floats, answer: Answer, sums: Sums) -> Floats:
    """Parts with bounds, [3, groups]: as wide as the operators' own, scaled to the width of the answer."""
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
        out.append(np.maximum(parts + (width * wanted / width.sum() if width.sum() else wanted), 0.0))
    return np.stack(out)


def _row(base: Base, parts: Floats, answer: Answer, sums: Sums, whole: bool) -> Row:
    """The parts with bounds and levels; how a measured row is shared out, the operator surrogate says."""
    def levels(found: Answer, of: Sums) -> list[str]:
        whole_model = found.kind == "predicted" and found.protocol != PROTOCOL
        return [found.level or "D" if whole_model or name not in of else of[name][1] for name in base.groups]

    each = tuple(max(pair) for pair in zip(levels(base.answer, base.sums), levels(answer, sums), strict=True))
    level = "A" if answer.kind == base.answer.kind == "measured" else max(each)
    return Row(_bounded(base, parts, answer, sums), each, level, whole)
