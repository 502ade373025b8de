"""Write to the store: a run locks its journal, appends rows to it, and turns it into a part at the end."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from data_collection.store.rows import FORMAT, Row, check, decode, encode, schema
from hetbench.errors import InvalidInputError

__all__ = ["Run", "journal_rows", "open_run", "recover"]

FOLDERS = ("runs", "journals", "parts")


class Run:
    """A run that writes. Rows are flushed to disk when `append` returns."""

    def __init__(self, store: Path, name: str, journal: IO[bytes]) -> None:
        self.store, self.name, self.journal = store, name, journal

    def append(self, row: Row) -> None:
        """Check a row and append it to the journal; if the disk is full, the journal is left as it was."""
        line, place = (encode(check(row)) + "\n").encode(), self.journal.fileno()
        end = os.lseek(place, 0, os.SEEK_END)
        try:
            while line:
                line = line[os.write(place, line) :]
            os.fsync(place)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(place, end)
            raise InvalidInputError(
                f"cannot write a row to {self.store}: {error.strerror}. The rows before it are safe; make room, "
                "then run the same command again: it goes on where it stopped."
            ) from None

    def close(self) -> int:
        """Turn the journal into a part; returns its number of rows."""
        with _explained(self.store):
            return _compact(self.store, self.name)


@contextmanager
def open_run(store: Path, environment: Mapping[str, Any], command: Sequence[str] = ()) -> Iterator[Run]:
    """Context of a new run: recovers killed runs, writes the manifest, locks a journal, and ends with a part."""
    with _explained(store):
        for folder in FOLDERS:
            (store / folder).mkdir(parents=True, exist_ok=True)
        recover(store)
        name = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{secrets.token_hex(3)}"
        manifest = {"format": FORMAT, "run": name, "command": list(command), "environment": dict(environment)}
        _replace(_manifest_path(store, name), json.dumps({**manifest, "parts": []}, indent=1).encode())
        path = store / "journals" / f".{name}"
        stream = _locked(path, "x+b")
        path.rename(path.with_name(f"{name}.jsonl"))  # visible to others only once it is locked
    run = Run(store, name, stream)
    with stream:
        try:
            yield run
        except BaseException:
            with contextlib.suppress(InvalidInputError):  # report the first error; the next run recovers the journal
                run.close()
            raise
        run.close()


def recover(store: Path) -> dict[str, int]:
    """Turn the journals of dead runs into parts; returns run -> rows.

    Journals of live runs and those with a damaged manifest are left alone; their rows are read from the journal."""
    found = {}
    for path in sorted((store / "journals").glob("*.jsonl")):
        with contextlib.suppress(BlockingIOError, FileNotFoundError, json.JSONDecodeError), _locked(path, "r+b"):
            found[path.stem] = _compact(store, path.stem)
    return found


def journal_rows(path: Path) -> tuple[list[Row], list[str]]:
    """Complete rows of a journal, and what is wrong with the others: a kill can truncate the last line."""
    rows, wrong = [], []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        try:
            rows.append(decode(line))
        except (ValueError, TypeError, InvalidInputError) as error:
            wrong.append(f"{path.name}: line {number} is left out: {error}")
    return rows, wrong


def _compact(store: Path, name: str) -> int:
    """Write the part, then the manifest, then delete the journal; safe to repeat after an interruption."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = store / "journals" / f"{name}.jsonl"
    rows, _ = journal_rows(path)
    if rows:
        manifest = json.loads(_manifest_path(store, name).read_text())
        part = store / "parts" / f"{name}-{len(manifest['parts']):04d}.parquet"
        table = pa.Table.from_pylist([asdict(row) for row in rows], schema=schema())
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd")
        data = sink.getvalue().to_pybytes()
        _replace(part, data)
        entry = {"file": part.name, "rows": len(rows), "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        manifest["parts"].append(entry)
        _replace(_manifest_path(store, name), json.dumps(manifest, indent=1).encode())
    path.unlink()
    return len(rows)


def _manifest_path(store: Path, name: str) -> Path:
    return store / "runs" / f"{name}.json"


def _replace(path: Path, data: bytes) -> None:
    """Write a file atomically: it is there in full or not at all."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with partial.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _locked(path: Path, mode: str) -> IO[bytes]:
    stream = path.open(mode)
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        stream.close()
        raise
    return stream


@contextmanager
def _explained(store: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InvalidInputError(
            f"cannot write the store {store}: {error.strerror}. Name a writable directory with room: --store DIR."
        ) from None
