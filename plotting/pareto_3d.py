"""Pareto front of each search method over all its seeds, three objectives: in 3-D and projected along each axis.

    python -m plotting.pareto_3d --results runs/search --out runs/figures
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from plotting import fronts, style
from plotting.command import run
from plotting.searches import RESULTS, Search, of_objectives

__all__ = ["RESULTS", "draw", "main", "read"]

read = partial(of_objectives, count=3)
_VIEWS = ((0, 1), (0, 2), (1, 2))


def draw(search: Search) -> Any:
    """One 3-D panel and three projections with the front of each method over all seeds."""
    figure, axes = style.panels(2, 2, width=4.8, height=4)
    axes[0, 0].remove()
    space = figure.add_subplot(2, 2, 1, projection="3d")
    flat, looks = axes.ravel()[1:], style.methods(search.methods)
    for name, runs in search.methods.items():
        found = fronts.nondominated(np.concatenate([run.points for run in runs])) * search.signs
        points, how = found.T, looks[name].of_points()
        space.scatter(*points, s=14, label=name, depthshade=False, linewidths=0.3, **how)
        for axis, (x, y) in zip(flat, _VIEWS, strict=True):
            axis.scatter(points[x], points[y], s=14, alpha=0.8, linewidths=0.3, **how)
    for axis, (x, y) in zip(flat, _VIEWS, strict=True):
        axis.set(xlabel=search.objectives[x].label, ylabel=search.objectives[y].label)
    names = [each.name for each in search.objectives]
    space.set(xlabel=names[0], ylabel=names[1])
    space.set_title(f"upwards: {names[2]}", fontsize=9)  # beside the axis it would lie over the next panel
    space.tick_params(labelsize=7)
    figure.suptitle(search.title, fontsize=10)
    style.legend(figure, space, f"{len(search.runs)} runs")
    return figure


def main() -> None:
    """Draw and write PNG and PDF."""
    run(__file__, __doc__, read, draw, RESULTS)


if __name__ == "__main__":
    main()
