"""KG-A2O as a Gymnasium environment: one episode builds a plan for one model on one chip, option by option.

The observation, float32 [OBSERVATION]: the summary of the model's operator graph on the chip
(`hetbench.predict.model_features`), the chip's peaks over its fp32 peak, for every group of operators its share of the
time, its place under the roof, what the knowledge graph holds for it and what the plan has set so far, which options
are open, and the budget that is left. Groups are sorted by their share; slots without a group are zeros. No predicted
gain is seen: the policy proposes, the surrogate judges. The reward of a step is the reduction of the predicted latency
over the latency at the start.

    env = MigrationEnv([("bert-base", "cann"), ("resnet-50", "rocm")])
    observation, info = env.reset(seed=0)
    observation, reward, done, _, info = env.step(env.STOP)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from hetbench.attribution import BOUNDS, RooflinePoint, combined, roofline_points
from hetbench.catalog.chips import Chip
from hetbench.catalog.chips import chip as chip_named
from hetbench.errors import InvalidInputError
from hetbench.graphs.model_graph import load
from hetbench.operators import operator_type
from hetbench.plans.action_effects import build_plan_space
from hetbench.plans.actions import ACTIONS, MODEL, Option
from hetbench.plans.operator_evidence import missing_registrations
from hetbench.plans.plan_space import OptionSet, PlanSpace
from hetbench.predict.model_features import SUMMARY, composition
from hetbench.query import Question, answer_metric
from hetbench.schema import ITEMSIZE

__all__ = ["BUDGET", "GROUPS", "KINDS", "OBSERVATION", "MigrationEnv", "Scene", "scene"]

GROUPS = 20
"""Number of slots for operator groups; one more slot is the whole model."""
BUDGET = 12
"""Largest number of options in a plan."""
_CHOICES = {"matrix-unit": ("tf32",), "precision": ("fp16", "bf16", "fp8", "int8")}
KINDS = tuple((name, choice) for name in ACTIONS for choice in _CHOICES.get(name, ("",)))
"""Actions on a slot: the twelve actions, precision once per choice."""
_NARROW = tuple(choice for choices in _CHOICES.values() for choice in choices)
_CLASSES = ("gemm", "conv", "attention", "vector")
_STATIC = 4 + len(BOUNDS) + len(_CLASSES)
_SLOT = _STATIC + 2 + len(KINDS)
OBSERVATION = len(SUMMARY) + len(_NARROW) + GROUPS * _SLOT + len(KINDS) + 1

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Scene:
    """A model on a chip: its plan space and the constant part of the observation."""

    plans: PlanSpace
    order: tuple[str, ...]
    """Group of each slot, sorted by share of the time."""
    seen: Floats
    """Summary and peaks."""
    static: Floats
    """[GROUPS, static columns]."""
    option: Mapping[int, Option]
    """Action number -> option."""


@lru_cache(maxsize=512)
def scene(model: str, target: str) -> Scene:
    """The scene of a catalogue model in fp32 on a chip or a family's default chip."""
    graph, chip = load(model), chip_named(target)
    question = Question.build(graph, chip, {"precision": "fp32"})
    plans = build_plan_space(graph, question, answer_metric(question, graph, "latency"))
    parts = plans.group_ms(frozenset())
    order = tuple(sorted(plans.groups, key=lambda name: -parts[name])[:GROUPS])
    table = graph.operators(*question.sizes)
    summary = composition([(1.0, table)], chip).summary()
    peaks = [(chip.peak_flops(name) or 0) / (chip.peak_flops("fp32") or np.inf) for name in _NARROW]
    seen = np.concatenate((summary / 10, np.log2(1 + np.array(peaks)))).astype(np.float32)
    counts = {(row["op"], row["dtype"], tuple(sorted(row["dims"].items()))): row["count"] for row in table.rows()}
    by_group: dict[str, list[RooflinePoint]] = {}
    for key, each in roofline_points(table, chip).items():
        by_group.setdefault(key[0], []).append(each.times(counts[key]))
    static = np.zeros((GROUPS, _STATIC), dtype=np.float32)
    for at, name in enumerate(order):
        share = parts[name] / sum(parts.values())
        static[at] = _static(name, share, combined(by_group[name]), chip, plans.measured[name])
    numbers = {name: at for at, name in enumerate((*order, *[""] * (GROUPS - len(order)), MODEL)) if name}
    kinds = {kind: at for at, kind in enumerate(KINDS)}
    option = {
        numbers[each.group] * len(KINDS) + kinds[each.action, each.choice]: each
        for each in plans.options if each.group in numbers
    }  # fmt: skip
    return Scene(plans, order, seen, static, option)


