"""Rows as a data frame of the library that is installed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from hetbench.errors import RefusedError, UnknownNameError

__all__ = ["LIBRARIES", "columns_of", "to_frame"]

LIBRARIES = ("pandas", "pyarrow", "polars")
"""Libraries of data frames, the preferred first."""


def to_frame(records: Sequence[Mapping[str, Any]], library: str | None = None) -> Any:
    """Flat dictionaries [rows] as a `pandas.DataFrame`, a `pyarrow.Table` or a `polars.DataFrame`.

    Args:
        records: one dictionary a row; a key that a row lacks is a missing cell.
        library: one of `LIBRARIES`; left out, the first that is installed.

    Raises:
        UnknownNameError: another library.
        RefusedError: the library, or without a name all of them, is not installed.
    """
    if library is not None and library not in LIBRARIES:
        raise UnknownNameError("data frame library", library, LIBRARIES)
    wanted = LIBRARIES if library is None else (library,)
    chosen = next((name for name in wanted if find_spec(name) is not None), None)
    if chosen is None:
        raise RefusedError(
            f"a data frame needs {' or '.join(wanted)}, which is not installed: pip install {wanted[0]}. "
            "records() gives the rows as plain dictionaries."
        )
    columns = columns_of(records)
    if chosen == "pandas":
        from pandas import DataFrame

        return DataFrame(columns)
    if chosen == "pyarrow":
        from pyarrow import table

        return table(columns)
    from polars import DataFrame as PolarsFrame  # type: ignore[import-not-found,unused-ignore]

    return PolarsFrame(columns)


def columns_of(records: Sequence[Mapping[Any, Any]]) -> dict[Any, list[Any]]:
    """Dictionaries [rows] as columns, in the order in which keys first occur; what a row lacks is None.

    >>> columns_of([{"a": 1}, {"a": 2, "b": 3}])
    {'a': [1, 2], 'b': [None, 3]}
    """
    names = dict.fromkeys(name for record in records for name in record)
    return {name: [record.get(name) for record in records] for name in names}
