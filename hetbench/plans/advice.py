"""An optimisation plan: ordered changes to how a model runs on a chip, with the predicted gain of every step.

The plan starts from the answer of `query`; every gain is a difference of two predicted latencies. The interval of a
gain subtracts equal ends of both latencies' intervals, because the errors of one surrogate on one chip are positively
correlated. At evidence level D, where the effect is known from other chips only, it subtracts opposite ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from hetbench.answers import LEVEL_TEXTS, Answer, digits
from hetbench.attribution import RooflinePoint, combined, roofline_points
from hetbench.checks import yes_or_no
from hetbench.display import Level, Range, Tabular, View
from hetbench.errors import InvalidInputError
from hetbench.graphs import ModelGraph
from hetbench.plans.action_effects import build_plan_space
from hetbench.plans.actions import ACTIONS, MODEL, Option
from hetbench.plans.plan_space import Estimate, MaskedOption, OptionSet, PlanSpace
from hetbench.plans.search import build_order, run_search
from hetbench.query import Question
from hetbench.training import TRAINING

__all__ = ["MaskedAction", "Plan", "Step", "advise"]

_WORTH = 1e-3
"""Steps that gain a smaller share of the start latency are dropped."""
_SAFE = "may change the model's outputs, which --accuracy-safe excludes"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a plan, applied after the steps before it."""

    action: str
    group: str
    """Operator type, or `model`."""
    choice: str
    gain_ms: float
    """Predicted; negative for a step that pays off only with a later one."""
    gain_percent: float
    """In percent of the latency that the plan starts from."""
    lower_ms: float
    upper_ms: float
    """Smallest and largest gain within the intervals of the two latencies: see the docstring of this module."""
    level: str
    """Evidence level of the weakest answer that the gain is computed from."""
    measured: int
    """Measured operators of the affected types on the chip family, plus the rows that trained the chip's own head."""
    reason: str
    changes_results: bool

    def __str__(self) -> str:
        name = f"{self.action} {self.group}" + (f" -> {self.choice}" if self.choice else "")
        within = f"[{self.lower_ms:+.3g}, {self.upper_ms:+.3g}]"
        return (f"{name}: {self.gain_ms:+.3g} ms {within}, {self.gain_percent:+.1f} %, level {self.level}, "
                f"{self.measured:,} measured operators: {self.reason}")


@dataclass(frozen=True, slots=True)
class MaskedAction:
    """An action that was excluded for some groups, with the reason."""

    action: str
    groups: tuple[str, ...]
    choice: str
    reason: str

    def __str__(self) -> str:
        where = "" if self.groups == (MODEL,) else f" of {', '.join(self.groups)}"
        return f"{self.action}{where}{f' -> {self.choice}' if self.choice else ''}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Plan(Tabular):
    """Ordered steps and the latency they lead to. Latencies are in ms."""

    model: str
    start: Answer
    """The answer that the plan starts from."""
    ms: float
    """Predicted latency after all steps."""
    lower_ms: float
    upper_ms: float
    level: str
    """Weakest evidence level of the start and the steps."""
    steps: tuple[Step, ...]
    masked: tuple[MaskedAction, ...]
    accuracy_safe: bool
    method: str
    evaluations: int
    """Number of plans whose latency the search predicted."""
    notes: tuple[str, ...]

    @property
    def gain_ms(self) -> float:
        """Start latency minus planned latency: the sum of the steps' gains."""
        return self.start.value - self.ms

    @property
    def speedup(self) -> float:
        """Start latency divided by planned latency."""
        return self.start.value / self.ms

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> list[str]:
        """The plan as lines of text."""
        safe, start = ", accuracy-safe" if self.accuracy_safe else "", self.start
        within = f"[{digits(self.lower_ms)}, {digits(self.upper_ms)} at {100 * start.interval_level:g} %]"
        lines = [f"{self.model} on {start.chip}: {digits(start.value)} ms ({start.stack}, {start.precision}) -> "
                 f"{digits(self.ms)} ms {within}, speed-up {self.speedup:.2f} x, level {self.level}{safe}"]
        lines += [f"  {number}. {each}" for number, each in enumerate(self.steps, 1)]
        if not self.steps:
            lines.append("  no supported action reduces the latency")
        return lines + [f"  excluded: {each}" for each in self.masked] + [f"  note: {each}" for each in self.notes]

    def records(self) -> list[dict[str, Any]]:
        """One row a step, in the order of application."""
        return [{"step": number, **asdict(each)} for number, each in enumerate(self.steps, start=1)]

    def view(self) -> View:
        """One row a step with its gain; the excluded actions among the notes."""
        rows = tuple(
            (
                f"{number}. {each.action} {each.group} {each.choice}".rstrip(),
                Range(each.gain_ms, "ms", each.lower_ms, each.upper_ms), Level(each.level, LEVEL_TEXTS[each.level]),
                f"{each.gain_percent:+.1f} %", each.reason,
            )
            for number, each in enumerate(self.steps, start=1)
        )  # fmt: skip
        excluded = (f"excluded: {each}" for each in self.masked)
        columns = ("step", "gain", "evidence", "of the start", "reason")
        return View(self.lines()[0], columns, rows, (*excluded, *self.notes))

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
    """The best plan that a search finds for a question.

    `answer` is the latency answer to `question` and the start of the plan; `method` is one of
    `hetbench.plans.search.METHODS`; `accuracy_safe` excludes actions that may change the model's outputs. Raises
    `RefusedError` for a network without data flow and `UnknownNameError` for an unknown method.

    >>> from hetbench import HetBench
    >>> plan = HetBench().advise("gpt2", "cann", accuracy_safe=True)
    >>> abs(plan.gain_ms - sum(each.gain_ms for each in plan.steps)) < 1e-9, {each.action for each in plan.steps}
    (True, {'operator-fusion'})
    """
    if question.phase == TRAINING:
        raise InvalidInputError("plans change how a model runs inference; leave out phase='training'.")
    plans = build_plan_space(graph, question, answer, predictor)
    if yes_or_no("accuracy_safe", accuracy_safe):
        plans = plans.without(lambda each: not ACTIONS[each.action].changes_results, _SAFE)
    found = run_search(plans, method)
    chosen = _worthwhile(plans, found.plan)
    value, lower, upper = plans.estimate(chosen)
    return Plan(
        graph.name, answer, value, lower, upper, plans.level_of(chosen),
        _steps(plans, chosen, question, graph, predictor), _gathered(plans.masked), accuracy_safe, method,
        found.evaluations, (*answer.notes, *_notes(answer)),
    )  # fmt: skip


