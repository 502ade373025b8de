"""The manifest of a run: its environment and command, and the parts that it wrote with size and sha256."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data_collection.store.rows import FORMAT
from hetbench.errors import InvalidInputError

__all__ = ["FOLDERS", "Manifest", "manifest_path", "next_number", "read_manifest"]

Manifest = dict[str, Any]
FOLDERS = ("runs", "journals", "parts")
_TYPES = {"run": str, "command": list, "environment": dict, "parts": list}
_PART_TYPES = {"file": str, "rows": int, "bytes": int, "sha256": str}


def manifest_path(store: Path, run: str) -> Path:
    """The file of a run's manifest."""
    return store / "runs" / f"{run}.json"


def read_manifest(path: Path) -> Manifest:
    """The manifest in a file; raises `InvalidInputError` that says why it is none.

    `number` counts the runs of a store, so that their order does not depend on the clock; manifests without one get 0.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInputError(f"cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"not a manifest: {error}") from None
    if not isinstance(found, dict):
        raise InvalidInputError("not a manifest: not a JSON object")
    if found.get("format") != FORMAT:
        raise InvalidInputError(f"format {found.get('format')!r}, this reads {FORMAT}")
    _check(found, _TYPES, "")
    number = found.setdefault("number", 0)
    if type(number) is not int or not 0 <= number < 2**62:
        raise InvalidInputError(f"not a manifest: its number is {number!r:.40}")
    if found["run"] != path.stem:
        raise InvalidInputError(f"not the manifest of this run: it is that of {found['run']!r}")
    for entry in found["parts"]:
        _check(entry, _PART_TYPES, "a part of ")
        if Path(entry["file"]).name != entry["file"] or not entry["file"].endswith(".parquet"):
            raise InvalidInputError(f"not a manifest: {entry['file']!r} is no file name of a part")
    return found


def _check(found: Any, types: Mapping[str, type], of: str) -> None:
    for name, kind in types.items():
        value = found.get(name) if isinstance(found, dict) else None
        if not isinstance(value, kind) or isinstance(value, bool):
            raise InvalidInputError(f"not a manifest: {of}it has {name}={value!r:.40}")


def next_number(store: Path) -> int:
    """One more than the highest number of the runs of a store."""
    numbers = [0]
    for path in (store / "runs").glob("*.json"):
        try:
            numbers.append(read_manifest(path)["number"])
        except InvalidInputError:
            continue  # reading the store names it
    return max(numbers) + 1
