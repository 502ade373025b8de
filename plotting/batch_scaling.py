"""Latency and throughput of a model as a function of batch size, on the default chip of each family.

    python -m plotting.batch_scaling --results runs/tables --out runs/figures
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from plotting import style
from plotting.command import by_model, run

__all__ = ["RESULTS", "draw", "main", "read"]

RESULTS = "tables"
_METRICS = ("latency", "throughput")


def read(folder: Path) -> dict[str, Any]:
    """Model -> table with columns model, family, chip, batch, metric, value, lower, upper, unit and level."""
    return by_model(folder, "batch_scaling.parquet")


def draw(frame: Any) -> Any:
    """One row of panels per metric, one panel per chip with its interval band; other chips are grey."""
    chips = {family: part for family in style.FAMILY if len(part := frame[frame.family == family])}
    figure, axes = style.panels(len(_METRICS), len(chips), width=2.5, height=2.7, sharex=True, sharey="row")
    for row, metric in zip(axes, _METRICS, strict=True):
        of_metric = frame[frame.metric == metric].sort_values("batch")
        for axis, (family, whole) in zip(row, chips.items(), strict=True):
            for name, part in of_metric.groupby("family", sort=False):
                if name == family:
                    _own(axis, part, style.FAMILY[family])
                else:
                    axis.plot(part.batch, part.value, color="#aaaaaa", linewidth=0.8, zorder=1)
            if metric == _METRICS[0]:
                levels = "".join(sorted(set(whole.level.dropna())))
                axis.set_title(f"{whole.chip.iloc[0]}\n{whole.precision.iloc[0]}, level {levels}", fontsize=8)
        style.log_ticks(row[0], "xy")
        row[0].set_ylabel(f"{metric}{style.of_unit(of_metric.unit.iloc[0])}")
    batches = sorted(set(frame.batch))[::2]
    axes[0, 0].set_xticks(batches, [str(batch) for batch in batches])
    axes[0, 0].set_xticks([], minor=True)
    figure.supxlabel("batch", fontsize=10)
    figure.suptitle(f"{frame.model.iloc[0]}; bands: 90 % intervals, grey: other chips", fontsize=10)
    return figure


def _own(axis: Any, part: pd.DataFrame, how: style.Style) -> None:
    lower, upper = part.lower.fillna(part.value), part.upper.fillna(part.value)
    axis.fill_between(part.batch, lower, upper, color=how.colour, alpha=0.3, linewidth=0)
    axis.plot(part.batch, part.value, **how.of_line())


def main() -> None:
    """Draw and write PNG and PDF."""
    run(__file__, __doc__, read, draw, RESULTS)


if __name__ == "__main__":
    main()
