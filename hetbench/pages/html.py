"""Building blocks of a page in HTML. Text is escaped unless it is `Markup`; the templates are files in `templates/`.

A page is self-contained: it embeds its style, script and data, and its content security policy blocks every request.
References are plain links.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from html import escape
from importlib.resources import files
from typing import Any

from hetbench.answers import LEVEL_TEXTS, digits

__all__ = ["DASH", "Markup", "bullet_list", "definition_list", "details", "document", "fill_template",
           "interval_text", "level_badge", "level_legend", "page_style", "paragraph", "quantity", "read_template",
           "reference_link", "section", "table", "to_html"]  # fmt: skip

DASH = "–"
_REF = re.compile(r"([\w.-]+/[\w.-]+)@([0-9a-f]{7,40}):([^#\s()]+)")
_SLOT = re.compile(r"\{\{(\w+)\}\}")


class Markup(str):
    """HTML that is not escaped again."""

    __slots__ = ()


def to_html(value: Any) -> Markup:
    """A value as HTML: a dash for None, three significant digits for a float, escaped text otherwise.

    >>> to_html(None), to_html(0.0123456), to_html(1234567), to_html("a < b")
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
        return Markup(", ".join(to_html(each) for each in value)) if value else Markup(DASH)
    return Markup(escape(str(value)))


def quantity(value: float | None, unit: str = "") -> Markup:
    """A number with its unit; a dash for None.

    >>> quantity(2.5, "ms"), quantity(None, "ms")
    ('2.5 ms', '–')
    """
    return Markup(DASH) if value is None else Markup(f"{digits(value)} {escape(unit)}".rstrip())


def interval_text(lower: float | None, upper: float | None) -> Markup:
    """An interval as `lower to upper`; empty where a bound is None.

    >>> interval_text(1.0, 2.5)
    '<span class="nowrap">1 to 2.5</span>'
    """
    if lower is None or upper is None:
        return Markup("")
    return Markup(f'<span class="nowrap">{digits(lower)} to {digits(upper)}</span>')


def level_badge(name: str | None) -> Markup:
    """An evidence level as a badge whose tooltip states its meaning; the letter tells levels apart without colour."""
    if name is None:
        return Markup(DASH)
    return Markup(f'<abbr class="level level-{name.lower()}" title="level {name}: {LEVEL_TEXTS[name]}">{name}</abbr>')


def level_legend() -> Markup:
    """The meaning of every evidence level, as a definition list."""
    rows = "".join(f"<dt>{level_badge(name)}</dt><dd>{to_html(text)}</dd>" for name, text in LEVEL_TEXTS.items())
    return Markup(f'<dl class="key">{rows}</dl>')


def reference_link(ref: str) -> Markup:
    """A reference `owner/name@commit:path` as a link to that file; other references as text.

    >>> reference_link("o/r@0123abc:a/b.csv")[:54]
    '<a rel="noreferrer" href="https://github.com/o/r/blob/'
    """
    found = _REF.match(ref)
    if found is None:
        return to_html(ref)
    repository, commit, path = (escape(part) for part in found.groups())
    return Markup(f'<a rel="noreferrer" href="https://github.com/{repository}/blob/{commit}/{path}">{escape(ref)}</a>')


def paragraph(text: str, css: str = "") -> Markup:
    """A paragraph with the CSS class `css`."""
    return Markup(f'<p class="{css}">{to_html(text)}</p>' if css else f"<p>{to_html(text)}</p>")


def bullet_list(items: Iterable[str]) -> Markup:
    """A bullet list; nothing if it is empty."""
    entries = "".join(f"<li>{to_html(each)}</li>" for each in items)
    return Markup(f"<ul>{entries}</ul>") if entries else Markup("")


def definition_list(pairs: Mapping[str, Any]) -> Markup:
    """Names and values; pairs without a value are left out.

    >>> definition_list({"task": "text", "note": None})
    '<dl class="facts"><dt>task</dt><dd>text</dd></dl>'
    """
    rows = "".join(f"<dt>{to_html(name)}</dt><dd>{to_html(value)}</dd>" for name, value in pairs.items()
                   if value not in (None, "", [], ()))  # fmt: skip
    return Markup(f'<dl class="facts">{rows}</dl>')


