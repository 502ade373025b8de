"""Migration matrix: the latency ratio between every two of the compared chips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log2
from typing import Any

from hetbench.answers import digits
from hetbench.pages.html import (
    Markup,
    bullet_list,
    details,
    interval_text,
    level_badge,
    paragraph,
    quantity,
    section,
    table,
)  # fmt: skip
from hetbench.pages.labels import setting_words

__all__ = ["matrix_section"]


def matrix_section(model: Mapping[str, Any], chips: Sequence[str], anchor: str) -> Markup:
    """Source x target: latency ratio, its interval and the evidence level of the weaker side.

    `model` is one entry of `models` in the data of a report, `chips` are the rows and columns, `anchor` begins the
    section's id.
    """
    setting = f"{model['name']}, {setting_words(model['sizes'])}"
    cells = {(each["source"], each["target"]): each for each in model["matrix"]}
    rows = [[source, *(_cell(cells[source, target]) for target in chips)] for source in chips]
    refused = dict.fromkeys(f"{each['source']} to {each['target']}: {each['refused']}"
                            for each in model["matrix"] if each["refused"])  # fmt: skip
    return section(f"{anchor}-matrix", "Migration matrix", [
        paragraph("Each cell is the latency on the target (column) divided by the latency on the source (row), both "
                  "in the same precision: ▲ the target is slower, ▼ faster. The diagonal shows the latency itself. "
                  f"{_interval_definition(model)} The letter is the weaker evidence level of the two latencies."),
        table(f"Latency ratio from source (row) to target (column): {setting}",
              ["source \\ target", *chips], rows, "matrix"),
        details("Refused pairs and reasons", bullet_list(refused)),
    ], 3)  # fmt: skip


def _interval_definition(model: Mapping[str, Any]) -> str:
    shares = sorted({each["holds_at_least"] for each in model["matrix"] if each.get("holds_at_least")})
    covered = f"; it contains the true ratio with a probability of at least {100 * shares[0]:g} %" if shares else ""
    return f"The interval of a ratio runs from target lower / source upper to target upper / source lower{covered}."


def _cell(cell: Mapping[str, Any]) -> Markup:
    if cell["refused"]:
        return Markup("<small>refused</small>")
    badge = level_badge(cell["level"])
    if cell["ratio"] is None:
        own = cell["latency"]
        bounds = f"<small>{interval_text(own['lower'], own['upper'])}</small>"
        return Markup(f'<span class="nowrap"><strong>{quantity(own["value"], "ms")}</strong> {badge}</span>{bounds}')
    ratio = cell["ratio"]
    tint = min(3, round(abs(log2(ratio)) * 1.5))
    css = f"nowrap tint-{'u' if ratio > 1 else 'd'}{tint}"
    arrow = "▲" if ratio > 1.005 else "▼" if ratio < 0.995 else "="
    bounds = f"<small>{interval_text(cell['lower'], cell['upper'])}</small>" if cell["lower"] else ""
    return Markup(f'<span class="{css}"><strong>{digits(ratio)} × <span aria-hidden="true">{arrow}</span></strong> '
                  f"{badge}</span>{bounds}")  # fmt: skip
