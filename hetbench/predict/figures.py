"""Arithmetic on the figures of one call, floats, or of many calls, arrays [calls]: one rule serves both.

Operations of numpy on an array of one value cost many times what the same costs on a float.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Figures", "every", "exp", "hypot", "larger", "log", "picked", "smaller"]

Figures = Any
"""A float, or an array [calls]."""


def larger(one: Figures, other: Figures) -> Figures:
    """The larger of two figures, NaN where either is.

    >>> larger(1.0, 2.0), larger(np.array([1.0, 3.0]), 2.0).tolist()
    (2.0, [2.0, 3.0])
    """
    if type(one) is float and type(other) is float:
        return one if one >= other or one != one else other
    return np.maximum(one, other)


def smaller(one: Figures, other: Figures) -> Figures:
    """The smaller of two figures, NaN where either is.

    >>> smaller(1.0, 2.0)
    1.0
    """
    if type(one) is float and type(other) is float:
        return one if one <= other or one != one else other
    return np.minimum(one, other)


def log(value: Figures) -> Figures:
    """The natural logarithm; of 0 minus infinity, as numpy has it.

    >>> log(1.0), log(0.0)
    (0.0, -inf)
    """
    if type(value) is float:
        return math.log(value) if value > 0 else -math.inf if value == 0 else math.nan
    return np.log(value)


def exp(value: Figures) -> Figures:
    """The exponential.

    >>> exp(0.0)
    1.0
    """
    return math.exp(value) if type(value) is float and value < 700 else np.exp(value)


def hypot(one: Figures, other: Figures) -> Figures:
    """The root of the sum of squares.

    >>> hypot(3.0, 4.0)
    5.0
    """
    return (one * one + other * other) ** 0.5


def picked(chosen: Any, one: Any, other: Any) -> Any:
    """The first where chosen, a bool or booleans [calls], else the second.

    >>> picked(True, "B", "D"), picked(np.array([True, False]), "B", "D").tolist()
    ('B', ['B', 'D'])
    """
    return (one if chosen else other) if isinstance(chosen, bool) else np.where(chosen, one, other)


def every(chosen: bool | NDArray[np.bool_]) -> bool:
    """Whether all calls are chosen.

    >>> every(True), every(np.array([True, False]))
    (True, False)
    """
    return chosen if isinstance(chosen, bool) else bool(chosen.all())
