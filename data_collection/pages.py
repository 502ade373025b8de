"""Write a page from a list of parts, as Markdown or as one self-contained HTML file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

__all__ = ["Chart", "Heading", "Part", "Table", "Text", "html", "markdown", "shown"]

DASH = "–"
_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1b1b1b; background: #fff; margin: 0 auto; max-width: 76rem;
  padding: 1rem 1.5rem 4rem; }
h1 { line-height: 1.2; } h2 { margin-top: 2.5rem; border-bottom: 1px solid #ccc; }
a { color: #0b57a4; } :focus-visible { outline: 3px solid #0b57a4; outline-offset: 2px; }
.wide { overflow-x: auto; margin: 1rem 0; } .chart { min-width: 40rem; }
table { border-collapse: collapse; font-size: 0.9rem; }
caption { text-align: left; font-weight: 600; padding: 0.3rem 0; }
th, td { border-bottom: 1px solid #ddd; padding: 0.25rem 0.7rem; text-align: left; vertical-align: top; }
thead th { border-bottom: 2px solid #888; white-space: nowrap; }
td.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
"""


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
    """The page as one self-contained HTML file, with Plotly's script included once if there is a chart."""
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
    links = "".join(f'<li><a href="#section-{i}">{escape(text)}</a></li>' for i, text in enumerate(sections))
    program = ""
    if charts:
        from plotly.offline import get_plotlyjs

        program = f"<script>{get_plotlyjs()}</script>"
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
        f"<style>{_STYLE}</style>{program}</head>\n<body><header><h1>{escape(title)}</h1></header>"
        + (f'<nav aria-label="Sections"><ul>{links}</ul></nav>' if len(sections) > 1 else "")
        + "<main>\n" + "\n".join(body) + "\n</main></body></html>\n"
    )  # fmt: skip


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
    return f'<div class="wide"><div class="chart" role="img" aria-label="{label}">{drawn}</div></div>'
