"""Read the store: all parts that match their manifest, the journals of running processes, and SQL over both."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from data_collection.store.rows import FORMAT, IDENTITY, schema
from data_collection.store.write import journal_rows
from hetbench.errors import InvalidInputError

__all__ = ["DEFAULT_STORE", "Contents", "connect", "read"]

DEFAULT_STORE = Path("runs") / "measurements"
"""Where the commands keep measurements unless `--store` names another folder."""

_CORPUS = """'hetbench' AS dataset, 'hetbench:' || run AS ref, 'MIT' AS licence, family AS platform, chip, software"""
_SETTING = "stack, layout, cache, protocol, threads, library, cpu_fallback"
_FIGURES = "p90_ms, p99_ms, iqr_ms, min_ms, spread, kernel_ms, repeats, energy_j, peak_memory_bytes, environment, run"
VIEWS = {
    "rows": f"""SELECT * FROM every_row QUALIFY
        row_number() OVER (PARTITION BY {', '.join(IDENTITY)}, run ORDER BY status <> 'ok', started DESC) = 1""",
    "operators": f"""SELECT {_CORPUS}, name AS op, precision AS dtype, phase, dims, latency_ms, 'median' AS stat,
        {_SETTING}, {_FIGURES} FROM rows WHERE kind = 'operator' AND status = 'ok'""",
    "models": f"""SELECT {_CORPUS}, name AS model, precision, batch, seq_len, image_size, phase,
        'latency_ms' AS metric, 'ms/batch' AS unit, latency_ms AS value, 1 AS n_chips, {_SETTING}, {_FIGURES}
        FROM rows WHERE kind = 'model' AND status = 'ok'""",
}  # fmt: skip
"""`rows` holds all statuses, each key of a run once; `operators` and `models` hold figures, named as in the corpus."""


@dataclass(slots=True)
class Contents:
    """Contents of a store."""

    parts: list[Path] = field(default_factory=list)
    """Parts that match their manifest."""
    rows: list[dict[str, Any]] = field(default_factory=list)
    """Rows that are still in journals."""
    runs: list[dict[str, Any]] = field(default_factory=list)
    """Manifests."""
    skipped: list[str] = field(default_factory=list)
    """Files that were skipped, with the reason."""


def read(store: Path) -> Contents:
    """The contents of a store; damaged files are listed in `skipped`."""
    if not (store / "runs").is_dir():
        raise InvalidInputError(
            f"{store} is no store: it has no runs/. "
            f"Make one: python -m data_collection.profile operators --store {store}"
        )
    found, named = Contents(), set()
    # journals first: a journal that becomes a part meanwhile is read twice and its rows count once
    journals = sorted((store / "journals").glob("*.jsonl"))
    for path in journals:
        with suppress(FileNotFoundError):  # it has just become a part
            rows, wrong = journal_rows(path)
            found.rows += [asdict(row) for row in rows]
            found.skipped += wrong
    parts = sorted((store / "parts").glob("*.parquet"))
    for path in sorted((store / "runs").glob("*.json")):
        try:
            manifest = json.loads(path.read_text())
        except ValueError as error:
            found.skipped.append(f"{path.name}: not a manifest: {error}")
            continue
        if manifest.get("format") != FORMAT:
            found.skipped.append(f"{path.name}: format {manifest.get('format')!r}, this reads {FORMAT}")
            continue
        found.runs.append(manifest)
        for entry in manifest["parts"]:
            part = store / "parts" / entry["file"]
            named.add(part.name)
            fault = _fault(part, entry)
            if fault:
                found.skipped.append(f"{part.name}: {fault}; its {entry['rows']} rows are left out")
            else:
                found.parts.append(part)
    pending = {path.stem for path in journals}
    for path in parts:
        if path.name not in named and path.name[: -len("-0000.parquet")] not in pending:
            found.skipped.append(f"{path.name}: no manifest names it")
    return found


def _fault(part: Path, entry: dict[str, Any]) -> str:
    """What is wrong with a part; empty if nothing is."""
    try:
        data = part.read_bytes()
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if len(data) != entry["bytes"]:
        return f"truncated or changed: {len(data):,} bytes instead of {entry['bytes']:,}"
    if hashlib.sha256(data).hexdigest() != entry["sha256"]:
        return "changed: its sha256 is not the manifest's"
    return ""


def connect(contents: Contents) -> Any:
    """A DuckDB connection with the views `rows`, `operators`, `models` and `runs`."""
    import duckdb
    import pyarrow as pa

    connection = duckdb.connect()
    connection.register("journal", pa.Table.from_pylist(contents.rows, schema=schema()))
    sources = ["SELECT * FROM journal"]
    if contents.parts:
        files = ", ".join("'" + str(part).replace("'", "''") + "'" for part in contents.parts)
        sources.append(f"SELECT * FROM read_parquet([{files}], union_by_name = true)")
    connection.execute(f"CREATE VIEW every_row AS {' UNION ALL BY NAME '.join(sources)}")
    for name, query in VIEWS.items():
        connection.execute(f"CREATE VIEW {name} AS {query}")
    runs = [
        {"run": m["run"], "parts": len(m["parts"]), "rows": sum(e["rows"] for e in m["parts"]),
         "command": " ".join(m["command"]), "environment": json.dumps(m["environment"])}
        for m in contents.runs
    ]  # fmt: skip
    columns = ("run", "parts", "rows", "command", "environment")
    connection.register("runs", pa.table({name: [run[name] for run in runs] for name in columns}))
    return connection
