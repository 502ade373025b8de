"""Ranks of architectures for Syne Tune's multi-objective schedulers: by front, and within a front by distance.

Two faults of Syne Tune 0.16.0 are avoided. Its `NonDominatedPriority` gives out the indices of the sorted rows as if
they were the priorities of the rows; and its `nondominated_sort` reads the ranks that `compute_epsilon_net` returns
within a front as the order of that front, which is the inverse permutation.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from syne_tune.optimizer.schedulers.multiobjective.multiobjective_priority import MOPriority
from syne_tune.optimizer.schedulers.multiobjective.non_dominated_priority import compute_epsilon_net, pareto_efficient

__all__ = ["Ranks", "ranks"]


def ranks(objectives: Any) -> NDArray[np.int64]:
    """Rank of each row, int64 [n], 0 is best; objectives are [n, objectives], lower is better, in any units.

    A front comes before all that it dominates. Within a front the best by the first objective comes first, then always
    the row that is furthest from those before it (Clarkson 2005), where each objective counts by its range.

    >>> ranks([[3.0, 1.0], [1.0, 3.0], [4.0, 4.0], [2.0, 2.0], [1.2, 2.9]]).tolist()
    [1, 0, 4, 2, 3]
    """
    values = np.asarray(objectives, dtype=np.float64)
    spans = np.ptp(values, axis=0) if len(values) else 0.0
    scaled = values / np.where(spans == 0, 1.0, spans)
    found = np.empty(len(values), dtype=np.int64)
    left, done = np.arange(len(values)), 0
    while left.size:
        first = pareto_efficient(values[left])
        front = left[first]
        found[front] = done + compute_epsilon_net(scaled[front], dim=0)
        left, done = left[~first], done + len(front)
    return found


class Ranks(MOPriority):  # type: ignore[misc]
    """`ranks` as the priority of `MOASHA` and `MultiObjectiveRegularizedEvolution`, for the newest rows.

    `recent` bounds its cost, which grows with the square of the rows; older rows have no rank.
    """

    def __init__(self, metrics: list[str] | None = None, recent: int = 100) -> None:
        super().__init__(metrics)
        self.recent = recent

    def priority_unsafe(self, objectives: Any) -> NDArray[np.int64]:
        """Ranks of the last `recent` rows, [at most recent]."""
        return ranks(objectives[-self.recent :])
