"""Copy the runs of other stores into one: manifests and parts as they are, each run once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from data_collection.store.manifests import FOLDERS, manifest_path, read_manifest
from data_collection.store.read import read
from data_collection.store.write import _explained, _replace
from hetbench.errors import InvalidInputError

__all__ = ["merge"]


def merge(store: Path, other: Path) -> tuple[int, int]:
    """Copy what `other` has and `store` lacks; returns the numbers of runs and rows copied.

    A run takes its place in the order of runs by the time in its name. Safe to repeat after an interruption: parts come
    before the manifest that names them. Raises `InvalidInputError` for a store with damaged parts or open journals, and
    for a run that both have with different rows.
    """
    contents = read(other)
    if contents.skipped or contents.rows:
        said = contents.skipped[0] if contents.skipped else f"{len(contents.rows)} rows are still in journals"
        raise InvalidInputError(f"{other}: {said}. Run: python -m data_collection.store check --store {other}")
    if store.resolve() == other.resolve():
        raise InvalidInputError(f"{other} cannot be merged with itself.")
    with _explained(store):
        for folder in FOLDERS:
            (store / folder).mkdir(parents=True, exist_ok=True)
        known = {run["run"]: run for run in read(store).runs}
        copied = [_copied(store, other, run, known) for run in contents.runs]
    return sum(rows is not None for rows in copied), sum(rows or 0 for rows in copied)


def _copied(store: Path, other: Path, run: dict[str, Any], known: dict[str, dict[str, Any]]) -> int | None:
    """Copy one run and return its rows; None if the store has it."""
    name, digests = run["run"], [entry["sha256"] for entry in run["parts"]]
    if name in known:
        if [entry["sha256"] for entry in known[name]["parts"]] != digests:
            raise InvalidInputError(f"run {name} is in both stores with different rows; nothing of it was copied.")
        return None
    for entry in run["parts"]:
        _replace(store / "parts" / entry["file"], (other / "parts" / entry["file"]).read_bytes())
    # names begin with the time: rows of this run are newer than those of the runs before it, whatever store they are of
    number = max((each["number"] for each in known.values() if each["run"] < name), default=0)
    path = manifest_path(store, name)
    _replace(path, json.dumps({**run, "number": number}, indent=1).encode())
    known[name] = read_manifest(path)
    return sum(entry["rows"] for entry in run["parts"])
