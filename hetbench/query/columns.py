"""The columns of a table of questions, and those of its answers.

A table is a mapping of equal-length columns: lists, NumPy arrays or anything with `tolist`. A missing cell is None or
NaN.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetbench.errors import InvalidInputError, nearest

__all__ = ["AnswerColumns", "Rows", "group_rows", "positive_or_nan", "read_columns"]

Rows = NDArray[np.int64]
"""Row numbers of a table, [rows]."""


class AnswerColumns:
    """The answer columns of a table of `rows` rows: value, lower, upper (float64, NaN at first), level and reason."""

    def __init__(self, rows: int) -> None:
        self.value, self.lower, self.upper = (np.full(rows, np.nan) for _ in range(3))
        self.level = np.full(rows, "", dtype="U1")
        self.reason = np.full(rows, "", dtype=object)

    def to_dict(self) -> dict[str, NDArray[Any]]:
        """The columns by name, each [rows]."""
        return {name: getattr(self, name) for name in ("value", "lower", "upper", "level", "reason")}


def read_columns(table: Mapping[str, Any], required: Sequence[str], optional: Sequence[str]) -> dict[str, list[Any]]:
    """The required and optional columns of a table as lists of equal length; missing cells become None.

    Columns of other names are ignored. Raises `InvalidInputError` for a table that is no mapping, lacks a required
    column, or has columns of different lengths.

    >>> read_columns({"op": ["Linear"], "batch": [float("nan")], "x": [1]}, ["op"], ["batch"])
    {'op': ['Linear'], 'batch': [None]}
    """
    if not isinstance(table, Mapping):
        raise InvalidInputError(
            f"a table is a mapping of columns, such as {{{required[0]!r}: [...]}}; given: {type(table).__name__}. "
            "Convert a data frame by frame.to_dict('list')."
        )
    missing = [name for name in required if name not in table]
    if missing:
        near = nearest(missing[0], [str(name) for name in table], 1)
        raise InvalidInputError(
            f"the table lacks the columns {', '.join(missing)}; it has: {', '.join(map(str, table)) or 'none'}."
            + (f" Rename {near[0]!r} to {missing[0]!r} if that is what it holds." if near else "")
        )
    out = {}
    for name in (*required, *optional):
        if name in table:
            column = table[name]
            if isinstance(column, str | bytes) or not hasattr(column, "__len__"):
                raise InvalidInputError(f"column {name!r} must be a sequence of cells; given: {column!r}.")
            cells = column.tolist() if hasattr(column, "tolist") else list(column)
            if float in set(map(type, cells)):
                cells = [None if isinstance(cell, float) and cell != cell else cell for cell in cells]
            out[name] = cells
    lengths = {name: len(column) for name, column in out.items()}
    if len(set(lengths.values())) > 1:
        raise InvalidInputError(f"columns differ in length: {', '.join(f'{n} {k}' for n, k in lengths.items())}.")
    return out


def group_rows(columns: Sequence[list[Any] | None], rows: int) -> dict[tuple[Any, ...], Rows]:
    """Row numbers by the values they share in these columns; a column that is None counts as all None.

    >>> {key: rows.tolist() for key, rows in group_rows([["a", "b", "a"], None], 3).items()}
    {('a', None): [0, 2], ('b', None): [1]}
    """
    filled = [[None] * rows if column is None else column for column in columns]
    found: dict[tuple[Any, ...], list[int]] = {}
    try:
        for at, key in enumerate(zip(*filled, strict=True)):
            found.setdefault(key, []).append(at)
    except TypeError:  # an unhashable cell, such as a list
        return group_rows([[cell if cell is None else str(cell) for cell in column] for column in filled], rows)
    return {key: np.array(members, dtype=np.int64) for key, members in found.items()}


def positive_or_nan(value: Any) -> float:
    """The value as a float where it is a positive finite number, else NaN.

    >>> positive_or_nan(2), positive_or_nan(-1.0), positive_or_nan(True)
    (2.0, nan, nan)
    """
    real = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    return float(value) if real and np.isfinite(value) and value > 0 else float("nan")
