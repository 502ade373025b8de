"""Correction of a prediction for one chip by a measurement on another: factor = (measured / predicted) ** exponent.

`catalog/surrogates/transfer.json` (made by `python -m surrogates.whole.transfer`) holds the exponent for each pair of
families, fitted on held-out models: the share of log(measured / predicted) on the source chip that also appears on the
target chip. It is large within a family and small across families, where most of the error is due to other kernels.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hetbench.artifacts.integrity import FORMATS
from hetbench.artifacts.sets import EMBEDDED
from hetbench.catalog.chips import Chip
from hetbench.errors import ArtifactError
from hetbench.loading import load_once

__all__ = ["Transfer", "transfer_between", "transfer_factor"]

FORMAT = FORMATS["transfer.json"]


@dataclass(frozen=True, slots=True)
class Transfer:
    """The exponent between two chips, with its validation as text."""

    exponent: float
    """0: the measurement has no effect; 1: measured / predicted applies in full."""
    why: str


def transfer_between(source: Chip, target: Chip, folder: Path | None = None) -> Transfer:
    """The exponent from `source` to `target`; `folder` is that of another set than the packaged one.

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
        f"{score['in full']} % with its full ratio, {score['by its exponent']} % with this exponent"
    )
    return Transfer(float(table["exponents"][name]), why)


def transfer_factor(
    measured: float, predicted: float, source: Chip, target: Chip, folder: Path | None = None
) -> tuple[float, str]:
    """Factor on the prediction for the target chip, and its explanation.

    `measured` and `predicted` are the caller's measurement on the source chip and the prediction there, in one unit.

    >>> from hetbench.catalog.chips import chip
    >>> transfer_factor(3.0, 2.0, chip("cuda"), chip("cuda"))[0]
    1.5
    """
    known = transfer_between(source, target, folder)
    factor = (measured / predicted) ** known.exponent
    return factor, (
        f"corrected by a factor of {factor:.3g}: ({measured:g} measured by the caller on {source.name} / "
        f"{predicted:.4g} predicted there) ** {known.exponent:g}; exponent from {known.why}"
    )


@load_once(maxsize=4)
def _table(folder: Path) -> dict[str, Any]:
    path = folder / "transfer.json"
    try:
        table = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path.name} cannot be read: {error}. Run: python -m surrogates.whole.transfer") from None
    if table.get("format") != FORMAT:
        raise ArtifactError(f"{path.name} has format {table.get('format')!r}; this hetbench reads {FORMAT}.")
    return dict(table)
