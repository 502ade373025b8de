"""The best trade-offs that each search method found, two objectives, the seeds of a method taken together.

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

read = partial(of_objectives, count=2)


def draw(search: Search) -> Any:
    """Every evaluation as a dot, and the front of each method as a staircase."""
    figure, axes = style.panels(1, 1, width=8.5, height=5)
    axis, looks = axes[0, 0], style.methods(search.methods)
    signs = np.array([each.sign for each in search.objectives])
    shown, names = [], list(search.methods)
    for name in names:
        points = np.concatenate([run.points for run in search.methods[name]])
        axis.scatter(*(points * signs).T, s=2, color="#bbbbbb", linewidths=0, rasterized=True, zorder=1)
        shown.append(fronts.nondominated(points))
    for name, front in zip(names, shown, strict=True):
        if len(front):
            how = looks[name]
            axis.plot(*staircase_of(search, front), color=how.colour, linestyle=how.line, linewidth=1.3, zorder=2)
            axis.plot(*(front * signs).T, label=name, **how.of_line() | {"linestyle": "none"}, zorder=3)
    axis.set(xlabel=search.objectives[0].label, ylabel=search.objectives[1].label)
    axis.set_title(search.title, fontsize=10)
    limits(axis, search)
    style.legend(figure, axis, f"{len(search.runs)} runs")
    return figure


def main() -> None:
    """Draw and write PNG and PDF."""
    run(__file__, __doc__, read, draw, RESULTS)


if __name__ == "__main__":
    main()
