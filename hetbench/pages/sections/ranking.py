"""The sections of a report page, each drawn from the plain JSON of `hetbench.pages.report_data`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from math import log2
from typing import Any

from hetbench.answers import digits
from hetbench.catalog.chips import Chip
from hetbench.catalog.support import SUPPORT
from hetbench.pages.html import (
    DASH,
    Markup,
    details,
    figure,
    level,
    link,
    listed,
    paragraph,
    section,
    shown,
    span,
    table,
)  # fmt: skip
from hetbench.pages.svg import axis, bars, interval, linear, logarithmic, stack, step

__all__ = ["attribution", "chips", "coverage", "facts", "legend", "matrix", "plan", "published", "ranking", "upstreams"]

Facts = Mapping[str, Any]
DRAWN = 20
"""Chips of a ranking that are drawn, beside those of the matrix and those with published rows; the others follow in a
table that opens."""
_FACTS = {
    "arch": "architecture", "process_nm": "process, nm", "compute_units": "compute units", "boost_mhz": "boost, MHz",
    "int8_tops": "int8, TOPS", "mem_gb": "memory, GB", "mem_type": "memory type",
    "mem_bw_gbs": "memory bandwidth, GB/s", "l2_mb": "L2, MB", "llc_mb": "last-level cache, MB",
    "l1_shared_kb_per_unit": "L1 and shared memory of a unit, KB", "tdp_w": "TDP, W",
    "interconnect_gbs": "interconnect, GB/s",
}  # fmt: skip
"""How a fact is named where its field does not say it."""


def matrix(model: Facts, shown_chips: Sequence[str], name: str) -> Markup:
    """Source x target: ratio of latencies, its interval, the evidence level of the weaker side."""
    cells = {(each["source"], each["target"]): each for each in model["matrix"]}
    rows = [[source, *(_pair(cells[source, target]) for target in shown_chips)] for source in shown_chips]
    held = sorted({each["holds_at_least"] for each in model["matrix"] if each.get("holds_at_least")})
    share = f" Such an interval holds at least {100 * held[0]:g} % of the true ratios." if held else ""
    reasons = dict.fromkeys(f"{each['source']} to {each['target']}: {each['refused']}"
                            for each in model["matrix"] if each["refused"])  # fmt: skip
    return section(f"{name}-matrix", "Migration matrix", [
        paragraph("Latency on the target (across) over latency on the source (down), both in one precision that the "
                  "two chips have; ▲ slower, ▼ faster there. On the diagonal stands the latency itself. The interval "
                  "spans both sides': lower end over upper end to upper over lower." + share
                  + " The letter is the evidence level of the weaker side."),
        table("Source (rows) to target (columns)", ["from \\ to", *shown_chips], rows, "matrix"),
        details("What is refused", listed(reasons)),
    ], 3)  # fmt: skip


def _pair(cell: Facts) -> Markup:
    if cell["refused"]:
        return Markup("<small>refused</small>")
    badge = level(cell["level"])
    if cell["ratio"] is None:
        own = cell["latency"]
        between = f"<small>{span(own['lower'], own['upper'])}</small>"
        return Markup(f'<span class="nowrap"><strong>{figure(own["value"], "ms")}</strong> {badge}</span>{between}')
    ratio = cell["ratio"]
    tint = min(3, round(abs(log2(ratio)) * 1.5))
    way = f"nowrap tint-{'u' if ratio > 1 else 'd'}{tint}"
    arrow = "▲" if ratio > 1.005 else "▼" if ratio < 0.995 else "="
    between = f"<small>{span(cell['lower'], cell['upper'])}</small>" if cell["lower"] else ""
    return Markup(f'<span class="{way}"><strong>{digits(ratio)} × <span aria-hidden="true">{arrow}</span></strong> '
                  f"{badge}</span>{between}")  # fmt: skip


def legend() -> Markup:
    """What the marks of an interval drawing are."""
    marks = {
        "predicted, with its interval": '<rect class="span" x="2" y="5" width="32" height="5" rx="2"/>'
                                        '<circle class="dot" cx="18" cy="7.5" r="4.5"/>',
        "measured: the answer is a published row": '<rect class="own" x="14" y="3" width="8" height="8"/>',
        "another published row of this chip and size, in any precision and stack":
            '<path class="point" d="M18 2.5 23 7.5 18 12.5 13 7.5z"/>',
    }  # fmt: skip
    each = "".join(f'<span><svg aria-hidden="true" focusable="false">{drawn}</svg>{text}</span>'
                   for text, drawn in marks.items())  # fmt: skip
    return Markup(f'<p class="legend">{each}</p>')


def ranking(model: Facts, name: str) -> Markup:
    """Where to go: every chip that can run the model, best first, and those left out."""
    found = model["migration"]
    rows_of = _points(model["published"])
    candidates = [{**each, "rank": rank} for rank, each in enumerate(found["candidates"], start=1)]
    kept = {*rows_of, *(each["target"] for each in model["matrix"])}
    drawn = [each for each in candidates if each["rank"] <= DRAWN or each["chip"] in kept]
    hidden = [each for each in candidates if each["rank"] > DRAWN and each["chip"] not in kept]
    values = [value for each in drawn for value in (each["latency"]["value"], each["latency"]["lower"],
              each["latency"]["upper"], *rows_of.get(each["chip"], ())) if value]  # fmt: skip
    scale = logarithmic(values)
    columns = ["chip", axis(scale, "ms"), "latency, ms", "*interval, ms", "level", "*vs source", "*precision",
               "*energy, J", "*of memory", *(["meets"] if found["slo_ms"] is not None else [])]  # fmt: skip
    rows = []
    for each in drawn:
        own, points = each["latency"], rows_of.get(each["chip"], ())
        track = interval(scale, own["value"], own["lower"], own["upper"], measured=own["kind"] == "measured",
                         points=points)  # fmt: skip
        rows.append([_chip(each), track, *_figures(each, found)])
    others = [[_chip(each), *_figures(each, found)] for each in hidden]
    rest = table("The other chips", [columns[0], *columns[2:]], others) if others else ""
    first = candidates[0]["latency"]
    source = "" if not found["source"] else f" The source is {found['source']}."
    deadline = "" if found["slo_ms"] is None else (
        f" Chips that meet {digits(found['slo_ms'])} ms stand first; “meets” is the chance of doing so.")  # fmt: skip
    return section(f"{name}-ranking", "Where to go", [
        paragraph(f"{len(candidates)} chips by {found['objective']}, {len(found['dropped'])} left out; each in its "
                  f"usual precision and stack, intervals at {100 * first['interval_level']:g} %.{source}{deadline} "
                  "* marks chips that none beats in latency, energy and share of memory at once."),
        legend(), table("Latency in ms, logarithmic", columns, rows, "chart"),
        details(f"{len(others)} more chips", rest),
        details(f"{len(found['dropped'])} chips left out, and why", listed(_dropped(found["dropped"]))),
        details("What each answer rests on", _grounds(drawn)),
    ], 3)  # fmt: skip


def _chip(each: Facts) -> Markup:
    mark = " *" if each["pareto"] else ""
    rank = f'<span class="rank">{each["rank"]}</span>'
    return Markup(f"{rank}{shown(each['chip'])}{mark} <small>{shown(each['family'])}</small>")


def _figures(each: Facts, found: Facts) -> list[Any]:
    own = each["latency"]
    cells = [own["value"], span(own["lower"], own["upper"]), level(own["level"]),
             _short(each["ratio"], "×"), own["precision"],
             None if each["energy"] is None else each["energy"]["value"],
             _short(each["memory_share"], "%")]  # fmt: skip
    return cells + ([Markup(f"{100 * each['meets']:.0f} %")] if found["slo_ms"] is not None else [])


def _short(value: float | None, unit: str) -> Markup:
    return Markup(DASH if value is None else f'<span class="nowrap">{digits(value)} {unit}</span>')


def _points(rows: Iterable[Facts]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for row in rows:
        found.setdefault(row["chip"], []).append(row["value"])
    return found


def _dropped(dropped: Iterable[Facts]) -> list[str]:
    by: dict[str, list[str]] = {}
    for each in dropped:
        by.setdefault(f"{each['reason']}: {each['why'].replace(each['chip'], 'it')}", []).append(each["chip"])
    return [f"{', '.join(chips)}: {why}" for why, chips in by.items()]


def _grounds(candidates: Iterable[Facts]) -> Markup:
    """Stack, rows, notes and references of each answer."""
    rows = []
    for each in candidates:
        own = each["latency"]
        beside = [f"on the CPU or unknown: {', '.join(each['beside'])}"] if each["beside"] else []
        notes = dict.fromkeys([*own["notes"], *each["notes"], *beside])
        refs = [link(ref) for ref in own["refs"]]
        rows.append([each["chip"], own["kind"], own["stack"], own["support"], own["surrogate"],
                     Markup(f"{listed(notes)}{listed(refs)}")])  # fmt: skip
    return table("Answers", ["chip", "kind", "stack", "rows", "surrogate", "notes"], rows)


def published(model: Facts, name: str) -> Markup:
    """The measured rows at this size, each with its reference."""
    order = sorted(model["published"], key=lambda row: (row["chip"], row["value"]))
    rows = [[row["chip"], row["value"], row["precision"], row["stack"], row["stat"], row["use"], link(row["ref"]),
             row["note"] or None] for row in order]  # fmt: skip
    if not rows:
        return section(f"{name}-published", "Published measurements", [
            paragraph("Nobody is known to have published a latency of this model at this size.")], 3)  # fmt: skip
    head = f"{len(rows)} published latencies at this size and phase, in any precision and stack"
    columns = ["chip", "ms", "precision", "stack", "statistic", "*use", "reference", "*note"]
    listing = table(head, columns, rows)
    return section(f"{name}-published", "Published measurements", [
        paragraph("Rows of use “answer” state every setting; “compare” rows infer or differ in what their note says."),
        listing if len(rows) <= 12 else details(head, listing),
    ], 3)  # fmt: skip


def coverage(model: Facts, name: str) -> Markup:
    """What runs on each chip: shares by status, then every ATen operator."""
    known = [each for each in model["coverage"] if not each["refused"]]
    refused = [f"{each['chip']}: {each['refused']}" for each in model["coverage"] if each["refused"]]
    head = Markup('<svg class="track" height="15" role="img" aria-label="0 to 100 %"><text x="0" y="11">0 %</text>'
                  '<text x="100%" y="11" text-anchor="end">100 %</text></svg>')  # fmt: skip
    rows = [[Markup(f"{shown(each['chip'])} <small>{shown(each['title'])}</small>"), stack(each["shares"]),
             _statuses(each["shares"]), DASH if each["time_shares"] is None else _statuses(each["time_shares"])]
            for each in known]  # fmt: skip
    parts: list[str] = [_status_key()]
    if rows:
        parts.append(table("Eager operator calls by status", ["chip", head, "of the calls", "*of the predicted time"],
                           rows, "chart"))  # fmt: skip
        parts.append(details("Every ATen operator on every chip", _operators(known)))
        refs = dict.fromkeys(ref for each in known for one in each["operators"] for ref in one["refs"])
        parts.append(details("Registrations that say so", listed(link(ref) for ref in refs)))
    return section(f"{name}-coverage", "Operator coverage", [*parts, listed(refused)], 3)


def _statuses(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{name}\u00a0{digits(share)}\u00a0%" for name, share in shares.items() if share > 0)


def _status_key() -> Markup:
    means = {"native": "registered by the back end", "composite": "made of registered operators",
             "fallback": "handed to the CPU", "absent": "not registered", "unknown": "nothing read tells"}  # fmt: skip
    each = "".join(
        f'<span><svg aria-hidden="true" focusable="false"><rect class="{name}" width="100%" height="14"/></svg>'
        f"{name}: {means[name]}</span>" for name in SUPPORT
    )  # fmt: skip
    return Markup(f'<p class="legend">{each}</p>')


def _operators(known: Sequence[Facts]) -> Markup:
    each = [{one["operator"]: one for one in report["operators"]} for report in known]
    names = dict.fromkeys(name for report in each for name in report)
    rows = []
    for name in names:
        calls = next(report[name]["calls"] for report in each if name in report)
        rows.append([name, calls, *(_operator(report.get(name)) for report in each)])
    return table("ATen operators", ["operator", "calls", *(report["chip"] for report in known)], rows)


def _operator(one: Facts | None) -> Any:
    if one is None:
        return None
    time = "" if one["time_share"] is None else f" {digits(one['time_share'])} % of the time"
    word = "of" if one["status"] == "composite" else "by" if one["status"] == "native" else "lacks"
    via = f"<br><small>{word} {shown(one['via'])}</small>" if one["via"] else ""
    return Markup(f"{one['status']}<small>{time}</small>{via}")


def attribution(model: Facts, name: str) -> Markup:
    """A waterfall from the source to each target, and where the time goes on both."""
    parts: list[str] = [paragraph(
        "Points are Shapley values: v(S) is the time of the model when the groups of S run on the target and the "
        "others stay on the source, boundary transfers, parted fusions and call overheads included; they sum to the "
        "difference. They explain predictions: their uncertainty is that of the two answers."
    ), _bar_key()]  # fmt: skip
    for each in model["attribution"]:
        if each["refused"]:
            parts.append(paragraph(f"{each['chip']}: {each['refused']}"))
            continue
        parts.append(_waterfall(each))
        parts.append(details("Notes", listed(each["notes"])))
    return section(f"{name}-attribution", "What costs the time, and why it changes", parts, 3)


def _bar_key() -> Markup:
    """What the bars of a waterfall are; on which side a bar grows says faster or slower without colour."""
    marks = {
        "whole latency": ("total", 13), "faster on the target: the next bar begins at its left end": ("faster", 13),
        "slower: at its right end": ("slower", 13), "time of the group on the source": ("there", 5),
        "on the target": ("here", 5),
    }  # fmt: skip
    each = "".join(
        f'<span><svg aria-hidden="true" focusable="false"><rect class="{css}" x="1" y="{(14 - high) / 2}" width="30" '
        f'height="{high}"/></svg>{text}</span>' for text, (css, high) in marks.items()
    )  # fmt: skip
    return Markup(f'<p class="legend">{each}</p>')


def _waterfall(each: Facts) -> Markup:
    source, target = each["source_chip"], each["chip"]
    sums = [each["source_ms"]]
    for group in each["groups"]:
        sums.append(sums[-1] + group["value_ms"])
    scale = linear([*sums, each["target_ms"]])
    times = linear([ms for group in each["groups"] for ms in (group["target_ms"], group["source_ms"] or 0.0)])
    rows: list[list[Any]] = []
    if source:
        rows.append([source, step(scale, 0.0, each["source_ms"], total=True), figure(each["source_ms"], "ms"),
                     "", "", "", ""])  # fmt: skip
    for start, end, group in zip(sums, sums[1:], each["groups"], strict=False):
        error = "" if group["error_ms"] is None else f" ± {digits(abs(group['error_ms']))}"
        both = figure(group["target_ms"]) if group["source_ms"] is None else Markup(
            f'<span class="nowrap">{digits(group["source_ms"])} → {digits(group["target_ms"])}</span>')  # fmt: skip
        rows.append([group["name"], step(scale, start, end),
                     Markup(f'<span class="nowrap">{group["value_ms"]:+.3g}{error} ms</span>'),
                     Markup(f"{group['points']:+.1f}"), bars(times, group["source_ms"], group["target_ms"]), both,
                     Markup(f'<span class="nowrap">{group["target"]["bound"]}-bound</span>')])  # fmt: skip
    rows.append([target, step(scale, 0.0, each["target_ms"], total=True), figure(each["target_ms"], "ms"),
                 "", "", "", ""])  # fmt: skip
    title = f"{source} → {target}: {each['percent']:+.1f} %" if source else f"{target} by itself"
    columns = ["group of operators", axis(scale, "ms"), "contribution", "points", axis(times, "ms of the group"),
               "*ms, source → target" if source else "*ms", "*on the target"]  # fmt: skip
    return Markup(table(f"{title} ({each['precision']}, {each['stack']} on the target)", columns, rows,
                        "chart waterfall"))  # fmt: skip


def plan(model: Facts, name: str) -> Markup:
    """What to change on each chip, in order, and what was left out with the reason."""
    parts: list[str] = [paragraph(
        "Each step's gain is a difference of two predictions, after the steps before it. What no measured pair and no "
        "physics on the graph supports is left out, with the reason."
    )]  # fmt: skip
    for each in model["plan"]:
        parts.append(paragraph(f"{each['chip']}: {each['refused']}") if each["refused"] else _plan(each))
    return section(f"{name}-plan", "What to change there", parts, 3)


def _plan(each: Facts) -> Markup:
    start = each["start"]
    title = (f"{each['chip']}: {digits(start['value'])} ms ({start['precision']}, {start['stack']}) to "
             f"{digits(each['ms'])} ms, {each['speedup']:.2f} times as fast")  # fmt: skip
    rows = [
        [f"{step['action']} {step['group']}" + (f" to {step['choice']}" if step["choice"] else ""),
         Markup(f'<span class="nowrap">{step["gain_ms"]:+.3g} ms</span>'),
         Markup(f'<span class="nowrap">{step["lower_ms"]:+.3g} to {step["upper_ms"]:+.3g}</span>'),
         Markup(f"{step['gain_percent']:+.1f} %"), level(step["level"]), step["measured"],
         step["changes_results"], step["reason"]]
        for step in each["steps"]
    ]  # fmt: skip
    columns = ["step", "gain", "*interval, ms", "of the start", "level", "*operators measured", "*may change results",
               "*why"]  # fmt: skip
    steps = table(title, columns, rows) if rows else paragraph(f"{title}: nothing that the evidence supports")
    masked = (f"{mask['action']} of {', '.join(mask['groups'])}" + (f" to {mask['choice']}" if mask["choice"] else "")
              + f": {mask['reason']}" for mask in each["masked"])  # fmt: skip
    left_out = details("What was left out, and why", listed(masked))
    return Markup(steps + left_out + details("Notes", listed(each["notes"])))


def facts(pairs: Mapping[str, Any]) -> Markup:
    """Names and values, what is not known left out."""
    rows = "".join(f"<dt>{shown(name)}</dt><dd>{shown(value)}</dd>" for name, value in pairs.items()
                   if value not in (None, "", [], ()))  # fmt: skip
    return Markup(f'<dl class="facts">{rows}</dl>')


def chips(found: Mapping[str, Facts]) -> Markup:
    """Datasheet facts with their source and the reviewer's confidence."""
    kept = [name for name in _ordered(found) if name not in ("name", "source", "confidence", "notes", "stack")]
    columns = ["fact", *found]
    rows = [[_fact(name), *(_plain(known.get(name)) for known in found.values())] for name in kept]
    told = [
        Markup(f"<strong>{shown(name)}</strong>: {shown(each.get('source'))}, "
               f"confidence {shown(each.get('confidence'))}"
               + (f"<br><small>{shown(each['notes'])}</small>" if each.get("notes") else ""))
        for name, each in found.items()
    ]  # fmt: skip
    return section("chips", "Chip facts", [
        paragraph("Peaks are dense, in TFLOPS (int8: TOPS). A dash is not known."),
        table("Datasheets", columns, rows), details("Where the facts are from", listed(told)),
    ])  # fmt: skip


def _ordered(found: Mapping[str, Facts]) -> list[str]:
    """The facts that some chip has, in the order of the record."""
    return [each.name for each in fields(Chip) if any(each.name in facts for facts in found.values())]


def _fact(name: str) -> str:
    peak = name.removesuffix("_tflops")
    return _FACTS.get(name) or (name if peak == name else f"{peak}, TFLOPS").replace("_", " ")


def _plain(value: Any) -> Markup:
    """A fact as its source states it."""
    return shown(value) if value is None else Markup(f"{value:g}") if isinstance(value, float) else shown(str(value))


def upstreams(found: Iterable[Facts]) -> Markup:
    """The upstreams of the rows and registrations referred to."""
    rows = [[each["name"], each["citation"], each["licence"] or "not stated where it was read", each["gives"]]
            for each in found]  # fmt: skip
    return section("sources", "Sources", [
        paragraph("Measured figures and registrations belong to these, under their licences."),
        table("Upstreams referred to on this page", ["name", "citation", "licence", "what it gives"], rows),
    ]) if rows else Markup("")  # fmt: skip
