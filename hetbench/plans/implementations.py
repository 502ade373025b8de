"""Alternative implementations of the same operators: fused attention, layouts, kernel libraries, compiling stacks.

Every factor is a ratio of two answers of one surrogate that was trained on both implementations. Two stacks are
compared on the same footing, both with the chip's own measurements or both as for an unmeasured chip of the family, so
that the chip's own bias cancels.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import median
from typing import Any

import numpy as np

from hetbench.answers import digits
from hetbench.attribution.copa import fuses
from hetbench.catalog import evidence
from hetbench.catalog.chips import Chip, chips
from hetbench.plans.operator_evidence import missing_registrations
from hetbench.plans.plan_space import Estimate
from hetbench.plans.precisions import Baseline
from hetbench.predict import models
from hetbench.predict.cells import Cell
from hetbench.query import PROTOCOL

__all__ = ["compiling_stack_factors", "fused_attention", "layout_factors", "library_factors", "model_layout_factors"]

_EAGER = ("eager", "eager-amp")
_COMPILING = ("compiled", "compiled-amp", "acl", "magicmind")
_LAYOUTS = ("NCHW", "NHWC")
Factors = dict[str, dict[str, tuple[float, str]]]
"""Operator type -> precision -> factor on its time, and evidence level."""


def fused_attention(base: Baseline) -> str | tuple[dict[int, float], str]:
    """Share of each group's time that one attention operator saves over BMM + Softmax + BMM, and the evidence level.

    Returns the reason as text if the saving cannot be predicted.

    >>> from hetbench.catalog.chips import chip
    >>> from hetbench.plans.precisions import baseline
    >>> from hetbench.graphs.model_graph import load
    >>> from hetbench.query import Question
    >>> from hetbench.query import answer_metric
    >>> question = Question.build(load("gpt2"), chip("cuda"), {"precision": "fp32"})
    >>> str(fused_attention(baseline(load("gpt2"), question, answer_metric(question, load("gpt2"), "latency"))))[:16]
    'already in place'
    """
    gone = missing_registrations("Attention", base.chip)
    if gone:
        return f"{base.chip.family} has no registration of {', '.join(gone)}"
    patterns = list(_eager_attention(base))
    if not patterns:
        return _fused_already(base) if "Attention" in base.groups else "the model has no attention"
    saved, level = np.zeros(len(base.groups)), "B"
    batch = base.question.batch or 1
    for first, softmax, last in patterns:
        dims = base.nodes[first].dims
        heads = max(dims["b"] // batch, 1)
        one, composed, weakest = _both_ways(base, batch if dims["b"] % batch == 0 else 1, heads, dims, dims["k"])
        level = max(level, weakest)
        for each in (first, softmax, last):
            saved[base.group[each]] += base.ms[each] * (1.0 - one / composed)
    own = base.summed(base.ms)
    return {at: float(saved[at] / own[at]) for at in np.flatnonzero(saved).tolist()}, level


def _eager_attention(base: Baseline) -> Iterator[tuple[int, int, int]]:
    """Indices of the first BMM, the Softmax and the last BMM of each eager attention.

    Element-wise operators may stand before the Softmax; no intermediate result has another reader. Tracing already
    replaces scaled, masked or capped attention with one operator; other functions of the scores remain.
    """
    read_by: dict[int, list[int]] = {}
    for at, read in enumerate(base.flow.sources):
        for each in read:
            read_by.setdefault(each, []).append(at)
    for softmax, node in enumerate(base.nodes):
        last = read_by.get(softmax, [])
        if node.op != "Softmax" or len(last) != 1 or base.nodes[last[0]].op != "BMM":
            continue
        first = softmax
        while first == softmax or (base.nodes[first].op != "BMM" and base.flow.producer[first] is not None):
            first = base.flow.sources[first][-1] if base.flow.sources[first] else -1
            if first < 0 or len(read_by[first]) != 1:
                break
        else:
            if base.nodes[first].op == "BMM":
                yield first, softmax, last[0]


def _both_ways(
    base: Baseline, batch: int, heads: int, dims: Mapping[str, int], head_dim: int, kv_heads: int | None = None
) -> tuple[float, float, str]:
    """ms of one attention operator, ms of the three that it replaces, and the weakest evidence level."""
    q_len, kv_len, precision = dims["m"], dims["n"], base.question.precision
    rows = batch * heads
    asked: Sequence[tuple[str, Mapping[str, int]]] = (
        ("Attention", {"batch": batch, "q_len": q_len, "kv_len": kv_len, "heads": heads,
                       "kv_heads": kv_heads or heads, "head_dim": head_dim}),
        ("BMM", {"b": rows, "m": q_len, "n": kv_len, "k": head_dim}),
        ("Softmax", {"rows": rows * q_len, "cols": kv_len}),
        ("BMM", {"b": rows, "m": q_len, "n": head_dim, "k": kv_len}),
    )  # fmt: skip
    found = [base.surrogate.predict(op, precision, sizes, base.chip, protocol=PROTOCOL, predictor=base.predictor)
             for op, sizes in asked]  # fmt: skip
    ms = [float(each.value[0]) for each in found]
    return ms[0], sum(ms[1:]), max(each.level for each in found)


def _fused_already(base: Baseline) -> str:
    one = composed = 0.0
    levels = ["B"]
    for group in base.graph.operators(*base.question.sizes).groups:
        if group.op != "Attention":
            continue
        for place, count in enumerate(group.count.tolist()):
            dims = {name: int(sizes[place]) for name, sizes in group.dims.items()}
            sizes = {"m": dims["q_len"], "n": dims["kv_len"]}
            each = _both_ways(base, dims["batch"], dims["heads"], sizes, dims["head_dim"], dims["kv_heads"])
            one, composed = one + count * each[0], composed + count * each[1]
            levels.append(each[2])
    return (f"already in place: the model calls fused attention, {digits(one)} ms launched eagerly; BMM + Softmax + "
            f"BMM of the same sizes would take {digits(composed)} ms (level {max(levels)})")  # fmt: skip


def layout_factors(base: Baseline, precisions: Sequence[str]) -> Factors:
    """Factor of NHWC over NCHW for convolutions, if the chip has measurements in both layouts."""
    return _paired(base, precisions, ("Conv2d",), lambda cells: [
        (one, other) for one in cells for other in cells
        if (one.layout, other.layout) == _LAYOUTS and (one.protocol, one.library) == (other.protocol, other.library)
    ])  # fmt: skip


def library_factors(base: Baseline, precisions: Sequence[str]) -> Factors:
    """Factor of the fastest kernel library over the default one, if both were measured in one protocol and layout."""
    def pairs(cells: Sequence[Cell]) -> list[tuple[Cell, Cell]]:
        usual = max(cells, key=lambda cell: (cell.protocol == PROTOCOL, cell.rows))
        return [(usual, other) for other in cells
                if (other.protocol, other.layout) == (usual.protocol, usual.layout)
                and _maker(other.library) != _maker(usual.library)]  # fmt: skip

    return _paired(base, precisions, ("Linear", "MatMul", "BMM", "Conv2d", "Conv1d"), pairs)


def _maker(library: str) -> str:
    """Name of a library without version and kernel."""
    return re.split(r"[ /]", library)[0]


def _paired(base: Baseline, precisions: Sequence[str], types: Sequence[str], pairs: Any) -> Factors:
    """Smallest ratio other / one over pairs of the chip's own cells, summed over the operators of a type."""
    found: Factors = {}
    if base.predictor == "roofline":
        return found
    for name in (each for each in types if each in base.groups):
        cls = "conv" if name.startswith("Conv") else "gemm"
        for precision in precisions:
            cells = base.surrogate.class_surrogate(cls).cells.by_name.get((base.chip.name, name, precision), [])
            ratios = [_cell_ratio(base, name, precision, *pair) for pair in (pairs(cells) if cells else ())]
            if ratios:
                found.setdefault(name, {})[precision] = min(ratios), "B"
    return found


