"""Spearman rank correlation between metrics and chips over the architectures of a search space.

    python -m plotting.correlation --results runs/tables --out runs/figures
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from plotting import style
from plotting.command import files, run
from plotting.heat import heat

__all__ = ["RESULTS", "draw", "main", "matrix", "read"]

RESULTS = "tables"


def read(folder: Path) -> dict[str, Any]:
    """Space -> table of architectures with one column per metric, such as `latency@cuda`."""
    found = files(folder, "architectures-*.parquet", "python -m plotting.tables")
    tables = {path.stem.removeprefix("architectures-"): pd.read_parquet(path) for path in found}
    for name, table in tables.items():
        table.attrs["space"] = name
    return tables


def matrix(frame: pd.DataFrame) -> pd.DataFrame:
    """Spearman correlation of the columns: Pearson correlation of their ranks; NaN for a constant column."""
    return frame.rank().corr()


def draw(frame: Any) -> Any:
    """Correlation of every pair of columns as a heat map."""
    table = matrix(frame)
    least = -1 if (table < 0).any(axis=None) else 0
    figure, axes = style.panels(1, 1, width=2.2 + 0.46 * len(table), height=1.6 + 0.42 * len(table))
    image = heat(axes[0, 0], table, lambda row, column: f"{table.iat[row, column]:.2f}", (least, 1), size=7)
    axes[0, 0].tick_params(axis="x", rotation=60)
    for label in axes[0, 0].get_xticklabels():
        label.set(ha="right", rotation_mode="anchor")
    axes[0, 0].set_title(f"rank correlation over {len(frame):,} architectures of {frame.attrs['space']}", fontsize=10)
    figure.colorbar(image, ax=axes[0, 0], fraction=0.04)
    return figure


def main() -> None:
    """Draw and write PNG and PDF."""
    run(__file__, __doc__, read, draw, RESULTS)


if __name__ == "__main__":
    main()
