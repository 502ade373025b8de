"""What each of the twelve actions would change for one model on one chip, or why that cannot be said.

Precision, tf32 and compiling are other queries; layout, libraries and flash attention differences of two answers of
the operator surrogate; fusion is bytes and launches. A group is an operator type. An action is masked where the chip
or its registrations lack what it needs, and where no measured row supports its effect.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from hetbench.answers import Answer, digits
from hetbench.attribution.copa import fuses
from hetbench.errors import RefusedError
from hetbench.graphs.model_graph import ModelGraph
from hetbench.operators import operator_type
from hetbench.plans.actions import ACTIONS, MODEL, Option
from hetbench.plans.alternatives import attention, compiled, layouts, libraries, whole_layout
from hetbench.plans.evidence import lacking, measured, measured_in
from hetbench.plans.plan import Casts, Ends, Mask, Plans
from hetbench.plans.precisions import Base, Floats, Row, asked, row
from hetbench.predict.protocols import launch_floor
from hetbench.query.latency import PROTOCOL
from hetbench.query.question import Question
from hetbench.schema import ITEMSIZE

__all__ = ["effects"]

_MATRIX_ONLY = ("tf32", "fp8", "int8")
_ORDER = ("tf32", "fp16", "bf16", "fp8", "int8")


class _Found:
    """What is gathered on the way to `Plans`."""

    def __init__(self, base: Base) -> None:
        self.base = base
        self.formats = [base.question.precision]
        self.rows = [row(base, base.question.precision)]
        self.levels: dict[Option, str] = {}
        self.masked: list[Mask] = []
        self.factors: dict[tuple[str, int], dict[int, float]] = {}
        self.why: dict[Option, str] = {}
        family = base.chip.family
        self.rows_of = {name: measured(name, family) + base.own_rows(name) for name in base.groups}

    def take(self, option: Option, level: str, why: str) -> None:
        """The option can be taken, unless the back end lacks the operators of its group."""
        gone = () if option.group == MODEL else lacking(option.group, self.base.chip)
        if gone:
            self.mask(option, f"the registrations of {self.base.chip.family} lack {', '.join(gone)}")
        else:
            self.levels[option], self.why[option] = level, why

    def mask(self, option: Option, reason: str) -> None:
        self.masked.append(Mask(option, reason))


def effects(graph: ModelGraph, question: Question, answer: Answer, predictor: str = "auto") -> Plans:
    """All plans for a question, whose answer is that of the empty plan.

    >>> from hetbench.catalog.chips import chip
    >>> from hetbench.graphs.model_graph import load
    >>> from hetbench.query.solve import solve
    >>> question = Question.build(load("gpt2"), chip("cann"), {"precision": "fp32"})
    >>> answer = solve(question, load("gpt2"), "latency")
    >>> plans = effects(load("gpt2"), question, answer)
    >>> abs(plans(frozenset()) - answer.value) < 1e-9, len({each.option.action for each in plans.masked}) > 5
    (True, True)
    """
    base = asked(graph, question, answer, predictor)
    found = _Found(base)
    for precision in _ORDER:
        narrower = ITEMSIZE[precision] < ITEMSIZE[question.precision]
        if narrower or (precision, question.precision) == ("tf32", "fp32"):
            _format(found, precision)
    fusion = _fusion(found)
    flash = _flash(found)
    for name, known in (("layout", layouts), ("auto-tuning", libraries)):
        _factors(found, name, known(base, found.formats))
    whole = _whole(found)
    for name, each in ACTIONS.items():
        if each.rule is None:
            found.mask(Option(name, MODEL), each.masked or "")
    floor = launch_floor(base.surrogate.floors, base.chip, "vector", PROTOCOL)
    return Plans(
        base.groups, tuple(found.formats), [_ends(each) for each in found.rows], _ordered(found), tuple(found.masked),
        fusion, flash, found.factors, whole, found.levels, answer.level or "D", found.why, tuple(_casts(base)),
        0.0 if fuses(str(answer.stack)) else floor, 1e3 / (base.chip.bandwidth or float("inf")), found.rows_of,
    )  # fmt: skip


def _ends(each: Row) -> list[Ends]:
    return [(value, lower, upper) for value, lower, upper in each.ms.T.tolist()]


def _ordered(found: _Found) -> tuple[Option, ...]:
    """The options with the most measured rows behind their operator types first; then in the order of the table."""
    names = list(ACTIONS)

    def rows(option: Option) -> int:
        groups = found.base.groups if option.group == MODEL else (option.group,)
        return sum(found.rows_of[name] for name in groups)

    return tuple(sorted(found.levels, key=lambda each: (-rows(each), names.index(each.action), each)))


def _format(found: _Found, precision: str) -> None:
    """One precision for every group that can have it, and for the whole model."""
    base, name = found.base, "matrix-unit" if precision == "tf32" else "precision"
    choice = precision
    try:
        if base.chip.supports(precision) is not True:
            has = "has no" if base.chip.supports(precision) is False else "is not said to have"
            raise RefusedError(f"{base.chip.name} {has} {precision} units")
        made = row(base, precision)
    except RefusedError as error:
        found.mask(Option(name, MODEL, choice), str(error))
        return
    reasons, why = {}, _narrower(base, precision)
    for at, group in enumerate(base.groups):
        option = Option(name, group, choice)
        matrix = operator_type(group).cost_class in ("gemm", "conv")
        if not ACTIONS[name].applies(group) or (precision in _MATRIX_ONLY and not matrix):
            continue
        rows = measured_in(group, precision, base.chip.family) + base.own_rows(group, precision)
        if not made.whole and not rows:
            what = group if matrix or operator_type(group).cost_class == "attention" else "any vector operator"
            reasons[group] = f"no row of {what} in {precision} on any {base.chip.family} chip"
            found.mask(option, reasons[group])
        else:
            found.take(option, made.levels[at], why)
    if not any(option.choice == precision for option in found.levels):
        return
    found.formats.append(precision)
    found.rows.append(made)
    needed = [group for group in reasons if operator_type(group).cost_class != "vector"]
    if needed:
        found.mask(Option(name, MODEL, choice), reasons[needed[0]])
    else:
        found.take(Option(name, MODEL, choice), made.level, why)


def _narrower(base: Base, precision: str) -> str:
    """Bytes of an element and peaks, before and after."""
    own = base.question.precision
    parts = [] if precision == "tf32" else [f"{ITEMSIZE[own]} -> {ITEMSIZE[precision]} bytes an element"]
    peaks = [base.chip.peak_flops(name) for name in (own, precision)]
    if all(peaks):
        parts.append(f"peak {' -> '.join(f'{(peak or 0) / 1e12:g}' for peak in peaks)} TFLOPS")
    return ", ".join(parts)


def _fusion(found: _Found) -> dict[int, list[Ends]]:
    """What fusing each group into its producers saves, by group and format: see `hetbench.plans.actions`."""
    base, saved = found.base, dict[int, list[Ends]]()
    if fuses(str(base.answer.stack)):
        found.mask(Option("operator-fusion", MODEL), f"{base.answer.stack} fuses already")
        return saved
    follows = np.array([at is not None for at in base.flow.producer])
    lead = np.array([0 if at is None else at for at in base.flow.producer])
    readers = np.bincount(np.array([at for read in base.flow.sources for at in read], dtype=np.int64),
                          minlength=len(base.nodes))  # fmt: skip
    passes = np.where(readers[lead] > 1, 1, 2)  # others read it: it is written all the same
    floor = launch_floor(base.surrogate.floors, base.chip, "vector", PROTOCOL)
    own, bandwidth = base.summed(base.ms), base.chip.bandwidth or float("inf")
    for at, group in enumerate(base.groups):
        mine = follows & (base.group == at)
        if not mine.any():
            continue
        share = base.ms[mine] / own[at]
        table = []
        for name, made in zip(found.formats, found.rows, strict=True):
            width = ITEMSIZE[name] if name not in _MATRIX_ONLY else ITEMSIZE["fp32" if name == "tf32" else "fp16"]
            most = 1e3 * passes[mine] * base.elements[lead[mine]] * width / bandwidth + floor
            table.append(_saved(base, most, share * made.ms[:, at, None], group))
        saved[at] = table
        moved = float((passes[mine] * base.elements[lead[mine]]).sum()) * ITEMSIZE[base.question.precision]
        why = f"{int(mine.sum())} launches and {digits(moved / 1e6)} MB less"
        found.take(Option("operator-fusion", group), found.rows[0].levels[at], why)
    if not saved:
        found.mask(Option("operator-fusion", MODEL), "no element-wise operator reads from one that could take it in")
    return saved


def _saved(base: Base, most: Floats, ms: Floats, group: str) -> Ends:
    """What fusing operators saves, at most what they take, ms [3, operators]. Of a measured row the parts are not sure
    although their sum is: then it saves as little or as much as the operator surrogate's bounds allow."""
    if base.answer.lower is None and group in base.sums:
        usual = base.sums[group][0]
        ms = ms[0] * np.array([1.0, usual[2] / usual[0], usual[1] / usual[0]])[:, None]
    value, lower, upper = np.minimum(most, ms).sum(axis=1).tolist()
    return value, lower, upper


