"""Non-dominated points, hypervolume and attainment surfaces of point sets; every coordinate is minimised.

Exact, in numpy alone. Rows with NaN are ignored.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["attainment", "growth", "hypervolume", "nondominated", "staircase"]

Array = Any  # of float64


def nondominated(points: Array) -> Array:
    """The distinct non-dominated points, sorted by the first coordinate, [k, dims].

    >>> nondominated(np.array([[1.0, 3.0], [2.0, 2.0], [2.0, 4.0]])).tolist()
    [[1.0, 3.0], [2.0, 2.0]]
    """
    left = np.unique(points[~np.isnan(points).any(axis=1)], axis=0)
    kept = []
    while len(left):  # the first in lexical order is never dominated by a later one
        kept.append(left[0])
        left = left[(left < left[0]).any(axis=1)]
    return np.array(kept).reshape(-1, points.shape[1])


def hypervolume(points: Array, reference: Array) -> float:
    """Volume that the points [n, dims] dominate up to the reference point [dims].

    >>> hypervolume(np.array([[1.0, 2.0], [2.0, 1.0]]), np.array([3.0, 3.0]))
    3.0
    """
    front = nondominated(points)
    front = front[(front < reference).all(axis=1)]
    if not len(front):
        return 0.0
    if front.shape[1] == 1:
        return float(reference[0] - front[0, 0])
    if front.shape[1] == 2:  # first coordinate rises, second falls
        heights = np.concatenate((reference[1:], front[:-1, 1])) - front[:, 1]
        return float((reference[0] - front[:, 0]) @ heights)
    front = front[np.argsort(front[:, -1], kind="stable")]
    depths = np.diff(front[:, -1], append=reference[-1])
    slabs = (depth * hypervolume(front[: k + 1, :-1], reference[:-1]) for k, depth in enumerate(depths) if depth > 0)
    return float(sum(slabs))


def growth(points: Array, reference: Array) -> Array:
    """Hypervolume after each point in the given order, [n].

    A new point adds its box minus the part that earlier points already dominate.

    >>> growth(np.array([[2.0, 2.0], [2.5, 2.5], [1.0, 2.0]]), np.array([3.0, 3.0])).tolist()
    [1.0, 1.0, 2.0]
    """
    front, total, out = np.empty((0, len(reference))), 0.0, np.zeros(len(points))
    for index, point in enumerate(points):
        if (point < reference).all() and not (front <= point).all(axis=1).any():  # False for NaN
            total += float(np.prod(reference - point)) - hypervolume(np.maximum(front, point), reference)
            front = np.concatenate((front[~(point <= front).all(axis=1)], point[None]))
        out[index] = total
    return out


def attainment(runs: Sequence[Array], level: int) -> Array:
    """Corners of the region that at least `level` runs attained, two objectives, [k, 2].

    Level 1 is the best surface of all runs, `len(runs)` the worst, the middle level the median (Fonseca and
    Fleming, 1996).

    >>> attainment([np.array([[1.0, 3.0]]), np.array([[2.0, 1.0]])], 2).tolist()
    [[2.0, 3.0]]
    """
    fronts = [nondominated(points) for points in runs]
    places = np.unique(np.concatenate([front[:, 0] for front in fronts]))
    reached = np.full((len(fronts), len(places)), np.inf)  # best second coordinate of each run up to each place
    for row, front in zip(reached, fronts, strict=True):
        at = np.searchsorted(front[:, 0], places, side="right")
        row[at > 0] = front[at[at > 0] - 1, 1]
    height = np.sort(reached, axis=0)[level - 1]
    known = np.isfinite(height)
    return nondominated(np.column_stack((places[known], height[known])))


def staircase(front: Array, end: Sequence[float]) -> Array:
    """Boundary of the region dominated by a front of two objectives, drawn up to `end`, [2 k + 1, 2].

    >>> staircase(np.array([[1.0, 2.0], [2.0, 1.0]]), (3.0, 3.0)).tolist()
    [[1.0, 3.0], [1.0, 2.0], [2.0, 2.0], [2.0, 1.0], [3.0, 1.0]]
    """
    x = np.repeat(front[:, 0], 2)
    y = np.concatenate(([end[1]], np.repeat(front[:, 1], 2)))
    return np.column_stack((np.append(x, end[0]), y))
