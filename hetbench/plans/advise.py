"""What to change in how a model runs on a chip: an ordered plan with the expected gain of every step, and what was
left out with the reason.

The plan starts from the answer that `query` gives; every gain is a difference of predicted latencies. A step's interval
takes both latencies at the same end of their intervals, since the errors of one surrogate on one chip mostly have one
sign; at opposite ends where the effect is of level D, known from other chips only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from hetbench.answers import Answer, digits
from hetbench.attribution import RooflinePoint, combined, roofline_points
from hetbench.errors import InvalidInputError
from hetbench.graphs.model_graph import ModelGraph
from hetbench.plans.actions import ACTIONS, MODEL, Option
from hetbench.plans.effects import effects
from hetbench.plans.plan import Chosen, Ends, Mask, Plans
from hetbench.plans.search import ordered, searched
from hetbench.query import Question

__all__ = ["Masked", "Plan", "Step", "advise"]

_WORTH = 1e-3
"""Of the start: steps that gain less are left out."""
_SAFE = "may change results, and --accuracy-safe leaves those as they are"


@dataclass(frozen=True, slots=True)
class Step:
    """One option of a plan, after those before it."""

    action: str
    group: str
    """Operator type, or `model`."""
    choice: str
    gain_ms: float
    """Expected; negative for a step that pays only with a later one."""
    gain_percent: float
    """Of the latency that the plan starts from."""
    lower_ms: float
    upper_ms: float
    """Least and most gain within the intervals of the two latencies: see the head of this file."""
    level: str
    """Evidence level of the weakest answer behind the gain."""
    measured: int
    """Operators of the types it touches that were measured on chips of the family, as the knowledge graph knows, and
    rows that taught the head of the chip alone."""
    reason: str
    changes_results: bool

    def __str__(self) -> str:
        name = f"{self.action} {self.group}" + (f" -> {self.choice}" if self.choice else "")
        within = f"[{self.lower_ms:+.3g}, {self.upper_ms:+.3g}]"
        return (f"{name}: {self.gain_ms:+.3g} ms {within}, {self.gain_percent:+.1f} %, level {self.level}, "
                f"{self.measured:,} measured: {self.reason}")


@dataclass(frozen=True, slots=True)
class Masked:
    """An action that was not considered on some groups."""

    action: str
    groups: tuple[str, ...]
    choice: str
    reason: str

    def __str__(self) -> str:
        where = "" if self.groups == (MODEL,) else f" of {', '.join(self.groups)}"
        return f"{self.action}{where}{f' -> {self.choice}' if self.choice else ''}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do, in order. Latencies in ms."""

    model: str
    start: Answer
    """The answer to the empty plan."""
    ms: float
    """Predicted with all steps taken."""
    lower_ms: float
    upper_ms: float
    level: str
    """The weakest of the start and the steps."""
    steps: tuple[Step, ...]
    masked: tuple[Masked, ...]
    accuracy_safe: bool
    method: str
    evaluations: int
    """Plans whose latency was predicted."""
    notes: tuple[str, ...]

    @property
    def gain_ms(self) -> float:
        """What the steps sum to."""
        return self.start.value - self.ms

    @property
    def speedup(self) -> float:
        """Start over planned."""
        return self.start.value / self.ms

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> list[str]:
        """The readable form."""
        safe, start = ", accuracy-safe" if self.accuracy_safe else "", self.start
        within = f"[{digits(self.lower_ms)}, {digits(self.upper_ms)} at {100 * start.interval_level:g} %]"
        lines = [f"{self.model} on {start.chip}: {digits(start.value)} ms ({start.stack}, {start.precision}) -> "
                 f"{digits(self.ms)} ms {within}, {self.speedup:.2f} x faster, level {self.level}{safe}"]
        lines += [f"  {number}. {each}" for number, each in enumerate(self.steps, 1)]
        if not self.steps:
            lines.append("  nothing that the evidence supports makes it faster")
        return lines + [f"  masked: {each}" for each in self.masked] + [f"  note: {each}" for each in self.notes]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        names = ("model", "ms", "lower_ms", "upper_ms", "level", "gain_ms", "speedup", "accuracy_safe", "method",
                 "evaluations")  # fmt: skip
        return {name: getattr(self, name) for name in names} | {
            "start": self.start.to_dict(), "steps": [asdict(each) for each in self.steps],
            "masked": [asdict(each) | {"groups": list(each.groups)} for each in self.masked],
            "notes": list(self.notes),
        }  # fmt: skip