def _flash(found: _Found) -> dict[int, list[Ends]]:
    """What one attention operator saves over the composition, by group and format."""
    base = found.base
    known = attention(base)
    if isinstance(known, str):
        found.mask(Option("flash-attention", MODEL), known)
        return {}
    shares, level = known
    saved = {
        at: [(share * value, share * lower, share * upper) for value, lower, upper in
             (made.ms[:, at].tolist() for made in found.rows)] for at, share in shares.items()
    }  # fmt: skip
    found.take(Option("flash-attention", "BMM"), max(level, *(found.rows[0].levels[at] for at in shares)),
               "the scores are never stored")
    return saved


def _factors(found: _Found, name: str, known: Mapping[str, Mapping[str, tuple[float, str]]]) -> None:
    """Layout or library of a group: its factor by format and the level."""
    for group, by_format in known.items():
        at = found.base.groups.index(group)
        table = {found.formats.index(each): factor for each, (factor, _) in by_format.items()}
        found.factors[name, at] = table
        why = ", ".join(f"{digits(factor)} x in {each}" for each, (factor, _) in by_format.items())
        found.take(Option(name, group), max(level for _, level in by_format.values()), why)
    if not known and name == "auto-tuning":
        why = "no two libraries were measured on this chip for these operators under one protocol and layout"
        found.mask(Option(name, MODEL), why)


def _whole(found: _Found) -> dict[str, dict[int, Ends]]:
    """Compiling, and the layout of whole models: factors by format."""
    base, out = found.base, dict[str, dict[int, Ends]]()
    sources = {"graph-optimisation": compiled, "layout": whole_layout}
    for name, known in sources.items():
        if name == "layout" and any(each == name for each, _ in found.factors):
            continue
        table = known(base, found.formats)
        if isinstance(table, str):
            found.mask(Option(name, MODEL), table)
            continue
        out[name] = {found.formats.index(each): ends for each, (ends, _) in table.items()}
        level = max(level for _, level in table.values())
        where = base.chip.name if level == "C" else f"chips of {base.chip.family}"
        factors = ", ".join(f"{digits(ends[0])} x in {each}" for each, (ends, _) in table.items())
        found.take(Option(name, MODEL), level, f"{factors}: whole models measured both ways on {where}")
    return out


def _casts(base: Base) -> Iterator[Casts]:
    """Tensors that other groups read, those of the same maker and readers together."""
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
        yield Casts(maker, plain_groups, followers, count, elements)
