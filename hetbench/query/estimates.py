"""Latency with its interval for many calls at once, and how two of them are combined."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Estimate", "at_least", "at_most", "blend", "either"]

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Estimate:
    """Latency in ms of calls, [calls] each."""

    value: Array
    lower: Array
    upper: Array
    level: NDArray[np.str_]

    def moved(self, value: Array) -> Estimate:
        """Another value, its interval in proportion."""
        factor = value / self.value
        return replace(self, value=value, lower=self.lower * factor, upper=self.upper * factor)


def at_least(found: Estimate, other: Estimate) -> Estimate:
    """The estimate, moved up to another where that is slower."""
    return found.moved(np.maximum(found.value, other.value))


def at_most(found: Estimate, other: Estimate) -> Estimate:
    """The estimate, moved down to another where that is faster."""
    return found.moved(np.minimum(found.value, other.value))


def either(chosen: Array, one: Estimate, other: Estimate) -> Estimate:
    """The first estimate for the calls that are chosen, [calls], the other for the rest."""
    names = ("value", "lower", "upper", "level")
    return Estimate(*(np.where(chosen, getattr(one, name), getattr(other, name)) for name in names))


def blend(whole: Estimate, summed: Estimate, share: float) -> Estimate:
    """Geometric mean of both by the share of whole models; the level is the better one, since both are evidence."""

    def mean(name: str) -> Array:
        found: Array = np.exp(share * np.log(getattr(whole, name)) + (1 - share) * np.log(getattr(summed, name)))
        return found

    level = np.where(whole.level < summed.level, whole.level, summed.level)
    return Estimate(mean("value"), mean("lower"), mean("upper"), level)
