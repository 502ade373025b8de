"""Hypervolume over evaluations and over simulated time: mean over seeds with a band of one standard error.

    python -m plotting.hypervolume --results runs/search --out runs/figures

The reference point is that of the results. The volume is a share of the box between the ideal and the reference point;
it can exceed 1 if the ideal point was estimated from a sample.
"""

from __future__ import annotations

from typing import Any

from plotting import style
from plotting.command import run
from plotting.searches import RESULTS, Search, average, drawn, evaluations, read

__all__ = ["RESULTS", "draw", "main", "read"]


def draw(search: Search) -> Any:
    """Evaluations on the left, simulated seconds on the right; the legend is sorted by the last value."""
    figure, axes = style.panels(1, 2, width=5, height=4, sharey=True)
    looks, ends = style.methods(search.methods), {}
    for name, runs in search.methods.items():
        volumes = [search.volumes[name, each.seed] for each in runs]
        counted = average([(evaluations(volume), volume) for volume in volumes])
        timed = average([(each.elapsed_s, volume) for each, volume in zip(runs, volumes, strict=True)], log=True)
        drawn(axes[0, 0], counted, name, looks[name])
        drawn(axes[0, 1], timed, name, looks[name])
        ends[name] = counted[1][-1]
    best = sorted(ends, key=lambda name: -ends[name])
    point = ", ".join(f"{value:.3g}" for value in search.signs * search.reference)
    axes[0, 0].set(xlabel="evaluations", ylabel="hypervolume, share of the box")
    axes[0, 1].set(xlabel="simulated time, s")
    for axis in axes[0]:
        style.log_ticks(axis, "x")
    figure.suptitle(f"{search.title}\nreference point {point}", fontsize=9)
    style.legend(figure, axes[0, 0], "mean over seeds,\nband: 1 standard error", order=best)
    return figure


def main() -> None:
    """Draw and write PNG and PDF."""
    run(__file__, __doc__, read, draw, RESULTS)


if __name__ == "__main__":
    main()
