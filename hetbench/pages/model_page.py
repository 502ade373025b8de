"""The dashboard page of one model: its latency on every chip, published measurements and operator coverage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hetbench.answers import Answer
from hetbench.api import HetBench
from hetbench.catalog.chips import chips
from hetbench.pages.dashboard_data import DASHBOARD_METRICS
from hetbench.pages.html import (
    Markup,
    bullet_list,
    definition_list,
    details,
    document,
    interval_text,
    level_badge,
    level_legend,
    paragraph,
    reference_link,
    section,
    table,
    to_html,
)  # fmt: skip
from hetbench.pages.report_data import cited_sources, coverage_facts, model_facts, published_latencies
from hetbench.pages.sections.coverage import coverage_section
from hetbench.pages.sections.measurements import measurements_section, sources_section
from hetbench.pages.svg import axis, interval, interval_legend, logarithmic
from hetbench.schema import FAMILIES

__all__ = ["model_page"]

AnswersByChip = Mapping[str, Mapping[str, Answer | str]]
"""chip -> metric -> the answer, or the reason of the refusal."""
_LINKS = (
    ("../index.html", "Explorer"), ("../answers.html", "All answers"), ("../chips.html", "Chips"),
    ("#answers", "Latency by chip"), ("#m-published", "Published measurements"),
    ("#m-coverage", "Operator coverage"), ("#levels", "Evidence levels"),
)  # fmt: skip


def model_page(api: HetBench, name: str, answers: AnswersByChip) -> str:
    """The page of a catalogue model as HTML, chips sorted by latency."""
    known = model_facts(name) or {}
    answered = {chip: each for chip, each in answers.items() if isinstance(each["latency"], Answer)}
    first = next(iter(answered.values()))["latency"]
    sizes = {key: getattr(first, key) for key in ("batch", "seq_len", "image_size", "phase")}
    rows = published_latencies(name, sizes)
    about = definition_list({
        "task": known["task"], "parameters": known["params"], "architecture": known["architecture"],
        "workload": ", ".join(f"{key.replace('_', ' ')} {to_html(value)}" for key, value in sizes.items() if value),
        "configuration": known["config_source"], "licence of the weights": known["licence"], "note": known["note"],
    })  # fmt: skip
    model = {"published": rows, "coverage": [coverage_facts(api, name, family) for family in FAMILIES]}
    refs = [row["ref"] for row in rows] + [ref for each in answered.values() for one in each.values()
                                           if isinstance(one, Answer) for ref in one.refs]  # fmt: skip
    body = [
        about,
        section("answers", "Latency by chip", [interval_legend(), _latencies(answered, rows), _refusals(answers)]),
        measurements_section(model, "m"), coverage_section(model, "m"),
        section("levels", "Evidence levels", [level_legend()]), sources_section(cited_sources(refs)),
    ]  # fmt: skip
    intro = paragraph("The model at its default size, each chip in its default precision and stack.", "faint")
    return document(f"{known['title']} on every chip", intro, _LINKS, body)


def _latencies(answered: AnswersByChip, published: Sequence[Mapping[str, Any]]) -> Markup:
    order = sorted(answered.items(), key=lambda item: item[1]["latency"].value)  # type: ignore[union-attr]
    points: dict[str, list[float]] = {}
    for row in published:
        points.setdefault(row["chip"], []).append(row["value"])
    latencies = [each["latency"] for _, each in order if isinstance(each["latency"], Answer)]
    scale = logarithmic([value for one in latencies for value in (one.value, one.lower, one.upper) if value])
    columns = ["chip", axis(scale, "ms"), "latency, ms", "*interval, ms", "level", "*throughput, 1/s", "*energy, J",
               "*memory, MB", "*precision, stack"]  # fmt: skip
    body = []
    for (name, answers), one in zip(order, latencies, strict=True):
        mark = interval(scale, one.value, one.lower, one.upper, measured=one.kind == "measured",
                        points=points.get(name, ()))  # fmt: skip
        others = [answers[metric] for metric in DASHBOARD_METRICS[1:]]
        body.append([Markup(f"{to_html(name)} <small>{to_html(chips()[name].family)}</small>"), mark, one.value,
                     interval_text(one.lower, one.upper), level_badge(one.level),
                     *(other.value if isinstance(other, Answer) else None for other in others),
                     _nowrap(f"{one.precision}, {one.stack}")])  # fmt: skip
    caption = f"{len(body)} chips, fastest first; intervals at {100 * latencies[0].interval_level:g} %"
    return Markup(table(caption, columns, body, "chart") + details("Evidence of each latency", _evidence(
        {name: one for (name, _), one in zip(order, latencies, strict=True)})))  # fmt: skip


def _nowrap(text: str) -> Markup:
    return Markup(f'<span class="nowrap">{to_html(text)}</span>')


def _evidence(latencies: Mapping[str, Answer]) -> Markup:
    rows = [[name, one.kind, one.support, one.surrogate,
             Markup(f"{bullet_list(one.notes)}{bullet_list(map(reference_link, one.refs))}")]
            for name, one in latencies.items()]  # fmt: skip
    columns = ["chip", "kind", "supporting rows", "surrogate", "notes and references"]
    return table("Evidence of each latency", columns, rows)


def _refusals(answers: AnswersByChip) -> Markup:
    refused: dict[str, list[str]] = {}
    for chip, each in answers.items():
        for metric, answer in each.items():
            if isinstance(answer, str):
                refused.setdefault(f"{metric}: {answer.replace(chip, 'it')}", []).append(chip)
    lines = (f"{', '.join(names)}: {reason}" for reason, names in refused.items())
    return details("Refused answers and reasons", bullet_list(lines))
