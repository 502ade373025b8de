"""The evaluator of one run: it counts the budget, returns scaled scores and keeps the rows."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from baselines.problems import REPEATS, WARM_UP, Evaluation, Problem, Scale

__all__ = ["Bench", "non_dominated"]

Array = NDArray[np.float64]
Ints = NDArray[np.int64]


class Bench:
    """One run on a problem: at most `budget` evaluations, repeated architectures included.

    Called with codes [b, parameters] it returns scores [b, objectives]: 0 at the ideal, 1 at the reference point,
    lower is better, with a penalty for violated constraints (`Scale.scores`).
    """

    def __init__(self, problem: Problem, scale: Scale, budget: int, seed: int) -> None:
        self.problem, self.space, self.scale = problem, problem.space, scale
        self.budget, self.seed = budget, seed
        self.rng = np.random.default_rng(seed)
        self.counts = np.array([len(each.choices) for each in self.space.parameters])
        self.codes = np.empty((0, len(self.counts)), dtype=np.int64)
        """Everything evaluated so far, in order, [done, parameters]."""
        self.scores = np.empty((0, len(problem.objectives)))
        self._found: list[Evaluation] = []
        self._repeats: list[Array] = []
        self._wall: list[Array] = []
        self._start = time.perf_counter()

    @property
    def left(self) -> int:
        """Evaluations that remain."""
        return self.budget - len(self.codes)

    def __call__(self, codes: Any) -> Array:
        """Scores of architectures; those beyond the budget are not evaluated and have no score."""
        codes = np.asarray(codes)[: self.left]
        found = self.problem.evaluate(codes)
        return self._keep(found, np.full(len(codes), float(REPEATS)))

    def climb(self, code: Any, levels: range, go_on: Callable[[int, Array], bool]) -> None:
        """Evaluate one architecture with increasing repeats until `go_on(repeats, scores)` is false; one row."""
        found = self.problem.evaluate(np.asarray(code)[None])
        scores = self.scale.scores(found)[0]
        repeats = next((level for level in levels if not go_on(level, scores)), levels[-1])
        self._keep(found, np.array([float(repeats)]))

    def random(self, count: int) -> Ints:
        """Architectures drawn uniformly, [count, parameters]."""
        return self.space.sample_codes(count, int(self.rng.integers(2**31)))

    def mutated(self, codes: Ints, changes: int = 1) -> Ints:
        """Each row with `changes` parameters resampled, [n, parameters]; an inactive parameter has no effect."""
        codes = codes.copy()
        rows = np.arange(len(codes))
        for _ in range(changes):
            column = self.rng.integers(len(self.counts), size=len(codes))
            codes[rows, column] = self.rng.integers(self.counts[column])
        return self.space.canonical(codes)

    def best(self) -> Ints:
        """Codes of the non-dominated evaluations, [front, parameters]."""
        return self.codes[non_dominated(self.scores)]

    def columns(self) -> dict[str, Any]:
        """The rows of the run as columns, in order of evaluation.

        `elapsed_s` is the simulated time since the start (warm-up and timed calls on each chip of the problem in
        sequence), `wall_s` the time on this machine.
        """
        if not self._found:
            return {}
        repeats, calls = np.concatenate(self._repeats), np.concatenate([each.call_s for each in self._found])
        names = self._found[0].values
        return {
            "index": np.arange(len(self.codes)), "config": self.space.texts(self.codes),
            "feasible": np.concatenate([each.feasible for each in self._found]),
            **{name: np.concatenate([each.values[name] for each in self._found]) for name in names},
            "elapsed_s": np.cumsum((WARM_UP + repeats) * calls), "wall_s": np.concatenate(self._wall),
        }  # fmt: skip

    def _keep(self, found: Evaluation, repeats: Array) -> Array:
        scores = self.scale.scores(found)
        self.codes, self.scores = np.concatenate((self.codes, found.codes)), np.concatenate((self.scores, scores))
        self._found.append(found)
        self._repeats.append(repeats)
        self._wall.append(np.full(len(scores), time.perf_counter() - self._start))
        return scores


def non_dominated(values: Array) -> NDArray[np.bool_]:
    """Mask of the non-dominated rows, lower is better, [n]; of equal rows the first.

    >>> non_dominated(np.array([[1.0, 2.0], [2.0, 1.0], [2.0, 2.0], [1.0, 2.0]])).tolist()
    [True, True, False, False]
    """
    order = np.lexsort(values.T[::-1])  # none is dominated by a later one in lexicographic order
    kept: list[int] = []
    front = np.empty((0, values.shape[1]))
    for index in order:
        if not len(front) or not (front <= values[index]).all(axis=1).any():
            kept.append(index)
            front = values[kept]
    out = np.zeros(len(values), dtype=bool)
    out[kept] = True
    return out
