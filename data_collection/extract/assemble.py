"""Trace a model at several settings, find its structures, and write the graph file.

Settings that give the same operators in the same order share one structure. Other structures are selected by a
condition: batch 1 or seq_len 1 (where a copy becomes a view), the trained image size (no window to shift) or the
trained number of patches (nothing to interpolate).
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from data_collection.extract.build import Point, build, native_size, patch_size, phases, trace_point
from data_collection.extract.fit import Basis
from hetbench.artifacts import replacing
from hetbench.catalog.models import Model
from hetbench.errors import HetBenchError
from hetbench.graphs.model_graph import FORMAT
from hetbench.tracing import Trace
from hetbench.tracing.document import signature, variant_table

__all__ = ["StructureError", "extract", "fit_points", "limits", "write"]

PRECISIONS = ("fp32", "fp16", "bf16")
UNBOUNDED = 131_072  # longest seq_len of networks without a limit
MIN_IMAGE, MAX_IMAGE = 64, 2048
Conditions = list[list[Any]]


class StructureError(HetBenchError):
    """The operators of a network depend on the setting in a way that no known condition explains."""


def limits(record: Model) -> dict[str, Any]:
    """Bounds of each input, [least, most, multiple of, default], and the default batch."""
    found: dict[str, Any] = {"batch": record.batch}
    if record.seq_len is not None:
        found["seq_len"] = [1, record.max_seq_len or UNBOUNDED, 1, record.seq_len]
    if record.image_size is not None:
        step = image_multiple(record)
        found["image_size"] = [max(MIN_IMAGE, step), MAX_IMAGE // step * step, step, record.image_size]
    return found


def image_multiple(record: Model) -> int:
    """Step between image sizes that need no padding. Swin pads incomplete windows, which changes its operators.

    Its stages halve the image three times after the patches, so the step is patch x 8 x window.
    """
    if record.config_class == "SwinConfig":
        return int(record.config["patch_size"] * 8 * record.config["window_size"])
    return 1


def fit_points(record: Model) -> list[Point]:
    """Settings that determine every polynomial: several batches, coprime sizes, and all residues of the strides."""
    batches = (2, 1, 3, 5, 1, 2, 7, 1, 3, 2, 1, 1)
    lengths: list[int | None] = [37, 29, 53, 64, 41, 17, 23, 61, 19, 47, 31, 43]
    images: list[int | None] = [224, 256, 225, 255, 193, 320, 239, 159, 287, 224, 384, 130]
    step = image_multiple(record)
    if step > 1:
        images = [step * n for n in (1, 2, 3, 1, 4, 2, 3, 5, 1, 2, 6, 3)]
    if record.seq_len is None:
        lengths = [None] * len(batches)
    if record.image_size is None:
        return [Point(*sizes) for sizes in zip(batches[:6], lengths, [None] * 6, strict=False)]
    points = [Point(*sizes) for sizes in zip(batches, lengths, images, strict=True)]
    native, patch = native_size(record), patch_size(record)
    if native is not None:  # the trained size, and sizes with the same number of patches
        near = [native + extra if step == 1 else native for extra in (0, 0, 0, 0, 1, 2, patch - 1, patch // 2)]
        sizes = zip((1, 2, 3, 5, 1, 3, 2, 1), lengths, near, strict=False)
        points += [point for each in sizes if (point := Point(*each)) not in points]
    return points


def extract(record: Model, say: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """The graph of a model as the table that `hetbench.graphs.model_graph` reads."""
    network = build(record)
    settings = fit_points(record)
    variants: list[dict[str, Any]] = []
    known: dict[str, int] = {}
    table: dict[str, Any] = {"format": FORMAT, "name": record.name, "params": 0, "limits": limits(record)}
    by_phase: dict[str, Any] = {}
    traces: list[Trace] = []
    for phase in phases(record):
        by_phase[phase] = {}
        for precision in PRECISIONS:
            trace = partial(trace_point, record, network, precision=precision, phase=phase)
            if precision == "bf16" and _same(traces[0], trace(settings[0])):
                by_phase[phase]["bf16"] = by_phase[phase]["fp16"]
                continue
            say(f"{record.name}: {phase} {precision}, {len(settings)} settings")
            traces, points = [trace(point) for point in settings], settings
            table["params"] = traces[0].parameter_count
            single = [Point(batch, 1) for batch in (2, 1, 3)] if record.seq_len and not record.image_size else []
            if single and signature(trace(single[0]), precision) != signature(traces[0], precision):
                points, traces = [*settings, *single], [*traces, *map(trace, single)]
            rules = []
            for conditions, chosen in _structures(record, points, traces, precision):
                chosen = sorted(chosen, key=lambda i: points[i].batch == 1)  # the first decides which reshapes copy
                variant = _fit([points[i] for i in chosen], [traces[i] for i in chosen], precision)
                index = known.setdefault(json.dumps(variant, sort_keys=True), len(variants))
                if index == len(variants):
                    variants.append(variant)
                rules.append([conditions, index])
            by_phase[phase][precision] = rules
    return {**table, "phases": by_phase, "variants": variants}


def _same(half: Trace, brain: Trace) -> bool:
    """Whether the network runs the same operators in bf16 as in fp16 (T5 guards against overflow in fp16 only)."""
    dims = [[node.dims for node in trace.nodes] for trace in (half, brain)]
    return dims[0] == dims[1] and signature(half, "fp16") == signature(brain, "bf16")


def _fit(points: Sequence[Point], traces: Sequence[Trace], precision: str) -> dict[str, Any]:
    basis = Basis(points)
    variant = variant_table(traces, basis.monomials, basis.express, precision)
    return {**variant, "monomials": [[list(f) if isinstance(f, tuple) else f for f in m] for m in basis.monomials]}


def _structures(
    record: Model, points: Sequence[Point], traces: Sequence[Trace], precision: str
) -> list[tuple[Conditions, list[int]]]:
    """Conditions that select the structures, each with the settings that meet it."""
    signatures = [signature(trace, precision) for trace in traces]
    one: tuple[Any, int] = ("batch", 1)
    tests: list[tuple[tuple[Any, int], ...]] = [(), (one,)]
    native, patch = native_size(record), patch_size(record)
    if any(point.seq_len == 1 for point in points):
        tests += [(("seq_len", 1),), (one, ("seq_len", 1))]
    if native is not None:
        size, patches = ("image_size", native), ([0, patch], native // patch)
        tests += [(size,), (patches,), (one, size), (one, patches)]
    for conditions in tests:
        classes: dict[tuple[bool, ...], list[int]] = {}
        for index, point in enumerate(points):
            met = tuple(_measure(point, what) == value for what, value in conditions)
            classes.setdefault(met, []).append(index)
        if all(len({signatures[i] for i in members}) == 1 for members in classes.values()):
            return [
                ([[*condition, yes] for condition, yes in zip(conditions, met, strict=True)], members)
                for met, members in sorted(classes.items())
            ]
    raise StructureError(f"{record.name}: {_difference(points, signatures)}")


def _measure(point: Point, what: Any) -> int:
    """The quantities in conditions at one setting; see `hetbench.graphs.model_graph`."""
    return int(getattr(point, what)) if isinstance(what, str) else ((point.image_size or 0) + what[0]) // what[1]


def _difference(points: Sequence[Point], signatures: Sequence[tuple[Any, ...]]) -> str:
    """The first operator that differs between two settings."""
    for point, other in zip(points[1:], signatures[1:], strict=True):
        for index, (a, b) in enumerate(zip(signatures[0][0], other[0], strict=False)):
            if a != b:
                return f"operator {index} at {points[0]} is {a}, at {point} it is {b}"
        if len(signatures[0][0]) != len(other[0]):
            return f"{len(signatures[0][0])} operators at {points[0]}, {len(other[0])} at {point}"
    return "inputs differ between settings"


def write(table: dict[str, Any], folder: Path) -> Path:
    """Write a graph as compressed JSON; the same table gives the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{table['name']}.json.gz"
    text = json.dumps(table, separators=(",", ":"), sort_keys=True)
    with replacing(path) as partial:
        partial.write_bytes(gzip.compress(text.encode(), compresslevel=9, mtime=0))
    return path
