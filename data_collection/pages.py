"""Write a page from a list of parts, as Markdown or as one self-contained HTML file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from hetbench.pages.html import Markup, document

__all__ = ["Chart", "Heading", "Part", "Table", "Text", "html", "markdown", "shown"]

DASH = "–"
_STYLE = ".drawn { min-width: 40rem; background: #fff; }\n"
"""Plotly draws on white in both colour schemes; everything else is the style of all pages of hetbench."""


@dataclass(frozen=True, slots=True)
class Heading:
    """A section heading."""

    text: str


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True, slots=True)
class Table:
    """A table; cells are texts, numbers, or None if unknown."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Chart:
    """A Plotly figure; omitted in Markdown, where the table beside it has the same numbers."""

    title: str
    figure: Any


Part = Heading | Text | Table | Chart


def shown(cell: Any) -> str:
    """A cell as text: a dash if unknown, four significant digits of a fraction.

    >>> shown(None), shown(0.0012345), shown(12345.6), shown(8), shown(True)
    ('–', '0.001234', '12,346', '8', 'yes')
    """
    if cell is None or cell != cell:
        return DASH
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, float):
        return f"{cell:,.0f}" if abs(cell) >= 1000 else f"{cell:.4g}"
    return f"{cell:,}" if isinstance(cell, int) else str(cell)


def markdown(title: str, parts: Sequence[Part]) -> str:
    """The page as GitHub Markdown."""
    lines = [f"# {_plain(title)}", ""]
    for part in parts:
        if isinstance(part, Heading):
            lines += [f"## {_plain(part.text)}", ""]
        elif isinstance(part, Text):
            lines += [_plain(part.text), ""]
        elif isinstance(part, Table):
            lines += [f"**{_plain(part.caption)}**", "", _line(part.columns), _line(["---"] * len(part.columns))]
            lines += [*(_line([_plain(shown(cell)) for cell in row]) for row in part.rows), ""]
    return "\n".join(lines).rstrip() + "\n"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _plain(text: str) -> str:
    """Text escaped for Markdown, on one line."""
    return escape(" ".join(text.split()), quote=False).replace("|", "\\|").replace("`", "\\`").replace("[", "\\[")


def html(title: str, parts: Sequence[Part]) -> str:
    """The page as one self-contained HTML file in the design of `hetbench report`; Plotly's script is included once if
    there is a chart."""
    body: list[str] = []
    sections = [part.text for part in parts if isinstance(part, Heading)]
    charts = 0
    for part in parts:
        if isinstance(part, Heading):
            body.append(f'<h2 id="section-{sections.index(part.text)}">{escape(part.text)}</h2>')
        elif isinstance(part, Text):
            body.append(f"<p>{escape(part.text)}</p>")
        elif isinstance(part, Table):
            body.append(_table(part))
        else:
            charts += 1
            body.append(_chart(part, charts))
    links = [(f"#section-{i}", text) for i, text in enumerate(sections)] if len(sections) > 1 else []
    if charts:
        from plotly.offline import get_plotlyjs

        body.insert(0, f"<script>{get_plotlyjs()}</script>")
    return document(title, "", links, map(Markup, body), style=_STYLE)


def _table(part: Table) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in part.columns)
    rows = "\n".join("<tr>" + "".join(_cell(cell) for cell in row) + "</tr>" for row in part.rows)
    # focusable, so that a wide table can be scrolled with the keyboard
    return (f'<div class="wide" tabindex="0" role="region" aria-label="{escape(part.caption)}"><table>'
            f"<caption>{escape(part.caption)}</caption><thead><tr>{head}</tr></thead>"
            f"<tbody>\n{rows}\n</tbody></table></div>")  # fmt: skip


def _cell(cell: Any) -> str:
    number = isinstance(cell, int | float) and not isinstance(cell, bool)
    return f"{'<td class=number>' if number else '<td>'}{escape(shown(cell))}</td>"


def _chart(part: Chart, place: int) -> str:
    drawn = part.figure.to_html(full_html=False, include_plotlyjs=False, div_id=f"chart-{place}",
                                config={"displayModeBar": False, "responsive": True})  # fmt: skip
    label = escape(f"Chart: {part.title}. The table beside it holds the same numbers.")
    return f'<div class="wide"><div class="drawn" role="img" aria-label="{label}">{drawn}</div></div>'
