"""What every measuring command does around its work: errors that teach on stderr with their exit code, and Ctrl-C."""

from __future__ import annotations

import sys
from collections.abc import Callable

from hetbench.errors import HetBenchError

__all__ = ["exit_code"]

_STOPPED = 130


def exit_code(work: Callable[[], int], stopped: str) -> int:
    """What `work` returns, the exit code of the error it raised, or 130 with the words of `stopped`."""
    try:
        return work()
    except HetBenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(stopped, file=sys.stderr)
        return _STOPPED
