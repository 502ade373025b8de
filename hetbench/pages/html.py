"""Parts of a page in HTML: text is escaped unless it is `Markup`; templates lie in `templates/` as files of their kind.

A page loads nothing: style, program and data are inside, and its content security policy forbids the rest. References
are links that only a click follows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from html import escape
from importlib.resources import files
from typing import Any

from hetbench.answers import LEVEL_TEXTS, digits

__all__ = ["DASH", "Markup", "details", "document", "figure", "fill", "level", "level_key", "link", "listed",
           "paragraph", "section", "shown", "span", "table", "template"]  # fmt: skip

DASH = "–"
_REF = re.compile(r"([\w.-]+/[\w.-]+)@([0-9a-f]{7,40}):([^#\s()]+)")
_SLOT = re.compile(r"\{\{(\w+)\}\}")


class Markup(str):
    """HTML that is not escaped again."""

    __slots__ = ()


def shown(value: Any) -> Markup:
    """A cell: a dash where nothing is known, three digits of a fraction, text escaped.

    >>> shown(None), shown(0.0123456), shown(1234567), shown("a < b")
    ('–', '0.0123', '1,234,567', 'a &lt; b')
    """
    if isinstance(value, Markup):
        return value
    if value is None:
        return Markup(DASH)
    if isinstance(value, bool):
        return Markup("yes" if value else "no")
    if isinstance(value, float):
        return Markup(digits(value))
    if isinstance(value, int):
        return Markup(f"{value:,}")
    if isinstance(value, list | tuple):
        return Markup(", ".join(shown(each) for each in value)) if value else Markup(DASH)
    return Markup(escape(str(value)))


def figure(value: float | None, unit: str = "") -> Markup:
    """A number with its unit.

    >>> figure(2.5, "ms"), figure(None, "ms")
    ('2.5 ms', '–')
    """
    return Markup(DASH) if value is None else Markup(f"{digits(value)} {escape(unit)}".rstrip())


def span(lower: float | None, upper: float | None) -> Markup:
    """An interval.

    >>> span(1.0, 2.5)
    '<span class="nowrap">1 to 2.5</span>'
    """
    if lower is None or upper is None:
        return Markup("")
    return Markup(f'<span class="nowrap">{digits(lower)} to {digits(upper)}</span>')


def level(name: str | None) -> Markup:
    """The evidence level as a badge with its meaning; letters tell the levels apart without colour."""
    if name is None:
        return Markup(DASH)
    return Markup(f'<abbr class="level level-{name.lower()}" title="level {name}: {LEVEL_TEXTS[name]}">{name}</abbr>')


def level_key() -> Markup:
    """What the levels mean."""
    rows = "".join(f"<dt>{level(name)}</dt><dd>{shown(text)}</dd>" for name, text in LEVEL_TEXTS.items())
    return Markup(f'<dl class="key">{rows}</dl>')


def link(ref: str) -> Markup:
    """A reference, linked where it names a file of a public repository at a commit.

    >>> link("o/r@0123abc:a/b.csv")[:54]
    '<a rel="noreferrer" href="https://github.com/o/r/blob/'
    """
    found = _REF.match(ref)
    if found is None:
        return shown(ref)
    repository, commit, path = (escape(part) for part in found.groups())
    return Markup(f'<a rel="noreferrer" href="https://github.com/{repository}/blob/{commit}/{path}">{escape(ref)}</a>')


def paragraph(text: str, css: str = "") -> Markup:
    """A paragraph."""
    return Markup(f'<p class="{css}">{shown(text)}</p>' if css else f"<p>{shown(text)}</p>")


def listed(items: Iterable[str]) -> Markup:
    """A list; nothing where it is empty."""
    entries = "".join(f"<li>{shown(each)}</li>" for each in items)
    return Markup(f"<ul>{entries}</ul>") if entries else Markup("")


def details(summary: str, body: str) -> Markup:
    """A part that opens on a click or a key; nothing where it is empty."""
    return Markup(f"<details><summary>{shown(summary)}</summary>{shown(body)}</details>") if body else Markup("")


def section(name: str, title: str, parts: Iterable[str], rank: int = 2) -> Markup:
    """A section under a heading, with an anchor."""
    body = "\n".join(shown(part) for part in parts)
    return Markup(f'<section id="{escape(name)}" aria-labelledby="{escape(name)}-h">'
                  f'<h{rank} id="{escape(name)}-h">{shown(title)}</h{rank}>\n{body}\n</section>')  # fmt: skip


def table(caption: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], css: str = "") -> Markup:
    """A table whose first column heads the rows; it scrolls in a region of its own, by keyboard too.

    A column whose name is a drawn axis holds pictures of its rows; one whose name begins with `*` is left out on
    narrow screens.
    """
    heads, marks = [], []
    for name in columns:
        marks.append("minor" if name.startswith("*") else "picture" if name.startswith("<svg") else "")
        text = name if isinstance(name, Markup) else shown(name.removeprefix("*"))
        heads.append(f'<th scope="col"{_css(marks[-1])}>{text}</th>')
    body = "\n".join(
        "<tr>" + "".join(_cell(value, place, mark) for place, (value, mark) in enumerate(zip(row, marks, strict=True)))
        + "</tr>" for row in rows
    )  # fmt: skip
    return Markup(
        f'<div class="wide" tabindex="0" role="region" aria-label="{escape(caption)}"><table{_css(css)}>'
        f"<caption>{shown(caption)}</caption><thead><tr>{''.join(heads)}</tr></thead>\n<tbody>\n{body}\n"
        "</tbody></table></div>"
    )


def _css(name: str) -> str:
    return f' class="{name}"' if name else ""


def _cell(value: Any, place: int, mark: str) -> str:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    kind = " ".join(filter(None, (mark, "number" if number else "")))
    return f'<th scope="row">{shown(value)}</th>' if place == 0 else f"<td{_css(kind)}>{shown(value)}</td>"


@lru_cache(maxsize=8)
def template(name: str) -> str:
    """A file of `templates/`."""
    return (files("hetbench") / "pages" / "templates" / name).read_text(encoding="utf-8")


def fill(text: str, **values: str) -> str:
    """The text with every `{{name}}` replaced, once.

    >>> fill("<p>{{a}}</p>", a="{{b}}")
    '<p>{{b}}</p>'
    """
    return _SLOT.sub(lambda slot: values[slot[1]], text)


def document(
    title: str, intro: str, links: Sequence[tuple[str, str]], body: Iterable[str], data: Any = None, program: str = ""
) -> str:
    """A whole page: `links` are the anchors and names of its navigation, `data` is kept inside as JSON."""
    entries = "".join(f'<li><a href="{escape(to)}">{shown(name)}</a></li>' for to, name in links)
    return fill(
        template("page.html"), title=escape(title), style=template("page.css"), intro=shown(intro),
        links=f'<nav aria-label="Sections"><ul>{entries}</ul></nav>' if entries else "",
        body="\n".join(shown(part) for part in body), data="" if data is None else _data(data),
        program=f"<script>\n{program}</script>" if program else "",
    )  # fmt: skip


def _data(value: Any) -> str:
    """JSON that no HTML parser ends early."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return f'<script type="application/json" id="data">{text.replace("<", chr(92) + "u003c")}</script>'
