"""`hetbench report`: one self-contained HTML file about one or more models; it needs no network and no script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hetbench.answers import digits
from hetbench.pages.html import (
    Markup,
    definition_list,
    document,
    level_legend,
    paragraph,
    section,
)  # fmt: skip
from hetbench.pages.labels import setting_words
from hetbench.pages.sections.attribution import attribution_section
from hetbench.pages.sections.chips import chips_section
from hetbench.pages.sections.coverage import coverage_section
from hetbench.pages.sections.headline import headline
from hetbench.pages.sections.matrix import matrix_section
from hetbench.pages.sections.measurements import measurements_section, sources_section
from hetbench.pages.sections.plan import plan_section
from hetbench.pages.sections.ranking import ranking_section
from hetbench.pages.sections.serving import serving_section

__all__ = ["report_page"]


def report_page(data: Mapping[str, Any]) -> str:
    """The HTML of a report. `data` comes from `hetbench.pages.report_data.report_data` and is embedded as JSON.

    >>> from hetbench import HetBench
    >>> from hetbench.pages.report_data import ReportRequest, report_data
    >>> text = report_page(report_data(HetBench(), ReportRequest(["bert-tiny"], targets="cann")))
    >>> text.count("<h1>"), "src=" in text
    (1, False)
    """
    models = data["models"]
    title = f"{', '.join(each['name'] for each in models)}: migration from {data['source']}"
    links = [(f"#m{number}", each["name"]) for number, each in enumerate(models, start=1)]
    links += [("#levels", "Evidence levels"), ("#chips", "Chip datasheets")]
    links += [("#sources", "Sources")] if data["sources"] else []
    body = [_model(each, data["chips_compared"], f"m{number}") for number, each in enumerate(models, start=1)]
    body += [
        section("levels", "Evidence levels", [level_legend()]), chips_section(data["chips"]),
        sources_section(data["sources"]),
    ]  # fmt: skip
    return document(title, _introduction(data), links, body, data)


def _introduction(data: Mapping[str, Any]) -> Markup:
    options = setting_words(data["options"])
    measured = data["source_value"]
    sentences = [
        "Every figure is measured, predicted with an interval and an evidence level, or derived exactly from the "
        "operator graph.",
        f"Options: {options}." if options else "Sizes, precision and stack are the defaults of the model and the chip.",
        f"The caller measured {digits(measured)} ms on {data['source']}." if measured is not None else "",
        f"Written by hetbench {data['hetbench']}. The page loads nothing; all its figures are embedded as JSON "
        "(script#data).",
    ]  # fmt: skip
    return paragraph(" ".join(filter(None, sentences)), "faint")


def _model(model: Mapping[str, Any], chips: Sequence[str], anchor: str) -> Markup:
    """All sections about one model."""
    known = model["facts"] or {}
    facts = definition_list({
        "model": known.get("title"), "task": known.get("task"), "parameters": known.get("params"),
        "name": model["name"], "workload": setting_words(model["sizes"]),
        "configuration": known.get("config_source"), "licence of the weights": known.get("licence"),
        "note": known.get("note"),
    })  # fmt: skip
    return section(anchor, known.get("title") or model["name"], [
        headline(model), facts, matrix_section(model, chips, anchor),
        ranking_section(model, anchor), serving_section(model, anchor),
        measurements_section(model, anchor), coverage_section(model, anchor), attribution_section(model, anchor),
        plan_section(model, anchor),
    ])  # fmt: skip
