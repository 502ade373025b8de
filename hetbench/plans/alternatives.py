"""Other ways to run the same operators, where measured pairs taught both: attention in one operator or three, layouts,
libraries, and stacks of whole models.

Every effect is a ratio of two answers of one surrogate. Stacks are compared like with like: both as measured on the
chip, else both as on a chip of the family that nobody measured, so that no chip's own bias enters one side alone.
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
from hetbench.plans.evidence import lacking
from hetbench.plans.plan import Ends
from hetbench.plans.precisions import Base
from hetbench.predict import models
from hetbench.predict.cells import Cell
from hetbench.query.latency import PROTOCOL

__all__ = ["attention", "compiled", "layouts", "libraries", "whole_layout"]

_EAGER = ("eager", "eager-amp")
_COMPILING = ("compiled", "compiled-amp", "acl", "magicmind")
_LAYOUTS = ("NCHW", "NHWC")
Factors = dict[str, dict[str, tuple[float, str]]]
"""Group -> precision -> factor on its time, and evidence level."""


def attention(base: Base) -> str | tuple[dict[int, float], str]:
    """By group, the share of its time that one attention operator saves over BMM + Softmax + BMM, and the level; or why
    there is nothing to say.

    >>> from hetbench.catalog.chips import chip
    >>> from hetbench.plans.precisions import asked
    >>> from hetbench.graphs.model_graph import load
    >>> from hetbench.query.question import Question
    >>> from hetbench.query.solve import solve
    >>> question = Question.build(load("gpt2"), chip("cuda"), {"precision": "fp32"})
    >>> str(attention(asked(load("gpt2"), question, solve(question, load("gpt2"), "latency"))))[:16]
    'already in place'
    """
    gone = lacking("Attention", base.chip)
    if gone:
        return f"the registrations of {base.chip.family} lack {', '.join(gone)}"
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


def _eager_attention(base: Base) -> Iterator[tuple[int, int, int]]:
    """Positions of each BMM -> element-wise operators -> Softmax -> BMM, whose results nothing else reads. Where scores
    are scaled, masked or capped, tracing has made one operator of it; with other functions of the scores it has not."""
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
    base: Base, batch: int, heads: int, dims: Mapping[str, int], head_dim: int, kv_heads: int | None = None
) -> tuple[float, float, str]:
    """ms of one attention operator, of the three that it stands for, and the weakest level."""
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


def _fused_already(base: Base) -> str:
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
    return (f"already in place: the model calls one attention operator, {digits(one)} ms launched eagerly; BMM + "
            f"Softmax + BMM of the same sizes would take {digits(composed)} ms (level {max(levels)})")  # fmt: skip


def layouts(base: Base, precisions: Sequence[str]) -> Factors:
    """NHWC over NCHW of each type of convolution that the chip has rows of in both."""
    return _paired(base, precisions, ("Conv2d",), lambda cells: [
        (one, other) for one in cells for other in cells
        if (one.layout, other.layout) == _LAYOUTS and (one.protocol, one.library) == (other.protocol, other.library)
    ])  # fmt: skip


def libraries(base: Base, precisions: Sequence[str]) -> Factors:
    """The fastest library over the one that answers, where the chip has rows of both in one protocol and layout."""
    def pairs(cells: Sequence[Cell]) -> list[tuple[Cell, Cell]]:
        usual = max(cells, key=lambda cell: (cell.protocol == PROTOCOL, cell.rows))
        return [(usual, other) for other in cells
                if (other.protocol, other.layout) == (usual.protocol, usual.layout)
                and _maker(other.library) != _maker(usual.library)]  # fmt: skip

    return _paired(base, precisions, ("Linear", "MatMul", "BMM", "Conv2d", "Conv1d"), pairs)


def _maker(library: str) -> str:
    """The library without its version and kernel."""
    return re.split(r"[ /]", library)[0]


def _paired(base: Base, precisions: Sequence[str], types: Sequence[str], pairs: Any) -> Factors:
    """The least ratio other / one over the pairs of cells of the chip itself, summed over a type's operators."""
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


