"""Chips of this machine: records that `python -m data_collection.chip measure` writes, beside the packaged catalogue.

One JSON file a chip in `$HETBENCH_HOME/chips` (else hetbench/chips in the user's cache). Every command and `HetBench`
know these chips by name and by the name that the device reports; a catalogue chip of the same name comes first.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from functools import lru_cache
from pathlib import Path

from hetbench.artifacts.atomic import write_whole
from hetbench.artifacts.integrity import HomelessError, home
from hetbench.catalog.chips import Chip, chips, normalised_name
from hetbench.catalog.chips import chip as catalogue_chip
from hetbench.catalog.datasheets import load_chip
from hetbench.errors import HetBenchError, InvalidInputError, UnknownNameError
from hetbench.mappings import ReadOnly
from hetbench.schema import FAMILIES

__all__ = ["any_chip", "folder", "forget_own_chip", "own_chip", "own_chips", "save_own_chip"]


def folder() -> Path:
    """Where the records are; raises `HomelessError` for a user without a home directory."""
    return home().parent / "chips"


def own_chips() -> Mapping[str, Chip]:
    """The chips of this machine by name; files that cannot be read as a chip are an error that names the file."""
    try:
        files = tuple((path, path.stat().st_mtime_ns) for path in sorted(folder().glob("*.json")))
    except (HomelessError, OSError):
        return ReadOnly({})
    return _read(files)


@lru_cache(maxsize=8)
def _read(files: tuple[tuple[Path, int], ...]) -> Mapping[str, Chip]:
    """The records in these files, read again where one was written since."""
    found = {}
    for path, _ in files:
        try:
            chip = load_chip(path)
        except HetBenchError as why:
            raise InvalidInputError(f"{path} is no record of a chip: {why} Delete it, or measure it again.") from None
        found[chip.name] = chip
    return ReadOnly(found)


def own_chip(name: str) -> Chip | None:
    """The chip of this machine that a name or an alias means, None where there is none.

    >>> own_chip("nvidia-l4") is None
    True
    """
    key = normalised_name(name)
    for chip in own_chips().values():
        if key in map(normalised_name, (chip.name, *chip.aliases)):
            return chip
    return None


def any_chip(name: str) -> Chip:
    """The chip of a catalogue name, alias or family, else the chip of this machine; `UnknownNameError` for neither.

    >>> any_chip("rocm").name
    'amd-mi210'
    """
    try:
        return catalogue_chip(name)
    except UnknownNameError:
        own = own_chip(name)
        if own is None:
            raise
        return own


def save_own_chip(chip: Chip) -> Path:
    """Write the record of a chip, replacing the one of the same name, and return the file.

    Raises `InvalidInputError` where the catalogue has the name, or the file cannot be written.
    """
    name = normalised_name(chip.name)
    if name in chips() or name in FAMILIES:
        raise InvalidInputError(f"{chip.name!r} is a name of the catalogue; give the chip a name of its own.")
    facts = {each.name: getattr(chip, each.name) for each in fields(Chip)}
    facts |= {"aliases": dict(chip.aliases)}
    text = json.dumps({key: value for key, value in facts.items() if value not in (None, {})}, indent=2)
    path = folder() / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, text + "\n")
    return path


def forget_own_chip(name: str) -> Path:
    """Delete the record of a chip of this machine and return its file; raises `UnknownNameError` for another name."""
    chip = own_chip(name)
    if chip is None:
        raise UnknownNameError("chip of this machine", name, own_chips())
    path = folder() / f"{normalised_name(chip.name)}.json"
    path.unlink()
    return path
