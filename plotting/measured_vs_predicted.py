"""Measured against predicted latency of held-out models, one panel per family.

    python -m plotting.measured_vs_predicted --results runs/models --out runs/figures

Reads the hold-out predictions that `python -m surrogates.whole` keeps. Log axes; dashed lines: 20 % error.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from plotting import style
from plotting.command import run
from plotting.holdouts import FAMILIES, model_rows

__all__ = ["FAMILIES", "RESULTS", "draw", "main", "read"]

RESULTS = "models"
_POINTS = 3000  # of one family; more hide one another


def read(folder: Path) -> dict[str, Any]:
    """Held-out models of every surrogate group."""
    return {"": model_rows(folder, "models")}


def draw(frame: Any) -> Any:
    """One panel per family; columns family, measured and predicted, in ms."""
    figure, axes = style.panels(1, len(FAMILIES), width=3.2, height=3.6)
    for axis, family in zip(axes[0], FAMILIES, strict=True):
        part = frame[frame.family == family]
        axis.set_title(f"{family}: no rows", fontsize=10)
        if not len(part):
            continue
        error = (part.predicted / part.measured - 1).abs().median()
        shown = part.sample(min(len(part), _POINTS), random_state=0)
        size, edge = (8, 0.2) if len(part) > 1000 else (20, 0.5)
        how = style.FAMILY[family].of_points()
        axis.scatter(shown.measured, shown.predicted, s=size, alpha=0.5, linewidths=edge, rasterized=True, **how)
        ends = [part.measured.min() / 1.5, part.measured.max() * 1.5]
        axis.plot(ends, ends, color="black", linewidth=0.8)
        for factor in (0.8, 1.2):
            axis.plot(ends, [factor * end for end in ends], color="black", linewidth=0.5, linestyle="--")
        axis.set(xlabel="measured, ms", xlim=ends, ylim=ends)
        style.log_ticks(axis, "xy")
        axis.set_title(f"{family}: {len(part):,} rows, median error {error:.1%}", fontsize=10)
    axes[0, 0].set_ylabel("predicted, ms (held-out models)")
    return figure


def main() -> None:
    """Draw and write PNG and PDF."""
    run(__file__, __doc__, read, draw, RESULTS)


if __name__ == "__main__":
    main()
