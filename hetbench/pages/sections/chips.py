"""Datasheet facts of chips, with their source and the reviewer's confidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from hetbench.catalog.chips import Chip
from hetbench.pages.html import Markup, bullet_list, details, paragraph, section, table, to_html

__all__ = ["chips_section"]

_LABELS = {
    "arch": "architecture", "process_nm": "process, nm", "compute_units": "compute units", "boost_mhz": "boost, MHz",
    "int8_tops": "int8, TOPS", "mem_gb": "memory, GB", "mem_type": "memory type",
    "mem_bw_gbs": "memory bandwidth, GB/s", "l2_mb": "L2, MB", "llc_mb": "last-level cache, MB",
    "l1_shared_kb_per_unit": "L1 and shared memory per compute unit, KB", "tdp_w": "TDP, W",
    "interconnect_gbs": "interconnect, GB/s",
}  # fmt: skip
"""Label of a field of `Chip` whose name does not say it."""
_NOT_ROWS = ("name", "source", "confidence", "notes", "stack")


def chips_section(found: Mapping[str, Mapping[str, Any]]) -> Markup:
    """One column a chip, one row a fact. `found` maps the chip's name to its known facts."""
    names = [each.name for each in fields(Chip) if any(each.name in facts for facts in found.values())]
    rows = [[_label(name), *(_as_stated(known.get(name)) for known in found.values())]
            for name in names if name not in _NOT_ROWS]  # fmt: skip
    origins = [
        Markup(f"<strong>{to_html(name)}</strong>: {to_html(each.get('source'))}, "
               f"confidence {to_html(each.get('confidence'))}"
               + (f"<br><small>{to_html(each['notes'])}</small>" if each.get("notes") else ""))
        for name, each in found.items()
    ]  # fmt: skip
    return section("chips", "Chip datasheets", [
        paragraph("Peaks are dense (no sparsity), in TFLOPS, int8 in TOPS. A dash means unknown."),
        table("Datasheet facts", ["fact", *found], rows),
        details("Source of each datasheet", bullet_list(origins)),
    ])  # fmt: skip


def _label(name: str) -> str:
    peak = name.removesuffix("_tflops")
    return _LABELS.get(name) or (name if peak == name else f"{peak}, TFLOPS").replace("_", " ")


def _as_stated(value: Any) -> Markup:
    """A fact with all digits of its source."""
    return to_html(value) if value is None else to_html(f"{value:g}" if isinstance(value, float) else str(value))