def _cell_ratio(base: Baseline, name: str, precision: str, one: Cell, other: Cell) -> float:
    sums = [0.0, 0.0]
    table = base.graph.operators(*base.question.sizes[:3], precision, base.question.phase)
    for group in (each for each in table.groups if (each.op, each.dtype) == (name, precision)):
        for place, cell in enumerate((one, other)):
            made = base.surrogate.predict(
                name, precision, group.dims, base.chip, protocol=PROTOCOL, library=cell.library, layout=cell.layout
            )  # fmt: skip
            sums[place] += float(made.value @ group.count)
    return sums[1] / sums[0] if sums[0] else 1.0


def compiling_stack_factors(base: Baseline, precisions: Sequence[str]) -> str | dict[str, tuple[Estimate, str]]:
    """Factor of a compiling stack on the whole model by precision, with bounds and evidence level."""
    if fuses(str(base.answer.stack)):
        return f"the stack {base.answer.stack} already compiles the graph"
    found = _stacks(base, precisions, _EAGER, _COMPILING)
    return found or (f"no model was measured on {base.chip.family} both eagerly and under a compiling stack in "
                     f"{', '.join(precisions)} ({base.question.phase})")  # fmt: skip


def model_layout_factors(base: Baseline, precisions: Sequence[str]) -> str | dict[str, tuple[Estimate, str]]:
    """Factor of channels-last layout on the whole model by precision, with bounds and evidence level."""
    if "Conv2d" not in base.groups:
        return "the model has no 2-D convolution"
    if fuses(str(base.answer.stack)):
        return f"the stack {base.answer.stack} already chooses layouts"
    found = _stacks(base, precisions, _EAGER, tuple(f"{name}-nhwc" for name in _EAGER))
    return found or (f"neither convolutions nor models were measured on {base.chip.family} in both NCHW and NHWC "
                     f"in {', '.join(precisions)}")  # fmt: skip


