"""Regret of search methods: hypervolume missing to the front of all runs, and each objective alone.

    python -m plotting.regret --results runs/search --out runs/figures
"""

from __future__ import annotations

from typing import Any

import numpy as np

from plotting import fronts, style
from plotting.command import run
from plotting.searches import RESULTS, Run, Search, average, drawn, evaluations, read

__all__ = ["RESULTS", "draw", "hypervolume_regret", "main", "read", "simple_regret"]


def hypervolume_regret(search: Search, one: Run) -> Any:
    """Share of the box that the best known front dominates but this run does not, [n]."""
    known = fronts.hypervolume(search.scaled(search.front), np.ones(len(search.objectives)))
    return np.maximum(known - search.volumes[one.method, one.seed], 0.0)


def simple_regret(search: Search, one: Run, objective: int) -> Any:
    """Best value of one objective so far minus the best known, in its unit, infinite before the first, [n]."""
    found = np.fmin.accumulate(np.nan_to_num(one.points[:, objective], nan=np.inf))
    return found - search.front[:, objective].min()


def draw(search: Search) -> Any:
    """One panel for the hypervolume (if multi-objective) and one per objective; log axes, so a line ends at 0."""
    count = len(search.objectives)
    titles = [f"{each.name} {'above' if each.sign > 0 else 'below'} the best known{style.of_unit(each.unit)}"
              for each in search.objectives]  # fmt: skip
    titles = ["hypervolume regret, share of the box", *titles] if count > 1 else titles
    figure, axes = style.panels(1, len(titles), width=4, height=3.8)
    looks, ends = style.methods(search.methods), {}
    least = np.full(len(titles), np.inf)
    for name, runs in search.methods.items():
        lines = [[hypervolume_regret(search, each) for each in runs]] if count > 1 else []
        lines += [[simple_regret(search, each, index) for each in runs] for index in range(count)]
        for place, (axis, values) in enumerate(zip(axes[0], lines, strict=True)):
            at, mean, error = average([(evaluations(value), value) for value in values])
            some = mean > 0
            drawn(axis, (at[some], mean[some], error[some]), name, looks[name])
            least[place] = min(least[place], mean[some].min(initial=np.inf))
        ends[name] = np.mean([line[-1] for line in lines[0]])
    for axis, title, lowest in zip(axes[0], titles, least, strict=True):
        axis.set(xlabel="evaluations")
        if np.isfinite(lowest):
            axis.set(xscale="log", yscale="log")
            axis.set_ylim(bottom=lowest / 2)  # bands reach 0
            style.log_ticks(axis, "xy")
        else:
            axis.text(0.5, 0.5, "0 in all runs", transform=axis.transAxes, ha="center", fontsize=9)
        axis.set_title(title, fontsize=9)
    figure.suptitle(search.title, fontsize=10)
    order = sorted(ends, key=lambda name: ends[name])
    style.legend(figure, axes[0, 0], "mean over seeds,\nband: 1 standard error", order=order)
    return figure


def main() -> None:
    """Draw and write PNG and PDF."""
    run(__file__, __doc__, read, draw, RESULTS)


if __name__ == "__main__":
    main()
