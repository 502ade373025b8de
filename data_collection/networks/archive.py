"""Reduce graphs to what `ModelGraph.operators()` needs, and write many of them as one zip.

A compact graph answers operators, flops and params. Each variant keeps [op, dtype, {dim: size}] of every template, its
number of calls, and the sizes in use; nodes, buffers, paths and ATen names are dropped.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from hetbench.artifacts import replacing

__all__ = ["compact", "read", "write"]

EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time stamp of a zip: the same graphs give the same bytes


def compact(table: Mapping[str, Any]) -> dict[str, Any]:
    """The table of a graph (as `extract` writes it) without nodes; variants that are then equal are merged."""
    variants: list[dict[str, Any]] = []
    places: dict[str, int] = {}
    moved = []
    for variant in table["variants"]:
        small = _compact_variant(variant)
        place = places.setdefault(json.dumps(small, sort_keys=True), len(variants))
        if place == len(variants):
            variants.append(small)
        moved.append(place)
    phases = {
        phase: {precision: _rules(rules, moved) for precision, rules in by_precision.items()}
        for phase, by_precision in table["phases"].items()
    }
    return {**table, "compact": True, "phases": phases, "variants": variants}


def _rules(rules: Iterable[Any], moved: list[int]) -> list[Any]:
    """Rules for the merged variants; conditions are dropped if all lead to the same variant."""
    found = [[conditions, moved[index]] for conditions, index in rules]
    full = not any(condition[0] == "image_size" for conditions, _ in found for condition in conditions)
    return [[[], found[0][1]]] if full and len({index for _, index in found}) == 1 else found


def _compact_variant(variant: Mapping[str, Any]) -> dict[str, Any]:
    times = Counter(variant["nodes"]["template"])
    counts: Counter[tuple[str, str, tuple[tuple[str, int], ...]]] = Counter()
    for index, (op, dtype, dims, *_) in enumerate(variant["templates"]):
        counts[op, dtype, tuple(dims.items())] += times[index]
    monomials: dict[int, int] = {}
    sizes: list[list[list[int]]] = []
    known: dict[int, int] = {}
    templates = []
    for op, dtype, dims in counts:
        for _, size in dims:
            if size not in known:
                known[size] = len(sizes)
                terms = variant["sizes"][size]
                sizes.append([[monomials.setdefault(place, len(monomials)), factor] for place, factor in terms])
        templates.append([op, dtype, {name: known[size] for name, size in dims}])
    return {
        "monomials": [variant["monomials"][place] for place in monomials],
        "templates": templates, "counts": list(counts.values()), "sizes": sizes,
    }  # fmt: skip


def write(tables: Iterable[Mapping[str, Any]], path: Path) -> None:
    """Write compact tables as `<name>.json` in one zip, ordered by name."""
    with replacing(path) as partial, ZipFile(partial, "w", ZIP_DEFLATED, compresslevel=9) as archive:
        for table in sorted(tables, key=lambda each: str(each["name"])):
            member = ZipInfo(f"{table['name']}.json", EPOCH)
            member.compress_type = ZIP_DEFLATED
            archive.writestr(member, json.dumps(table, separators=(",", ":"), sort_keys=True), compresslevel=9)


def read(path: Path) -> list[dict[str, Any]]:
    """The compact tables of a zip; empty if there is no file yet."""
    if not path.exists():
        return []
    with ZipFile(path) as archive:
        return [json.loads(archive.read(name)) for name in archive.namelist()]
