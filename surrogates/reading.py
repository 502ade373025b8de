"""Tables that a command is given: read whole, with the columns that it needs, or refused in words."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import pyarrow

from hetbench.errors import InvalidInputError

__all__ = ["read_table"]


def read_table(path: Path, columns: Iterable[str], made_by: str = "") -> pd.DataFrame:
    """A Parquet table with at least these columns; `made_by` is the command that writes one.

    Raises `InvalidInputError` where the file is missing or no table, or lacks a column.
    """
    how = f" Make it by: {made_by}" if made_by else ""
    try:
        table = pd.read_parquet(path)
    except OSError as error:
        raise InvalidInputError(f"cannot read {path}: {error.strerror or error}.{how}") from None
    except (ValueError, pyarrow.ArrowException) as error:
        why = str(error).rstrip(".")
        raise InvalidInputError(f"{path} is no Parquet table: {why}.{how}") from None
    missing = [name for name in columns if name not in table]
    if missing:
        known = ", ".join(map(str, table)) or "none"
        raise InvalidInputError(f"{path} lacks the columns {', '.join(missing)}; it has: {known[:1000]}.{how}")
    return table
