"""The answer of a report in one sentence: how fast the best chip is, as a multiple of the source."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hetbench.answers import digits
from hetbench.pages.html import Markup, paragraph
from hetbench.pages.labels import chip_label, setting_words

__all__ = ["headline"]


def headline(model: Mapping[str, Any]) -> Markup:
    """Speed of the best chip that is not the source: ratio of latencies, its interval, and the weaker level.

    The interval runs from source lower / target upper to source upper / target lower.
    """
    found = model["migration"]
    others = [each for each in found["candidates"] if each["source"] and each["chip"] != each["source"]["chip"]]
    if not others:
        return Markup("")
    best = others[0]
    here, there = best["latency"], best["source"]
    low = (there["lower"] or there["value"]) / (here["upper"] or here["value"])
    high = (there["upper"] or there["value"]) / (here["lower"] or here["value"])
    level = max(filter(None, (here["level"], there["level"])), default=None)
    ratio = f"{digits(there['value'] / here['value'])} × [{digits(low)}, {digits(high)}]"
    return paragraph(
        f"{chip_label(best['chip'])}: {ratio} the speed of {chip_label(there['chip'])}"
        + (f", level {level}" if level else "")
        + f" ({setting_words(model['sizes'])}, {here['precision']} under {here['stack']}), the best of "
        f"{len(found['candidates'])} chips by {found['objective']}.", "headline")  # fmt: skip
