"""A known difference between the rows that an importer reads and those of a prepared table of the corpus.

An importer lists its own in `KNOWN`; `python -m data_collection.sources check` prints how many rows each explains.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

__all__ = ["Known"]


class Known(NamedTuple):
    """An explained difference: on which side, for which rows, and why."""

    side: str
    """`here` (only the importer has the row) or `corpus` (only the prepared table has it)."""
    why: str
    holds: Callable[[dict[str, Any]], bool]
