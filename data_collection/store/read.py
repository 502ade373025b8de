"""Read the store: all parts that match their manifest, the journals of running processes, and SQL over both."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from data_collection.store.manifests import manifest_path, read_manifest
from data_collection.store.rows import IDENTITY, TIMED, schema
from data_collection.store.write import QUARANTINE, journal_rows
from hetbench.errors import InvalidInputError

__all__ = ["DEFAULT_STORE", "NEWEST", "VIEWS", "WEIGHT", "Contents", "connect", "read", "why_empty"]

DEFAULT_STORE = Path("runs") / "measurements"
"""Where the commands keep measurements unless `--store` names another folder."""

QUIET_SPREAD = 0.05
"""Relative deviation of quiet rows of one setting between runs; the unit of `weight`."""
_CORPUS = """'hetbench' AS dataset, 'hetbench:' || run AS ref, 'MIT' AS licence, family AS platform, chip, software"""
_SETTING = "stack, layout, cache, protocol, threads, library, cpu_fallback"
WEIGHT = f"CASE status WHEN 'ok' THEN 1.0 ELSE 1 / (1 + (spread / {QUIET_SPREAD})**2) END AS weight"
"""1 for a quiet row, less the further a noisy one may be off: the share of its variance that every row has."""
_FIGURES = f"""status, {WEIGHT}, p90_ms, p99_ms, iqr_ms, min_ms, spread, kernel_ms, repeats, energy_j,
        peak_memory_bytes, environment, run"""
VIEWS = {
    "rows": f"""SELECT * FROM every_row QUALIFY
        row_number() OVER (PARTITION BY {', '.join(IDENTITY)}, run
            ORDER BY status <> 'ok', status <> 'noisy', started DESC) = 1""",
    "operators": f"""SELECT {_CORPUS}, name AS op, precision AS dtype, phase, dims, latency_ms, 'median' AS stat,
        {_SETTING}, {_FIGURES} FROM rows WHERE kind = 'operator' AND status IN {TIMED}""",
    "models": f"""SELECT {_CORPUS}, name AS model, precision, batch, seq_len, image_size, phase,
        'latency_ms' AS metric, 'ms/batch' AS unit, latency_ms AS value, 1 AS n_chips, {_SETTING}, {_FIGURES}
        FROM rows WHERE kind = 'model' AND status IN {TIMED}""",
}  # fmt: skip
"""`rows` holds all statuses, each key of a run once; `operators` and `models` hold figures, named as in the corpus."""

NEWEST = "coalesce(runs.number, 0) DESC, rows.started DESC, rows.run DESC"
"""Order of rows joined with `runs`, newest first: by the count of runs, since a clock may be set back."""


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
        _read_journal(store, path, found)
    parts = sorted((store / "parts").glob("*.parquet"))
    for path in sorted((store / "runs").glob("*.json")):
        try:
            manifest = read_manifest(path)
        except InvalidInputError as error:
            found.skipped.append(f"{path.name}: {error}")
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
    for path in sorted((store / QUARANTINE).glob("*.jsonl")):
        kept, wrong = journal_rows(path)
        found.skipped += [f"{QUARANTINE}/{line}" for line in wrong.values()]
        found.skipped += [f"{QUARANTINE}/{path.name}: {len(kept)} rows can be read again: move the file to journals, "
                          f"named as its run"] * bool(kept)  # fmt: skip
    return found


def _read_journal(store: Path, path: Path, found: Contents) -> None:
    """Add the rows of a journal to the contents, and what is wrong with it."""
    try:
        rows, wrong = journal_rows(path)
    except FileNotFoundError:  # it has just become a part
        return
    except OSError as error:
        found.skipped.append(f"{path.name}: cannot be read: {error.strerror}")
        return
    found.rows += [asdict(row) for row in rows]
    found.skipped += wrong.values()
    try:
        read_manifest(manifest_path(store, path.stem))
    except InvalidInputError as error:
        if path.exists():
            found.skipped.append(f"{path.name}: stays a journal, its manifest is unusable: {error}")


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


def connect(contents: Contents, *, unsafe: bool = False) -> Any:
    """A DuckDB connection with the views `rows`, `operators`, `models` and `runs`.

    Queries reach these views and nothing else: no file, extension, other database or setting. With `unsafe` they may
    read, write and attach what the user may.
    """
    import duckdb
    import pyarrow as pa
    from pyarrow import dataset

    connection = duckdb.connect()
    connection.register("journal", pa.Table.from_pylist(contents.rows, schema=schema()))
    # as a dataset: DuckDB itself would take [, * and ? in a path for a pattern
    parts = dataset.dataset([str(part) for part in contents.parts], schema=schema()) if contents.parts else None
    if parts:
        connection.register("parts", parts)
    both = "UNION ALL BY NAME SELECT * FROM parts" if parts else ""
    connection.execute(f"CREATE VIEW every_row AS SELECT * FROM journal {both}")
    for name, query in VIEWS.items():
        connection.execute(f"CREATE VIEW {name} AS {query}")
    runs = [
        {"run": m["run"], "number": m["number"], "parts": len(m["parts"]), "rows": sum(e["rows"] for e in m["parts"]),
         "command": " ".join(map(str, m["command"])), "environment": json.dumps(m["environment"])}
        for m in contents.runs
    ]  # fmt: skip
    columns = {"run": pa.string(), "number": pa.int64(), "parts": pa.int64(), "rows": pa.int64(),
               "command": pa.string(), "environment": pa.string()}  # fmt: skip
    connection.register("runs", pa.Table.from_pylist(runs, schema=pa.schema(list(columns.items()))))
    if not unsafe:
        connection.execute("SET python_enable_replacements = false")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
    return connection


def why_empty(connection: Any) -> dict[str, str]:
    """View -> why it holds no row, for each of `operators` and `models` that is empty.

    >>> why_empty(connect(Contents()))["models"]
    'the store has no row of any model. Measure: python -m data_collection.profile models NAME'
    """
    found = {}
    for view, kind in (("operators", "operator"), ("models", "model")):
        counts = dict(connection.execute("SELECT status, count(*) FROM rows WHERE kind = ? GROUP BY 1 ORDER BY 1",
                                         [kind]).fetchall())  # fmt: skip
        if counts.keys() & set(TIMED):
            continue
        if not counts:
            command = {"operators": "operators --models NAME", "models": "models NAME"}[view]
            found[view] = f"the store has no row of any {kind}. Measure: python -m data_collection.profile {command}"
            continue
        said = ", ".join(f"{many} {status}" for status, many in counts.items())
        found[view] = f"none of its rows has a latency: {said}. {_REMEDY if 'disturbed' in counts else _LOOK}"
    return found


_REMEDY = "Other work ran on the machine: measure again when it is quiet, or with --keep-noisy."
_LOOK = "The column `reason` of `rows` says why."
