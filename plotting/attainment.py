"""Empirical attainment surfaces of the best, median and worst seed of each search method, two objectives.

    python -m plotting.attainment --results runs/search --out runs/figures
"""

from __future__ import annotations

from functools import partial
from math import ceil
from typing import Any

from plotting import fronts, style
from plotting.command import run
from plotting.searches import RESULTS, Search, limits, of_objectives, staircase_of

__all__ = ["RESULTS", "draw", "levels", "main", "read"]

read = partial(of_objectives, count=2)
_COLUMNS = 4
_LINES = {"best": ("-", 0.9), "median": ("-", 2.0), "worst": ((0, (2, 1.5)), 0.9)}


def levels(seeds: int) -> dict[str, int]:
    """Number of seeds that must have attained a point, by line: one, half (rounded up), all.

    >>> levels(5), levels(2)
    ({'best': 1, 'median': 3, 'worst': 5}, {'best': 1, 'median': 1, 'worst': 2})
    """
    return {"best": 1, "median": ceil(seeds / 2), "worst": seeds}


def draw(search: Search) -> Any:
    """One panel per method; the dots are the non-dominated points of all methods."""
    names = list(search.methods)
    columns = min(_COLUMNS, len(names))
    figure, axes = style.panels(ceil(len(names) / columns), columns, width=3.2, height=2.7, sharex=True, sharey=True)
    looks = style.methods(names)
    for axis, name in zip(axes.ravel(), names, strict=False):
        runs = [each.points for each in search.methods[name]]
        for label, level in levels(len(runs)).items():
            line, width = _LINES[label]
            edge = staircase_of(search, fronts.attainment(runs, level))
            axis.plot(*edge, color=looks[name].colour, linestyle=line, linewidth=width, label=label)
        axis.scatter(*(search.front * search.signs).T, s=7, color="#777777", linewidths=0, label="best known", zorder=1)
        axis.set_title(f"{name}, {len(runs)} seeds", fontsize=9)
        limits(axis, search)
    for axis in axes.ravel()[len(names) :]:
        axis.set_visible(False)
    for axis in axes.ravel()[max(len(names) - columns, 0) : len(names)]:  # the lowest of its column
        axis.tick_params(labelbottom=True)
    figure.supxlabel(search.objectives[0].label, fontsize=9)
    figure.supylabel(search.objectives[1].label, fontsize=9)
    figure.suptitle(f"attainment surfaces, {search.title}", fontsize=10)
    style.legend(figure, axes[0, 0], "over seeds")
    return figure


def main() -> None:
    """Draw and write PNG and PDF."""
    run(__file__, __doc__, read, draw, RESULTS)


if __name__ == "__main__":
    main()
