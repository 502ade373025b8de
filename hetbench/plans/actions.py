"""The twelve actions of KG-A2O, knowledge-graph-guided adaptive operator optimisation: what each does, to which
operators it applies, whether results may change, and by which rule its effect is predicted, or why it never is.

A rule is a difference of two answers of the surrogates, or exact physics on the operator graph
(`hetbench.plans.action_effects`). No gain stands in this table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from hetbench.errors import UnknownNameError
from hetbench.operators import operator_type

__all__ = ["ACTIONS", "MODEL", "Action", "Option", "action"]

MODEL = "model"
"""The group of an action that is taken on all operators at once."""
_MATRIX = ("gemm", "conv")
_WORKING = ("gemm", "conv", "attention", "vector")


@dataclass(frozen=True, slots=True)
class Action:
    """One kind of optimisation."""

    name: str
    does: str
    classes: tuple[str, ...]
    """Cost classes of the operator types whose groups it can be taken on; empty: on the whole model only."""
    changes_results: bool
    """Whether the model's outputs may change beyond the order of additions."""
    rule: str | None
    """How its effect is predicted; None: never, for the reason in `masked`."""
    masked: str | None = None

    def applies(self, group: str) -> bool:
        """Whether it can be taken on a group: an operator type, or `MODEL`.

        >>> ACTIONS["matrix-unit"].applies("Linear"), ACTIONS["matrix-unit"].applies("GELU")
        (True, False)
        """
        return group == MODEL or operator_type(group).cost_class in self.classes


@dataclass(frozen=True, slots=True, order=True)
class Option:
    """An action on a group; `choice` is what it is set to where there are several."""

    action: str
    group: str
    choice: str = ""

    def __str__(self) -> str:
        return f"{self.action} {self.group}" + (f" -> {self.choice}" if self.choice else "")


_TABLE = (
    Action("matrix-unit", "runs fp32 products on the matrix units, inputs rounded to tf32", _MATRIX, True,
           "the same query in tf32, shared over the groups by the operator surrogate"),
    Action("operator-fusion", "computes an element-wise operator inside the operator that it reads from", ("vector",),
           False, "bytes of the tensor between them at the chip's bandwidth, and one launch floor, at most its time"),
    Action("layout", "keeps images with channels last (NHWC)", ("conv",), False,
           "the operator surrogate taught both layouts on the chip, else whole models of the family timed in both"),
    Action("precision", "computes in fp16, bf16, int8 or fp8", _WORKING, True,
           "the same query in the other precision, shared over the groups by the operator surrogate; what crosses to "
           "another precision is cast"),
    Action("flash-attention", "computes attention in one operator that never stores the scores", ("gemm",), False,
           "operator surrogate: Attention against BMM + Softmax + BMM of the same sizes"),
    Action("auto-tuning", "takes the kernels of the library that is fastest for the operators", _MATRIX, False,
           "the operator surrogate taught two libraries on the chip under one protocol and layout"),
    Action("memory-pooling", "serves tensors from a pool of memory", (), False, None,
           "no published pair shows the same run with and without a pool"),
    Action("stream-pipelining", "runs operators on several streams, or copies while computing", (), False, None,
           "no published pair shows the same model on one stream and on several"),
    Action("graph-optimisation", "compiles the whole graph instead of launching eagerly", (), False,
           "the same query under a compiling stack; both stacks taught on the chip, else both on its family"),
    Action("quantisation-aware", "trains the model with the rounding of int8", _MATRIX, True, None,
           "its latency is int8's, which `precision` holds; no published pair shows what it adds, the accuracy"),
    Action("sparsity", "leaves out products with zero weights", _MATRIX, True, None,
           "no published pair shows the same model and stack dense and sparse"),
    Action("custom-kernel", "replaces operators by a kernel written for them", _WORKING, False, None,
           "no published pair shows an operator with a kernel that is not yet written; the distance to the roof in "
           "`explain` bounds what one could gain"),
)  # fmt: skip

ACTIONS: Mapping[str, Action] = MappingProxyType({each.name: each for each in _TABLE})


def action(name: str) -> Action:
    """The action called `name`; `UnknownNameError` lists the twelve.

    >>> action("precision").changes_results
    True
    """
    if name not in ACTIONS:
        raise UnknownNameError("action", str(name), ACTIONS)
    return ACTIONS[name]
