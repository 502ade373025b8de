"""Four ways to find a plan: greedy, beam, exhaustive, random. Each counts how often it evaluated a plan."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from math import prod

from hetbench.errors import RefusedError, UnknownNameError
from hetbench.plans.plan_space import Chosen, Plans

__all__ = ["FEASIBLE", "METHODS", "Counted", "Found", "beam", "exhaustive", "greedy", "ordered", "random_search",
           "searched", "size"]

METHODS = ("beam", "greedy", "exhaustive")
"""Those that draw nothing at random."""
FEASIBLE = 60_000
"""Plans that an exhaustive search may have to look at."""
_LEAST = 1e-9  # ms: less is no gain
_PATIENCE = 2


@dataclass(slots=True)
class Counted:
    """Plans whose evaluations are counted, each plan once; `best` after each of them is kept."""

    plans: Plans
    known: dict[Chosen, float] = field(default_factory=dict)
    trace: list[float] = field(default_factory=list)
    """Least ms after so many evaluations; the empty plan, which is the answer, comes first and costs none."""
    best: Chosen = frozenset()

    def __post_init__(self) -> None:
        self.known[self.best] = self.plans(self.best)

    def __call__(self, plan: Chosen) -> float:
        """ms of a plan."""
        if plan not in self.known:
            ms = self.known[plan] = self.plans(plan)
            if ms < self.known[self.best] - _LEAST:
                self.best = plan
            self.trace.append(self.known[self.best])
        return self.known[plan]


@dataclass(frozen=True, slots=True)
class Found:
    """A plan and what it took to find it."""

    plan: Chosen
    ms: float
    evaluations: int
    trace: tuple[float, ...]


def _found(counted: Counted) -> Found:
    """The best plan, without the options that it does as well without."""
    plan, evaluations, trace = counted.best, len(counted.trace), tuple(counted.trace)
    for each in sorted(plan):
        less = plan - {each}
        if counted.plans.problem(less) is None and counted.plans(less) <= counted.plans(plan) + _LEAST:
            plan = less
    return Found(plan, counted.plans(plan), evaluations, trace)


def greedy(plans: Plans) -> Found:
    """The option that gains most, again and again until none gains; of equals the one with more measured rows.

    >>> from hetbench.plans.actions import Option
    >>> options = (Option("precision", "Linear", "fp16"),)
    >>> greedy(Plans(("Linear",), ("fp32", "fp16"), [[(4.0, 3.0, 5.0)], [(1.0, 0.5, 2.0)]], options)).ms
    1.0
    """
    counted = Counted(plans)
    chosen: Chosen = frozenset()
    while True:
        following = [chosen | {each} for each in plans.next(chosen)]
        best = min(following, key=counted, default=chosen)
        if counted(best) >= counted(chosen) - _LEAST:
            return _found(counted)
        chosen = best


def beam(plans: Plans, width: int = 8) -> Found:
    """The `width` best plans of each number of options are carried on, also where they are worse than before: casts
    make some options pay only together. Ends when two steps brought nothing."""
    counted = Counted(plans)
    front: list[Chosen] = [frozenset()]
    idle = 0
    while front and idle < _PATIENCE:
        best = counted(counted.best)
        following = dict.fromkeys(plan | {each} for plan in front for each in plans.next(plan))
        front = sorted(following, key=counted)[:width]
        idle = 0 if counted(counted.best) < best else idle + 1
    return _found(counted)


def exhaustive(plans: Plans, limit: int = FEASIBLE) -> Found:
    """Every plan; `RefusedError` where there are more than `limit` combinations to look at."""
    if size(plans) > limit:
        raise RefusedError(f"{size(plans):,} plans are more than the {limit:,} that are tried one by one; use beam.")
    counted = Counted(plans)
    for plan in _every(plans):
        if plans.problem(plan) is None:
            counted(plan)
    return _found(counted)


def random_search(plans: Plans, evaluations: int, seed: int) -> Found:
    """Plans drawn at random, an option at a time until a coin says stop: a baseline, whose result depends on `seed`."""
    draw, counted, idle = random.Random(seed), Counted(plans), 0
    while len(counted.trace) < evaluations and idle < 50 * evaluations:
        plan: Chosen = frozenset()
        while following := list(plans.next(plan)):
            plan |= {draw.choice(following)}
            if draw.random() < 0.25:
                break
        before = len(counted.trace)
        counted(plan)
        idle += before == len(counted.trace)
    return _found(counted)


def size(plans: Plans) -> int:
    """How many combinations of options there are, those that do not go together included."""
    return prod(1 + len(slot) for slot in plans.slots())


def _every(plans: Plans) -> Iterator[Chosen]:
    for picked in product(*((None, *slot) for slot in plans.slots())):
        yield frozenset(each for each in picked if each is not None)


def ordered(plans: Plans, plan: Chosen) -> list[Chosen]:
    """The plan built up option by option, from the empty one: of those that can come next the one that gains most."""
    steps: list[Chosen] = [frozenset()]
    while len(steps[-1]) < len(plan):
        following = [steps[-1] | {each} for each in plans.options if each in plan - steps[-1]]
        legal = [each for each in following if plans.problem(each) is None]
        steps.append(min(legal or following, key=plans))
    return steps


def searched(plans: Plans, method: str) -> Found:
    """What one of `METHODS` finds.

    >>> searched(Plans((), ("fp32",), [[]], ()), "greedy").evaluations
    0
    """
    if method not in METHODS:
        raise UnknownNameError("method", str(method), METHODS)
    return {"beam": beam, "greedy": greedy, "exhaustive": exhaustive}[method](plans)