def _worthwhile(plans: PlanSpace, plan: OptionSet) -> OptionSet:
    """The plan without options that gain less than `_WORTH` of the start latency, the smallest gains removed first."""
    worth = _WORTH * plans(frozenset())
    while plan:
        legal = [plan - {each} for each in sorted(plan) if plans.conflict(plan - {each}) is None]
        best = min(legal, key=plans, default=plan)
        if plans(best) - plans(plan) >= worth or best == plan:
            break
        plan = best
    return plan


def _notes(answer: Answer) -> tuple[str, ...]:
    if answer.protocol == "wall":
        return ("the latency is predicted for the whole model; its split over operators is less certain",)
    return ()


def _steps(
    plans: PlanSpace, plan: OptionSet, question: Question, graph: ModelGraph, predictor: str
) -> tuple[Step, ...]:
    if not plan:
        return ()
    start, steps = plans(frozenset()), []
    groups = _benches(plans, question, graph, predictor)
    built = build_order(plans, plan)
    for before, after in pairwise(built):
        (option,) = after - before
        ends = _gain(plans.estimate(before), plans.estimate(after), plans.levels[option])
        touched = plans.groups if option.group == MODEL else (option.group,)
        steps.append(Step(
            option.action, option.group, option.choice, ends[0], 100.0 * ends[0] / start, ends[1], ends[2],
            plans.levels[option], sum(plans.measured[name] for name in touched), _reason(plans, option, groups),
            ACTIONS[option.action].changes_results,
        ))  # fmt: skip
    return tuple(steps)


def _gain(before: Estimate, after: Estimate, level: str) -> Estimate:
    """Gain in ms with its lower and upper bound."""
    other = (0, 2, 1) if level == "D" else (0, 1, 2)
    value, *both = (one - after[end] for one, end in zip(before, other, strict=True))
    return value, min(value, *both), max(value, *both)


def _benches(plans: PlanSpace, question: Question, graph: ModelGraph, predictor: str) -> Mapping[str, RooflinePoint]:
    """Roofline efficiency of each group and of the model at the start, every operator launched by itself."""
    if question.chip is None:
        raise InvalidInputError("a plan needs a chip: name one with target=.")
    table = graph.operators(*question.sizes)
    counts = {(row["op"], row["dtype"], tuple(sorted(row["dims"].items()))): row["count"] for row in table.rows()}
    found = roofline_points(table, question.chip, question.surrogate, predictor)
    by_group: dict[str, list[RooflinePoint]] = {}
    for key, each in found.items():
        by_group.setdefault(key[0], []).append(each.times(counts[key]))
    every = [each for those in by_group.values() for each in those]
    return {name: combined(those) for name, those in by_group.items()} | {MODEL: combined(every)}


def _reason(plans: PlanSpace, option: Option, groups: Mapping[str, RooflinePoint]) -> str:
    bench = groups.get(option.group)
    under = f"{bench.bound}-bound, {digits(bench.roofs)} x its roofline; " if bench is not None else ""
    return under + plans.why[option]


def _gathered(masks: tuple[MaskedOption, ...]) -> tuple[MaskedAction, ...]:
    """Excluded options with the same action, choice and reason merged, in the order of `ACTIONS`."""
    table: dict[tuple[str, str, str], list[str]] = {}
    for each in masks:
        key = each.option.action, each.option.choice, each.reason
        table.setdefault(key, []).append(each.option.group)
    names = list(ACTIONS)
    found = (MaskedAction(action, tuple(groups), choice, reason) for (action, choice, reason), groups in table.items())
    return tuple(sorted(found, key=lambda each: names.index(each.action)))
