"""The page of the explorer: one HTML file with its style, scripts and data; it loads nothing."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from hetbench.pages.html import (
    Markup,
    bullet_list,
    document,
    fill_template,
    level_legend,
    paragraph,
    read_template,
    to_html,
)  # fmt: skip

__all__ = ["SCRIPTS", "explorer_page", "vendored"]

SCRIPTS = ("data", "state", "rows", "charts", "save", "views", "sections", "main")
"""Files of `templates/explorer/` in the order in which they run."""
_LINKS = (("ranking", "Ranking"), ("pareto", "Pareto front"), ("matrix", "Migration matrix"),
          ("attribution", "Where the time goes"), ("coverage", "Operator coverage"), ("evidence", "Evidence"),
          ("exact", "How exact"), ("levels", "Evidence levels"), ("models", "Pages without a script"))  # fmt: skip


def explorer_page(data: Mapping[str, Any]) -> str:
    """The HTML of the explorer; `data` comes from `hetbench.pages.explorer.bundle.bundle`."""
    levels, families = list(data["levels"]), dict.fromkeys(each["family"] for each in data["chips"])
    body = fill_template(
        read_template("explorer/explorer.html"),
        levels="".join(f'<option value="{each}">{each}{"" if each == "A" else " or better"}</option>'
                       for each in levels),
        families="".join(f'<label><input type="checkbox" value="{each}"> {each}</label>' for each in families),
        key=level_legend(), licences=_licences(),
        pages=bullet_list(Markup(f'<a href="models/{each["name"]}.html">{to_html(each["title"])}</a>')
                          for each in data["models"] if each["page"]),
    )  # fmt: skip
    intro = paragraph(
        "How fast does a model run on which chip, on what evidence, and what changes on another vendor's chip? Choose "
        f"a model, a phase and sizes. {len(data['models'])} models, {len(data['chips'])} chips; every figure is "
        "measured, predicted with an interval and an evidence level, or interpolated between such figures. Written by "
        "hetbench "
        f"{data['hetbench']}; the page loads nothing.", "faint")  # fmt: skip
    return document("hetbench explorer: AI models on chips", intro, [], [_navigation(), Markup(body)], data, _program(),
                    read_template("explorer/explorer.css"))  # fmt: skip


def _navigation() -> Markup:
    """Buttons that go to a section; the address is kept for the state of the page."""
    entries = "".join(f'<li><button type="button" class="link" data-to="{to}">{name}</button></li>'
                      for to, name in _LINKS)  # fmt: skip
    return Markup(f'<nav aria-label="Sections"><ul>{entries}</ul></nav>')


def vendored() -> dict[str, dict[str, str]]:
    """Package, version, licence, file and sha256 of each script of another project.

    >>> {name: each["licence"] for name, each in vendored().items()}
    {'d3': 'ISC', 'plot': 'ISC'}
    """
    return tomllib.loads(_vendor_text("vendored.toml"))


def _vendor_text(name: str) -> str:
    return (files("hetbench") / "pages" / "vendor" / name).read_text(encoding="utf-8")


def _licences() -> Markup:
    return Markup("".join(
        f"<p>{to_html(each['package'])} {each['version']}, {each['licence']}</p>"
        f"<pre>{to_html(_vendor_text(f'{name}.LICENSE'))}</pre>" for name, each in vendored().items()))  # fmt: skip


def _program() -> str:
    """Scripts of other projects, then the page's own in a scope of their own; tests reach them as `explorer`."""
    own = "\n".join(read_template(f"explorer/{name}.js") for name in SCRIPTS)
    shown = "window.explorer = { state, answerAt, blocks, memoryAt, metricAt, csvOf, chosenBlocks, standalone };"
    others = "\n".join(_vendor_text(each["file"]) for each in vendored().values())
    return f"{others}\n(function () {{\n{own}\n{shown}\n}})();\n"