def details(summary: str, body: str) -> Markup:
    """A folded part under its summary; nothing if the body is empty."""
    return Markup(f"<details><summary>{to_html(summary)}</summary>{to_html(body)}</details>") if body else Markup("")


def section(name: str, title: str, parts: Iterable[str], rank: int = 2) -> Markup:
    """A section with a heading of level `rank` and the anchor `name`."""
    body = "\n".join(to_html(part) for part in parts)
    return Markup(f'<section id="{escape(name)}" aria-labelledby="{escape(name)}-h">'
                  f'<h{rank} id="{escape(name)}-h">{to_html(title)}</h{rank}>\n{body}\n</section>')  # fmt: skip


def table(caption: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], css: str = "") -> Markup:
    """A table whose first column holds the row headers; wide tables scroll in a region of their own.

    A column whose name is an SVG axis holds drawings. A column whose name begins with `*` is hidden on narrow screens.
    """
    heads, marks = [], []
    for name in columns:
        marks.append("minor" if name.startswith("*") else "picture" if name.startswith("<svg") else "")
        text = name if isinstance(name, Markup) else to_html(name.removeprefix("*"))
        heads.append(f'<th scope="col"{_css(marks[-1])}>{text}</th>')
    body = "\n".join(
        "<tr>" + "".join(_cell(value, place, mark) for place, (value, mark) in enumerate(zip(row, marks, strict=True)))
        + "</tr>" for row in rows
    )  # fmt: skip
    return Markup(
        f'<div class="wide" tabindex="0" role="region" aria-label="{escape(caption)}"><table{_css(css)}>'
        f"<caption><span>{to_html(caption)}</span></caption><thead><tr>{''.join(heads)}</tr></thead>\n<tbody>\n{body}\n"
        "</tbody></table></div>"
    )


def _css(name: str) -> str:
    return f' class="{name}"' if name else ""


def _cell(value: Any, place: int, mark: str) -> str:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    kind = " ".join(filter(None, (mark, "number" if number else "")))
    return f'<th scope="row">{to_html(value)}</th>' if place == 0 else f"<td{_css(kind)}>{to_html(value)}</td>"


@lru_cache(maxsize=8)
def read_template(name: str) -> str:
    """The text of a file in `templates/`."""
    return (files("hetbench") / "pages" / "templates" / name).read_text(encoding="utf-8")


def page_style() -> str:
    """The CSS of every page: colours and sizes by name (`tokens.css`), then the rules that use them (`page.css`)."""
    return read_template("tokens.css") + read_template("page.css")


def fill_template(text: str, **values: str) -> str:
    """The text with every `{{name}}` replaced by its value; values are not expanded again.

    >>> fill_template("<p>{{a}}</p>", a="{{b}}")
    '<p>{{b}}</p>'
    """
    return _SLOT.sub(lambda slot: values[slot[1]], text)


def document(
    title: str, intro: str, links: Sequence[tuple[str, str]], body: Iterable[str], data: Any = None, program: str = "",
    style: str = "",
) -> str:  # fmt: skip
    """A whole page. `links` are the targets and labels of its navigation; `data` is embedded as JSON; `style` is CSS
    beside that of all pages."""
    entries = "".join(f'<li><a href="{escape(to)}">{to_html(name)}</a></li>' for to, name in links)
    return fill_template(
        read_template("page.html"), title=escape(title), style=page_style() + style, intro=to_html(intro),
        links=f'<nav aria-label="Sections"><ul>{entries}</ul></nav>' if entries else "",
        body="\n".join(to_html(part) for part in body), data="" if data is None else _data(data),
        program=f"<script>\n{program}</script>" if program else "",
    )  # fmt: skip


def _data(value: Any) -> str:
    """JSON in a script element, with `<` escaped so that no text can close the element."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return f'<script type="application/json" id="data">{text.replace("<", chr(92) + "u003c")}</script>'
