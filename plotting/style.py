"""Style of all figures: colours of families, line styles of methods, sizes, writing PNG and PDF.

Colours are the colour-blind-safe palette of Okabe and Ito. Colours of families, and of methods with one line pattern,
also differ by at least `GREY_STEP` of 255 grey levels, so that figures are readable in black and white.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hetbench.schema import FAMILIES

__all__ = ["FAMILY", "GREY_STEP", "METHODS", "Style", "grey", "legend", "log_ticks", "methods",
           "of_unit", "panels", "save", "short", "text_on"]  # fmt: skip

GREY_STEP = 25
DPI = 150
COLUMN, ROW = 4.0, 3.2  # inches of one panel
LEGEND = 1.9  # inches of a legend beside them
_BRIGHT = 200  # of 255 levels of grey
_MANY = 300  # from end to end of a log axis
_BLACK, _ORANGE, _SKY, _GREEN = "#000000", "#e69f00", "#56b4e9", "#009e73"
_YELLOW, _BLUE, _VERMILLION, _PURPLE = "#f0e442", "#0072b2", "#d55e00", "#cc79a7"
_SOLID, _DASHED, _DASH_DOT, _DOTTED = "-", (0, (5, 2)), (0, (6, 1.5, 1, 1.5)), (0, (1.2, 1.4))


@dataclass(frozen=True, slots=True)
class Style:
    """How one series is drawn."""

    colour: str
    marker: str
    line: Any

    def of_line(self) -> dict[str, Any]:
        """Arguments of `Axes.plot`; markers, and bright lines too, have a dark edge, to be seen on white."""
        from matplotlib.patheffects import Normal, Stroke

        edge = [Stroke(linewidth=2.4, foreground="black"), Normal()] if grey(self.colour) > _BRIGHT else []
        return {"color": self.colour, "linestyle": self.line, "marker": self.marker, "path_effects": edge, **_MARKED}

    def of_points(self) -> dict[str, Any]:
        """Arguments of `Axes.scatter`."""
        return {"color": self.colour, "marker": self.marker, "edgecolors": "black"}


_MARKED = {"markersize": 5, "markeredgecolor": "black", "markeredgewidth": 0.4, "linewidth": 1.5}
FAMILY = MappingProxyType(dict(zip(FAMILIES, (
    Style(_BLUE, "o", _SOLID), Style(_VERMILLION, "s", _DASHED), Style(_ORANGE, "^", _DASH_DOT),
    Style(_BLACK, "D", _DOTTED), Style(_YELLOW, "v", (0, (8, 2, 2, 2, 2, 2))),
), strict=True)))  # fmt: skip
_SERIES = (
    Style(_BLUE, "o", _SOLID), Style(_ORANGE, "s", _SOLID), Style(_BLACK, "^", _SOLID), Style(_VERMILLION, "D", _SOLID),
    Style(_GREEN, "v", _DASHED), Style(_PURPLE, "P", _DASHED), Style(_BLACK, "X", _DASHED),
    Style(_SKY, "<", _DASH_DOT), Style(_VERMILLION, ">", _DASH_DOT), Style(_BLUE, "p", _DASH_DOT),
    Style(_ORANGE, "h", _DOTTED), Style(_GREEN, "*", _DOTTED), Style(_BLACK, "d", _DOTTED),
    Style(_YELLOW, "H", _DOTTED),
)  # fmt: skip
METHODS = (
    "nsga2", "ehvi", "random", "local_search", "mo_rea", "mo_asha", "grid", "tpe", "bo_random", "bore", "cqr",
    "regularized_evolution", "bo_linear", "nsga3",
)  # fmt: skip
"""Search methods with the same style in every figure; others take the remaining styles."""


def methods(names: Iterable[str]) -> dict[str, Style]:
    """A style for every method; styles repeat if there are more methods than styles.

    >>> methods(["nsga2", "my_own"])["my_own"] == methods(["my_own"])["my_own"]
    False
    """
    present = sorted(set(names))
    known = {name: _SERIES[METHODS.index(name)] for name in present if name in METHODS}
    left = [style for style in _SERIES if style not in known.values()] or list(_SERIES)
    others = [name for name in present if name not in METHODS]
    return known | {name: left[index % len(left)] for index, name in enumerate(others)}


def grey(colour: str) -> float:
    """The grey that a `#rrggbb` colour prints as, 0 to 255 (ITU-R BT.601).

    >>> round(grey("#ffffff"))
    255
    """
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return 0.299 * red + 0.587 * green + 0.114 * blue


def panels(rows: int, columns: int, *, width: float = COLUMN, height: float = ROW, **options: Any) -> tuple[Any, Any]:
    """A figure and its axes, [rows, columns]."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt.subplots(
        rows, columns, figsize=(width * columns, height * rows), layout="constrained", squeeze=False, **options
    )


def legend(figure: Any, axis: Any, title: str | None = None, *, order: Sequence[str] = ()) -> None:
    """One legend to the right of all panels; labels in the given order, then the others."""
    width, height = figure.get_size_inches()
    figure.set_size_inches(width + LEGEND, height)
    found = dict(zip(*axis.get_legend_handles_labels()[::-1], strict=True))
    labels = [*order, *(label for label in found if label not in order)]
    figure.legend(
        [found[label] for label in labels], labels, loc="outside right upper", fontsize=8, title=title,
        title_fontsize=8, frameon=False, handlelength=3.2,
    )  # fmt: skip


def of_unit(unit: str) -> str:
    """Suffix of an axis label: a comma and the unit; empty for dimensionless values.

    >>> of_unit("ms"), of_unit("1")
    (', ms', '')
    """
    return "" if unit in ("", "1") else f", {unit}"


def short(value: float) -> str:
    """A number for a tick.

    >>> short(0.05), short(2000), short(500000), short(2e6)
    ('0.05', '2,000', '500k', '2M')
    """
    for least, unit, name in ((1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if value >= least:
            return f"{value / unit:,g}{name}"
    return f"{value:,g}"


def log_ticks(axis: Any, which: str) -> None:
    """Log scale of the axes named in `which` ("x", "y", "xy"); ticks at 1, 2 and 5, or at 1 where decades are many."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    for name in which:
        getattr(axis, f"set_{name}scale")("log")
        low, high = getattr(axis, f"get_{name}lim")()
        ticks = getattr(axis, f"{name}axis")
        ticks.set_major_locator(LogLocator(subs=(1, 2, 5) if high < _MANY * low else (1,)))
        ticks.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
        ticks.set_minor_formatter(NullFormatter())


def text_on(colour: Any) -> str:
    """Black or white, whichever is readable on a matplotlib colour with components 0 to 1."""
    return "black" if 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] > 0.5 else "white"


def save(figure: Any, folder: Path, name: str) -> list[Path]:
    """Write `name`.png and `name`.pdf, and close the figure."""
    import matplotlib.pyplot as plt

    folder.mkdir(parents=True, exist_ok=True)
    written = [folder / f"{name}.{kind}" for kind in ("png", "pdf")]
    for path in written:
        figure.savefig(path, dpi=DPI)
    plt.close(figure)
    return written
