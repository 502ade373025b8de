"""The store of this project's own measurements: append-only Parquet parts, one manifest a run, read by SQL.

    STORE/runs/RUN.json        manifest: environment, command, and rows, bytes and sha256 of each part
    STORE/journals/RUN.jsonl   rows of a run that are not in a part yet, one fsync a row
    STORE/parts/RUN-0000.parquet

Every file has one writer, the run of its name, which holds a lock on its journal; so any number of profilers share a
store. Files appear by atomic rename. A run that was killed leaves its journal, and whoever opens the store next makes
a part of it. A part that is not what its manifest says is named and skipped; the others are read.
"""

from __future__ import annotations

from data_collection.store.read import DEFAULT_STORE, Contents, connect, read
from data_collection.store.rows import FORMAT, KINDS, STATUSES, Row, check, key
from data_collection.store.write import Run, open_run, recover

__all__ = [
    "DEFAULT_STORE", "FORMAT", "KINDS", "STATUSES", "Contents", "Row", "Run", "check", "connect", "key", "open_run",
    "read", "recover",
]  # fmt: skip
