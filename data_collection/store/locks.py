"""Locks of files that end with the process that holds them; POSIX only."""

from __future__ import annotations

from pathlib import Path
from typing import IO

from hetbench.errors import RefusedError

__all__ = ["locked"]


def locked(path: Path, mode: str) -> IO[bytes]:
    """The file, opened in a binary mode and locked; raises `BlockingIOError` where another process holds it.

    Raises `RefusedError` where Python has no POSIX locks, as on Windows; reading a store needs none.
    """
    try:
        import fcntl
    except ImportError:
        raise RefusedError(
            "measuring into a store needs POSIX file locks, which this system lacks: use Linux, macOS or WSL. "
            "Reading a store (sql, views, compare, report) works here too."
        ) from None
    stream: IO[bytes] = path.open(mode)
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        stream.close()
        raise
    return stream
