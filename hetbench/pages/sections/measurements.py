"""Published measurements of a model, and the projects that they come from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hetbench.pages.html import Markup, details, paragraph, reference_link, section, table

__all__ = ["measurements_section", "sources_section"]

OPEN_ROWS = 12
"""A longer table of measurements is folded."""


def measurements_section(model: Mapping[str, Any], anchor: str) -> Markup:
    """The published latencies at the size and phase of the question, each with its reference."""
    order = sorted(model["published"], key=lambda row: (row["chip"], row["value"]))
    rows = [[row["chip"], row["value"], row["precision"], row["stack"], row["stat"], row["use"],
             reference_link(row["ref"]), row["note"] or None] for row in order]  # fmt: skip
    if not rows:
        return section(f"{anchor}-published", "Published measurements", [
            paragraph("No published latency of this model at this size is known.")], 3)  # fmt: skip
    caption = f"{len(rows)} published latencies at this size and phase, in any precision and stack"
    columns = ["chip", "latency, ms", "precision", "stack", "statistic", "*use", "reference", "*note"]
    listing = table(caption, columns, rows)
    return section(f"{anchor}-published", "Published measurements", [
        paragraph("Use “answer”: the source states every setting, so the row can answer a query. Use “compare”: a "
                  "setting is inferred or differs as its note says, so the row is only shown beside predictions."),
        listing if len(rows) <= OPEN_ROWS else details(caption, listing),
    ], 3)  # fmt: skip


def sources_section(found: Iterable[Mapping[str, Any]]) -> Markup:
    """The projects whose measurements and registrations are cited; nothing where there are none."""
    rows = [[each["name"], each["citation"], each["licence"] or "not stated", each["gives"]] for each in found]
    return section("sources", "Sources", [
        paragraph("The measurements and operator registrations on this page come from these projects, under their "
                  "licences."),
        table("Projects cited on this page", ["name", "citation", "licence", "contributes"], rows),
    ]) if rows else Markup("")  # fmt: skip
