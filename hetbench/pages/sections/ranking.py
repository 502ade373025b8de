"""Choosing a chip: every chip that can run the model, best first, with latency drawn on one logarithmic axis."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hetbench.answers import digits
from hetbench.pages.html import (
    DASH,
    Markup,
    bullet_list,
    details,
    interval_text,
    level_badge,
    paragraph,
    reference_link,
    section,
    table,
    to_html,
)  # fmt: skip
from hetbench.pages.labels import setting_words
from hetbench.pages.svg import axis, interval, interval_legend, logarithmic

__all__ = ["ranking_section"]

Facts = Mapping[str, Any]
CHARTED = 20
"""Best chips that are drawn, in addition to those of the matrix and those with published rows; the others follow in a
table that opens."""


def ranking_section(model: Facts, anchor: str) -> Markup:
    """Every chip that can run the model, best first, and the excluded ones with the reason."""
    found = model["migration"]
    published, setting = _published_ms(model["published"]), f"{model['name']}, {setting_words(model['sizes'])}"
    candidates = [{**each, "rank": rank} for rank, each in enumerate(found["candidates"], start=1)]
    always = {*published, *(each["target"] for each in model["matrix"])}
    charted = [each for each in candidates if each["rank"] <= CHARTED or each["chip"] in always]
    others = [each for each in candidates if each["rank"] > CHARTED and each["chip"] not in always]
    return section(f"{anchor}-ranking", "Choosing a chip", [
        paragraph(_introduction(found, candidates[0]["latency"]["interval_level"])),
        interval_legend(), _chart(charted, published, found, setting),
        details(f"{len(others)} more chips", _others(others, found)),
        details(f"{len(found['dropped'])} excluded chips and reasons", bullet_list(_excluded(found["dropped"]))),
        details("Evidence of each latency", _evidence(charted)),
    ], 3)  # fmt: skip


def _introduction(found: Facts, interval_level: float) -> str:
    slo, source = found["slo_ms"], found["source"]
    sentences = [
        f"{len(found['candidates'])} chips ranked by {found['objective']}, {len(found['dropped'])} excluded. Unless "
        "an option sets them, precision and stack are the defaults of each chip. Intervals are at "
        f"{100 * interval_level:g} %.",
        f"The source is {source}." if source else "",
        "" if slo is None else f"Chips that meet the deadline of {digits(slo)} ms are listed first; “meets deadline” "
                               "is the probability of meeting it.",
        "* marks Pareto-optimal chips: no other chip is better in latency, energy and memory share at once.",
    ]  # fmt: skip
    return " ".join(filter(None, sentences))


def _columns(found: Facts, axis_head: str) -> list[str]:
    return ["chip", axis_head, "latency, ms", "*interval, ms", "level", "*vs source", "*precision, stack", "*energy, J",
            "*memory used", *(["meets deadline"] if found["slo_ms"] is not None else [])]  # fmt: skip


def _chart(
    charted: list[dict[str, Any]], published: Mapping[str, list[float]], found: Facts, setting: str
) -> Markup:  # fmt: skip
    values = [value for each in charted for value in (each["latency"]["value"], each["latency"]["lower"],
              each["latency"]["upper"], *published.get(each["chip"], ())) if value]  # fmt: skip
    scale = logarithmic(values)
    rows = []
    for each in charted:
        own, points = each["latency"], published.get(each["chip"], ())
        mark = interval(scale, own["value"], own["lower"], own["upper"], measured=own["kind"] == "measured",
                        points=points)  # fmt: skip
        rows.append([_chip(each), mark, *_figures(each, found)])
    return table(f"Latency in ms, logarithmic axis: {setting}", _columns(found, axis(scale, "ms")), rows, "chart")


def _others(others: Iterable[Facts], found: Facts) -> str:
    rows = [[_chip(each), *_figures(each, found)] for each in others]
    columns = _columns(found, "")
    return table("Lower-ranked chips", [columns[0], *columns[2:]], rows) if rows else ""


def _chip(each: Facts) -> Markup:
    mark = " *" if each["pareto"] else ""
    rank = f'<span class="rank">{each["rank"]}</span>'
    return Markup(f"{rank}{to_html(each['chip'])}{mark} <small>{to_html(each['family'])}</small>")


def _figures(each: Facts, found: Facts) -> list[Any]:
    own = each["latency"]
    cells = [own["value"], interval_text(own["lower"], own["upper"]), level_badge(own["level"]),
             _with_unit(each["ratio"], "×"), f"{own['precision']}, {own['stack']}",
             None if each["energy"] is None else each["energy"]["value"],
             _with_unit(each["memory_share"], "%")]  # fmt: skip
    return cells + ([Markup(f"{100 * each['meets']:.0f} %")] if found["slo_ms"] is not None else [])


def _with_unit(value: float | None, unit: str) -> Markup:
    return Markup(DASH if value is None else f'<span class="nowrap">{digits(value)} {unit}</span>')


def _published_ms(rows: Iterable[Facts]) -> dict[str, list[float]]:
    """Chip -> published latencies in ms."""
    found: dict[str, list[float]] = {}
    for row in rows:
        found.setdefault(row["chip"], []).append(row["value"])
    return found


def _excluded(dropped: Iterable[Facts]) -> list[str]:
    """One line a reason, with all chips that it excludes."""
    chips: dict[str, list[str]] = {}
    for each in dropped:
        reason = f"{each['reason']}: {each['why'].replace(each['chip'], 'it')}"
        chips.setdefault(reason, []).append(each["chip"])
    return [f"{', '.join(names)}: {reason}" for reason, names in chips.items()]


def _evidence(candidates: Iterable[Facts]) -> Markup:
    """Stack, supporting rows, notes and references of each latency."""
    rows = []
    for each in candidates:
        own = each["latency"]
        fallback = [f"on the CPU or with unknown support: {', '.join(each['beside'])}"] if each["beside"] else []
        notes = dict.fromkeys([*own["notes"], *each["notes"], *fallback])
        refs = [reference_link(ref) for ref in own["refs"]]
        rows.append([each["chip"], own["kind"], own["stack"], own["support"], own["surrogate"],
                     Markup(f"{bullet_list(notes)}{bullet_list(refs)}")])  # fmt: skip
    columns = ["chip", "kind", "stack", "supporting rows", "surrogate", "notes and references"]
    return table("Evidence of each latency", columns, rows)
