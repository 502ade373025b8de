"""What a command does when the reader of its output has gone, as `hetbench query ... | head -1` makes it.

It ends with 141, as a process ends that SIGPIPE kills. Typer and Rich end with 1 instead, which says that the command
failed; Rich also puts the null device in the place of standard output first.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from hetbench.errors import PIPE_CLOSED

__all__ = ["PIPE_CLOSED", "quiet_where_closed"]


@contextmanager
def quiet_where_closed() -> Iterator[None]:
    """Turn the exit code 1 of a command whose standard output was closed into `PIPE_CLOSED`.

    >>> with quiet_where_closed():
    ...     print("read")
    read
    """
    stream, place = sys.stdout, _device(sys.stdout)
    ended: SystemExit | None = None
    closed = False
    try:
        yield
    except SystemExit as done:
        ended = done
    except BrokenPipeError:
        closed = True
    if (closed or _is_closed(stream, place)) and (ended is None or ended.code in (None, 0, 1)):
        if place is not None:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # what is still buffered goes nowhere
        raise SystemExit(PIPE_CLOSED)
    if ended is not None:
        raise ended


def _device(stream: TextIO) -> tuple[int, int] | None:
    """What a stream of the process writes to; None for a stream in memory."""
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def _is_closed(stream: TextIO, place: tuple[int, int] | None) -> bool:
    """Whether nobody reads a stream, or something else was put in its place since."""
    try:
        stream.flush()
    except BrokenPipeError:
        return True
    return _device(stream) != place
