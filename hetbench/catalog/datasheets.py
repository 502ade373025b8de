"""Datasheets: a chip from a file of its facts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hetbench.catalog.chips import LONGEST, Chip
from hetbench.errors import InvalidInputError, shown

__all__ = ["load_chip"]


def load_chip(path: str | Path) -> Chip:
    """A chip from a datasheet file in TOML or JSON, which holds one table of facts.

    The file is read as UTF-8. Raises `InvalidInputError` where it cannot be read or a fact is invalid.
    """
    if not isinstance(path, str | Path):
        raise InvalidInputError(f"a datasheet is a file or a mapping of facts; given: {shown(path)}.")
    path = Path(path)
    try:
        with path.open("rb") as file:
            packed = file.read(LONGEST + 1)
        if len(packed) > LONGEST:
            raise InvalidInputError(f"{path} is longer than a datasheet may be, {LONGEST:,} bytes.")
        facts = _parsed(packed.decode("utf-8-sig"), path.suffix)
    except OSError as error:
        raise InvalidInputError(f"cannot read {shown(str(path))}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"{shown(str(path))} is neither TOML nor JSON: {error}") from None
    if not isinstance(facts, dict):
        raise InvalidInputError(f"{path} must hold one table of facts.")
    return Chip.from_mapping(facts)


def _parsed(text: str, suffix: str) -> Any:
    if suffix == ".json":
        return json.loads(text)
    import tomllib  # the catalogue itself is read without it

    return tomllib.loads(text)
