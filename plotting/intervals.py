"""Predictions of held-out models in ascending order, each with its interval and the measurement.

    python -m plotting.intervals --results runs/models --out runs/figures
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from plotting import style
from plotting.command import run
from plotting.holdouts import FAMILIES, model_rows, with_intervals

__all__ = ["RESULTS", "draw", "main", "read"]

RESULTS = "models"
LEVEL = 0.9
_SHOWN = 60  # predictions of one family


def read(folder: Path) -> dict[str, Any]:
    """Held-out models with the bounds of their 90 % intervals."""
    return {"": with_intervals(model_rows(folder, "models"), LEVEL)}


def draw(frame: Any) -> Any:
    """One panel per family with a sample of the rows; columns family, measured, predicted, lower and upper."""
    figure, axes = style.panels(len(FAMILIES), 1, width=9, height=1.9)
    for axis, family in zip(axes[:, 0], FAMILIES, strict=True):
        part = frame[frame.family == family]
        inside = part.measured.between(part.lower, part.upper)
        held = f", {inside.mean():.0%} of {len(part):,} inside" if len(part) else ": no rows"
        axis.set_title(family + held, fontsize=10, loc="left")
        if not len(part):
            continue
        shown = part.sample(min(len(part), _SHOWN), random_state=0).sort_values("predicted")
        inside, place, how = inside[shown.index].to_numpy(), range(len(shown)), style.FAMILY[family]
        axis.vlines(place, shown.lower, shown.upper, color="#bbbbbb", linewidth=4, label=f"{LEVEL:.0%} interval")
        axis.scatter(place, shown.predicted, s=60, marker="_", color="black", linewidths=1, label="predicted", zorder=2)
        for chosen, label, looks in ((inside, "measured, inside", how.of_points()),
                                     (~inside, "measured, outside", {"color": "black", "marker": "x"})):  # fmt: skip
            at = [x for x, yes in zip(place, chosen, strict=True) if yes]
            axis.scatter(at, shown.measured[chosen], s=18, linewidths=0.5 if chosen is inside else 1.2, label=label,
                         zorder=3, **looks)  # fmt: skip
        style.log_ticks(axis, "y")
        axis.set(ylabel="ms", xlim=(-1, _SHOWN), xticks=[])
    axes[-1, 0].set_xlabel("sample of held-out models, sorted by prediction")
    style.legend(figure, axes[0, 0])
    return figure


def main() -> None:
    """Draw and write PNG and PDF."""
    run(__file__, __doc__, read, draw, RESULTS)


if __name__ == "__main__":
    main()
