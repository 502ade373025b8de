"""Share of a chip's peak FLOP/s that a model reaches, by batch size, on the default chip of each family.

    python -m plotting.efficiency --results runs/tables --out runs/figures
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from plotting import style
from plotting.command import files, run

__all__ = ["RESULTS", "draw", "main", "read"]

RESULTS = "tables"


def read(folder: Path) -> dict[str, Any]:
    """The table: model, family, chip, batch, value, lower and upper in % of the peak, level, precision."""
    return {"": pd.read_parquet(files(folder, "efficiency.parquet", "python -m plotting.tables")[0])}


def draw(frame: Any) -> Any:
    """One row of panels a model, one panel a chip with its interval; the other chips are grey."""
    models, chips = list(dict.fromkeys(frame.model)), [name for name in style.FAMILY if (frame.family == name).any()]
    figure, axes = style.panels(len(models), len(chips), width=2.5, height=2.5, sharex=True, sharey=True)
    for row, model in zip(axes, models, strict=True):
        of_model = frame[frame.model == model].sort_values("batch")
        for axis, family in zip(row, chips, strict=True):
            for name, part in of_model.groupby("family", sort=False):
                if name == family:
                    axis.plot(part.batch, part.value, **style.FAMILY[family].of_line())
                    axis.fill_between(part.batch, part.lower, part.upper, color=style.FAMILY[family].colour, alpha=0.2)
                else:
                    axis.plot(part.batch, part.value, color="#aaaaaa", linewidth=0.8, zorder=1)
            axis.axhline(100, color="black", linewidth=0.8, linestyle=":")
            if model == models[0]:
                first = frame[frame.family == family].iloc[0]
                axis.set_title(f"{first.chip}\n{first.precision}", fontsize=8)
        row[0].set_ylabel(f"{model}\n% of peak FLOP/s", fontsize=9)
    style.log_ticks(axes[0, 0], "xy")
    batches = sorted(set(frame.batch))[::2]
    axes[0, 0].set_xticks(batches, [str(batch) for batch in batches])
    axes[0, 0].set_xticks([], minor=True)
    axes[0, 0].set_ylim(top=200)
    figure.supxlabel("batch; band: 90 % interval of the latency; dotted: the datasheet's peak", fontsize=9)
    return figure


def main() -> None:
    """Draw the figure."""
    run(__file__, __doc__, read, draw, RESULTS)


if __name__ == "__main__":
    main()