def _cell_ratio(base: Base, name: str, precision: str, one: Cell, other: Cell) -> float:
    sums = [0.0, 0.0]
    table = base.graph.operators(*base.question.sizes[:3], precision, base.question.phase)
    for group in (each for each in table.groups if (each.op, each.dtype) == (name, precision)):
        for place, cell in enumerate((one, other)):
            made = base.surrogate.predict(
                name, precision, group.dims, base.chip, protocol=PROTOCOL, library=cell.library, layout=cell.layout
            )  # fmt: skip
            sums[place] += float(made.value @ group.count)
    return sums[1] / sums[0] if sums[0] else 1.0


def compiled(base: Base, precisions: Sequence[str]) -> str | dict[str, tuple[Ends, str]]:
    """By precision the factor of a compiling stack on the whole model, with bounds on the value, and the level."""
    if fuses(str(base.answer.stack)):
        return f"{base.answer.stack} compiles already"
    found = _stacks(base, precisions, _EAGER, _COMPILING)
    return found or (f"no whole model of {base.chip.family} was measured both eager and under a compiling stack in "
                     f"{' or '.join(precisions)} ({base.question.phase})")  # fmt: skip


def whole_layout(base: Base, precisions: Sequence[str]) -> str | dict[str, tuple[Ends, str]]:
    """By precision the factor of channels last on the whole model."""
    if "Conv2d" not in base.groups:
        return "the model has no convolution of images"
    if fuses(str(base.answer.stack)):
        return f"{base.answer.stack} chooses layouts itself"
    found = _stacks(base, precisions, _EAGER, tuple(f"{name}-nhwc" for name in _EAGER))
    return found or (f"neither convolutions nor whole models were measured on {base.chip.family} with channels first "
                     f"and last in {' or '.join(precisions)}")  # fmt: skip


def _stacks(
    base: Base, precisions: Sequence[str], before: Sequence[str], after: Sequence[str]
) -> dict[str, tuple[Ends, str]]:
    found = _measured_stacks(base, precisions, after)
    for precision in precisions:
        pairs = [(one, other) for one in before for other in after if one.endswith("-amp") == ("-amp" in other)
                 or other in ("acl", "magicmind")]  # fmt: skip
        for one, other in pairs:
            level = _taught(base, one, other, precision)
            if level is None or precision in found:
                continue
            chip = base.chip if level == "C" else replace(base.chip, name=f"any {base.chip.family} chip")
            start, end = (_whole(base, chip, stack, precision) for stack in (one, other))
            factor = end.value / start.value
            bounds = factor, factor * end.lower / end.value, factor * end.upper / end.value
            if level == "D":  # not of this chip: the errors of the two need not have one sign
                bounds = factor, bounds[1] * start.value / start.upper, bounds[2] * start.value / start.lower
            found[precision] = bounds, max(level, end.level, start.level)
    return found


def _measured_stacks(base: Base, precisions: Sequence[str], after: Sequence[str]) -> dict[str, tuple[Ends, str]]:
    """Where this very model was measured both ways: the ratio of the rows."""
    found: dict[str, tuple[Ends, str]] = {}
    for precision in precisions if base.predictor == "auto" else ():
        start = _row_ms(base, str(base.answer.stack), precision)
        ends = [ms for stack in after if (ms := _row_ms(base, stack, precision)) is not None]
        if start is not None and ends:
            found[precision] = (ends[0] / start,) * 3, "A"
    return found


def _row_ms(base: Base, stack: str, precision: str) -> float | None:
    """Median of the measured rows of exactly this model and setting; None where there are none."""
    question = base.question
    if not question.batch:
        return None
    setting = (question.model, base.chip.name, precision, question.batch, question.seq_len, question.image_size,
               question.phase)  # fmt: skip
    rows = evidence.find(setting, stack, "latency")
    return median(row.value for row in rows) if rows else None


def _taught(base: Base, one: str, other: str, precision: str) -> str | None:
    """C where whole models were measured under both stacks on the chip, D where on another of its kind, else None."""
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


def _whole(base: Base, chip: Chip, stack: str, precision: str) -> models.WholeModelPrediction:
    question = base.question
    table = base.graph.operators(*question.sizes[:3], precision, question.phase)
    return question.whole.predict(
        [(1.0, table)], chip, phase=question.phase, stack=stack, precision=precision, batch=question.batch or 1,
        confidence=question.confidence,
    )  # fmt: skip
