"""Memory of models by batch size and sequence length, against the memory of the default chips.

    python -m plotting.memory_scaling --results runs/tables --out runs/figures
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from hetbench.catalog.chips import default_chip
from plotting import style
from plotting.command import files, run

__all__ = ["RESULTS", "draw", "main", "read"]

RESULTS = "tables"
_AXES = {"batch": "batch, at the model's usual length or image", "seq_len": "sequence length, at batch 1"}


def read(folder: Path) -> dict[str, Any]:
    """The table: model, axis (batch or seq_len), size, value and weights in MB."""
    return {"": pd.read_parquet(files(folder, "memory.parquet", "python -m plotting.tables")[0])}


def draw(frame: Any) -> Any:
    """One panel an axis: memory of each model, its weights dashed, and the memory of chips as levels."""
    shown = {name: text for name, text in _AXES.items() if (frame.axis == name).any()}
    figure, axes = style.panels(1, len(shown), height=3.6, sharey=True)
    looks = style.methods(frame.model)
    for axis, (name, text) in zip(axes[0], shown.items(), strict=True):
        for model, part in frame[frame.axis == name].groupby("model", sort=False):
            line = looks[str(model)].of_line()
            axis.plot(part["size"], part.value / 1e3, label=model, **line)
            axis.axhline(part.weights.iloc[0] / 1e3, color=line["color"], linewidth=0.7, linestyle="--", zorder=1)
        _chips(axis)
        style.log_ticks(axis, "y")
        axis.set_xscale("log", base=2)
        sizes = sorted(set(frame[frame.axis == name]["size"]))[::2]
        axis.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axis.set_xticks([], minor=True)
        axis.set_xlabel(text, fontsize=9)
    axes[0, 0].set_ylabel("memory in fp16, GB (dashed: weights alone)", fontsize=9)
    style.legend(figure, axes[0, 0])
    return figure


def _chips(axis: Any) -> None:
    """A level for each size of memory of the default chips, named by the families that have it."""
    sizes: dict[float, list[str]] = {}
    for family in style.FAMILY:
        known = default_chip(family)[0].memory_bytes
        if known is not None:
            sizes.setdefault(known / 1e9, []).append(family)
    for size, families in sizes.items():
        axis.axhline(size, color="#777777", linewidth=0.8, linestyle=":", zorder=1)
        axis.annotate(f"{', '.join(families)} {size:.0f} GB", (0.01, size), xycoords=("axes fraction", "data"),
                      fontsize=6.5, va="bottom")  # fmt: skip


def main() -> None:
    """Draw the figure."""
    run(__file__, __doc__, read, draw, RESULTS)


if __name__ == "__main__":
    main()
