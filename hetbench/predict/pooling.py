"""Partial pooling of what whole-model surrogates learn: an operator's factor is believed as far as networks teach it.

Labels form levels, from wide to narrow: the stack in a precision, the die under that stack, the chip itself. What a
label adds to the widest level counts by n / (n + k): n is the number of different networks that contain the operator
type under the label, k the number at which the label counts half. An operator type that no network has at all is
answered as operators of its shape are in general.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["LEVELS", "OPERATORS_HALF", "WHOLE_HALF", "Pooled", "effect_of", "label_of", "weights_of"]

LEVELS = {"stacks": 1.0, "dies": 2.0, "cells": 6.0}
"""Level -> number of networks at which what its labels add counts half."""
WHOLE_HALF = 0.25
"""Factor on these numbers for what labels add to whole calls (overhead, usual ratio to the roofline): one network tells
more of a whole call than of each of its operators."""
OPERATORS_HALF = 2.0
"""Number of networks at which what an operator type adds to operators in general counts half."""


@dataclass(frozen=True, slots=True)
class Pooled:
    """What networks read of the labels and operator types of a composition."""

    operators: NDArray[np.int64]
    """Index of each row's type, [rows]; 0 for one never seen."""
    known: NDArray[np.float64]
    """Weight of the type over operators in general, [rows]."""
    weights: NDArray[np.float64]
    """Weight of each level's label, [levels, rows]."""

    @classmethod
    def of(cls, operators: NDArray[np.int64], networks: NDArray[Any], weights: NDArray[np.float64]) -> Pooled:
        """From the number of networks that contain each row's type, [rows]."""
        return cls(operators, networks / (networks + OPERATORS_HALF), weights)


def label_of(chip: str, die: str, stack: str, precision: str) -> tuple[str, str, str]:
    """Labels of the three levels.

    >>> label_of("nvidia-t4", "Turing TU104", "eager", "fp32")
    ('eager|fp32', 'Turing TU104|eager|fp32', 'nvidia-t4|eager|fp32')
    """
    return f"{stack}|{precision}", f"{die}|{stack}|{precision}", f"{chip}|{stack}|{precision}"


def weights_of(evidence: Mapping[str, Mapping[str, int]], label: str, operators: Sequence[str], half: float) -> Any:
    """Weight of a label for each operator type, [rows].

    >>> weights_of({"eager|fp16": {"Linear": 6}}, "eager|fp16", ("Linear", "Pad"), 2.0)
    array([0.75, 0.  ])
    """
    known = evidence.get(label, {})
    networks = np.array([known.get(name, 0) for name in operators], dtype=np.float64)
    return networks / (networks + half)


def effect_of(effects: Mapping[str, float], labels: Sequence[str], believed: Sequence[float]) -> float:
    """The usual log(latency / roofline), each level's own as far as it is believed.

    >>> effect_of({"": 0.0, "eager|fp16": 1.0}, ("eager|fp16", "none"), (0.5, 0.9))
    0.5
    """
    found = effects[""]
    for label, weight in zip(labels, believed, strict=True):
        found += weight * (effects.get(label, found) - found)
    return found
