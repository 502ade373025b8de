"""Pareto front of each search method over all its seeds, two objectives.

    python -m plotting.pareto_2d --results runs/search --out runs/figures
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from plotting import fronts, style
from plotting.command import run
from plotting.searches import RESULTS, Search, limits, of_objectives, staircase_of

__all__ = ["RESULTS", "draw", "main", "read"]

_MARKS = 0.09
read = partial(of_objectives, count=2)


def draw(search: Search) -> Any:
    """Evaluations as dots, the front of each method as a staircase over the front of all methods."""
    figure, axes = style.panels(1, 1, width=7.5, height=5.2)
    axis, looks = axes[0, 0], style.methods(search.methods)
    points = np.concatenate([run.points for run in search.runs]) * search.signs
    axis.scatter(*points.T, s=2, color="#999999", linewidths=0, rasterized=True, label="every evaluation", zorder=1)
    axis.plot(*staircase_of(search, search.front), color="#cccccc", linewidth=6, label="best known", zorder=1)
    for index, (name, runs) in enumerate(search.methods.items()):
        front = fronts.nondominated(np.concatenate([run.points for run in runs]))
        every = (index / len(looks) * _MARKS, _MARKS)  # shares of the line: markers of two methods seldom meet
        looks_thin = looks[name].of_line() | {"linewidth": 1.1}
        axis.plot(*staircase_of(search, front), label=name, markevery=every, **looks_thin)
    axis.set(xlabel=search.objectives[0].label, ylabel=search.objectives[1].label)
    axis.set_title(search.title, fontsize=10)
    limits(axis, search)
    style.legend(figure, axis, f"fronts over all seeds,\n{len(search.runs)} runs", order=list(search.methods))
    return figure


def main() -> None:
    """Draw and write PNG and PDF."""
    run(__file__, __doc__, read, draw, RESULTS)


if __name__ == "__main__":
    main()
