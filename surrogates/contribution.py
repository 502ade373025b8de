"""Checks of measured rows that somebody contributes, before anything is learned from them or replaced by them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from hetbench.errors import HetBenchError, InvalidInputError, UnknownNameError, shown
from hetbench.operators import operator_type
from hetbench.schema import PROTOCOLS, STORAGE_BYTES

__all__ = ["check_plausible", "checked_rows", "files_of", "without_chip"]

_COLUMNS = ("chip", "op", "dims", "dtype", "protocol")
_UNITS = {1e3: "microseconds", 1e6: "nanoseconds", 1e-3: "seconds"}
"""Factor on latency_ms if the file holds another unit."""
_ABSURD = 1e3
"""A row this many times off what the surrogates say is refused: it is off by a unit of time."""


def checked_rows(table: pd.DataFrame, path: Path) -> tuple[pd.DataFrame, list[dict[str, int]]]:
    """The rows with numbers as latencies, and the dims of each; raises `InvalidInputError` that names a bad row.

    Every row must have text in `_COLUMNS` and a finite latency above 0; nothing is dropped in silence.
    """
    if table.empty:
        raise InvalidInputError(f"{path} holds no rows of operators.")
    table = table.reset_index(drop=True)
    latency = pd.to_numeric(table.latency_ms, errors="coerce")
    fine = np.isfinite(latency.to_numpy(float, na_value=np.nan)) & (latency > 0).to_numpy(bool, na_value=False)
    if not fine.all():
        found = table.latency_ms[~fine].iloc[0]
        raise InvalidInputError(
            f"{path}: latency_ms={str(found)[:80]} must be above 0 and finite ({int((~fine).sum())} rows, the first is "
            f"row {int(np.flatnonzero(~fine)[0]) + 1})."
        )
    for name in _COLUMNS:
        text = np.array([isinstance(value, str) and bool(value) for value in table[name]])
        if not text.all():
            row = int(np.flatnonzero(~text)[0])
            found = shown(table[name].iloc[row])
            raise InvalidInputError(f"{path}: row {row + 1} has {name}={found}, which is no text.")
    for name, known in (("protocol", PROTOCOLS), ("dtype", tuple(STORAGE_BYTES))):
        for value in table[name].unique():
            if value not in known:
                raise InvalidInputError(f"{path}: {UnknownNameError(name, value, known)}")
    sizes = [_dims(op, text, place, path) for place, (op, text) in enumerate(zip(table.op, table.dims, strict=True), 1)]
    return table.assign(latency_ms=latency.astype(float)), sizes


def _dims(op: str, text: str, row: int, path: Path) -> dict[str, int]:
    try:
        dims = json.loads(text)
        if not isinstance(dims, dict):
            raise InvalidInputError(f"dims={shown(text)} must be a JSON object.")
        return operator_type(op).check(dims)
    except (ValueError, RecursionError, OverflowError) as error:
        raise InvalidInputError(f"{path}: row {row} has dims={shown(text)}, which is not valid: {error}.") from None
    except HetBenchError as error:
        raise InvalidInputError(f"{path}: row {row}: {error}") from None


def check_plausible(known: pd.DataFrame) -> None:
    """Raise `InvalidInputError` where measured latencies look like another unit than milliseconds, or are absurd.

    `known` has the columns latency_ms and predicted (what the surrogates say without these rows). The median ratio of
    the two must be nearer to 1 than to that of another unit, and no row may be off by a factor of `_ABSURD`.
    """
    ratio = np.log(known.latency_ms.to_numpy()) - np.log(known.predicted.to_numpy())
    middle = float(np.median(ratio))
    factor = min((1.0, *_UNITS), key=lambda each: abs(middle - np.log(each)))
    if factor != 1.0:
        raise InvalidInputError(
            f"latency_ms is {np.exp(middle):.3g} times what the surrogates say of these operators, in the median: it "
            f"seems to hold {_UNITS[factor]}. Divide by {factor:g}, or teach them as they are: --implausible."
        )
    worst = int(np.argmax(np.abs(ratio)))
    if abs(ratio[worst]) > np.log(_ABSURD):
        row = known.iloc[worst]
        raise InvalidInputError(
            f"{row.op} {row.dtype} of {row.latency_ms:.3g} ms is {np.exp(ratio[worst]):.2g} times what the surrogates "
            f"say ({row.predicted:.3g} ms): leave the row out, or teach it as it is: --implausible."
        )


@contextmanager
def without_chip(out: Path, chip: str) -> Iterator[Path]:
    """A folder with the files of a set except those of one chip, as links; new files can be written into it."""
    with TemporaryDirectory() as made:
        folder = Path(made)
        for path in out.iterdir():
            if path.is_file() and path.stem != f"chip-{chip}":
                (folder / path.name).symlink_to(path.resolve())
        yield folder


def files_of(chip: str) -> tuple[str, str]:
    """The two files of a chip, its table first."""
    return f"chip-{chip}.json", f"chip-{chip}.npz"
