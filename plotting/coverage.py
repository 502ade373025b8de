"""Operator coverage: share of a model's operator calls that each family's backend runs on the chip.

    python -m plotting.coverage --results runs/tables --out runs/figures
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from plotting import style
from plotting.command import files, run
from plotting.heat import heat
from plotting.holdouts import FAMILIES

__all__ = ["RESULTS", "draw", "main", "read"]

RESULTS = "tables"
_SHOWN = {"value": "covered: native or composite, % of calls", "native": "native alone, % of calls"}


def read(folder: Path) -> dict[str, Any]:
    """Coverage in percent: columns model, category, family, value and native."""
    return {"": pd.read_parquet(files(folder, "coverage.parquet", "python -m plotting.tables")[0])}


def draw(frame: Any) -> Any:
    """Heat maps, models by families, a line between categories; the right one counts native kernels only."""
    order = list(dict.fromkeys(frame.sort_values("category", kind="stable").model))
    categories = frame.drop_duplicates("model").set_index("model").category[order].tolist()
    figure, axes = style.panels(1, len(_SHOWN), width=3.6, height=1.2 + 0.21 * len(order), sharey=True)
    for axis, (column, title) in zip(axes[0], _SHOWN.items(), strict=True):
        table = frame.pivot(index="model", columns="family", values=column).reindex(order)[list(FAMILIES)]
        image = heat(axis, table, partial(_text, table), (0, 100), size=7)
        for row in range(1, len(order)):
            if categories[row] != categories[row - 1]:
                axis.axhline(row - 0.5, color="white", linewidth=2)
        axis.set_title(title, fontsize=9)
    figure.colorbar(image, ax=axes[0, -1], fraction=0.06)
    return figure


def _text(table: pd.DataFrame, row: int, column: int) -> str:
    value = table.iat[row, column]
    return f"{value:.0f}" if value > 99.95 else f"{value:.1f}"


def main() -> None:
    """Draw and write PNG and PDF."""
    run(__file__, __doc__, read, draw, RESULTS)


if __name__ == "__main__":
    main()
