"""Search for the fastest plan: greedy, beam, exhaustive and random. Each counts the plans it evaluates."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from math import prod

from hetbench.checks import known_name
from hetbench.errors import RefusedError
from hetbench.plans.plan_space import OptionSet, PlanSpace

__all__ = ["EXHAUSTIVE_LIMIT", "METHODS", "CountedPlans", "SearchResult", "beam", "build_order", "count_combinations",
           "exhaustive", "greedy", "random_search", "run_search"]  # fmt: skip

METHODS = ("beam", "greedy", "exhaustive")
"""The deterministic methods."""
EXHAUSTIVE_LIMIT = 60_000
"""Largest number of plans that an exhaustive search evaluates."""
_MIN_GAIN_MS = 1e-9
_PATIENCE = 2  # steps of the beam without a gain before it stops


@dataclass(slots=True)
class CountedPlans:
    """A plan space that counts its evaluations, each plan once, and keeps the best plan."""

    plans: PlanSpace
    known: dict[OptionSet, float] = field(default_factory=dict)
    trace: list[float] = field(default_factory=list)
    """Best ms after each evaluation; the empty plan is not counted, because its latency is the answer."""
    best: OptionSet = frozenset()

    def __post_init__(self) -> None:
        self.known[self.best] = self.plans(self.best)

    def __call__(self, plan: OptionSet) -> float:
        """Latency of a plan in ms."""
        if plan not in self.known:
            ms = self.known[plan] = self.plans(plan)
            if ms < self.known[self.best] - _MIN_GAIN_MS:
                self.best = plan
            self.trace.append(self.known[self.best])
        return self.known[plan]


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The best plan that a search found, and the evaluations it needed."""

    plan: OptionSet
    ms: float
    evaluations: int
    trace: tuple[float, ...]


def _found(counted: CountedPlans) -> SearchResult:
    """The best plan without the options that gain nothing."""
    plan, evaluations, trace = counted.best, len(counted.trace), tuple(counted.trace)
    for each in sorted(plan):
        less = plan - {each}
        if counted.plans.conflict(less) is None and counted.plans(less) <= counted.plans(plan) + _MIN_GAIN_MS:
            plan = less
    return SearchResult(plan, counted.plans(plan), evaluations, trace)


def greedy(plans: PlanSpace) -> SearchResult:
    """Adds the option with the largest gain until none gains; of equal options the one with more measurements.

    >>> from hetbench.plans.actions import Option
    >>> options = (Option("precision", "Linear", "fp16"),)
    >>> greedy(PlanSpace(("Linear",), ("fp32", "fp16"), [[(4.0, 3.0, 5.0)], [(1.0, 0.5, 2.0)]], options)).ms
    1.0
    """
    counted = CountedPlans(plans)
    chosen: OptionSet = frozenset()
    while True:
        following = [chosen | {each} for each in plans.compatible(chosen)]
        best = min(following, key=counted, default=chosen)
        if counted(best) >= counted(chosen) - _MIN_GAIN_MS:
            return _found(counted)
        chosen = best


def beam(plans: PlanSpace, width: int = 8) -> SearchResult:
    """Extends the `width` best plans of each size, even if they are slower than the best plan so far.

    Casts make some options pay off only together. Stops after two sizes without a gain.
    """
    counted = CountedPlans(plans)
    front: list[OptionSet] = [frozenset()]
    idle = 0
    while front and idle < _PATIENCE:
        best = counted(counted.best)
        following = dict.fromkeys(plan | {each} for plan in front for each in plans.compatible(plan))
        front = sorted(following, key=counted)[:width]
        idle = 0 if counted(counted.best) < best else idle + 1
    return _found(counted)


def exhaustive(plans: PlanSpace, limit: int = EXHAUSTIVE_LIMIT) -> SearchResult:
    """Evaluates every plan. Raises `RefusedError` if there are more than `limit` combinations."""
    number = count_combinations(plans)
    if number > limit:
        raise RefusedError(
            f"exhaustive search would evaluate {number:,} plans, more than the limit of {limit:,}; use method 'beam'."
        )
    counted = CountedPlans(plans)
    for plan in _every(plans):
        if plans.conflict(plan) is None:
            counted(plan)
    return _found(counted)


def random_search(plans: PlanSpace, evaluations: int, seed: int) -> SearchResult:
    """Random plans, extended option by option with a stop probability of 1/4: a baseline that depends on `seed`."""
    draw, counted, idle = random.Random(seed), CountedPlans(plans), 0
    while len(counted.trace) < evaluations and idle < 50 * evaluations:
        plan: OptionSet = frozenset()
        while following := list(plans.compatible(plan)):
            plan |= {draw.choice(following)}
            if draw.random() < 0.25:
                break
        before = len(counted.trace)
        counted(plan)
        idle += before == len(counted.trace)
    return _found(counted)


def count_combinations(plans: PlanSpace) -> int:
    """Number of combinations of options, including those that conflict."""
    return prod(1 + len(slot) for slot in plans.exclusive_options())


def _every(plans: PlanSpace) -> Iterator[OptionSet]:
    for picked in product(*((None, *slot) for slot in plans.exclusive_options())):
        yield frozenset(each for each in picked if each is not None)


def build_order(plans: PlanSpace, plan: OptionSet) -> list[OptionSet]:
    """The plan built up from the empty one, option by option, the largest gain first."""
    steps: list[OptionSet] = [frozenset()]
    while len(steps[-1]) < len(plan):
        following = [steps[-1] | {each} for each in plans.options if each in plan - steps[-1]]
        legal = [each for each in following if plans.conflict(each) is None]
        steps.append(min(legal or following, key=plans))
    return steps


def run_search(plans: PlanSpace, method: str) -> SearchResult:
    """Runs one of `METHODS`. Raises `UnknownNameError` for another name.

    >>> run_search(PlanSpace((), ("fp32",), [[]], ()), "greedy").evaluations
    0
    """
    known_name("method", method, METHODS)
    return {"beam": beam, "greedy": greedy, "exhaustive": exhaustive}[method](plans)
