"""A heat map with the number printed in each cell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from plotting import style

__all__ = ["heat"]

COLOURS = "cividis"  # evenly brighter from end to end, and told apart by colour-blind readers


def heat(
    axis: Any, table: pd.DataFrame, text: Callable[[int, int], str], ends: tuple[float, float], *, size: float = 8
) -> Any:
    """Draw `table` [rows, columns] on `axis`, `text(row, column)` in every known cell; NaN cells are hatched."""
    import matplotlib
    from matplotlib.colors import Normalize

    values, colours = table.to_numpy(float), matplotlib.colormaps[COLOURS]
    scale = Normalize(*ends, clip=True)
    axis.set_facecolor("white")
    axis.patch.set(hatch="////", edgecolor="#bbbbbb")
    image = axis.imshow(np.ma.masked_invalid(values), cmap=colours, norm=scale, aspect="auto")
    for row, column in np.argwhere(~np.isnan(values)):
        shade = colours(scale(values[row, column]))
        axis.text(column, row, text(row, column), ha="center", va="center", fontsize=size, color=style.text_on(shade))
    axis.set_xticks(range(len(table.columns)), table.columns, fontsize=8)
    axis.set_yticks(range(len(table.index)), table.index, fontsize=8)
    axis.tick_params(length=0)
    return image
