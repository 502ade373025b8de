"""Absolute prediction error by chip, for held-out models and for all models on a held-out chip.

    python -m plotting.error_by_chip --results runs/models --out runs/figures
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from plotting import style
from plotting.command import run
from plotting.holdouts import FAMILIES, model_rows

__all__ = ["RESULTS", "draw", "main", "read"]

RESULTS = "models"
_LEAST = 20  # fewest rows of a chip that is drawn
_SPLITS = {"models": "unseen models", "chips": "unseen chip"}


def read(folder: Path) -> dict[str, Any]:
    """One table per split with columns family, chip and ape, the absolute percentage error."""
    found = {}
    for split, title in _SPLITS.items():
        frame = model_rows(folder, split)
        found[title] = frame.assign(ape=100 * (frame.predicted / frame.measured - 1).abs())[["family", "chip", "ape"]]
    return {"": found}


def draw(tables: Any) -> Any:
    """One panel per table, one box per chip: quartiles and median, whiskers from the 5th to the 95th percentile."""
    chips = sorted(
        {(FAMILIES.index(family), chip) for frame in tables.values() for (family, chip), rows in
         frame.groupby(["family", "chip"]).size().items() if rows >= _LEAST}, reverse=True
    )  # fmt: skip
    figure, axes = style.panels(1, len(tables), width=4.2, height=1.2 + 0.24 * len(chips), sharey=True, sharex=True)
    for axis, (title, frame) in zip(axes[0], tables.items(), strict=True):
        for place, (family, chip) in enumerate(chips):
            errors, how = frame.ape[frame.chip == chip], style.FAMILY[FAMILIES[family]]
            if len(errors) < _LEAST:
                continue
            axis.boxplot(
                [errors], positions=[place], orientation="horizontal", widths=0.65, whis=(5, 95), showfliers=False,
                patch_artist=True, boxprops={"facecolor": how.colour, "alpha": 0.55},
                medianprops={"color": "black", "linewidth": 0},
            )  # fmt: skip
            axis.scatter([errors.median()], [place], s=26, zorder=4, linewidths=0.8, **how.of_points())
            axis.annotate(
                f"{len(errors):,}", (1.01, place), xycoords=("axes fraction", "data"), va="center", fontsize=7
            )  # fmt: skip
        axis.set(xlabel="absolute error, %")
        axis.set_title(title, fontsize=10)
    style.log_ticks(axes[0, 0], "x")
    axes[0, 0].set_yticks(range(len(chips)), [chip for _, chip in chips], fontsize=8)
    axes[0, 0].set_ylim(-0.7, len(chips) - 0.3)
    for name in dict.fromkeys(FAMILIES[family] for family, _ in reversed(chips)):
        axes[0, 0].scatter([], [], label=f"{name}, median", s=26, **style.FAMILY[name].of_points())
    style.legend(figure, axes[0, 0], "box: quartiles,\nwhiskers: 5 to 95 %,\nright: rows")
    return figure


def main() -> None:
    """Draw and write PNG and PDF."""
    run(__file__, __doc__, read, draw, RESULTS)


if __name__ == "__main__":
    main()
