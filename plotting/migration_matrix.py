"""Migration matrix: latency on the target over latency on the source for each pair of families.

    python -m plotting.migration_matrix --results runs/tables --out runs/figures
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from plotting import style
from plotting.command import by_model, run
from plotting.heat import heat
from plotting.holdouts import FAMILIES

__all__ = ["RESULTS", "draw", "main", "read"]

RESULTS = "tables"
_TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)


def read(folder: Path) -> dict[str, Any]:
    """Model -> table with columns model, source, target, ratio and level."""
    return by_model(folder, "migration.parquet")


def draw(frame: Any) -> Any:
    """Rows are sources, columns targets; each cell shows the ratio and the weaker evidence level."""
    ratio, level = (frame.pivot(index="source", columns="target", values=name)
                    .reindex(index=list(FAMILIES), columns=list(FAMILIES)) for name in ("ratio", "level"))  # fmt: skip
    widest = max(float(np.log10(frame.ratio).abs().max()), 0.1)
    figure, axes = style.panels(1, 1, width=5.4, height=4)

    def text(row: int, column: int) -> str:
        return f"x {ratio.iat[row, column]:.3g}\n{level.iat[row, column]}"

    image = heat(axes[0, 0], np.log10(ratio), text, (-widest, widest))
    axes[0, 0].set(xlabel="target", ylabel="source")
    axes[0, 0].set_title(f"{frame.model.iloc[0]}: target latency / source latency, evidence level", fontsize=9)
    bar = figure.colorbar(image, ax=axes[0, 0], fraction=0.05)
    ticks = [ratio for ratio in _TICKS if abs(np.log10(ratio)) <= widest]
    bar.set_ticks(np.log10(ticks), labels=[f"x {ratio:g}" for ratio in ticks])
    return figure


def main() -> None:
    """Draw and write PNG and PDF."""
    run(__file__, __doc__, read, draw, RESULTS)


if __name__ == "__main__":
    main()
