"""KG-A2O: which changes make a model faster on a chip, as an ordered plan with the predicted gain of every step.

`advice` builds a `Plan`: `action_effects` predicts what each action gains, `search` picks the options.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hetbench.plugins import lazy_exports

if TYPE_CHECKING:
    from hetbench.plans.action_effects import build_plan_space
    from hetbench.plans.actions import ACTIONS, Action, Option, action
    from hetbench.plans.advice import MaskedAction, Plan, Step, advise
    from hetbench.plans.plan_space import PlanSpace

__all__ = ["ACTIONS", "Action", "MaskedAction", "Option", "Plan", "PlanSpace", "Step", "action", "advise",
           "build_plan_space"]  # fmt: skip

__getattr__ = lazy_exports(
    __name__,
    {
        "action_effects": "build_plan_space",
        "actions": "ACTIONS Action Option action",
        "advice": "MaskedAction Plan Step advise",
        "plan_space": "PlanSpace",
    },
)
