"""Whole-model rows of the same setting: copies, repeats, older versions and contradictions, and the median of the rest.

Each rule takes the rows and returns the positions of those to exclude; `TABLE_RULES` is the order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from statistics import median
from typing import Any

from data_collection.tables.model_columns import SETTING, Row

COMPRESSOR = "intel_neural_compressor"  # its tables are measured again every few months
DISAGREE = 1.5  # largest over smallest figure of one setting; above it one name means two networks


def copies(rows: list[Row]) -> set[int]:
    """Networks that ModelZoo lists in up to three folders, with the same throughput at the same batches.

    Two networks may have one figure in common by chance; copies share their name or at least two figures.
    """
    cells = defaultdict(list)
    for index, row in enumerate(rows):
        if row["file"] == "ascend_modelzoo":
            cells[row["chip"], row["batch"], row["metric"], round(row["value"], 6)].append(index)
    shared: dict[tuple[str, str], list[int]] = defaultdict(list)
    for found in cells.values():
        for second in found[1:]:
            if rows[second]["upstream"] != rows[found[0]]["upstream"]:
                shared[rows[found[0]]["upstream"], rows[second]["upstream"]].append(second)
    gone = set()
    for indices in shared.values():
        keys = {rows[index]["canonical_key"] for index in indices}
        first = next(found[0] for found in cells.values() if indices[0] in found)
        if len(indices) > 1 or keys == {rows[first]["canonical_key"]}:
            gone.update(indices)
    return gone


def repeated(rows: list[Row]) -> set[int]:
    """The same figure at the same setting in the same repository."""
    seen: set[tuple[Any, ...]] = set()
    gone = set()
    for index, row in enumerate(rows):
        key = (row["ref"].split("@")[0], row["value"], *(row[name] for name in SETTING))
        if key in seen and row["file"] != "co2_inference":  # its repeats are separate runs
            gone.add(index)
        seen.add(key)
    return gone


def _settings(rows: list[Row], *without: str, file: str | None = None) -> list[list[int]]:
    names = tuple(name for name in SETTING if name not in without)
    groups = defaultdict(list)
    for index, row in enumerate(rows):
        if file in (None, row["file"]):
            groups[tuple(row[name] for name in names)].append(index)
    return list(groups.values())


def disagreeing(rows: list[Row]) -> set[int]:
    """Settings whose figures differ by more than repeats or versions explain: one name means two networks."""
    versions = _settings(rows, "software", file=COMPRESSOR)
    gone = set()
    for group in versions + _settings(rows):
        values = [rows[index]["value"] for index in group]
        if max(values) > DISAGREE * min(values):
            gone.update(group)
    return gone


def older(rows: list[Row]) -> set[int]:
    """Neural Compressor rows that a newer commit of the same table measures again."""
    gone = set()
    for group in _settings(rows, "software", file=COMPRESSOR):
        newest = max(rows[index]["date"] for index in group)
        gone.update(index for index in group if rows[index]["date"] != newest)
    return gone


def paired(rows: list[Row]) -> set[int]:
    """Throughput rows of a setting that also has a published latency."""
    gone = set()
    for group in _settings(rows, "printed", "stat"):
        rates = [index for index in group if rows[index]["printed"].startswith("throughput")]
        if len(rates) < len(group):
            gone.update(rates)
    return gone


def merged(rows: list[Row]) -> list[Row]:
    """Replace the repeats of one setting by their median, with the reference of the repeat nearest to it."""
    found = []
    for group in _settings(rows):
        members = [rows[index] for index in group]
        middle = median(row["value"] for row in members)
        nearest = min(members, key=lambda row: abs(row["value"] - middle))
        values = [row["value"] for row in members]
        found.append(nearest | {"value": middle, "repeats": len(members), "spread": max(values) / min(values)})
    return found


TABLE_RULES: tuple[tuple[str, str, Callable[[list[Row]], set[int]]], ...] = (
    ("copy", "the same rates under another folder of ModelZoo", copies),
    ("repeated", "the same figure at the same setting in the same repository", repeated),
    ("figures disagree", f"one setting, figures more than {DISAGREE} times apart", disagreeing),
    ("older commit", "measured again by a newer commit of the same table", older),
    ("throughput beside a latency", "one of the two is enough", paired),
)  # fmt: skip
