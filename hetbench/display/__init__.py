"""How results show themselves: numbers as text, tables in a notebook, data frames and bar charts.

`Tabular` is the base of every result with rows. A result states its `records` (flat dictionaries, for a data frame) and
its `view` (caption, columns and rows for people); `markup` turns a view into HTML and `charts` into a figure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hetbench.plugins import lazy_exports

if TYPE_CHECKING:
    from hetbench.display.numbers import digits, number
    from hetbench.display.tabular import Tabular
    from hetbench.display.view import Level, Range, View

__all__ = ["Level", "Range", "Tabular", "View", "digits", "number"]

__getattr__ = lazy_exports(
    __name__, {"numbers": "digits number", "tabular": "Tabular", "view": "Level Range View"},
)  # fmt: skip
