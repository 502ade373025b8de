"""Which corpus rows do not become evidence: `RAW_RULES` look at one row, `TABLE_RULES` compare normalised rows.

Each rule has a name, the reason, and a function that finds the rows to drop. They are applied in order.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import cache
from typing import Any

from data_collection.tables import evidence_fields as fields
from data_collection.tables.corpus import number
from hetbench.catalog.chips import chips
from hetbench.catalog.models import models
from hetbench.graphs import model_graph as graphs
from hetbench.schema import PRECISIONS, itemsize

COLUMNS = (
    "model", "family", "chip", "precision", "batch", "seq_len", "image_size", "new_tokens", "phase", "stack",
    "software", "metric", "value", "unit", "n_chips", "stat", "match", "use", "ref", "note",
)  # fmt: skip
KINDS = ("exact", "same-arch")
PAIR = (0.97, 1.06)  # throughput x latency / samples if both figures are of the same run
CEILING = 1.05  # factor by which a row may be faster than the datasheet allows
Raw = dict[str, Any]
Row = dict[str, Any]


def _above_its_percentile(row: Raw) -> bool:
    cells = row["extra"].get("row")
    if row["file"] != "nvidia_dle" or row["metric"] != "latency_ms" or not isinstance(cells, dict):
        return False
    if fields.statistic(row, row["extra"]) != "mean":
        return False
    names = [name for name in cells if re.search(r"latency.*99|99.*latency", name, re.I) and "speedup" not in name]
    highest = [number(cells[name]) for name in names]
    return any(value is not None and row["value"] > value for value in highest)


RAW_RULES: tuple[tuple[str, str, Callable[[Raw], bool]], ...] = (
    ("not the model", "the map grades it quantised, pruned, near, a part, other mel bins or unsure",
     lambda row: row["kind"] not in KINDS),
    ("training", "no query asks for training", lambda row: row["phase"].startswith("training")),
    ("other network", "ResNet-50 v1.0 strides in the 1x1 convolution; the catalogue's is v1.5",
     lambda row: bool(re.match(r"resnet50[ -]v1(\.0|-12)", row["model"], re.IGNORECASE))),
    ("part of a chip", "a MIG slice, a virtual GPU, or CPU and GPU together",
     lambda row: row["certainty"] == "partial"),
    ("chip outside the catalogue", "no datasheet of it is in chips.toml", lambda row: row["chip_name"] not in chips()),
    ("other metric", "mfu, allocator statistics and the like", lambda row: row["metric"] not in fields.METRICS),
    ("no figure", "missing, zero or negative", lambda row: not (row["value"] and 0 < row["value"] < math.inf)),
    ("speed-up", "the upstream column is a ratio (\"Avg latency - speedup\"), not a figure",
     lambda row: "speedup" in str(row["extra"].get("column", "")).lower()),
    ("quantised weights", "bitsandbytes inside a fp16 model: another computation",
     lambda row: str(row["precision"]).startswith("bnb")),
    ("mean above its p99", "the mean holds a warm-up call: it exceeds the 99th percentile beside it",
     _above_its_percentile),
    ("1000 / another row", "tokens per second of the same run's time per token",
     lambda row: row["file"] == "openvino" and row["phase"] == "decode" and row["metric"] == "throughput"),
)  # fmt: skip


def repeated(rows: list[Row]) -> set[int]:
    """Positions of rows that repeat another row's figure at the same setting, from the same repository."""
    seen: set[tuple[Any, ...]] = set()
    found = set()
    for index, row in enumerate(rows):
        repository = row["ref"].split("@")[0]
        key = (repository, *(row[name] for name in COLUMNS if name != "ref"))
        if key in seen:
            found.add(index)
        seen.add(key)
    return found


def paired(rows: list[Row]) -> set[int]:
    """Positions of throughput rows that equal batch / latency of a latency row of the same setting."""
    figures = ("metric", "value", "unit", "note", "stat", "use", "new_tokens")
    names = tuple(name for name in COLUMNS if name not in figures)
    latencies: dict[tuple[Any, ...], list[float]] = {}
    for row in rows:
        if row["metric"] == "latency":
            latencies.setdefault(tuple(row[name] for name in names), []).append(row["value"])
    found = set()
    for index, row in enumerate(rows):
        if row["metric"] != "throughput":
            continue
        tokens = 2 * (row["seq_len"] or 0)  # LLM-Inference-Bench counts input and output tokens
        batch = row["batch"] or 1
        shares = [
            row["value"] * ms / 1e3 / samples
            for ms in latencies.get(tuple(row[name] for name in names), ())
            for samples in (batch, batch * tokens) if samples
        ]  # fmt: skip
        if any(PAIR[0] <= share <= PAIR[1] for share in shares):
            found.add(index)
    return found


def impossible(rows: list[Row]) -> set[int]:
    """Positions of rows faster than peak or bandwidth allow; CPUs are not judged, since their clock varies."""
    found = set()
    for index, row in enumerate(rows):
        if row["metric"] not in ("latency", "throughput") or "unpadded" in (row["stack"] or ""):
            continue
        least = _least_seconds(row)
        per_call = (row["batch"] or 1) * (2 * row["seq_len"] if row["phase"] == "serving" and row["seq_len"] else 1)
        seconds = row["value"] / 1e3 if row["metric"] == "latency" else per_call / row["value"]
        if least is not None and seconds * (row["n_chips"] or 1) < least / CEILING:
            found.add(index)
    return found


def _least_seconds(row: Row) -> float | None:
    """Least chip-seconds of one call at peak; generation: the prompt's operations, then reading all weights per token.

    None if a size, the precision or a datasheet value is unknown.
    """
    record, chip = models()[row["model"]], chips()[row["chip"]]
    phase = "prefill" if row["phase"] == "serving" else row["phase"]
    peak = chip.peak_flops(row["precision"]) if row["precision"] in PRECISIONS else None
    sizes = (row["seq_len"] if record.seq_len else 1, row["image_size"] if record.image_size else 1, row["batch"])
    if peak is None or chip.kind == "cpu" or None in sizes or phase not in record.phases:
        return None
    if (row["seq_len"] or 0) > (record.max_seq_len or math.inf):
        return None
    least = _flops(row["model"], row["batch"], row["seq_len"], row["image_size"], row["precision"], phase) / peak
    if row["phase"] == "serving" and chip.bandwidth:  # as many output as input tokens
        least += row["seq_len"] * record.params * itemsize(row["precision"]) / chip.bandwidth
    return least


@cache
def _flops(*setting: Any) -> float:
    return float(graphs.load(setting[0]).operators(*setting[1:]).flops)


TABLE_RULES: tuple[tuple[str, str, Callable[[list[Row]], set[int]]], ...] = (
    ("repeated", "the same figure at the same setting in the same repository", repeated),
    ("throughput of a latency", "batch / the latency of the same run: one of the two is enough", paired),
    ("too fast", "faster than the chip's peak or bandwidth allows: a wrong unit, precision or chips", impossible),
)  # fmt: skip
