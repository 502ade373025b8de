"""Which share of a model's operator calls each family's back end runs on the chip.

    python -m plotting.coverage --results runs/tables --out runs/figures
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from plotting import style
from plotting.command import files, run
from plotting.heat import heat
from plotting.holdouts import FAMILIES

__all__ = ["RESULTS", "draw", "main", "read"]

RESULTS = "tables"


def read(folder: Path) -> dict[str, Any]:
    """Coverage in percent: columns model, category, family and value."""
    return {"": pd.read_parquet(files(folder, "coverage.parquet", "python -m plotting.tables")[0])}


def draw(frame: Any) -> Any:
    """Models down, families across; a line between categories."""
    order = list(dict.fromkeys(frame.sort_values("category", kind="stable").model))
    table = frame.pivot(index="model", columns="family", values="value").reindex(index=order, columns=list(FAMILIES))
    figure, axes = style.panels(1, 1, width=5.6, height=1.2 + 0.21 * len(order))
    axis = axes[0, 0]
    floor = min(95.0, float(frame.value.min()))
    image = heat(axis, table, lambda row, column: f"{table.iat[row, column]:.4g}", (floor, 100), size=7)
    categories = frame.drop_duplicates("model").set_index("model").category[order].tolist()
    for row in range(1, len(order)):
        if categories[row] != categories[row - 1]:
            axis.axhline(row - 0.5, color="white", linewidth=2)
    axis.set_title("operator calls covered, %", fontsize=10)
    figure.colorbar(image, ax=axis, fraction=0.05)
    return figure


def main() -> None:
    """Draw and write PNG and PDF."""
    run(__file__, __doc__, read, draw, RESULTS)


if __name__ == "__main__":
    main()
