"""Tables of a store: the newest row of every setting, throughput, batch scaling, speed-up, memory, operators."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from data_collection.pages import Table
from data_collection.store.read import NEWEST
from data_collection.store.rows import IDENTITY
from hetbench.api import HetBench
from hetbench.errors import HetBenchError

__all__ = ["Row", "Tables", "label"]

Row = dict[str, Any]
_SETTING = ("precision", "stack", "phase", "layout", "cache", "threads", "protocol", "chip", "software")
_SHAPE = ("batch", "seq_len", "image_size")
_NEWEST = f"""SELECT rows.* EXCLUDE (raw_ms), count(*) OVER same AS measured FROM rows LEFT JOIN runs USING (run)
    WHERE status = 'ok' AND kind = ? WINDOW same AS (PARTITION BY {', '.join(IDENTITY)})
    QUALIFY row_number() OVER (same ORDER BY {NEWEST}) = 1 ORDER BY {', '.join(IDENTITY)}"""


class Tables:
    """Tables of one store, given an open connection."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.models = list(self._rows(_NEWEST, ["model"]))
        """The newest `ok` row of every setting of a model."""

    def system(self) -> list[Table]:
        """The machines of all runs, and the number of rows by status."""
        machines: dict[str, Row] = {}
        for run in self._rows("SELECT * FROM runs ORDER BY run"):
            facts = json.loads(run["environment"])
            seen = machines.setdefault(facts.get("id", run["run"]), {**facts, "runs": 0, "rows": 0})
            seen["runs"], seen["rows"] = seen["runs"] + 1, seen["rows"] + run["rows"]
            seen["commit"] = facts.get("commit")
        names = ("id", "chip", "device", "driver", "cpus", "memory_bytes", "kernel", "python", "commit", "runs", "rows")
        rows = [[*(each.get(name) for name in names), _pairs(each.get("packages"))] for each in machines.values()]
        counts = list(self._rows("SELECT kind, status, count(*) AS count FROM rows GROUP BY ALL ORDER BY ALL"))
        return [
            Table("Environments; rows of parts, live journals not counted", [*names, "packages"], rows),
            Table("Rows by status", ["kind", "status", "rows"], [list(each.values()) for each in counts]),
        ]

    def latency(self) -> Table:
        """The newest row of every setting."""
        columns = ["model", *_SHAPE, *_SETTING[:-1], "p50, ms", "p90, ms", "p99, ms", "half 95 % interval, %",
                   "samples (tokens)/s", "energy, J", "ran by", "measured", "row of"]  # fmt: skip
        rows = [
            [*(row[name] for name in ("name", *_SHAPE, *_SETTING[:-1], "latency_ms", "p90_ms", "p99_ms")),
             None if row["spread"] is None else 100 * row["spread"], throughput(row), row["energy_j"], row["library"],
             row["measured"], f"hetbench:{row['run']}"]
            for row in self.models
        ]  # fmt: skip
        return Table("Whole models: one call on the whole batch, the newest row that is ok", columns, rows)

    def scaling(self) -> list[list[Row]]:
        """Rows that differ only in batch, for settings with two batches or more."""
        found = _groups(self.models, ("name", "seq_len", "image_size", *_SETTING))
        return [sorted(group, key=lambda row: row["batch"]) for group in found if len(group) > 1]

    def batches(self) -> Table:
        """Throughput of each batch relative to the smallest."""
        rows = [
            [label(group[0]), row["batch"], row["latency_ms"], throughput(row), throughput(row) / throughput(group[0])]
            for group in self.scaling() for row in group
        ]  # fmt: skip
        columns = ["model and setting", "batch", "p50, ms", "samples (tokens)/s", "x the smallest batch"]
        return Table("Throughput by batch", columns, rows)

    def speedups(self, stack: str, precision: str) -> Table:
        """Speed-up of other stacks and precisions over the reference at the same sizes, chip and threads."""
        same = ("name", *_SHAPE, "phase", "layout", "cache", "threads", "protocol", "chip")
        rows = []
        for group in _groups(self.models, same):
            base = [row for row in group if (row["stack"], row["precision"]) == (stack, precision)]
            for row in group:
                if base and (row["stack"], row["precision"]) != (stack, precision):
                    newest = max(base, key=lambda each: each["started"])
                    rows.append([label(row), row["batch"], newest["latency_ms"], row["latency_ms"],
                                 newest["latency_ms"] / row["latency_ms"]])  # fmt: skip
        columns = ["model and setting", "batch", f"{stack} {precision}, ms", "this, ms", "speed-up"]
        return Table(f"Speed-up against {stack} {precision}", columns, rows)

    def memory(self) -> Table:
        """Measured memory beside the memory derived from the graph."""
        api = HetBench()
        rows = [
            [label(row), row["batch"], row["peak_memory_bytes"] / 1e6, _derived(api, row)]
            for row in self.models if row["peak_memory_bytes"] is not None
        ]  # fmt: skip
        columns = ["model and setting", "batch", "peak measured, MB", "derived: weights + activations, MB"]
        return Table("Memory, MB of 10^6 bytes", columns, rows)

    def operators(self, limit: int = 40) -> Table:
        """The operator types with the slowest rows."""
        query = """SELECT name, precision, stack, chip, count(*) AS rows, min(latency_ms) AS least,
            median(latency_ms) AS middle, max(latency_ms) AS most FROM rows WHERE status = 'ok' AND kind = 'operator'
            GROUP BY ALL ORDER BY most DESC, name, precision, stack, chip LIMIT ?"""
        rows = [list(row.values()) for row in self._rows(query, [limit])]
        columns = ["operator", "precision", "stack", "chip", "rows", "least, ms", "median, ms", "most, ms"]
        return Table(f"Operators by type, longest first, at most {limit}", columns, rows)

    def failures(self, limit: int = 100) -> Table:
        """Rows without a latency, with the reason."""
        query = """SELECT name, batch, precision, stack, chip, status, reason FROM rows WHERE status <> 'ok'
            ORDER BY status, name, batch, started LIMIT ?"""
        rows = [list(row.values()) for row in self._rows(query, [limit])]
        columns = ["name", "batch", "precision", "stack", "chip", "status", "why"]
        return Table(f"Rows without a figure, at most {limit}", columns, rows)

    def _rows(self, query: str, values: Sequence[Any] = ()) -> Iterator[Row]:
        result = self.connection.execute(query, list(values))
        names = [column[0] for column in result.description]
        return (dict(zip(names, row, strict=True)) for row in result.fetchall())


