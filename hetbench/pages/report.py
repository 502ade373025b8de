"""`hetbench report`: one HTML file about one or more models, complete without network, Plotly or a program."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hetbench.answers import digits
from hetbench.pages.html import Markup, document, level_key, paragraph, section, shown
from hetbench.pages.sections import ranking as sections

__all__ = ["report_page"]


def report_page(data: Mapping[str, Any]) -> str:
    """The page that shows `data`, which `hetbench.pages.report_data.report_data` collects and which stays in it as
    JSON.

    >>> from hetbench import HetBench
    >>> from hetbench.pages.report_data import Asked, report_data
    >>> text = report_page(report_data(HetBench(), Asked(["bert-tiny"], targets="cann")))
    >>> text.count("<h1>"), "src=" in text
    (1, False)
    """
    models = data["models"]
    title = f"{', '.join(each['name'] for each in models)}: moving from {data['source']}"
    links = [(f"#m{place}", each["name"]) for place, each in enumerate(models, start=1)]
    links += [("#levels", "Evidence levels"), ("#chips", "Chip facts")]
    links += [("#sources", "Sources")] if data["sources"] else []
    body = [_model(each, data["shown"], f"m{place}") for place, each in enumerate(models, start=1)]
    body += [
        section("levels", "Evidence levels", [level_key()]), sections.chips(data["chips"]),
        sections.upstreams(data["sources"]),
    ]  # fmt: skip
    return document(title, _intro(data), links, body, data)


def _intro(data: Mapping[str, Any]) -> Markup:
    options = ", ".join(f"{name} {value}" for name, value in data["options"].items() if value is not None)
    caller = data["source_value"]
    told = [
        f"Written by hetbench {data['hetbench']}; it loads nothing and holds its figures as JSON (script#data).",
        f"Asked for: {options}." if options else "Sizes, precision and stack are the usual ones of model and chip.",
        f"{digits(caller)} ms were measured by the caller on {data['source']}." if caller is not None else "",
        "Every figure is measured, predicted with an interval and an evidence level, or exact arithmetic on the "
        "operator graph.",
    ]  # fmt: skip
    return paragraph(" ".join(filter(None, told)), "faint")


def _model(model: Mapping[str, Any], shown_chips: list[str], name: str) -> Markup:
    """All sections about one model."""
    known = model["facts"] or {}
    sizes = {name.replace("_", " "): value for name, value in model["sizes"].items() if value is not None}
    facts = sections.facts({
        "model": known.get("title"), "task": known.get("task"), "parameters": known.get("params"),
        "asked at": ", ".join(f"{name} {shown(value)}" for name, value in sizes.items()),
        "configuration": known.get("config_source"), "licence of the weights": known.get("licence"),
        "note": known.get("note"),
    })  # fmt: skip
    return section(name, model["name"], [
        facts, sections.matrix(model, shown_chips, name), sections.ranking(model, name),
        sections.published(model, name), sections.coverage(model, name), sections.attribution(model, name),
        sections.plan(model, name),
    ])  # fmt: skip
