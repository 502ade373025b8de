"""Measured figures of the catalogue's models, read from the corpus and packed into one small table.

    python -m data_collection.tables.evidence --corpus ../shared/corpus

Takes the model rows that `model_map.csv` grades `exact` or `same-arch`, names their chips and models as the catalogue
does, drops what is wrong or answers another question (each rule prints how many rows and why) and writes
`hetbench/catalog/evidence.json.gz`: column-wise, dictionary-encoded, the same bytes from the same corpus.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from data_collection.tables import evidence_rules as rules
from hetbench.catalog.chips import chips
from hetbench.catalog.models import models
from hetbench.graphs import model_graph as graphs
from hetbench.schema import PHASES, PRECISIONS, itemsize

OUTPUT = Path(__file__).resolve().parents[2] / "hetbench" / "catalog" / "evidence.json.gz"
COLUMNS = (
    "model", "family", "chip", "precision", "batch", "seq_len", "image_size", "new_tokens", "phase", "stack",
    "software", "metric", "value", "unit", "n_chips", "stat", "match", "use", "ref", "note",
)  # fmt: skip
KINDS = ("exact", "same-arch")
PAIR = (0.97, 1.06)  # throughput x latency / samples of figures that one run gave
CEILING = 1.05  # no row may be faster than the datasheet allows by more than this
UNCERTAIN = ("unspecified", "inferred")  # grades of chip_aliases.csv that the note must mention

Raw = dict[str, Any]
Row = dict[str, Any]
Rule = tuple[str, str, Callable[[Raw], bool]]

RAW_RULES: tuple[Rule, ...] = (
    ("not the model", "the map grades it quantised, pruned, near, a part, other mel bins or unsure",
     lambda row: row["kind"] not in KINDS),
    ("training", "no query asks for training", lambda row: row["phase"].startswith("training")),
    ("other network", "ResNet-50 v1.0 strides in the 1x1 convolution; the catalogue's is v1.5",
     lambda row: bool(re.match(r"resnet50[ -]v1(\.0|-12)", row["model"], re.IGNORECASE))),
    ("part of a chip", "a MIG slice, a virtual GPU, or CPU and GPU together",
     lambda row: row["certainty"] == "partial"),
    ("chip outside the catalogue", "no datasheet of it is in chips.toml", lambda row: row["chip_name"] not in chips()),
    ("other metric", "mfu, allocator statistics and the like", lambda row: row["metric"] not in rules.METRICS),
    ("no figure", "missing, zero or negative", lambda row: not (row["value"] and 0 < row["value"] < math.inf)),
    ("speed-up", "the upstream column is a ratio (\"Avg latency - speedup\"), not a figure",
     lambda row: "speedup" in str(row["extra"].get("column", "")).lower()),
    ("quantised weights", "bitsandbytes inside a fp16 model: another computation",
     lambda row: str(row["precision"]).startswith("bnb")),
    ("mean above its p99", "the mean holds a warm-up call: it exceeds the 99th percentile beside it",
     lambda row: _above_its_percentile(row)),
    ("1000 / another row", "tokens per second of the same run's time per token",
     lambda row: row["file"] == "openvino" and row["phase"] == "decode" and row["metric"] == "throughput"),
)  # fmt: skip


def read(corpus: Path) -> list[Raw]:
    """Every corpus row that the map ties to a catalogue model, as dicts with the map's and aliases' columns added."""
    import pyarrow.parquet as pq

    with (corpus / "model_map.csv").open(encoding="utf-8") as file:
        mapped = {(row["file"], row["model"]): row for row in csv.DictReader(file)}
    aliases = chip_aliases(corpus)
    rows: list[Raw] = []
    for name in sorted({name for name, _ in mapped}):
        wanted = [model for file, model in mapped if file == name]
        table = pq.read_table(corpus / "model" / f"{name}.parquet", filters=[("model", "in", wanted)])
        for row in table.to_pylist():
            alias = aliases.get((row["platform"], row["chip"]), {})
            entry = mapped[name, row["model"]]
            row |= {"file": name, "our": entry["our"], "kind": entry["kind"]}
            row |= {"chip_name": alias.get("canonical", ""), "certainty": alias.get("certainty", "")}
            row["extra"] = json.loads(row["extra"]) if row["extra"] else {}
            rows.append(row)
    return rows


def chip_aliases(corpus: Path) -> dict[tuple[str, str], Mapping[str, str]]:
    """(platform, chip as in the data) -> `canonical` and `certainty`, of `chip_aliases.csv`.

    A corpus built from its upstreams has no such table: there the names that the catalogue knows count.
    """
    path = corpus / "chip_aliases.csv"
    if not path.exists():
        return {
            (chip.family, name): {"canonical": chip.name, "certainty": certainty}
            for chip in chips().values() for name, certainty in (chip.aliases | {chip.name: "exact"}).items()
        }  # fmt: skip
    aliases: dict[tuple[str, str], Mapping[str, str]] = {}
    with path.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            key = (row["platform"], row["chip_as_in_data"])
            if key not in aliases or row["certainty"] == "exact":  # MI250: its own name before that of its die
                aliases[key] = row
    return aliases


def _above_its_percentile(row: Raw) -> bool:
    cells = row["extra"].get("row")
    if row["file"] != "nvidia_dle" or row["metric"] != "latency_ms" or not isinstance(cells, dict):
        return False
    if rules.statistic(row, row["extra"]) != "mean":
        return False
    names = [name for name in cells if re.search(r"latency.*99|99.*latency", name, re.I) and "speedup" not in name]
    highest = [_number(cells[name]) for name in names]
    return any(value is not None and row["value"] > value for value in highest)


def _number(value: Any) -> float | None:
    """A number out of a cell; None where there is none."""
    match = re.match(r"\s*([\d,]*\.?\d+)", str(value)) if value is not None else None
    found = float(match[1].replace(",", "")) if match else None
    return None if found is None or math.isnan(found) else found


def _whole(value: Any) -> int | None:
    """A positive whole number; None where upstream states none. `224x224` is 224."""
    if isinstance(value, float) and math.isnan(value):
        return None
    found = _number(value)
    return int(found) if found else None


def normalise(raw: Raw) -> Row:
    """One row in the table's columns; what is not known is None."""
    extra, record = raw["extra"], MODELS[raw["our"]]
    metric, unit = rules.METRICS[raw["metric"]]
    if metric in ("time_to_first_token", "time_per_token") and raw["phase"] in ("prefill", "decode"):
        metric = "latency"  # of the phase: a full prefill, or one decoding step
    given = raw["precision"]
    use, why = rules.limit(raw, extra)
    notes = [why] if why else []
    if raw["certainty"] in UNCERTAIN:
        notes.append(f"chip stated as {raw['chip']!r}")
    if raw["kind"] != "exact" or raw["model"].lower() not in (record.name, *map(str.lower, record.aliases)):
        notes.append(f"upstream's name: {raw['model']}")
    notes.append(f"unit {raw['unit']}")
    row = {
        "model": record.name, "family": chips()[raw["chip_name"]].family, "chip": raw["chip_name"],
        "precision": rules.PRECISIONS.get(given, given), "batch": _whole(raw["batch"]),
        "seq_len": _whole(raw["seq_len"]) if record.seq_len else None,
        "image_size": _whole(raw["image_size"]) if record.image_size else None,
        "new_tokens": rules.new_tokens(raw, extra), "phase": raw["phase"],
        "stack": rules.stack(raw, extra), "software": raw["software"] or None, "metric": metric, "value": raw["value"],
        "unit": unit, "n_chips": _whole(raw["n_chips"]), "stat": rules.statistic(raw, extra), "match": raw["kind"],
        "use": use, "ref": raw["ref"], "note": "; ".join(notes),
    }  # fmt: skip
    return row | {"use": _use(row)}


