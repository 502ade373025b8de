"""The latency of a model with a plan applied: a set of options, each an action on a group of operators.

A group runs in a format, a precision in which the whole model was asked; its part of that answer is its time there.
The empty plan is the answer that was asked, and all groups in one format are the answer in that precision. What is not
additive over the groups: a tensor that a group in another format reads is cast, unless its reader is fused into the
operator that made it; a compiling stack leaves no fusion to gain; 16-bit formats are not mixed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from hetbench.graphs import TRACED_AS
from hetbench.plans.actions import MODEL, Option
from hetbench.schema import ITEMSIZE

__all__ = ["FORMATS", "Casts", "Chosen", "Ends", "Mask", "Plans", "activation"]

FORMATS = ("precision", "matrix-unit")
"""The actions that choose a format."""
Chosen = frozenset[Option]
"""A plan."""
Ends = tuple[float, float, float]
"""Value, lower and upper bound."""
Table = Sequence[Sequence[Ends]]
"""[formats, groups]."""


def activation(precision: str) -> str:
    """The precision in which tensors pass between operators: products in tf32, fp8 and int8 read and write wider ones.

    >>> activation("int8"), activation("fp16"), activation("tf32")
    ('fp16', 'fp16', 'fp32')
    """
    return precision if precision == "fp64" else TRACED_AS[precision]


@dataclass(frozen=True, slots=True)
class Mask:
    """An action that cannot be taken on a group, and why."""

    option: Option
    reason: str


@dataclass(frozen=True, slots=True)
class Casts:
    """Tensors of one group that other groups read: due once for every format among the readers that is not its own."""

    maker: int
    readers: tuple[int, ...]
    followers: tuple[int, ...]
    """Readers that need no cast when they are fused: each is the element-wise operator that could join the maker."""
    count: int
    elements: int


@dataclass(frozen=True, slots=True)
class Plans:
    """All that a plan for one model on one chip can hold, and its latency; called with a plan, it returns ms.

    >>> plans = Plans(("Linear",), ("fp32", "fp16"), [[(4.0, 3.0, 5.0)], [(1.0, 0.5, 2.0)]],
    ...               (Option("precision", "Linear", "fp16"),))
    >>> plans(frozenset()), plans(frozenset(plans.options))
    (4.0, 1.0)
    """

    groups: tuple[str, ...]
    formats: tuple[str, ...]
    """The first is the precision that was asked for."""
    ms: Table
    options: tuple[Option, ...]
    """What can be taken, those with the most measured rows first."""
    masked: tuple[Mask, ...] = ()
    fusion_ms: Mapping[int, Sequence[Ends]] = field(default_factory=dict)
    """Group -> what fusing it saves, by format [formats]."""
    flash_ms: Mapping[int, Sequence[Ends]] = field(default_factory=dict)
    """Group -> what one attention operator saves of it, by format [formats]."""
    factors: Mapping[tuple[str, int], Mapping[int, float]] = field(default_factory=dict)
    """(action, group) -> format -> factor on the group's time."""
    whole: Mapping[str, Mapping[int, Ends]] = field(default_factory=dict)
    """Action on the whole model -> format -> factor on the value, with its bounds."""
    levels: Mapping[Option, str] = field(default_factory=dict)
    """Evidence level of an option: that of the weakest answer that its effect is a difference of."""
    level: str = "D"
    """Of the empty plan."""
    why: Mapping[Option, str] = field(default_factory=dict)
    """What makes an option's effect."""
    casts: tuple[Casts, ...] = ()
    cast_ms: float = 0.0
    """Launch of one cast; none under a compiling stack, which fuses it."""
    cast_ms_per_byte: float = 0.0
    measured: Mapping[str, int] = field(default_factory=dict)
    """Group -> operators of its type that were measured on chips of the family, and rows of the chip's own head."""

    def __call__(self, plan: Chosen) -> float:
        return self._total(plan, 0)

    def ends(self, plan: Chosen) -> Ends:
        """Value, lower and upper bound: the bounds of the parts added, as if all errors had one sign."""
        return self._total(plan, 0), self._total(plan, 1), self._total(plan, 2)

    def group_ms(self, plan: Chosen) -> dict[str, float]:
        """Each group's part; casts are in none."""
        return dict(zip(self.groups, self._parts(plan, 0), strict=True))

    def level_of(self, plan: Chosen) -> str:
        """The weakest evidence level of a plan."""
        return max([self.level, *(self.levels.get(each, self.level) for each in plan)])

    def _total(self, plan: Chosen, end: int) -> float:
        return sum(max(part, 0.0) for part in self._parts(plan, end)) + self._cast(plan)

    def _parts(self, plan: Chosen, end: int) -> list[float]:
        place, where = self.places(plan), self._where
        parts = [self.ms[number][at][end] for at, number in enumerate(place)]
        scaled = [each for each in plan if each.group == MODEL and each.action in self.whole]
        if scaled:
            parts = [self.ms[number][at][0] for at, number in enumerate(place)]
            for each in scaled:
                table = self.whole[each.action]
                parts = [ms * table[number][end] for ms, number in zip(parts, place, strict=True)]
        for each in plan:
            if each.group == MODEL or each.action in FORMATS:
                continue
            at = where[each.group]
            if each.action == "operator-fusion":
                parts[at] -= self.fusion_ms[at][place[at]][end]
            elif each.action == "flash-attention":
                for where_too, saved in self.flash_ms.items():
                    parts[where_too] -= saved[place[where_too]][end]
            else:
                parts[at] *= self.factors[each.action, at][place[at]]
        return parts

    def places(self, plan: Chosen) -> list[int]:
        """The format of each group, [groups]; a group's own choice goes before that of the model."""
        usual = next((self._number[each.choice] for each in plan if each.group == MODEL and each.action in FORMATS), 0)
        found = [usual] * len(self.groups)
        for each in plan:
            if each.group != MODEL and each.action in FORMATS:
                found[self._where[each.group]] = self._number[each.choice]
        return found

    def _cast(self, plan: Chosen) -> float:
        place = self.places(plan)
        if len(set(place)) == 1:
            return 0.0
        width = [activation(name) for name in self.formats]
        fused = {self._where[each.group] for each in plan if each.action == "operator-fusion"}
        launch = 0.0 if any(each.action == "graph-optimisation" for each in plan) else self.cast_ms
        total = 0.0
        for each in self.casts:
            own = width[place[each.maker]]
            others = {width[place[at]] for at in each.readers}
            others |= {width[place[at]] for at in each.followers if at not in fused}
            for name in others - {own}:
                moved = each.elements * (ITEMSIZE[own] + ITEMSIZE[name])
                total += each.count * launch + moved * self.cast_ms_per_byte
        return total

    def problem(self, plan: Chosen) -> str | None:
        """Why the options of a plan do not go together; None where they do."""
        seen: dict[tuple[str, str], Option] = {}
        for each in plan:
            slot = ("format" if each.action in FORMATS else each.action, each.group)
            if slot in seen:
                return f"{seen[slot]} and {each} set the same"
            seen[slot] = each
        place = self.places(plan)
        half = {activation(self.formats[number]) for number in set(place)} & {"fp16", "bf16"}
        if len(half) > 1:
            return "fp16 and bf16 are not mixed"
        actions = {each.action for each in plan}
        if "graph-optimisation" in actions and actions & {"operator-fusion", "layout"}:
            return "a compiling stack fuses and chooses layouts itself"
        for each in plan:
            if each.action in self.whole and each.group == MODEL:
                lacks = [self.formats[number] for number in place if number not in self.whole[each.action]]
            elif (each.action, self._where.get(each.group, -1)) in self.factors:
                at = self._where[each.group]
                lacks = [] if place[at] in self.factors[each.action, at] else [self.formats[place[at]]]
            else:
                continue
            if lacks:
                return f"{each.action} of {each.group} is not known in {lacks[0]}"
        return None

    def next(self, plan: Chosen) -> Iterator[Option]:
        """The options that can join a plan."""
        return (each for each in self.options if each not in plan and self.problem(plan | {each}) is None)

    def slots(self) -> list[tuple[Option, ...]]:
        """The options that exclude one another, those of one slot together."""
        found: dict[tuple[str, str], list[Option]] = {}
        for each in self.options:
            slot = ("format" if each.action in FORMATS else each.action, each.group)
            found.setdefault(slot, []).append(each)
        return [tuple(each) for each in found.values()]

    def limited(self, keep: Callable[[Option], bool], reason: str) -> Plans:
        """The same without the options that `keep` rejects, which are masked for a reason."""
        gone = (Mask(each, reason) for each in self.options if not keep(each))
        return replace(self, options=tuple(filter(keep, self.options)), masked=(*self.masked, *gone))

    @property
    def _where(self) -> Mapping[str, int]:
        return _places(self.groups)

    @property
    def _number(self) -> Mapping[str, int]:
        return _places(self.formats)


@lru_cache(maxsize=1024)
def _places(names: tuple[str, ...]) -> Mapping[str, int]:
    """Name -> position."""
    return {name: at for at, name in enumerate(names)}
