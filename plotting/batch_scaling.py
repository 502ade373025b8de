"""Latency and throughput of a model over the batch size, on the default chip of each family.

    python -m plotting.batch_scaling --results runs/tables --out runs/figures
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from plotting import style
from plotting.command import files, run

__all__ = ["RESULTS", "draw", "main", "read"]

RESULTS = "tables"
_METRICS = ("latency", "throughput")


def read(folder: Path) -> dict[str, Any]:
    """By model a table with columns model, family, chip, batch, metric, value, lower, upper, unit and level."""
    frame = pd.read_parquet(files(folder, "batch_scaling.parquet", "python -m plotting.tables")[0])
    return dict(list(frame.groupby("model", sort=False)))


def draw(frame: Any) -> Any:
    """One panel a metric, one line a chip with the band of its intervals."""
    figure, axes = style.panels(1, len(_METRICS), width=4.4, height=4)
    for axis, metric in zip(axes[0], _METRICS, strict=True):
        of_metric = frame[frame.metric == metric]
        for family, how in style.FAMILY.items():
            part = of_metric[of_metric.family == family].sort_values("batch")
            if len(part):
                levels = "".join(sorted(set(part.level.dropna())))
                label = f"{part.chip.iloc[0]}\n{part.precision.iloc[0]}, level {levels}"
                axis.plot(part.batch, part.value, label=label, **how.of_line())
                lower, upper = part.lower.fillna(part.value), part.upper.fillna(part.value)
                axis.fill_between(part.batch, lower, upper, color=how.colour, alpha=0.15, linewidth=0)
        style.log_ticks(axis, "xy")
        batches = sorted(set(of_metric.batch))
        axis.set_xticks(batches, [str(batch) for batch in batches])
        axis.set_xticks([], minor=True)
        axis.set(xlabel="batch", ylabel=f"{metric}{style.of_unit(of_metric.unit.iloc[0])}")
    figure.suptitle(f"{frame.model.iloc[0]}, bands: 90 % intervals", fontsize=10)
    style.legend(figure, axes[0, 0])
    return figure


def main() -> None:
    """Draw and write PNG and PDF."""
    run(__file__, __doc__, read, draw, RESULTS)


if __name__ == "__main__":
    main()
