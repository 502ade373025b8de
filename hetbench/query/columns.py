"""The columns of a table of questions, and those of its answers.

A table is a mapping of equal-length columns (lists, NumPy or Arrow arrays, series), a data frame of any library, an
Arrow table, or a list of dictionaries, one a row. A missing cell is
None, NaN, NaT, NA or "". A column that no question has is named, unless it describes a measurement.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from warnings import warn

import numpy as np
from numpy.typing import NDArray

from hetbench.display.frames import columns_of
from hetbench.errors import InvalidInputError, nearest, shown

__all__ = ["AnswerColumns", "Rows", "Table", "group_rows", "plain_columns", "positive_or_nan", "read_columns",
           "text_of", "unread", "warn_of_unread", "whole_text"]

_DESCRIPTIVE = (
    "dataset", "ref", "licence", "license", "platform", "software", "stat", "extra", "split", "latency_ms", "unit",
    "value", "lower", "upper", "level", "reason", "flag",
)  # fmt: skip
"""Columns of measured rows and of answers, which a table of questions may have too and which say nothing about them."""
_OTHER_WORDS = {
    "dtype": "precision", "precision": "dtype", "device": "chip", "target": "chip", "gpu": "chip", "network": "model",
    "operator": "op", "shape": "dims", "shapes": "dims", "bs": "batch", "tokens": "seq_len", "resolution": "image_size",
}  # fmt: skip
_MOST_NAMES, _MOST_LETTERS = 30, 60  # of columns in a message
_PLAIN = {str, int, bool, dict, type(None)}
"""Types of cells that are taken as they are."""

Table = Any
"""A table as a caller gives it."""
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


def _listed(names: Sequence[str]) -> str:
    """Column names for a message, long ones cut and many counted."""
    cut = [name if len(name) <= _MOST_LETTERS else f"{name[:_MOST_LETTERS]}..." for name in names[:_MOST_NAMES]]
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return f"{', '.join(cut) or 'none'}{more}"


def read_columns(table: Table, required: Sequence[str], optional: Sequence[str]) -> dict[str, list[Any]]:
    """The required and optional columns of a table as lists of equal length; missing cells become None.

    Raises `InvalidInputError` for what is no table, and for a table that lacks a required column, has columns of
    different lengths or a column whose name is like one that it could have. Any other unknown column is ignored with a
    warning.

    >>> read_columns({"op": ["Linear"], "batch": [float("nan")], "ref": ["o/r@c:p"]}, ["op"], ["batch"])
    {'op': ['Linear'], 'batch': [None]}
    """
    table = _as_columns(table, required[0])
    names = [name if isinstance(name, str) else shown(name) for name in table]
    missing = [name for name in required if name not in names]
    if missing:
        near = nearest(missing[0], names, 1)
        raise InvalidInputError(
            f"the table lacks the columns {', '.join(missing)}; it has: {_listed(names)}."
            + (f" Rename {shown(near[0])} to {missing[0]!r} if that is what it holds." if near else "")
        )
    warn_of_unread(unread(names, (*required, *optional)), (*required, *optional))
    out = {name: _cells(name, table[name]) for name in (*required, *optional) if name in names}
    lengths = {name: len(column) for name, column in out.items()}
    if len(set(lengths.values())) > 1:
        raise InvalidInputError(f"columns differ in length: {', '.join(f'{n} {k}' for n, k in lengths.items())}.")
    return out


def plain_columns(table: Table) -> dict[str, list[Any]]:
    """All columns of a table as lists of plain values; missing cells become None.

    >>> plain_columns([{"model": "gpt2", "batch": 8}, {"model": "gpt2"}])
    {'model': ['gpt2', 'gpt2'], 'batch': [8, None]}
    """
    return {str(name): _cells(str(name), column) for name, column in _as_columns(table, "model").items()}


def _as_columns(table: Table, example: str) -> Mapping[str, Any]:
    """A data frame, an Arrow table or a list of dictionaries as a mapping of columns."""
    if isinstance(table, Mapping):
        return table
    if isinstance(table, list | tuple) and all(isinstance(row, Mapping) for row in table):
        return columns_of(table)
    names: Any = getattr(table, "column_names", getattr(table, "columns", None))  # Arrow tables; data frames
    if hasattr(type(table), "__getitem__") and hasattr(names, "__iter__") and not isinstance(table, type):
        listed = [name if isinstance(name, str) else shown(name) for name in names]
        twice = next((name for name in listed if listed.count(name) > 1), None)
        if twice is not None:
            raise InvalidInputError(f"two columns of the table are named {shown(twice)}: leave one out.")
        return {name: table[name] for name in names}
    raise InvalidInputError(
        f"a table is a mapping of columns, such as {{{example!r}: [...]}}, a data frame, an Arrow table or a list of "
        f"dictionaries; given: {type(table).__name__}."
    )


def unread(names: Iterable[str], known: Sequence[str]) -> list[str]:
    """The columns that no question has and that describe no measurement; `InvalidInputError` for one that is like a
    known one.

    >>> unread(["model", "ref", "colour"], ["model", "batch"])
    ['colour']
    """
    found = [name for name in names if name not in known and name not in _DESCRIPTIVE]
    for name in found:
        meant = _OTHER_WORDS.get(name.lower())
        near = [meant] if meant in known else nearest(name, known, 1)
        if near:
            raise InvalidInputError(
                f"unknown column {shown(name)}. Did you mean {near[0]!r}? Known columns: {', '.join(known)}. "
                "Leave out what is none of them."
            )
    return found


def warn_of_unread(names: Sequence[str], known: Sequence[str]) -> None:
    """Warn the caller of the caller where columns are not read."""
    if names:
        text = f"columns that are not read: {', '.join(map(shown, names))}. Known columns: {', '.join(known)}."
        warn(text, stacklevel=4)


def _cells(name: str, column: Any) -> list[Any]:
    """The cells of a column as plain Python values; a missing one is None."""
    if isinstance(column, str | bytes | Mapping | set | frozenset) or not hasattr(column, "__len__"):
        raise InvalidInputError(f"column {name!r} must be a sequence of cells; given: {shown(column)}.")
    listed = next((made for made in ("to_pylist", "tolist", "to_list") if hasattr(column, made)), None)
    try:
        cells = list(column) if listed is None else getattr(column, listed)()
    except TypeError:
        cells = None
    if not isinstance(cells, list):
        raise InvalidInputError(f"column {name!r} must be a sequence of cells; given: {shown(column)}.")
    kinds = set(map(type, cells))
    if kinds <= _PLAIN:
        return [cell if cell != "" else None for cell in cells] if str in kinds and "" in cells else cells
    return [_plain(cell) for cell in cells]


def _plain(cell: Any) -> Any:
    """A cell without the wrapping of Arrow or NumPy; None for NaN, NaT, NA and ""."""
    if hasattr(cell, "as_py"):
        cell = cell.as_py()
    elif isinstance(cell, np.generic) or (isinstance(cell, np.ndarray) and cell.ndim == 0):
        cell = cell.item()
    if type(cell).__name__ == "NAType" or (isinstance(cell, str) and not cell):
        return None
    try:
        return None if cell != cell else cell
    except (TypeError, ValueError, ArithmeticError):  # an array, or an object that cannot be compared
        return cell


def text_of(cell: Any) -> str:
    """A cell as the text of a name: itself where it is a text, else as a message shows it."""
    return cell if isinstance(cell, str) else shown(cell)


def whole_text(cell: Any) -> str:
    """The repr of a cell, whole; as a message shows it where it has none."""
    try:
        return repr(cell)
    except Exception:  # noqa: BLE001 - the repr of a caller's object may raise anything
        return shown(cell)


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
        return group_rows([[cell if cell is None else text_of(cell) for cell in column] for column in filled], rows)
    return {key: np.array(members, dtype=np.int64) for key, members in found.items()}


def positive_or_nan(value: Any) -> float:
    """The value as a float where it is a positive finite number, else NaN.

    >>> positive_or_nan(2), positive_or_nan(-1.0), positive_or_nan(True)
    (2.0, nan, nan)
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.integer | np.floating):
        return float("nan")
    try:
        number = float(value)
    except OverflowError:
        return float("nan")
    return number if 0 < number < float("inf") else float("nan")