def _use(row: Row) -> str:
    """`answer` only where every setting is stated and means what a query means; see `evidence_rules`."""
    record = models()[row["model"]]
    sizes = (row["seq_len"] if record.seq_len else 1, row["image_size"] if record.image_size else 1)
    stated = None not in (row["batch"], row["stack"], *sizes) and row["n_chips"] == 1
    generated = row["phase"] == "serving" and row["new_tokens"] is not None and row["metric"] == "latency"
    asked = (row["phase"] in record.phases and row["phase"] in PHASES) or generated
    tokens = (row["seq_len"] or 0) + (row["new_tokens"] or 0)
    fits = row["precision"] in PRECISIONS and tokens <= (record.max_seq_len or math.inf)
    if row["use"] == "show" or not (stated and asked and fits) or row["metric"] == "memory":
        return "show"
    if generated or row["match"] != "exact" or re.fullmatch(r"p\d\d", row["stat"]):
        return "compare"
    return str(row["use"])


def own(folder: Path) -> list[Row]:
    """What this project measured itself: the models of `data_collection.store publish` files, in the table's columns.

    A row is of one run on one machine; `ref` names the run and the file, whose metadata hold the environment.
    """
    import pyarrow.parquet as pq

    rows: list[Row] = []
    for path in sorted(folder.glob("*.parquet")):
        for raw in pq.read_table(path).to_pylist():
            if raw["kind"] != "model" or raw["layout"] != "contiguous" or raw["cache"] != "hot":
                continue
            note = f"unit ms; {raw['threads']} threads" if raw["threads"] else "unit ms"
            row = {name: raw[name] for name in (
                "family", "chip", "precision", "batch", "seq_len", "image_size", "phase", "stack", "software",
            )}  # fmt: skip
            rows.append(row | {
                "model": raw["name"], "new_tokens": None, "metric": "latency", "value": raw["latency_ms"], "unit": "ms",
                "n_chips": 1, "stat": "median", "match": "exact", "use": "answer", "note": note,
                "ref": f"hetbench@{raw['run']}:data_collection/measurements/{path.name}",
            })  # fmt: skip
    return rows


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
    """Positions of throughput rows that only say batch / latency of a latency row beside them."""
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
        tokens = 2 * (row["seq_len"] or 0)  # LLM-Inference-Bench counts tokens in and out
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
    """Positions of rows faster than peak or bandwidth allow; CPUs, whose clock varies, are left out."""
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
    """Chip-seconds that one call takes at full peak; of generation, reading the prompt, then the weights once a token.

    None where a size, the precision or the datasheet does not tell.
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
    if row["phase"] == "serving" and chip.bandwidth:  # as many tokens out as in
        least += row["seq_len"] * record.params * itemsize(row["precision"]) / chip.bandwidth
    return least


@cache
def _flops(*setting: Any) -> float:
    return float(graphs.load(setting[0]).operators(*setting[1:]).flops)


def encode(rows: list[Row]) -> bytes:
    """The table as gzip of JSON: each column a list of its values and, where values repeat, codes into it."""
    columns: dict[str, Any] = {}
    for name in COLUMNS:
        values = [row[name] for row in rows]
        known = sorted({value for value in values if value is not None}, key=lambda value: (str(type(value)), value))
        if len(known) * 2 > len(values):
            columns[name] = {"values": values}
            continue
        code = {value: index for index, value in enumerate(known)}
        columns[name] = {"values": known, "codes": [None if v is None else code[v] for v in values]}
    text = json.dumps({"format": 1, "rows": len(rows), "columns": columns}, separators=(",", ":"), ensure_ascii=False)
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=9, mtime=0, filename="") as file:
        file.write(text.encode("utf-8"))
    return buffer.getvalue()


def _order(row: Row) -> tuple[Any, ...]:
    """Answers first, then by setting: the order of the table."""
    return rules.USES.index(row["use"]), *((row[name] is not None, str(row[name]).zfill(12)) for name in COLUMNS)


def table(raws: Iterable[Raw], say: Callable[[str], None] = print) -> list[Row]:
    """The cleaned rows in table order; `say` gets a line for each rule."""
    kept = list(raws)
    say(f"{len(kept):6d} rows of the map's models")
    for name, why, drop in RAW_RULES:
        left = [raw for raw in kept if not drop(raw)]
        say(f"{len(kept) - len(left):6d} dropped, {name}: {why}{_detail(kept, drop)}")
        kept = left
    rows = [normalise(raw) for raw in kept]
    for name, why, find in TABLE_RULES:
        gone = find(rows)
        by_model = Counter(rows[index]["model"] for index in gone).most_common(4)
        say(f"{len(gone):6d} dropped, {name}: {why} {dict(by_model) if gone else ''}")
        rows = [row for index, row in enumerate(rows) if index not in gone]
    return sorted(rows, key=_order)


TABLE_RULES = (
    ("repeated", "the same figure at the same setting in the same repository", repeated),
    ("throughput of a latency", "batch / the latency of the same run: one of the two is enough", paired),
    ("too fast", "faster than the chip's peak or bandwidth allows: a wrong unit, precision or chips", impossible),
)  # fmt: skip
MODELS = {record.title: record for record in models().values()}


def _detail(rows: list[Raw], drop: Callable[[Raw], bool]) -> str:
    counts = Counter(row["file"] for row in rows if drop(row))
    return f" ({', '.join(f'{name} {count}' for name, count in counts.most_common(6))})" if counts else ""


def main() -> None:
    """Read, clean, write, and print what is there."""
    parser = argparse.ArgumentParser(description="Measured figures of the catalogue's models into one table.")
    parser.add_argument("--corpus", type=Path, default=Path("../shared/corpus"))
    parser.add_argument("--measurements", type=Path, default=Path(__file__).resolve().parents[1] / "measurements")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    arguments = parser.parse_args()
    mine = own(arguments.measurements)
    print(f"{len(mine):6d} rows of this project's own measurements")
    rows = sorted([*table(read(arguments.corpus)), *mine], key=_order)
    data = encode(rows)
    arguments.output.write_bytes(data)
    print(f"{len(rows):6d} rows written to {arguments.output} ({len(data) / 1e3:,.0f} kB)")
    for names in (("family", "metric"), ("family", "use"), ("use", "stack")):
        counts = Counter(tuple(str(row[name]) for name in names) for row in rows)
        print(f"\nrows by {' and '.join(names)}")
        for key, count in sorted(counts.items()):
            print(f"  {' '.join(key):40s} {count:6d}")


if __name__ == "__main__":
    main()
