"""Tables of observed rows: of operators and whole models together, and their file."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetbench.artifacts.atomic import write_whole
from hetbench.artifacts.integrity import home
from hetbench.errors import InvalidInputError, shown
from hetbench.query import observe, observed_models
from hetbench.query.columns import Table, plain_columns, read_columns

__all__ = ["csv_table", "joined", "kept_file", "save_table", "saved_observations", "split_table"]

_LONGEST_PATH = 4096
_COLUMNS = {"operators": observe.COLUMNS, "models": observed_models.COLUMNS}

Part = tuple[str, NDArray[np.int64], Mapping[str, Sequence[Any]]]


def split_table(table: Table) -> list[Part]:
    """The rows of operators and those of models of a table: kind, row numbers, and the columns of each kind.

    A row that names an operator is of an operator. A table without a column `model` is of operators alone, one without
    a column `op` of models alone; those are returned as they are.

    >>> table = {"op": ["ReLU", None], "model": [None, "gpt2"], "chip": ["cuda", "cuda"], "value": [None, 2.0]}
    >>> [(kind, at.tolist(), list(part)) for kind, at, part in split_table(table)]
    [('operators', [0], ['op', 'chip']), ('models', [1], ['model', 'chip', 'value'])]
    """
    table = table if isinstance(table, Mapping) else plain_columns(table)
    if not {"op", "model"} <= set(table):
        return [("models" if "model" in table else "operators", np.empty(0, dtype=np.int64), table)]
    known = dict.fromkeys((*_COLUMNS["operators"], *_COLUMNS["models"]))
    given = read_columns(table, ("op", "model"), tuple(name for name in known if name not in ("op", "model")))
    of_operators = np.array([cell is not None for cell in given["op"]], dtype=bool)
    parts: list[Part] = []
    for kind, here in (("operators", of_operators), ("models", ~of_operators)):
        at = np.flatnonzero(here).astype(np.int64)
        columns = {name: [given[name][row] for row in at.tolist()] for name in _COLUMNS[kind] if name in given}
        if len(at):
            parts.append((kind, at, columns))
    return parts


def joined(found: Iterable[tuple[NDArray[np.int64], Mapping[str, NDArray[Any]]]]) -> dict[str, NDArray[Any]]:
    """The columns of all parts, each part's rows at their numbers; of one part, its columns."""
    parts = list(found)
    if len(parts) == 1:
        return dict(parts[0][1])
    order = np.argsort(np.concatenate([at for at, _ in parts])) if parts else np.empty(0, dtype=np.int64)
    return {
        name: np.concatenate([columns[name] for _, columns in parts])[order] if parts else np.empty(0)
        for name in ("value", "reason", "flag")
    }


def save_table(table: Mapping[str, Sequence[Any]], path: str | Path) -> None:
    """Write a table of observed rows to a JSON file that `saved_observations` reads."""
    text = json.dumps(table, indent=1, default=lambda value: value.item())
    write_whole(_path(path), text, "save_observations(FILE)")


def _path(given: object) -> Path:
    """The path of a file; `InvalidInputError` for anything that cannot be one."""
    if not isinstance(given, str | Path) or not str(given).isprintable() or not 0 < len(str(given)) < _LONGEST_PATH:
        raise InvalidInputError(f"a file of observations is named by its path; given: {shown(given)}.")
    return Path(given)


def saved_observations(path: str | Path) -> dict[str, list[Any]]:
    """The table in a file of `save_table`; `InvalidInputError` where it holds none."""
    path = _path(path)
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidInputError(f"{path} holds no observations that can be read: {error}") from None
    if not isinstance(table, dict) or not table:
        raise InvalidInputError(f"{path} holds no observations: write them with `save_observations`.")
    return table


def kept_file() -> Path:
    """The file of rows that the commands keep between runs; raises `HomelessError` for a user without a home."""
    return home().parent / "observations.json"


def csv_table(path: str | Path) -> dict[str, list[Any]]:
    """The columns of a CSV file with a header; cells that are numbers become numbers.

    Raises `InvalidInputError` for a file that is none.
    """
    path = _path(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            rows, heads = list(reader), list(reader.fieldnames or ())
    except (OSError, ValueError, csv.Error) as error:
        raise InvalidInputError(f"{path} is no CSV file that can be read: {error}") from None
    names = [name for name in heads if name]
    if not names or not rows:
        raise InvalidInputError(f"{path} holds no rows: a header, and one line for each timing.")
    return {name.strip(): [_number(row.get(name)) for row in rows] for name in names}


def _number(text: str | None) -> Any:
    """A cell as a whole number, a number, or the text that it is; None where it is empty."""
    text = (text or "").strip()
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text or None
