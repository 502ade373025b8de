"""Treemap of a latency by operator group.

    python -m plotting.treemap --results runs/tables --out runs/figures
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from plotting import style
from plotting.command import by_model, run

__all__ = ["RESULTS", "draw", "main", "read", "squares"]

RESULTS = "tables"
Box = tuple[float, float, float, float]
_NAMED = 0.03  # of the whole area, from which on there is room for a name


def read(folder: Path) -> dict[str, Any]:
    """Model -> table with columns model, chip, group, ms and level."""
    return by_model(folder, "shares.parquet")


def squares(sizes: Sequence[float], box: Box = (0.0, 0.0, 1.0, 1.0)) -> list[Box]:
    """Boxes (left, bottom, width, height) with areas proportional to `sizes`, largest first, nearly square.

    The squarified treemap of Bruls, Huizing and van Wijk (2000): a row along the shorter side takes boxes as long as
    that does not make the longest of them longer.

    >>> squares([3.0, 1.0])
    [(0.0, 0.0, 0.75, 1.0), (0.75, 0.0, 0.25, 1.0)]
    """
    left, bottom, width, height = box
    if not sizes:
        return []
    unit, short = width * height / sum(sizes), min(width, height)

    def longest(row: Sequence[float]) -> float:
        thick = sum(row) * unit / short
        longs = [size * unit / thick for size in row]
        return max(max(thick / long, long / thick) for long in longs)

    count = 1
    while count < len(sizes) and longest(sizes[: count + 1]) <= longest(sizes[:count]):
        count += 1
    row, thick, at, found = sizes[:count], sum(sizes[:count]) * unit / short, 0.0, []
    for size in row:
        long = size * unit / thick
        found.append((left, bottom + at, thick, long) if width >= height else (left + at, bottom, long, thick))
        at += long
    rest = ((left + thick, bottom, width - thick, height) if width >= height
            else (left, bottom + thick, width, height - thick))  # fmt: skip
    return [*found, *squares(sizes[count:], rest)]


def draw(frame: Any) -> Any:
    """One panel per chip; areas are percent of its latency."""
    import matplotlib.pyplot as plt

    chips = dict(list(frame.groupby("chip", sort=False)))
    figure, axes = style.panels(1, len(chips), width=2.6, height=2.8)
    groups = list(frame.groupby("group").ms.sum().sort_values(ascending=False).index)
    shades = plt.get_cmap("Blues_r")
    for axis, (chip, part) in zip(axes[0], chips.items(), strict=True):
        part = part[part.ms > 0].sort_values("ms", ascending=False)
        total = float(part.ms.sum())
        for (left, bottom, width, height), name, ms in zip(squares(part.ms.tolist()), part.group, part.ms, strict=True):
            colour = shades(0.15 + 0.75 * min(groups.index(name) / 8, 1.0))
            axis.add_patch(plt.Rectangle((left, bottom), width, height, facecolor=colour, edgecolor="white"))
            if ms >= _NAMED * total:
                axis.text(left + width / 2, bottom + height / 2, f"{name}\n{100 * ms / total:.0f} %", fontsize=7,
                          ha="center", va="center", color=style.text_on(colour),
                          rotation=90 if height > 2 * width else 0)  # fmt: skip
        axis.set(xlim=(0, 1), ylim=(0, 1), xticks=[], yticks=[])
        axis.set_title(f"{chip}\n{total:.3g} ms, level {part.level.iloc[0]}", fontsize=8)
    figure.suptitle(f"{frame.model.iloc[0]}: latency by operator group", fontsize=9)
    return figure


def main() -> None:
    """Draw and write PNG and PDF."""
    run(__file__, __doc__, read, draw, RESULTS)


if __name__ == "__main__":
    main()
