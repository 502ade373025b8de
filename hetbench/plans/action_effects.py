"""The effect of each of the twelve actions on the latency of one model on one chip, or why it cannot be predicted.

Precision, tf32 and compilation are other queries; layouts, libraries and flash attention are ratios of two answers of
the operator surrogate; fusion is memory traffic and launches. A group is an operator type. An action is masked if the
chip or its backend lacks what it needs, or if no measurement supports its effect.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from hetbench.answers import Answer, digits
from hetbench.attribution.copa import fuses
from hetbench.errors import RefusedError
from hetbench.graphs import ModelGraph
from hetbench.operators import operator_type
from hetbench.plans.actions import ACTIONS, MODEL, Option
from hetbench.plans.implementations import (
    compiling_stack_factors,
    fused_attention,
    layout_factors,
    library_factors,
    model_layout_factors,
)  # fmt: skip
from hetbench.plans.operator_evidence import measured_operators, measured_operators_in, missing_registrations
from hetbench.plans.plan_space import CastGroup, Estimate, MaskedOption, PlanSpace
from hetbench.plans.precisions import Baseline, Floats, PrecisionTimes, baseline, times_in
from hetbench.predict.protocols import launch_floor
from hetbench.query import PROTOCOL, Question
from hetbench.schema import ITEMSIZE

__all__ = ["build_plan_space"]

_MATRIX_ONLY = ("tf32", "fp8", "int8")
_ORDER = ("tf32", "fp16", "bf16", "fp8", "int8")


class _Builder:
    """Collects the options, masks and effects of a `PlanSpace`."""

    def __init__(self, base: Baseline) -> None:
        self.base = base
        self.precisions = [base.question.precision]
        self.rows = [times_in(base, base.question.precision)]
        self.levels: dict[Option, str] = {}
        self.masked: list[MaskedOption] = []
        self.factors: dict[tuple[str, int], dict[int, float]] = {}
        self.why: dict[Option, str] = {}
        family = base.chip.family
        self.rows_of = {name: measured_operators(name, family) + base.own_rows(name) for name in base.groups}

    def allow(self, option: Option, level: str, why: str) -> None:
        """Add an option, or mask it if the backend lacks the operators of its group."""
        gone = () if option.group == MODEL else missing_registrations(option.group, self.base.chip)
        if gone:
            self.mask(option, f"{self.base.chip.family} has no registration of {', '.join(gone)}")
        else:
            self.levels[option], self.why[option] = level, why

    def mask(self, option: Option, reason: str) -> None:
        """Exclude an option for a reason."""
        self.masked.append(MaskedOption(option, reason))


def build_plan_space(graph: ModelGraph, question: Question, answer: Answer, predictor: str = "auto") -> PlanSpace:
    """All plans for a question about a model on a chip; `answer` is its latency answer, that of the empty plan.

    >>> from hetbench.catalog.chips import chip
    >>> from hetbench.graphs.model_graph import load
    >>> from hetbench.query import answer_metric
    >>> question = Question.build(load("gpt2"), chip("cann"), {"precision": "fp32"})
    >>> answer = answer_metric(question, load("gpt2"), "latency")
    >>> plans = build_plan_space(load("gpt2"), question, answer)
    >>> abs(plans(frozenset()) - answer.value) < 1e-9, len({each.option.action for each in plans.masked}) > 5
    (True, True)
    """
    base = baseline(graph, question, answer, predictor)
    builder = _Builder(base)
    for precision in _ORDER:
        narrower = ITEMSIZE[precision] < ITEMSIZE[question.precision]
        if narrower or (precision, question.precision) == ("tf32", "fp32"):
            _add_precision(builder, precision)
    fusion = _fusion_savings(builder)
    flash = _flash_savings(builder)
    for name, known in (("layout", layout_factors), ("auto-tuning", library_factors)):
        _group_factors(builder, name, known(base, builder.precisions))
    whole = _model_factors(builder)
    for name, each in ACTIONS.items():
        if each.rule is None:
            builder.mask(Option(name, MODEL), each.masked or "")
    floor = launch_floor(base.surrogate.floors, base.chip, "vector", PROTOCOL)
    return PlanSpace(
        base.groups, tuple(builder.precisions), [_estimates(each) for each in builder.rows], _ordered(builder),
        tuple(builder.masked), fusion, flash, builder.factors, whole, builder.levels, answer.level or "D", builder.why,
        tuple(_casts(base)), 0.0 if fuses(str(answer.stack)) else floor,
        1e3 / (base.chip.bandwidth or float("inf")), builder.rows_of,
    )  # fmt: skip


def _estimates(each: PrecisionTimes) -> list[Estimate]:
    return [(value, lower, upper) for value, lower, upper in each.ms.T.tolist()]


def _ordered(builder: _Builder) -> tuple[Option, ...]:
    """The options, those whose operator types have the most measurements first, then in the order of `ACTIONS`."""
    names = list(ACTIONS)

    def rows(option: Option) -> int:
        groups = builder.base.groups if option.group == MODEL else (option.group,)
        return sum(builder.rows_of[name] for name in groups)

    return tuple(sorted(builder.levels, key=lambda each: (-rows(each), names.index(each.action), each)))


def _add_precision(builder: _Builder, precision: str) -> None:
    """Add one precision for every group that supports it, and for the whole model."""
    base, name = builder.base, "matrix-unit" if precision == "tf32" else "precision"
    choice = precision
    try:
        if base.chip.supports(precision) is not True:
            known = base.chip.supports(precision) is False
            raise RefusedError(f"{base.chip.name} has no {precision} units" if known else
                               f"the datasheet of {base.chip.name} states no {precision} units")  # fmt: skip
        made = times_in(base, precision)
    except RefusedError as error:
        builder.mask(Option(name, MODEL, choice), str(error))
        return
    reasons, why = {}, _narrower(base, precision)
    for at, group in enumerate(base.groups):
        option = Option(name, group, choice)
        matrix = operator_type(group).cost_class in ("gemm", "conv")
        if not ACTIONS[name].applies(group) or (precision in _MATRIX_ONLY and not matrix):
            continue
        rows = measured_operators_in(group, precision, base.chip.family) + base.own_rows(group, precision)
        if not made.whole and not rows:
            what = group if matrix or operator_type(group).cost_class == "attention" else "any vector operator"
            reasons[group] = f"no measurement of {what} in {precision} on any {base.chip.family} chip"
            builder.mask(option, reasons[group])
        else:
            builder.allow(option, made.levels[at], why)
    if not any(option.choice == precision for option in builder.levels):
        return
    builder.precisions.append(precision)
    builder.rows.append(made)
    needed = [group for group in reasons if operator_type(group).cost_class != "vector"]
    if needed:
        builder.mask(Option(name, MODEL, choice), reasons[needed[0]])
    else:
        builder.allow(Option(name, MODEL, choice), made.level, why)


def _narrower(base: Baseline, precision: str) -> str:
    """Bytes per element and peak compute before and after, as text."""
    own = base.question.precision
    parts = [] if precision == "tf32" else [f"{ITEMSIZE[own]} -> {ITEMSIZE[precision]} bytes per element"]
    peaks = [base.chip.peak_flops(name) for name in (own, precision)]
    if all(peaks):
        parts.append(f"peak {' -> '.join(f'{(peak or 0) / 1e12:g}' for peak in peaks)} TFLOPS")
    return ", ".join(parts)


def _fusion_savings(builder: _Builder) -> dict[int, list[Estimate]]:
    """ms that fusing each group into its producers saves, by group index [precisions]: see `hetbench.plans.actions`."""
    base, saved = builder.base, dict[int, list[Estimate]]()
    if fuses(str(base.answer.stack)):
        builder.mask(Option("operator-fusion", MODEL), f"the stack {base.answer.stack} already fuses operators")
        return saved
    follows = np.array([at is not None for at in base.flow.producer])
    lead = np.array([0 if at is None else at for at in base.flow.producer])
    readers = np.bincount(np.array([at for read in base.flow.sources for at in read], dtype=np.int64),
                          minlength=len(base.nodes))  # fmt: skip
    # fusion saves the write and the read of the tensor; with other readers it is still written
    passes = np.where(readers[lead] > 1, 1, 2)
    floor = launch_floor(base.surrogate.floors, base.chip, "vector", PROTOCOL)
    own, bandwidth = base.summed(base.ms), base.chip.bandwidth or float("inf")
    for at, group in enumerate(base.groups):
        mine = follows & (base.group == at)
        if not mine.any():
            continue
        share = base.ms[mine] / own[at]
        table = []
        for name, made in zip(builder.precisions, builder.rows, strict=True):
            width = ITEMSIZE[name] if name not in _MATRIX_ONLY else ITEMSIZE["fp32" if name == "tf32" else "fp16"]
            most = 1e3 * passes[mine] * base.elements[lead[mine]] * width / bandwidth + floor
            table.append(_saved(base, most, share * made.ms[:, at, None], group))
        saved[at] = table
        moved = float((passes[mine] * base.elements[lead[mine]]).sum()) * ITEMSIZE[base.question.precision]
        launches = int(mine.sum())
        why = f"saves {launches} launch{'es' * (launches > 1)} and {digits(moved / 1e6)} MB of memory traffic"
        builder.allow(Option("operator-fusion", group), builder.rows[0].levels[at], why)
    if not saved:
        builder.mask(Option("operator-fusion", MODEL), "no element-wise operator can be fused into its producer")
    return saved


def _saved(base: Baseline, most: Floats, ms: Floats, group: str) -> Estimate:
    """ms that fusing operators saves: `most`, but no more than their own time `ms` [3, operators].

    A measured row fixes the sum but not its split, so its bounds are the operator surrogate's.
    """
    if base.answer.lower is None and group in base.sums:
        usual = base.sums[group][0]
        ms = ms[0] * np.array([1.0, usual[2] / usual[0], usual[1] / usual[0]])[:, None]
    value, lower, upper = np.minimum(most, ms).sum(axis=1).tolist()
    return value, lower, upper


def _flash_savings(builder: _Builder) -> dict[int, list[Estimate]]:
    """ms that one attention operator saves over its composition, by group index [precisions]."""
    base = builder.base
    known = fused_attention(base)
    if isinstance(known, str):
        builder.mask(Option("flash-attention", MODEL), known)
        return {}
    shares, level = known
    saved = {
        at: [(share * value, share * lower, share * upper) for value, lower, upper in
             (made.ms[:, at].tolist() for made in builder.rows)] for at, share in shares.items()
    }  # fmt: skip
    builder.allow(Option("flash-attention", "BMM"), max(level, *(builder.rows[0].levels[at] for at in shares)),
               "the attention scores are not written to memory")
    return saved


def _group_factors(builder: _Builder, name: str, known: Mapping[str, Mapping[str, tuple[float, str]]]) -> None:
    """Add the options of a layout or library: a factor by operator type and precision."""
    for group, by_format in known.items():
        at = builder.base.groups.index(group)
        table = {builder.precisions.index(each): factor for each, (factor, _) in by_format.items()}
        builder.factors[name, at] = table
        why = ", ".join(f"{digits(factor)} x in {each}" for each, (factor, _) in by_format.items())
        builder.allow(Option(name, group), max(level for _, level in by_format.values()), why)
    if not known and name == "auto-tuning":
        why = "no two kernel libraries were measured on this chip for these operators in one protocol and layout"
        builder.mask(Option(name, MODEL), why)


def _model_factors(builder: _Builder) -> dict[str, dict[int, Estimate]]:
    """Add compilation and the layout of whole models: factors by precision index."""
    base, out = builder.base, dict[str, dict[int, Estimate]]()
    sources = {"graph-optimisation": compiling_stack_factors, "layout": model_layout_factors}
    for name, known in sources.items():
        if name == "layout" and any(each == name for each, _ in builder.factors):
            continue
        table = known(base, builder.precisions)
        if isinstance(table, str):
            builder.mask(Option(name, MODEL), table)
            continue
        out[name] = {builder.precisions.index(each): ends for each, (ends, _) in table.items()}
        level = max(level for _, level in table.values())
        where = base.chip.name if level == "C" else f"chips of {base.chip.family}"
        factors = ", ".join(f"{digits(ends[0])} x in {each}" for each, (ends, _) in table.items())
        builder.allow(Option(name, MODEL), level, f"{factors}: models measured both ways on {where}")
    return out


def _casts(base: Baseline) -> Iterator[CastGroup]:
    """Tensors that other groups read, merged by producer and readers."""
    readers: dict[int, tuple[set[int], set[int]]] = {}
    for at, read in enumerate(base.flow.sources):
        for each in read:
            if base.group[each] != base.group[at]:
                pair = readers.setdefault(each, (set(), set()))
                pair[int(base.flow.producer[at] == each)].add(int(base.group[at]))
    table: dict[tuple[int, tuple[int, ...], tuple[int, ...]], list[int]] = {}
    for each, (plain, follow) in readers.items():
        key = int(base.group[each]), tuple(sorted(plain)), tuple(sorted(follow - plain))
        entry = table.setdefault(key, [0, 0])
        entry[0] += 1
        entry[1] += int(base.elements[each])
    for (maker, plain_groups, followers), (count, elements) in table.items():
        yield CastGroup(maker, plain_groups, followers, count, elements)
