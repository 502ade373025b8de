"""A known difference between the rows that an importer reads and those of a prepared table of the corpus.

An importer lists its own in `KNOWN`; `python -m data_collection.sources check` prints how many rows each explains.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

__all__ = ["Known"]


class Known(NamedTuple):
    """A difference that is understood: on which side, why, and of which rows."""

    side: str
    """here or corpus."""
    why: str
    holds: Callable[[dict[str, Any]], bool]
