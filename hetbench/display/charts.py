"""A view as a horizontal bar chart: one bar a row, its interval as a line."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from hetbench.display.view import View, is_logarithmic
from hetbench.errors import RefusedError

__all__ = ["draw"]

_ROW_INCHES, _FRAME_INCHES, _WIDTH_INCHES = 0.3, 1.2, 7.0


def draw(view: View, axes: Any = None) -> Any:
    """Draw the first `Range` of every row; rows of another unit than the first are left out.

    Args:
        view: what to draw.
        axes: matplotlib axes to draw on; left out, those of a new figure.

    Returns:
        The axes.

    Raises:
        RefusedError: matplotlib is not installed, or no row has a number.
    """
    if find_spec("matplotlib") is None:
        raise RefusedError("a chart needs matplotlib, which is not installed: pip install 'hetbench[plot]'.")
    ranges = view.ranges()
    if not ranges:
        raise RefusedError(f"there is no number to draw: {view.caption}.")
    unit = ranges[0][1].unit
    shown = [(label, cell) for label, cell in ranges if cell.unit == unit]
    if axes is None:
        from matplotlib.figure import Figure

        size = (_WIDTH_INCHES, _FRAME_INCHES + _ROW_INCHES * len(shown))
        axes = Figure(figsize=size, layout="constrained").add_subplot()
    places = range(len(shown))
    values = [cell.value for _, cell in shown]
    below = [cell.value - cell.ends[0] for _, cell in shown]
    above = [cell.ends[1] - cell.value for _, cell in shown]
    if is_logarithmic(min(cell.ends[0] for _, cell in shown), max(cell.ends[1] for _, cell in shown)):
        axes.set_xscale("log")
        axes.errorbar(values, places, xerr=[below, above], fmt="o", capsize=3)
    else:
        axes.barh(places, values, xerr=[below, above], capsize=3, height=0.6)
    axes.set_yticks(places, [label for label, _ in shown])
    axes.invert_yaxis()
    axes.set_xlabel("" if unit == "1" else unit)
    axes.set_title(view.caption, loc="left", fontsize="medium", wrap=True)
    return axes
