"""Latency attribution: a waterfall of Shapley values from the source's latency to that of each target."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from hetbench.answers import digits
from hetbench.pages.html import Markup, bullet_list, details, paragraph, quantity, section, table
from hetbench.pages.svg import axis, bars, linear, step

__all__ = ["attribution_section"]

Facts = Mapping[str, Any]


def attribution_section(model: Facts, anchor: str) -> Markup:
    """One waterfall for each target, with the time of each operator group on both chips."""
    parts: list[str] = [paragraph(
        "Each contribution is a Shapley value: v(S) is the model's latency with the operator groups in S on the "
        "target and all others on the source, including boundary transfers, fusions that the split breaks, and "
        "per-call overheads. The contributions add up to the latency difference. They explain predictions, so their "
        "uncertainty is that of the two latencies."
    ), _legend()]  # fmt: skip
    for each in model["attribution"]:
        if each["refused"]:
            parts.append(paragraph(f"{each['chip']}: {each['refused']}"))
            continue
        parts.append(_waterfall(each))
        parts.append(details("Notes", bullet_list(each["notes"])))
    return section(f"{anchor}-attribution", "Latency attribution", parts, 3)


def _legend() -> Markup:
    """What the bars are; the side on which a bar grows tells faster from slower without colour."""
    marks = {
        "total latency": ("total", 13), "faster on the target: the next bar starts at its left end": ("faster", 13),
        "slower: the next bar starts at its right end": ("slower", 13), "time of the group on the source": ("there", 5),
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
        rows.append([source, step(scale, 0.0, each["source_ms"], total=True), quantity(each["source_ms"], "ms"),
                     "", "", "", ""])  # fmt: skip
    for (start, end), group in zip(pairwise(sums), each["groups"], strict=True):
        rows.append([group["name"], step(scale, start, end), _contribution(group),
                     Markup(f"{group['points']:+.1f}"), bars(times, group["source_ms"], group["target_ms"]),
                     _times(group), Markup(f'<span class="nowrap">{group["target"]["bound"]}-bound</span>')])
    rows.append([target, step(scale, 0.0, each["target_ms"], total=True), quantity(each["target_ms"], "ms"),
                 "", "", "", ""])  # fmt: skip
    title = f"{source} → {target}: {each['percent']:+.1f} %" if source else f"Latency on {target}"
    columns = ["operator group", axis(scale, "ms"), "contribution", "% points", axis(times, "ms of the group"),
               "*ms, source → target" if source else "*ms", "*bound on target"]  # fmt: skip
    return Markup(table(f"{title} ({each['precision']}, {each['stack']} on the target)", columns, rows,
                        "chart waterfall"))  # fmt: skip


def _contribution(group: Facts) -> Markup:
    error = "" if group["error_ms"] is None else f" ± {digits(abs(group['error_ms']))}"
    return Markup(f'<span class="nowrap">{group["value_ms"]:+.3g}{error} ms</span>')


def _times(group: Facts) -> Markup:
    if group["source_ms"] is None:
        return quantity(group["target_ms"])
    return Markup(f'<span class="nowrap">{digits(group["source_ms"])} → {digits(group["target_ms"])}</span>')
