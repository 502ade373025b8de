"""The latency of a model after any set of options, each an action on a group of operators.

Each group runs in one precision; its time is its share of the model's answer in that precision. The empty plan has the
latency of the original answer, and all groups in one precision have that of the answer in it. Three effects are not
additive over groups: a tensor read by a group in another precision is cast, unless its reader is fused into its
producer; under a compiling stack fusion gains nothing; fp16 and bf16 are not mixed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from hetbench.graphs import TRACED_AS
from hetbench.plans.actions import MODEL, Option
from hetbench.schema import ITEMSIZE

__all__ = ["PRECISION_ACTIONS", "CastGroup", "Estimate", "MaskedOption", "OptionSet", "PlanSpace", "activation"]

PRECISION_ACTIONS = ("precision", "matrix-unit")
"""The actions that set the precision of a group."""
OptionSet = frozenset[Option]
"""A plan: the options that are applied together."""
Estimate = tuple[float, float, float]
"""Value, lower and upper bound in ms."""
Table = Sequence[Sequence[Estimate]]
"""[precisions, groups]."""


def activation(precision: str) -> str:
    """Precision of the tensors between operators: tf32, fp8 and int8 products read and write wider ones.

    >>> activation("int8"), activation("fp16"), activation("tf32")
    ('fp16', 'fp16', 'fp32')
    """
    return precision if precision == "fp64" else TRACED_AS[precision]


@dataclass(frozen=True, slots=True)
class MaskedOption:
    """An option that is excluded, and the reason."""

    option: Option
    reason: str


@dataclass(frozen=True, slots=True)
class CastGroup:
    """Tensors of one group that other groups read: one cast for each precision of the readers that is not its own."""

    maker: int
    readers: tuple[int, ...]
    followers: tuple[int, ...]
    """Readers that need no cast when fused: element-wise operators that can be fused into the producer."""
    count: int
    elements: int


@dataclass(frozen=True, slots=True)
class PlanSpace:
    """All plans for one model on one chip. Called with a plan, it returns the latency in ms.

    >>> plans = PlanSpace(("Linear",), ("fp32", "fp16"), [[(4.0, 3.0, 5.0)], [(1.0, 0.5, 2.0)]],
    ...               (Option("precision", "Linear", "fp16"),))
    >>> plans(frozenset()), plans(frozenset(plans.options))
    (4.0, 1.0)
    """

    groups: tuple[str, ...]
    precisions: tuple[str, ...]
    """The first is the precision of the original question."""
    ms: Table
    options: tuple[Option, ...]
    """Options that a plan can contain, those with the most measurements first."""
    masked: tuple[MaskedOption, ...] = ()
    fusion_ms: Mapping[int, Sequence[Estimate]] = field(default_factory=dict)
    """Group index -> ms that fusing it saves, [precisions]."""
    flash_ms: Mapping[int, Sequence[Estimate]] = field(default_factory=dict)
    """Group index -> ms that one fused attention operator saves, [precisions]."""
    factors: Mapping[tuple[str, int], Mapping[int, float]] = field(default_factory=dict)
    """(action, group index) -> precision index -> factor on the group's time."""
    model_factors: Mapping[str, Mapping[int, Estimate]] = field(default_factory=dict)
    """Action on the whole model -> precision index -> factor on the latency, with its bounds."""
    levels: Mapping[Option, str] = field(default_factory=dict)
    """Evidence level of an option: the weakest of the answers that its gain is computed from."""
    level: str = "D"
    """Evidence level of the empty plan."""
    why: Mapping[Option, str] = field(default_factory=dict)
    """Why an option has an effect."""
    casts: tuple[CastGroup, ...] = ()
    cast_ms: float = 0.0
    """Launch time of one cast; 0 under a compiling stack, which fuses it."""
    cast_ms_per_byte: float = 0.0
    measured: Mapping[str, int] = field(default_factory=dict)
    """Group -> measured operators of its type on the chip family, plus the rows that trained the chip's own head."""

    def __call__(self, plan: OptionSet) -> float:
        return self._total(plan, 0)

    def estimate(self, plan: OptionSet) -> Estimate:
        """Latency with bounds: the sums of the groups' bounds, i.e. fully correlated errors."""
        return self._total(plan, 0), self._total(plan, 1), self._total(plan, 2)

    def group_ms(self, plan: OptionSet) -> dict[str, float]:
        """Time of each group in ms, without casts."""
        return dict(zip(self.groups, self._parts(plan, 0), strict=True))

    def level_of(self, plan: OptionSet) -> str:
        """The weakest evidence level of a plan's options and of the empty plan."""
        return max([self.level, *(self.levels.get(each, self.level) for each in plan)])

    def _total(self, plan: OptionSet, end: int) -> float:
        return sum(max(part, 0.0) for part in self._parts(plan, end)) + self._cast(plan)

    def _parts(self, plan: OptionSet, end: int) -> list[float]:
        place, where = self.precision_indices(plan), self._where
        parts = [self.ms[number][at][end] for at, number in enumerate(place)]
        scaled = [each for each in plan if each.group == MODEL and each.action in self.model_factors]
        if scaled:
            parts = [self.ms[number][at][0] for at, number in enumerate(place)]
            for each in scaled:
                table = self.model_factors[each.action]
                parts = [ms * table[number][end] for ms, number in zip(parts, place, strict=True)]
        for each in plan:
            if each.group == MODEL or each.action in PRECISION_ACTIONS:
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

    def precision_indices(self, plan: OptionSet) -> list[int]:
        """Index of the precision of each group, [groups]; an option of the group overrides one of the model."""
        of_model = (each for each in plan if each.group == MODEL and each.action in PRECISION_ACTIONS)
        usual = next((self._number[each.choice] for each in of_model), 0)
        found = [usual] * len(self.groups)
        for each in plan:
            if each.group != MODEL and each.action in PRECISION_ACTIONS:
                found[self._where[each.group]] = self._number[each.choice]
        return found

    def _cast(self, plan: OptionSet) -> float:
        place = self.precision_indices(plan)
        if len(set(place)) == 1:
            return 0.0
        width = [activation(name) for name in self.precisions]
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

    def conflict(self, plan: OptionSet) -> str | None:
        """Why the options of a plan conflict; None if they do not."""
        seen: dict[tuple[str, str], Option] = {}
        for each in plan:
            slot = ("precision" if each.action in PRECISION_ACTIONS else each.action, each.group)
            if slot in seen:
                return f"{seen[slot]} and {each} both set the same property"
            seen[slot] = each
        place = self.precision_indices(plan)
        half = {activation(self.precisions[number]) for number in set(place)} & {"fp16", "bf16"}
        if len(half) > 1:
            return "fp16 and bf16 cannot be mixed"
        actions = {each.action for each in plan}
        if "graph-optimisation" in actions and actions & {"operator-fusion", "layout"}:
            return "a compiling stack already fuses operators and chooses layouts"
        for each in plan:
            if each.action in self.model_factors and each.group == MODEL:
                lacks = [self.precisions[number] for number in place if number not in self.model_factors[each.action]]
            elif (each.action, self._where.get(each.group, -1)) in self.factors:
                at = self._where[each.group]
                lacks = [] if place[at] in self.factors[each.action, at] else [self.precisions[place[at]]]
            else:
                continue
            if lacks:
                return f"{each.action} of {each.group} has no measurement in {lacks[0]}"
        return None

    def compatible(self, plan: OptionSet) -> Iterator[Option]:
        """The options that can be added to a plan without a conflict."""
        return (each for each in self.options if each not in plan and self.conflict(plan | {each}) is None)

    def exclusive_options(self) -> list[tuple[Option, ...]]:
        """The options in groups of which a plan can contain at most one."""
        found: dict[tuple[str, str], list[Option]] = {}
        for each in self.options:
            slot = ("precision" if each.action in PRECISION_ACTIONS else each.action, each.group)
            found.setdefault(slot, []).append(each)
        return [tuple(each) for each in found.values()]

    def without(self, keep: Callable[[Option], bool], reason: str) -> PlanSpace:
        """The same space without the options that `keep` rejects; they are masked with `reason`."""
        gone = (MaskedOption(each, reason) for each in self.options if not keep(each))
        return replace(self, options=tuple(filter(keep, self.options)), masked=(*self.masked, *gone))

    @property
    def _where(self) -> Mapping[str, int]:
        return _places(self.groups)

    @property
    def _number(self) -> Mapping[str, int]:
        return _places(self.precisions)


@lru_cache(maxsize=1024)
def _places(names: tuple[str, ...]) -> Mapping[str, int]:
    """Name -> position."""
    return {name: at for at, name in enumerate(names)}
