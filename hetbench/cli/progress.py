"""Progress of commands that take longer than two seconds: share done and time left, on standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

__all__ = ["counted"]

PATIENCE_S = 2.0
"""Nothing is shown before."""
EVERY_S = 10.0
"""Time between two lines where standard error is no terminal."""


@contextmanager
def counted(what: str) -> Iterator[Callable[[int, int], None]]:
    """A function of the steps done and needed that shows them: a bar on a terminal, a line every ten seconds elsewhere.

    >>> with counted("answers") as progress:
    ...     progress(1, 2)
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    console, started, shown = Console(stderr=True), monotonic(), monotonic()
    bar = Progress(TextColumn(what), BarColumn(), TaskProgressColumn(), TextColumn("left:"), TimeRemainingColumn(),
                   console=console, transient=True)  # fmt: skip
    task = bar.add_task(what, total=None)

    def progress(done: int, needed: int) -> None:
        nonlocal shown
        now = monotonic()
        if now - started < PATIENCE_S:
            return
        if console.is_terminal:
            bar.start()
            bar.update(task, completed=done, total=needed)
        elif now - shown >= EVERY_S:
            shown = now
            left = (now - started) * (needed - done) / max(done, 1)
            print(f"{what}: {done:,} of {needed:,}, {left:.0f} s left", file=sys.stderr, flush=True)

    try:
        yield progress
    finally:
        if console.is_terminal:
            bar.stop()
