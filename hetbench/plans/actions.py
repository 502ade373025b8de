"""The twelve actions of KG-A2O (knowledge-graph-guided adaptive operator optimisation).

Each states what it does, which operators it applies to, whether outputs may change, and how its gain is predicted or
why it cannot be. A gain is a difference of two surrogate answers or arithmetic on the operator graph
(`hetbench.plans.action_effects`); this table holds no gains.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hetbench.errors import UnknownNameError
from hetbench.mappings import ReadOnly
from hetbench.operators import operator_type

__all__ = ["ACTIONS", "MODEL", "Action", "Option", "action"]

MODEL = "model"
"""Group name of an action that is applied to all operators at once."""
_MATRIX = ("gemm", "conv")
_WORKING = ("gemm", "conv", "attention", "vector")


@dataclass(frozen=True, slots=True)
class Action:
    """A kind of optimisation."""

    name: str
    does: str
    classes: tuple[str, ...]
    """Cost classes of the operator types it can be applied to; empty: only to the whole model."""
    changes_results: bool
    """Whether the model's outputs may change by more than the rounding of reordered additions."""
    rule: str | None
    """How its gain is predicted; None if it cannot be, for the reason in `masked`."""
    masked: str | None = None

    def applies(self, group: str) -> bool:
        """Whether the action can be applied to a group: an operator type or `MODEL`.

        >>> ACTIONS["matrix-unit"].applies("Linear"), ACTIONS["matrix-unit"].applies("GELU")
        (True, False)
        """
        return group == MODEL or operator_type(group).cost_class in self.classes


@dataclass(frozen=True, slots=True, order=True)
class Option:
    """An action on a group of operators; `choice` is its setting if it has several, such as `fp16`."""

    action: str
    group: str
    choice: str = ""

    def __str__(self) -> str:
        return f"{self.action} {self.group}" + (f" -> {self.choice}" if self.choice else "")


_TABLE = (
    Action("matrix-unit", "runs fp32 matrix products on the matrix units with inputs rounded to tf32", _MATRIX, True,
           "the same query in tf32, split over the groups by the operator surrogate"),
    Action("operator-fusion", "computes an element-wise operator inside the producer of its input", ("vector",), False,
           "memory traffic of the intermediate tensor at the chip's bandwidth plus one launch, at most its own time"),
    Action("layout", "stores images with channels last (NHWC)", ("conv",), False,
           "operator surrogate trained on both layouts on the chip; else whole models measured in both layouts"),
    Action("precision", "computes in fp16, bf16, int8 or fp8", _WORKING, True,
           "the same query in the other precision, split over the groups by the operator surrogate; tensors that cross "
           "to another precision are cast"),
    Action("flash-attention", "computes attention in one operator that never stores the scores", ("gemm",), False,
           "operator surrogate: Attention against BMM + Softmax + BMM of the same sizes"),
    Action("auto-tuning", "uses the kernel library that is fastest for the operators", _MATRIX, False,
           "operator surrogate trained on two libraries on the chip in the same protocol and layout"),
    Action("memory-pooling", "allocates tensors from a memory pool", (), False, None,
           "no published measurement compares a run with and without a memory pool"),
    Action("stream-pipelining", "runs operators on several streams or overlaps copies with compute", (), False, None,
           "no published measurement compares a model on one stream and on several"),
    Action("graph-optimisation", "compiles the whole graph instead of launching operators eagerly", (), False,
           "the same query under a compiling stack, if both stacks were measured on the chip or else on its family"),
    Action("quantisation-aware", "trains the model with simulated int8 rounding", _MATRIX, True, None,
           "its latency is that of int8, see `precision`; no published measurement shows its effect on accuracy"),
    Action("sparsity", "skips products with zero weights", _MATRIX, True, None,
           "no published measurement compares a model dense and sparse on the same stack"),
    Action("custom-kernel", "replaces operators with a hand-written kernel", _WORKING, False, None,
           "a kernel that does not exist yet has no measurement; the roofline efficiency in `explain` bounds its "
           "possible gain"),
)  # fmt: skip

ACTIONS: Mapping[str, Action] = ReadOnly({each.name: each for each in _TABLE})


def action(name: str) -> Action:
    """The action called `name`. Raises `UnknownNameError`, which lists all twelve.

    >>> action("precision").changes_results
    True
    """
    if name not in ACTIONS:
        raise UnknownNameError("action", str(name), ACTIONS)
    return ACTIONS[name]
