"""Files that training writes: beside the old ones first, read back, and put in place together.

A kill leaves either what was there before or what was made; the same command puts back what it finds set aside.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from hetbench.artifacts import replacing, write_whole
from hetbench.artifacts.file_types import BROKEN
from hetbench.artifacts.manifest import read_json
from hetbench.errors import ArtifactError

__all__ = ["joining", "restore", "swap", "write_arrays", "write_json", "write_table"]

_FOLDER = "--out DIR"


def write_json(path: Path, value: Any, *, indent: int | None = None) -> None:
    """A JSON file, whole or not at all."""
    marks = (",", ":") if indent is None else None
    write_whole(path, json.dumps(value, indent=indent, separators=marks) + "\n", _FOLDER)


def write_arrays(path: Path, arrays: Mapping[str, Any], *, compressed: bool = True) -> None:
    """An npz file, whole or not at all."""
    save: Any = np.savez_compressed if compressed else np.savez
    with replacing(path, _FOLDER) as partial, partial.open("wb") as stream:
        save(stream, **arrays)


def write_table(path: Path, frame: pd.DataFrame) -> None:
    """A Parquet file, whole or not at all."""
    with replacing(path, _FOLDER) as partial:
        frame.to_parquet(partial)


@contextmanager
def joining(out: Path, names: Sequence[str]) -> Iterator[Path]:
    """A folder for the files `names`, which replace those of a set together at the end of the block.

    The first name is that of the table that refers to the others. After an error the set is as it was. Raises
    `ArtifactError` where a file cannot be read back or is missing.
    """
    out.mkdir(parents=True, exist_ok=True)
    restore(out, names)
    with TemporaryDirectory() as made:
        folder = Path(made)
        yield folder
        for name in names:
            _check(folder / name)
        swap(folder, out, names)


def _check(path: Path) -> None:
    if not path.exists():
        raise ArtifactError(f"{path.name} was not written: nothing was changed.")
    if path.suffix == ".json" and "card" not in path.stem:
        read_json(path)
    elif path.suffix == ".npz":
        try:
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
                for name in stored.files:
                    stored[name]
        except BROKEN as error:
            raise ArtifactError(f"{path.name} cannot be read back: {error}. Nothing was changed.") from None


def swap(folder: Path, out: Path, names: Sequence[str]) -> None:
    """Move files into a set, or leave the set as it was; the table, which refers to the others, is the first of them.

    The earlier files are set aside while that happens; `restore` puts them back where a kill left none.
    """
    for name in names:
        (out / f".{name}.new").write_bytes((folder / name).read_bytes())
    for name in names:  # the table first: arrays without a table are not read
        if (out / name).exists():
            (out / name).replace(out / f".{name}.old")
    for name in reversed(names):
        (out / f".{name}.new").replace(out / name)
    for name in names:
        (out / f".{name}.old").unlink(missing_ok=True)


def restore(out: Path, names: Sequence[str]) -> None:
    """Put back what a killed `swap` had set aside, and delete what it had not finished."""
    done = (out / names[0]).exists()
    for name in reversed(names):
        old = out / f".{name}.old"
        if old.exists() and not done:
            old.replace(out / name)
        old.unlink(missing_ok=True)
        (out / f".{name}.new").unlink(missing_ok=True)