def throughput(row: Row) -> float:
    """Samples per second from the median; tokens per second in the phases prefill and decode."""
    each = row["seq_len"] if row["phase"] == "prefill" else 1
    return float(1e3 * row["batch"] * each / row["latency_ms"])


def label(row: Row) -> str:
    """A row's model and setting without the batch; default values are omitted."""
    usual = {"phase": "inference", "layout": "contiguous", "cache": "hot"}
    sizes = [f"{name}={row[name]}" for name in _SHAPE[1:] if row[name] is not None]
    rare = [row[name] for name, plain in usual.items() if row[name] != plain]
    threads = [f"{row['threads']} threads"] if row["threads"] is not None else []
    return " ".join([row["name"], *sizes, row["precision"], row["stack"], *rare, *threads, "on", row["chip"]])


def _groups(rows: Sequence[Row], names: Sequence[str]) -> list[list[Row]]:
    found: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        found.setdefault(tuple(row[name] for name in names), []).append(row)
    return list(found.values())


def _derived(api: HetBench, row: Row) -> float | None:
    sizes = {name: row[name] for name in (*_SHAPE, "precision", "phase") if row[name] is not None}
    try:
        return float(api.query(row["name"], metric="memory", **sizes))
    except HetBenchError:
        return None


def _pairs(packages: dict[str, str | None] | None) -> str | None:
    return ", ".join(f"{name} {version}" for name, version in (packages or {}).items() if version) or None
