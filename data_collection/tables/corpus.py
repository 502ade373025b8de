"""Read the corpus for both tables: catalogue names of chips, and numbers in text cells."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hetbench.catalog.chips import chips

__all__ = ["chip_aliases", "number", "whole"]


def chip_aliases(corpus: Path) -> dict[tuple[str, str], Mapping[str, str]]:
    """(platform, chip as in the data) -> `canonical` and `certainty`, from `chip_aliases.csv`.

    A corpus built by `data_collection.sources` has no such file: then the catalogue's names and aliases are used.
    """
    path = corpus / "chip_aliases.csv"
    if not path.exists():
        return {
            (chip.family, name): {"canonical": chip.name, "certainty": certainty}
            for chip in chips().values() for name, certainty in (chip.aliases | {chip.name: "exact"}).items()
        }  # fmt: skip
    aliases: dict[tuple[str, str], Mapping[str, str]] = {}
    with path.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            key = (row["platform"], row["chip_as_in_data"])
            if key not in aliases or row["certainty"] == "exact":  # MI250: prefer its own name to that of its die
                aliases[key] = row
    return aliases


def number(value: Any) -> float | None:
    """The number at the start of a cell; None if there is none."""
    match = re.match(r"\s*([\d,]*\.?\d+)", str(value)) if value is not None else None
    found = float(match[1].replace(",", "")) if match else None
    return None if found is None or math.isnan(found) else found


def whole(value: Any) -> int | None:
    """A positive integer; None if upstream states none. `224x224` is 224."""
    if isinstance(value, float) and math.isnan(value):
        return None
    found = number(value)
    return int(found) if found else None
