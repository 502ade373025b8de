"""Measured figures of the catalogue's models, read from the corpus and packed into one small table.

    python -m data_collection.tables.evidence --corpus ../shared/corpus

Takes the model rows that `model_map.csv` of the corpus grades `exact` or `same-arch`, renames their chips and models to
those of the catalogue, drops rows by the rules of `evidence_filters` (each prints its reason and how many rows it
dropped) and writes `hetbench/catalog/evidence.json.gz`. The file is column-wise and dictionary-encoded; the same corpus
gives the same bytes.
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
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from data_collection.tables import evidence_fields as fields
from data_collection.tables.corpus import chip_aliases, whole
from data_collection.tables.evidence_filters import COLUMNS, RAW_RULES, TABLE_RULES, Raw, Row
from hetbench.artifacts import replacing
from hetbench.catalog.chips import chips
from hetbench.catalog.models import models
from hetbench.errors import RefusedError, command
from hetbench.schema import PHASES, PRECISIONS

OUTPUT = Path(__file__).resolve().parents[2] / "hetbench" / "catalog" / "evidence.json.gz"
UNCERTAIN = ("unspecified", "inferred")  # grades of chip_aliases.csv that are mentioned in the note
MODELS = {record.title: record for record in models().values()}


def read(corpus: Path) -> list[Raw]:
    """Every corpus row that `model_map.csv` maps to a catalogue model, with the columns of map and aliases added."""
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


def normalise(raw: Raw) -> Row:
    """One row in the table's columns; unknown values are None."""
    extra, record = raw["extra"], MODELS[raw["our"]]
    metric, unit = fields.METRICS[raw["metric"]]
    if metric in ("time_to_first_token", "time_per_token") and raw["phase"] in ("prefill", "decode"):
        metric = "latency"  # latency of the phase: a full prefill, or one decoding step
    given = raw["precision"]
    use, why = fields.limit(raw, extra)
    notes = [why] if why else []
    if raw["certainty"] in UNCERTAIN:
        notes.append(f"chip stated as {raw['chip']!r}")
    if raw["kind"] != "exact" or raw["model"].lower() not in (record.name, *map(str.lower, record.aliases)):
        notes.append(f"upstream's name: {raw['model']}")
    notes.append(f"unit {raw['unit']}")
    row = {
        "model": record.name, "family": chips()[raw["chip_name"]].family, "chip": raw["chip_name"],
        "precision": fields.PRECISIONS.get(given, given), "batch": whole(raw["batch"]),
        "seq_len": whole(raw["seq_len"]) if record.seq_len else None,
        "image_size": whole(raw["image_size"]) if record.image_size else None,
        "new_tokens": fields.new_tokens(raw, extra), "phase": raw["phase"],
        "stack": fields.stack(raw, extra), "software": raw["software"] or None, "metric": metric, "value": raw["value"],
        "unit": unit, "n_chips": whole(raw["n_chips"]), "stat": fields.statistic(raw, extra), "match": raw["kind"],
        "use": use, "ref": raw["ref"], "note": "; ".join(notes),
    }  # fmt: skip
    return row | {"use": _use(row)}


def _use(row: Row) -> str:
    """`answer` only if every setting is stated and means the same as in a query; see `evidence_fields`."""
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


def own_measurements(folder: Path) -> list[Row]:
    """This project's own measurements of models, from `data_collection.store publish` files, in the table's columns.

    A row is from one run on one machine; `ref` names the run and the file, whose metadata has the environment.
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


def table(raws: Iterable[Raw], say: Callable[[str], None] = print) -> list[Row]:
    """The cleaned rows in table order; `say` is called with a line per rule."""
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


def _detail(rows: list[Raw], drop: Callable[[Raw], bool]) -> str:
    counts = Counter(row["file"] for row in rows if drop(row))
    return f" ({', '.join(f'{name} {count}' for name, count in counts.most_common(6))})" if counts else ""


def _order(row: Row) -> tuple[Any, ...]:
    """Answers first, then by setting: the order of the table."""
    return fields.USES.index(row["use"]), *((row[name] is not None, str(row[name]).zfill(12)) for name in COLUMNS)


def encode(rows: list[Row]) -> bytes:
    """The table as gzipped JSON: each column is a list of values or, if values repeat, distinct values and codes."""
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


@command("stopped")
def main() -> None:
    """Read, clean, write, and print what is there."""
    parser = argparse.ArgumentParser(description="Measured figures of the catalogue's models into one table.")
    parser.add_argument("--corpus", type=Path, default=Path("../shared/corpus"))
    parser.add_argument("--measurements", type=Path, default=Path(__file__).resolve().parents[1] / "measurements")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    arguments = parser.parse_args()
    mine = own_measurements(arguments.measurements)
    print(f"{len(mine):6d} rows of this project's own measurements")
    rows = sorted([*table(read(arguments.corpus)), *mine], key=_order)
    data = encode(rows)
    if not rows:
        raise RefusedError(f"no row of {arguments.corpus} or {arguments.measurements} is of a model of the catalogue.")
    with replacing(arguments.output, "--output FILE") as partial:
        partial.write_bytes(data)
    print(f"{len(rows):6d} rows written to {arguments.output} ({len(data) / 1e3:,.0f} kB)")
    for names in (("family", "metric"), ("family", "use"), ("use", "stack")):
        counts = Counter(tuple(str(row[name]) for name in names) for row in rows)
        print(f"\nrows by {' and '.join(names)}")
        for key, count in sorted(counts.items()):
            print(f"  {' '.join(key):40s} {count:6d}")


if __name__ == "__main__":
    main()
