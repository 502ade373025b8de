"""Serving: on each chip the deployment of most tokens per second and chip within the objective of the report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hetbench.answers import digits
from hetbench.pages.html import Markup, bullet_list, details, level_badge, paragraph, section, table

__all__ = ["serving_section"]


def serving_section(model: Mapping[str, Any], anchor: str) -> Markup:
    """Chips ranked for serving the model; empty where the report has no objective of deployments."""
    found = model["serving"]
    if found is None:
        return Markup("")
    if found["refused"]:
        return section(f"{anchor}-serving", "Serving", [paragraph(found["refused"])], 3)
    asked = ", ".join(f"{name.upper()} at most {digits(value)} ms" for name, value in found["slo"].items())
    rows = [
        [each["chip"], each["point"]["plan"], each["point"]["chips"], each["point"]["concurrency"],
         each["point"]["throughput_per_chip"], each["point"]["ttft_ms"], each["point"]["tpot_ms"],
         each["point"]["memory_gb"], Markup(f"{100 * each['chance']:.0f} %"), f"{each['engine']}, {each['precision']}",
         level_badge(each["level"])] for each in found["candidates"]
    ]  # fmt: skip
    columns = ["chip", "*plan", "chips", "in flight", "tokens/s and chip", "TTFT, ms", "TPOT, ms", "GB of a chip",
               "meets objective", "*engine, weights", "level"]  # fmt: skip
    excluded: dict[str, list[str]] = {}
    for each in found["dropped"]:
        excluded.setdefault(each["why"].replace(each["chip"], "it"), []).append(each["chip"])
    return section(f"{anchor}-serving", "Serving", [
        paragraph(f"{len(found['candidates'])} chips within {asked}, {found['input_len']} tokens in, "
                  f"{found['output_len']} out; of each the deployment of most output tokens per second and chip. Times "
                  "are point predictions; “meets objective” is the probability of meeting it."),
        table("Deployments within the objective", columns, rows),
        details(f"{len(found['dropped'])} excluded chips and reasons",
                bullet_list(f"{', '.join(names)}: {why}" for why, names in excluded.items())),
    ], 3)  # fmt: skip
