"""A view as HTML for notebooks: a table with interval bars and evidence badges, notes and references folded.

Colours are those of the page (`currentColor`), so that the table is readable on light and on dark ground; every bar has
its numbers beside it and a label for screen readers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from html import escape

from hetbench.display.view import Cell, Level, Range, View, is_logarithmic

__all__ = ["html_of"]

_WIDTH, _HEIGHT = 140, 12  # of an interval bar, in pixels
_MARGIN = 4
_BADGES = {"A": "#1a7f37", "B": "#0969da", "C": "#9a6700", "D": "#bc4c00"}
_CELL = "text-align:left;padding:2px 10px 2px 0;vertical-align:top;white-space:nowrap"

Scale = tuple[float, float, bool]
"""Smallest and largest figure of a bar, and whether the scale is logarithmic."""


def html_of(view: View) -> str:
    """A view as an HTML fragment, without the columns that are empty in every row.

    >>> html_of(View("a < b", ("chip",), (("nvidia-l4",),)))[:41]
    '<div class="hetbench"><div><b>a &lt; b</b'
    """
    scales = _scales(cell for row in view.rows for cell in row if isinstance(cell, Range))
    used = [at for at in range(len(view.columns)) if any(row[at] != "" for row in view.rows)]
    head = "".join(f'<th scope="col" style="{_CELL}">{escape(view.columns[at])}</th>' for at in used)
    body = "".join(
        "<tr>" + "".join(f'<td style="{_CELL}">{_cell(row[at], scales)}</td>' for at in used) + "</tr>"
        for row in view.rows
    )
    return (
        f'<div class="hetbench"><div><b>{escape(view.caption)}</b></div>'
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        f"{_fold('note', view.notes)}{_fold('reference', view.refs)}</div>"
    )


def _cell(cell: Cell, scales: Mapping[str, Scale]) -> str:
    if isinstance(cell, Level):
        colour = _BADGES.get(cell.letter, "currentColor")
        return (f'<span title="{escape(cell.meaning)}" style="border:1px solid {colour};border-radius:3px;'
                f'padding:0 5px">{escape(cell.letter)}</span>')  # fmt: skip
    if isinstance(cell, Range):
        return f"{escape(str(cell))}<br>{_bar(cell, scales[cell.unit])}"
    return escape(cell)


def _scales(ranges: Iterable[Range]) -> dict[str, Scale]:
    """One scale for each unit, from 0 or logarithmic, over the values and intervals."""
    by_unit: dict[str, list[float]] = {}
    for each in ranges:
        by_unit.setdefault(each.unit, []).extend(end for end in (each.value, *each.ends) if math.isfinite(end))
    scales = {}
    for unit, figures in by_unit.items():
        low, high = min(figures, default=0.0), max(figures, default=1.0)
        logarithmic = is_logarithmic(low, high)
        scales[unit] = (low if logarithmic else min(low, 0.0), high if high > min(low, 0.0) else 1.0, logarithmic)
    return scales


def _bar(cell: Range, scale: Scale) -> str:
    """The interval as a line and the value as a mark; a value without an interval as a bar from 0."""
    left, at, right = (_place(figure, scale) for figure in (cell.ends[0], cell.value, cell.ends[1]))
    middle = _HEIGHT / 2
    if cell.lower is None or cell.upper is None:
        start = _place(0.0 if not scale[2] else scale[0], scale)
        left, width = min(start, at), max(1.0, abs(at - start))
        return (
            f'<svg width="{_WIDTH}" height="{_HEIGHT}" role="img" aria-label="{escape(str(cell))}">'
            f'<rect x="{left:.1f}" y="4" width="{width:.1f}" height="4" fill="currentColor" opacity="0.5"/></svg>'
        )
    return (
        f'<svg width="{_WIDTH}" height="{_HEIGHT}" role="img" aria-label="{escape(str(cell))}">'
        f'<line x1="{left:.1f}" x2="{right:.1f}" y1="{middle}" y2="{middle}" stroke="currentColor" stroke-width="2" '
        f'opacity="0.5"/><circle cx="{at:.1f}" cy="{middle}" r="3.5" fill="currentColor"/></svg>'
    )


def _place(figure: float, scale: Scale) -> float:
    """Horizontal place of a figure on a bar, in pixels."""
    low, high, logarithmic = scale
    inner = _WIDTH - 2 * _MARGIN
    if not math.isfinite(figure):
        return _WIDTH - _MARGIN
    if logarithmic:
        low, high, figure = math.log(low), math.log(high), math.log(figure)
    return _MARGIN + inner * (figure - low) / (high - low)


def _fold(what: str, lines: tuple[str, ...]) -> str:
    if not lines:
        return ""
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<details><summary>{len(lines)} {what}{'s' * (len(lines) > 1)}</summary><ul>{items}</ul></details>"
