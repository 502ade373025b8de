"""Join a chip's new heads with those that a set has of it, and undo it: teaching a chip only adds to what is known."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hetbench.artifacts import write_whole
from hetbench.catalog.own_chips import folder
from hetbench.errors import InvalidInputError, RefusedError
from surrogates.contribution import files_of
from surrogates.writing import swap

__all__ = ["Taught", "check_adds", "earlier", "joined", "keep", "undo"]

Taught = tuple[dict[str, Any], dict[str, Any]]
"""What the JSON file of a chip says, and its arrays by "class.name"."""


def earlier(out: Path, chip: str) -> Taught | None:
    """What a set knows of a chip; None where it knows nothing. Raises `RefusedError` for files that cannot be read."""
    table, arrays = (out / name for name in files_of(chip))
    if not table.exists():
        return None
    try:
        spec = json.loads(table.read_text(encoding="utf-8"))
        dict(spec["classes"]), dict(spec["floors"])
        with np.load(arrays, allow_pickle=False) as stored:
            return spec, {name: stored[name] for name in stored.files}
    except (OSError, ValueError, LookupError, TypeError):
        raise RefusedError(f"{table} is there and cannot be read; --replace puts the new rows in its place.") from None


def check_adds(chip: str, rows: Mapping[str, int], before: Taught | None) -> None:
    """Raise `RefusedError` where the set knows every class from more rows than are given; `rows` is by class."""
    known = {} if before is None else {cls: int(each["rows"]) for cls, each in before[0]["classes"].items()}
    if all(known.get(cls, 0) > many for cls, many in rows.items()):
        counts = ", ".join(f"{cls} {known[cls]:,} -> {many:,}" for cls, many in rows.items())
        raise RefusedError(
            f"the set knows {chip} from more rows: {counts}. Give the files of all measurements together; --replace "
            "forgets the earlier ones."
        )


def joined(new: Taught, before: Taught | None) -> tuple[Taught, list[str]]:
    """The new classes, and of those known before each that the new rows lack or have fewer of; and the kept ones.

    Floors and bands of a class go with its head.

    >>> known = {"classes": {"gemm": {"rows": 900}}, "floors": {"gemm/wall": 0.1}, "unseen": {"gemm": [1]}}
    >>> few = {"classes": {"gemm": {"rows": 120}, "conv": {"rows": 200}}, "floors": {"gemm/wall": 0.3}, "unseen": {}}
    >>> (spec, arrays), kept = joined((few, {"conv.a": 1, "gemm.a": 2}), (known, {"gemm.a": 3}))
    >>> spec["classes"], spec["floors"], arrays, kept
    ({'gemm': {'rows': 900}, 'conv': {'rows': 200}}, {'gemm/wall': 0.1}, {'conv.a': 1, 'gemm.a': 3}, ['gemm'])
    """
    if before is None:
        return new, []
    spec, arrays = new
    known, stored = before
    kept = [cls for cls, each in known["classes"].items()
            if spec["classes"].get(cls, {"rows": 0})["rows"] < each["rows"]]  # fmt: skip
    taken = [cls for cls in spec["classes"] if cls not in kept]
    old, fresh = _of(known, kept), _of(spec, taken)
    merged = {
        **spec, "classes": {**old["classes"], **fresh["classes"]}, "unseen": {**spec["unseen"], **old["unseen"]},
        "floors": {**known["floors"], **fresh["floors"]},
    }  # fmt: skip
    return (merged, {**_arrays(arrays, taken), **_arrays(stored, kept)}), kept


def _of(spec: Mapping[str, Any], classes: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The parts of a table that belong to these classes."""
    names = set(classes)
    return {part: {key: value for key, value in spec[part].items() if key.split("/")[0] in names}
            for part in ("classes", "unseen", "floors")}  # fmt: skip


def _arrays(arrays: Mapping[str, Any], classes: Iterable[str]) -> dict[str, Any]:
    names = set(classes)
    return {name: value for name, value in arrays.items() if name.split(".")[0] in names}


def _aside(chip: str) -> Path:
    return folder().parent / "before-add" / chip


def keep(out: Path, chip: str) -> None:
    """Keep what a set knows of a chip in the user's folder, so that `undo` can put it back."""
    aside = _aside(chip)
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    for name in files_of(chip):
        if (out / name).exists():
            shutil.copyfile(out / name, aside / name)
    write_whole(aside / "set.json", json.dumps({"out": str(out.resolve())}))


def undo(out: Path, chip: str) -> str:
    """Put back what the set knew of a chip before it was last taught; returns what was done."""
    aside = _aside(chip)
    try:
        of = json.loads((aside / "set.json").read_text(encoding="utf-8"))["out"]
    except (OSError, ValueError, LookupError):
        raise InvalidInputError(f"nothing to undo: no teaching of {chip!r} was kept in {aside.parent}.") from None
    if of != str(out.resolve()):
        raise InvalidInputError(f"{chip} was last taught to {of}: name that set with --out.")
    names = files_of(chip)
    if (aside / names[0]).exists():
        swap(aside, out, names)
        said = "put back"
    else:
        for name in names:  # the table first: arrays without a table are not read
            (out / name).unlink(missing_ok=True)
        said = "removed; the set did not know the chip before"
    shutil.rmtree(aside)
    return f"{out / names[0]}: {said}"
