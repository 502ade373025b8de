"""Estimates of many calls at once, and how they are moved: blended, bounded by one another, chosen row by row."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Estimate", "at_least", "at_most", "blend", "where"]

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
    """`found`, never faster than `other`.

    >>> one, two = (Estimate(np.array([ms]), np.array([ms / 2]), np.array([2 * ms]), np.array(["C"])) for ms in (1, 2))
    >>> at_least(one, two).upper.tolist(), at_most(two, one).lower.tolist()
    ([4.0], [0.5])
    """
    return found.moved(np.maximum(found.value, other.value))


def at_most(found: Estimate, other: Estimate) -> Estimate:
    """`found`, never slower than `other`."""
    return found.moved(np.minimum(found.value, other.value))


def where(chosen: Array, one: Estimate, other: Estimate) -> Estimate:
    """`one` where `chosen` [calls] is true, else `other`."""
    names = ("value", "lower", "upper", "level")
    return Estimate(*(np.where(chosen, getattr(one, name), getattr(other, name)) for name in names))


def blend(whole: Estimate, summed: Estimate, share: float) -> Estimate:
    """Geometric mean of both by the share of whole models; the level is the better one, since both are evidence."""
    def mean(name: str) -> Array:
        found: Array = np.exp(share * np.log(getattr(whole, name)) + (1 - share) * np.log(getattr(summed, name)))
        return found

    level = np.where(whole.level < summed.level, whole.level, summed.level)
    return Estimate(mean("value"), mean("lower"), mean("upper"), level)