def advise(
    graph: ModelGraph, question: Question, answer: Answer, *, accuracy_safe: bool = False, method: str = "beam",
    predictor: str = "auto",
) -> Plan:  # fmt: skip
    """The best plan that `method` of `hetbench.plans.search` finds for a question with its answer.

    Raises `RefusedError` for a network without a data flow, `UnknownNameError` for another method.

    >>> from hetbench import HetBench
    >>> plan = HetBench().advise("gpt2", "cann", accuracy_safe=True)
    >>> abs(plan.gain_ms - sum(each.gain_ms for each in plan.steps)) < 1e-9, {each.action for each in plan.steps}
    (True, {'operator-fusion'})
    """
    plans = effects(graph, question, answer, predictor)
    if accuracy_safe:
        plans = plans.limited(lambda each: not ACTIONS[each.action].changes_results, _SAFE)
    found = searched(plans, method)
    chosen = _worthwhile(plans, found.plan)
    value, lower, upper = plans.ends(chosen)
    return Plan(
        graph.name, answer, value, lower, upper, plans.level_of(chosen),
        _steps(plans, chosen, question, graph, predictor), _gathered(plans.masked), accuracy_safe, method,
        found.evaluations, (*answer.notes, *_notes(answer)),
    )  # fmt: skip


def _worthwhile(plans: Plans, plan: Chosen) -> Chosen:
    """The plan without what it is hardly slower without, the least first."""
    worth = _WORTH * plans(frozenset())
    while plan:
        legal = [plan - {each} for each in sorted(plan) if plans.problem(plan - {each}) is None]
        best = min(legal, key=plans, default=plan)
        if plans(best) - plans(plan) >= worth or best == plan:
            break
        plan = best
    return plan


def _notes(answer: Answer) -> tuple[str, ...]:
    if answer.protocol == "wall":
        return ("the latency is of whole models; how it is shared over operators is less sure than their sum",)
    return ()


def _steps(
    plans: Plans, plan: Chosen, question: Question, graph: ModelGraph, predictor: str
) -> tuple[Step, ...]:
    if not plan:
        return ()
    start, steps = plans(frozenset()), []
    groups = _benches(plans, question, graph, predictor)
    built = ordered(plans, plan)
    for before, after in pairwise(built):
        (option,) = after - before
        ends = _gain(plans.ends(before), plans.ends(after), plans.levels[option])
        touched = plans.groups if option.group == MODEL else (option.group,)
        steps.append(Step(
            option.action, option.group, option.choice, ends[0], 100.0 * ends[0] / start, ends[1], ends[2],
            plans.levels[option], sum(plans.measured[name] for name in touched), _reason(plans, option, groups),
            ACTIONS[option.action].changes_results,
        ))  # fmt: skip
    return tuple(steps)


def _gain(before: Ends, after: Ends, level: str) -> Ends:
    """Value, least and most."""
    other = (0, 2, 1) if level == "D" else (0, 1, 2)
    value, *both = (one - after[end] for one, end in zip(before, other, strict=True))
    return value, min(value, *both), max(value, *both)


def _benches(plans: Plans, question: Question, graph: ModelGraph, predictor: str) -> Mapping[str, RooflinePoint]:
    """Each group, and the model, under the roof at the start: every operator launched by itself."""
    if question.chip is None:
        raise InvalidInputError("advice is for a chip: name one with target=.")
    table = graph.operators(*question.sizes)
    counts = {(row["op"], row["dtype"], tuple(sorted(row["dims"].items()))): row["count"] for row in table.rows()}
    found = roofline_points(table, question.chip, question.surrogate, predictor)
    by_group: dict[str, list[RooflinePoint]] = {}
    for key, each in found.items():
        by_group.setdefault(key[0], []).append(each.times(counts[key]))
    every = [each for those in by_group.values() for each in those]
    return {name: combined(those) for name, those in by_group.items()} | {MODEL: combined(every)}


def _reason(plans: Plans, option: Option, groups: Mapping[str, RooflinePoint]) -> str:
    bench = groups.get(option.group)
    under = f"{bench.bound}-bound, {digits(bench.roofs)} x its roof; " if bench is not None else ""
    return under + plans.why[option]


def _gathered(masks: tuple[Mask, ...]) -> tuple[Masked, ...]:
    """Masks with one action, choice and reason together, in the order of the table of actions."""
    table: dict[tuple[str, str, str], list[str]] = {}
    for each in masks:
        key = each.option.action, each.option.choice, each.reason
        table.setdefault(key, []).append(each.option.group)
    names = list(ACTIONS)
    found = (Masked(action, tuple(groups), choice, reason) for (action, choice, reason), groups in table.items())
    return tuple(sorted(found, key=lambda each: names.index(each.action)))
