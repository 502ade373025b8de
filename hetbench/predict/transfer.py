"""How far a figure measured on one chip corrects the prediction for another: exponents learned from held-out models.

`catalog/surrogates/transfer.json` (made by `python -m surrogates.whole.transfer`) holds, for each pair of families, the
share of log(measured / predicted) on the source that shows up on the target too. Inside a family it is a good part;
across families next to nothing, since another vendor's kernels, not the network, make most of what a prediction misses.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from hetbench.artifacts.integrity import FORMATS
from hetbench.artifacts.sets import EMBEDDED
from hetbench.catalog.chips import Chip
from hetbench.errors import ArtifactError

__all__ = ["Transfer", "transfer_between", "transfer_factor"]

FORMAT = FORMATS["transfer.json"]


@dataclass(frozen=True, slots=True)
class Transfer:
    """What a measurement on the source is worth on the target."""

    exponent: float
    """0: nothing carries over; 1: the whole of measured / predicted does."""
    why: str


def transfer_between(source: Chip, target: Chip, folder: Path | None = None) -> Transfer:
    """The exponent between two chips, and where it comes from; `folder` holds another artefact set.

    >>> from hetbench.catalog.chips import chip
    >>> transfer_between(chip("cuda"), chip("cuda")).exponent
    1.0
    >>> other_vendor, same_vendor = (transfer_between(chip("cuda"), chip(name)) for name in ("cann", "nvidia-l4"))
    >>> other_vendor.exponent < same_vendor.exponent
    True
    """
    if source.name == target.name:
        return Transfer(1.0, "the same chip")
    table = _table(folder or EMBEDDED)
    relation = "same family" if source.family == target.family else "other family"
    pair = f"{source.family}>{target.family}"
    name = pair if pair in table["exponents"] else relation
    score = next(line for line in table["scores"] if line["pairs"] == name)
    why = (
        f"{score['networks']} held-out networks of {name}: median error {score['ignored']} % without the source, "
        f"{score['in full']} % with all of it, {score['by its exponent']} % so"
    )
    return Transfer(float(table["exponents"][name]), why)


def transfer_factor(
    measured: float, predicted: float, source: Chip, target: Chip, folder: Path | None = None
) -> tuple[float, str]:
    """The factor on a prediction for the target where the source measured one figure and another was predicted.

    >>> from hetbench.catalog.chips import chip
    >>> transfer_factor(3.0, 2.0, chip("cuda"), chip("cuda"))[0]
    1.5
    """
    known = transfer_between(source, target, folder)
    factor = (measured / predicted) ** known.exponent
    return factor, (
        f"{measured:g} measured by the caller on {source.name} / {predicted:.4g} predicted there, to the power "
        f"{known.exponent:g}, is a factor of {factor:.3g} here ({known.why})"
    )


@lru_cache(maxsize=4)
def _table(folder: Path) -> dict[str, Any]:
    path = folder / "transfer.json"
    try:
        table = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path.name} cannot be read: {error}. Run: python -m surrogates.whole.transfer") from None
    if table.get("format") != FORMAT:
        raise ArtifactError(f"{path.name} has format {table.get('format')!r}; this hetbench reads {FORMAT}.")
    return dict(table)