def _static(name: str, share: float, bench: RooflinePoint, chip: Chip, known: int) -> list[float]:
    """Share of the time, distance to the roofline, measured operators, support; bound and cost class one-hot."""
    roofs = np.log2(max(bench.roofs, 1.0)) / 10 if bench.roof_ms else 1.0
    rows = np.log2(1 + known) / 16
    kind = operator_type(name).cost_class
    supported = float(not missing_registrations(name, chip))
    one_hots = (*(bench.bound == each for each in BOUNDS), *(kind == each for each in _CLASSES))
    return [share, min(roofs, 2.0), rows, supported, *map(float, one_hots)]


class MigrationEnv(gymnasium.Env[Floats, int]):
    """Builds plans for tasks. A task is a catalogue model on a chip.

    An episode is one task, drawn with the seed of `reset` or chosen by `reset(options={"task": number})`. An action
    that the mask excludes changes nothing.
    """

    STOP = (GROUPS + 1) * len(KINDS)
    """Number of the action that ends the plan."""
    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012 - as Gymnasium declares it

    def __init__(self, tasks: Sequence[tuple[str, str]], budget: int = BUDGET, accuracy_safe: bool = False) -> None:
        if not tasks or budget < 1:
            raise InvalidInputError(
                f"a task and a budget of 1 or more are required; given: {len(tasks)} tasks, budget={budget!r}."
            )
        self.tasks, self.budget, self.accuracy_safe = tuple(tasks), budget, accuracy_safe
        self.action_space = gymnasium.spaces.Discrete(self.STOP + 1)  # type: ignore[assignment]
        self.observation_space = gymnasium.spaces.Box(-20.0, 20.0, (OBSERVATION,), np.float32)
        self.scene = scene(*self.tasks[0])
        self.plan: OptionSet = frozenset()
        self.left = budget

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Floats, dict[str, Any]]:
        """Begin an empty plan."""
        super().reset(seed=seed)
        number = (options or {}).get("task")
        task = self.tasks[int(self.np_random.integers(len(self.tasks))) if number is None else number]
        self.scene, self.plan, self.left = scene(*task), frozenset(), self.budget
        self._ms = self._start = self.scene.plans(self.plan)
        return self._observed(), {"task": task, "start_ms": self._start}

    def step(self, action: int) -> tuple[Floats, float, bool, bool, dict[str, Any]]:
        """Add an option to the plan, or end it."""
        before, legal = self._ms, bool(self.action_masks()[action])
        if legal and action != self.STOP:
            self.plan |= {self.scene.option[int(action)]}
            self._ms = self.scene.plans(self.plan)
        self.left -= 1
        done = action == self.STOP or self.left == 0 or not self.action_masks()[: self.STOP].any()
        info = {"ms": self._ms, "plan": self.plan, "legal": legal}
        return self._observed(), (before - self._ms) / self._start, bool(done), False, info

    def action_masks(self) -> NDArray[np.bool_]:
        """Mask of valid actions, [actions]; stopping is always valid."""
        found = np.zeros(self.STOP + 1, dtype=np.bool_)
        found[self.STOP] = True
        plans = self.scene.plans
        for number, each in self.scene.option.items():
            if each in self.plan or (self.accuracy_safe and ACTIONS[each.action].changes_results):
                continue
            found[number] = plans.conflict(self.plan | {each}) is None
        return found

    def _observed(self) -> Floats:
        plans, masks = self.scene.plans, self.action_masks()[: self.STOP].reshape(GROUPS + 1, len(KINDS))
        slots = np.zeros((GROUPS, _SLOT), dtype=np.float32)
        slots[:, :_STATIC] = self.scene.static
        place = dict(zip(plans.groups, plans.precision_indices(self.plan), strict=True))
        fused = {each.group for each in self.plan if each.action == "operator-fusion"}
        for at, name in enumerate(self.scene.order):
            slots[at, _STATIC] = ITEMSIZE[plans.precisions[place[name]]] / 4
            slots[at, _STATIC + 1] = name in fused
        slots[:, _STATIC + 2 :] = masks[:GROUPS]
        rest = [*masks[GROUPS].astype(np.float32), self.left / self.budget]
        made = np.concatenate((self.scene.seen, slots.ravel(), rest)).astype(np.float32)
        return np.clip(made, -20.0, 20.0)
