"""Write to the store: a run locks its journal, appends rows to it, and turns it into a part at the end."""

from __future__ import annotations

import contextlib
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

from data_collection.store.locks import locked
from data_collection.store.manifests import FOLDERS, manifest_path, next_number, read_manifest
from data_collection.store.rows import FORMAT, Row, check, decode, encode, schema
from hetbench.errors import HetBenchError, InvalidInputError

__all__ = ["QUARANTINE", "Run", "journal_rows", "open_run", "recover"]

QUARANTINE = "quarantine"
"""Folder of journal lines that are no rows of this format: they are kept there and named, never deleted."""


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
        manifest = {"format": FORMAT, "run": name, "number": next_number(store), "command": list(command),
                    "environment": dict(environment), "parts": []}  # fmt: skip
        _replace(manifest_path(store, name), json.dumps(manifest, indent=1).encode())
        path = store / "journals" / f".{name}"
        stream = locked(path, "x+b")
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

    Journals of live runs and those without a readable manifest are left alone; their rows are read from the journal.
    """
    found = {}
    for path in sorted((store / "journals").glob("*.jsonl")):
        try:
            with locked(path, "r+b"):
                read_manifest(manifest_path(store, path.stem))
                found[path.stem] = _compact(store, path.stem)
        except (BlockingIOError, FileNotFoundError, InvalidInputError):
            continue
    return found


def journal_rows(path: Path) -> tuple[list[Row], dict[int, str]]:
    """Rows of a journal, and line number -> what is wrong with each other line; a kill can truncate the last one."""
    rows, wrong = [], {}
    for number, line in enumerate(_lines(path), 1):
        try:
            rows.append(decode(line.decode("utf-8")))
        except (ValueError, TypeError, ArithmeticError, HetBenchError) as error:
            wrong[number] = f"{path.name}: line {number} is left out: {error}"
    return rows, wrong


def _lines(path: Path) -> list[bytes]:
    """Lines of a journal; only a line feed ends one."""
    return [line for line in path.read_bytes().split(b"\n") if line]


def _compact(store: Path, name: str) -> int:
    """Write the unreadable lines to the quarantine, then the part, then the manifest, then delete the journal.

    A last line without its end is the row that a killed run was writing, and is dropped. Safe to repeat after an
    interruption: a part states the journal that it was made from.
    """
    path = store / "journals" / f"{name}.jsonl"
    manifest, data = read_manifest(manifest_path(store, name)), path.read_bytes()
    digest, lines = hashlib.sha256(data).hexdigest(), _lines(path)
    rows, wrong = journal_rows(path)
    if not data.endswith(b"\n"):
        wrong.pop(len(lines), None)
    if wrong:
        kept = store / QUARANTINE / f"{name}-{digest[:8]}.jsonl"
        kept.parent.mkdir(exist_ok=True)
        _replace(kept, b"".join(lines[number - 1] + b"\n" for number in wrong))
    if rows and digest not in [entry.get("journal") for entry in manifest["parts"]]:
        part = store / "parts" / f"{name}-{len(manifest['parts']):04d}.parquet"
        table = _parquet(rows)
        _replace(part, table)
        manifest["parts"].append({"file": part.name, "rows": len(rows), "bytes": len(table),
                                  "sha256": hashlib.sha256(table).hexdigest(), "journal": digest})  # fmt: skip
        _replace(manifest_path(store, name), json.dumps(manifest, indent=1).encode())
    path.unlink()
    return len(rows)


def _parquet(rows: Sequence[Row]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist([asdict(row) for row in rows], schema=schema()), sink, compression="zstd")
    return bytes(sink.getvalue().to_pybytes())


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


@contextmanager
def _explained(store: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InvalidInputError(
            f"cannot write the store {store}: {error.strerror}. Name a writable directory with room: --store DIR."
        ) from None
