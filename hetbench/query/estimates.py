"""Latency with its interval for one call or for many at once, and how two of them are combined."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from hetbench.predict.figures import Figures, exp, larger, log, picked, smaller

__all__ = ["Estimate", "at_least", "at_most", "blend", "either"]


class Estimate(NamedTuple):
    """Latency in ms: floats and a level, or arrays [calls] of them."""

    value: Figures
    lower: Figures
    upper: Figures
    level: Any

    def moved(self, value: Figures) -> Estimate:
        """Another value, its interval in proportion."""
        factor = value / self.value
        return Estimate(value, self.lower * factor, self.upper * factor, self.level)

    def arrays(self) -> Estimate:
        """The estimate as arrays [calls], of one call where these are floats.

        >>> Estimate(2.0, 1.0, 4.0, "C").arrays().value
        array([2.])
        """
        return Estimate(*map(np.atleast_1d, self))

    def single(self) -> Estimate:
        """The first call as floats.

        >>> Estimate(2.0, 1.0, 4.0, "C").arrays().single()
        Estimate(value=2.0, lower=1.0, upper=4.0, level='C')
        """
        return Estimate(*(each[0].item() for each in self.arrays()))


def at_least(found: Estimate, other: Estimate) -> Estimate:
    """The estimate, moved up to another where that is slower."""
    return found.moved(larger(found.value, other.value))


def at_most(found: Estimate, other: Estimate) -> Estimate:
    """The estimate, moved down to another where that is faster."""
    return found.moved(smaller(found.value, other.value))


def either(chosen: Any, one: Estimate, other: Estimate) -> Estimate:
    """The first estimate for the calls that are chosen, a bool or booleans [calls], the other for the rest."""
    if isinstance(chosen, bool):
        return one if chosen else other
    return Estimate(*(picked(chosen, mine, its) for mine, its in zip(one, other, strict=True)))


def blend(whole: Estimate, summed: Estimate, share: float) -> Estimate:
    """Geometric mean of both by the share of whole models; the level is the better one, since both are evidence."""
    pairs = zip(whole[:3], summed[:3], strict=True)
    value, lower, upper = (exp(share * log(mine) + (1 - share) * log(its)) for mine, its in pairs)
    return Estimate(value, lower, upper, picked(whole.level < summed.level, whole.level, summed.level))
