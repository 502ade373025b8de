"""Optimisation plan: what to change on each chip, in order, with the predicted gain of every step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hetbench.answers import digits
from hetbench.pages.html import Markup, bullet_list, details, level_badge, paragraph, section, table

__all__ = ["plan_section"]

Facts = Mapping[str, Any]


def plan_section(model: Facts, anchor: str) -> Markup:
    """The steps for each chip with their gains, and the excluded actions with the reason."""
    parts: list[str] = [paragraph(
        "The gain of a step is the difference of two predicted latencies, after the steps before it. An action is "
        "excluded where neither a measured pair nor arithmetic on the operator graph supports a prediction."
    )]  # fmt: skip
    for each in model["plan"]:
        parts.append(paragraph(f"{each['chip']}: {each['refused']}") if each["refused"] else _plan(each))
    return section(f"{anchor}-plan", "Optimisation plan", parts, 3)


def _plan(each: Facts) -> Markup:
    start = each["start"]
    title = (f"{each['chip']}: {digits(start['value'])} ms ({start['precision']}, {start['stack']}) → "
             f"{digits(each['ms'])} ms, speed-up {each['speedup']:.2f} ×")  # fmt: skip
    rows = [
        [_option(step["action"], step["group"], step["choice"]),
         Markup(f'<span class="nowrap">{step["gain_ms"]:+.3g} ms</span>'),
         Markup(f'<span class="nowrap">{step["lower_ms"]:+.3g} to {step["upper_ms"]:+.3g}</span>'),
         Markup(f"{step['gain_percent']:+.1f} %"), level_badge(step["level"]), step["measured"],
         step["changes_results"], step["reason"]]
        for step in each["steps"]
    ]  # fmt: skip
    columns = ["step", "gain", "*interval, ms", "% of start", "level", "*measured operators", "*may change results",
               "*reason"]  # fmt: skip
    steps = table(title, columns, rows) if rows else paragraph(f"{title}: no supported action reduces the latency")
    masked = (f"{_option(mask['action'], ', '.join(mask['groups']), mask['choice'])}: {mask['reason']}"
              for mask in each["masked"])  # fmt: skip
    excluded = details("Excluded actions and reasons", bullet_list(masked))
    return Markup(steps + excluded + details("Notes", bullet_list(each["notes"])))


def _option(action: str, group: str, choice: str) -> str:
    return f"{action} of {group}" + (f" to {choice}" if choice else "")
