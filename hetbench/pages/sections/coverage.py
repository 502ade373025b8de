"""Operator coverage: which of a model's ATen operators each chip runs natively, composed, on the CPU or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hetbench.answers import percent
from hetbench.catalog.support import SUPPORT
from hetbench.pages.html import (
    DASH,
    Markup,
    bullet_list,
    details,
    reference_link,
    section,
    table,
    to_html,
)  # fmt: skip
from hetbench.pages.svg import stack

__all__ = ["coverage_section"]

Facts = Mapping[str, Any]
_MEANING = {
    "native": "the backend registers a kernel", "composite": "decomposes into registered operators",
    "fallback": "runs on the CPU", "absent": "not registered", "unknown": "no registration data",
}  # fmt: skip
_VIA = {"composite": "through", "native": "by"}


def coverage_section(model: Facts, anchor: str) -> Markup:
    """Share of calls and of predicted time by support status on each chip, then every ATen operator."""
    known = [each for each in model["coverage"] if not each["refused"]]
    refused = [f"{each['chip']}: {each['refused']}" for each in model["coverage"] if each["refused"]]
    head = Markup('<svg class="track" height="15" role="img" aria-label="0 to 100 %"><text x="0" y="11">0 %</text>'
                  '<text x="100%" y="11" text-anchor="end">100 %</text></svg>')  # fmt: skip
    rows = [[Markup(f"{to_html(each['chip'])} <small>{to_html(each['title'])}</small>"), stack(each["shares"]),
             _shares(each["shares"]), DASH if each["time_shares"] is None else _shares(each["time_shares"])]
            for each in known]  # fmt: skip
    parts: list[str] = [_legend()]
    if rows:
        columns = ["chip", head, "share of calls", "*share of predicted time"]
        parts.append(table("Operator calls of the eager model by support status", columns, rows, "chart"))
        parts.append(details("Support of every ATen operator on every chip", _operators(known)))
        refs = dict.fromkeys(ref for each in known for one in each["operators"] for ref in one["refs"])
        parts.append(details("Source files of the registrations", bullet_list(reference_link(ref) for ref in refs)))
    return section(f"{anchor}-coverage", "Operator coverage", [*parts, bullet_list(refused)], 3)


def _shares(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {percent(share)}".replace(" ", "\u00a0") for name, share in shares.items() if share > 0)


def _legend() -> Markup:
    each = "".join(
        f'<span><svg aria-hidden="true" focusable="false"><rect class="{name}" width="100%" height="14"/></svg>'
        f"{name}: {_MEANING[name]}</span>" for name in SUPPORT
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
    time = "" if one["time_share"] is None else f" {percent(one['time_share'])} of the time"
    via = f"<br><small>{_VIA.get(one['status'], 'lacks')} {to_html(one['via'])}</small>" if one["via"] else ""
    return Markup(f"{one['status']}<small>{time}</small>{via}")
