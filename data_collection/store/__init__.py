"""The store of this project's own measurements: append-only Parquet parts, one manifest per run, read by SQL.

    STORE/runs/RUN.json        manifest: environment, command, and rows, bytes and sha256 of each part
    STORE/journals/RUN.jsonl   rows of a run that are not in a part yet, one fsync per row
    STORE/parts/RUN-0000.parquet

Each file is written by one run only, which holds a lock on its journal, so any number of profilers can share a store.
Files are put in place by atomic rename. A killed run leaves its journal; the next process that opens the store turns it
into a part. A part that does not match its manifest is reported and skipped; lines of a journal that are no rows are
kept in STORE/quarantine and reported.
"""

from __future__ import annotations

from data_collection.store.read import DEFAULT_STORE, Contents, connect, read
from data_collection.store.rows import FORMAT, KINDS, STATUSES, Row, check, key
from data_collection.store.write import Run, open_run, recover

__all__ = [
    "DEFAULT_STORE", "FORMAT", "KINDS", "STATUSES", "Contents", "Row", "Run", "check", "connect", "key", "open_run",
    "read", "recover",
]  # fmt: skip