def _stacks(
    base: Baseline, precisions: Sequence[str], before: Sequence[str], after: Sequence[str]
) -> dict[str, tuple[Estimate, str]]:
    found = _measured_stacks(base, precisions, after)
    for precision in precisions:
        pairs = [(one, other) for one in before for other in after if one.endswith("-amp") == ("-amp" in other)
                 or other in ("acl", "magicmind")]  # fmt: skip
        for one, other in pairs:
            level = _stack_level(base, one, other, precision)
            if level is None or precision in found:
                continue
            chip = base.chip if level == "C" else replace(base.chip, name=f"any {base.chip.family} chip")
            start, end = (_whole(base, chip, stack, precision) for stack in (one, other))
            factor = end.value / start.value
            bounds = factor, factor * end.lower / end.value, factor * end.upper / end.value
            if level == "D":  # from other chips: the two errors may have opposite signs
                bounds = factor, bounds[1] * start.value / start.upper, bounds[2] * start.value / start.lower
            found[precision] = bounds, max(level, end.level, start.level)
    return found


def _measured_stacks(
    base: Baseline, precisions: Sequence[str], after: Sequence[str]
) -> dict[str, tuple[Estimate, str]]:
    """Ratio of measured rows by precision, if exactly this model was measured under both stacks."""
    found: dict[str, tuple[Estimate, str]] = {}
    for precision in precisions if base.predictor == "auto" else ():
        start = _row_ms(base, str(base.answer.stack), precision)
        ends = [ms for stack in after if (ms := _row_ms(base, stack, precision)) is not None]
        if start is not None and ends:
            found[precision] = (ends[0] / start,) * 3, "A"
    return found


def _row_ms(base: Baseline, stack: str, precision: str) -> float | None:
    """Median ms of the measured rows of exactly this model and setting; None if there are none."""
    question = base.question
    if not question.batch:
        return None
    setting = (question.model, base.chip.name, precision, question.batch, question.seq_len, question.image_size,
               question.phase)  # fmt: skip
    rows = evidence.find(setting, stack, "latency")
    return median(row.value for row in rows) if rows else None


def _stack_level(base: Baseline, one: str, other: str, precision: str) -> str | None:
    """C if models were measured under both stacks on the chip, D if on a similar chip, None otherwise."""
    if base.question.batch is None or not base.chip.bandwidth:
        return None
    spec = base.question.whole.groups.get(models.group_of(base.chip.family, base.question.phase), {"cells": {}})
    cells = [name.split("|") for name in spec["cells"]]
    first, second = ({chip for chip, *label in cells if label == [stack, precision]} for stack in (one, other))
    both = first & second
    if base.chip.name in both:
        return "C"
    known = [chips()[name] for name in both if name in chips()]
    alike = (base.chip.family, base.chip.kind)
    return "D" if any((each.family, each.kind) == alike for each in known) else None


def _whole(base: Baseline, chip: Chip, stack: str, precision: str) -> models.WholeModelPrediction:
    question = base.question
    table = base.graph.operators(*question.sizes[:3], precision, question.phase)
    return question.whole.predict(
        [(1.0, table)], chip, phase=question.phase, stack=stack, precision=precision, batch=question.batch or 1,
        confidence=question.confidence,
    )  # fmt: skip
