"""Which stacks the whole-model surrogate answers, by chip, phase and precision, and at which evidence level.

Beside these, eager execution is answered on every chip with stated bandwidth, as the sum over operators.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hetbench.catalog.chips import Chip, chips
from hetbench.predict.models import GENERATION, group_of, load
from hetbench.schema import PHASES

__all__ = ["SupportedStack", "supported_stacks"]


@dataclass(frozen=True, slots=True)
class SupportedStack:
    """One stack that is answered."""

    stack: str
    chip: str
    precision: str
    phase: str
    level: str
    """C where the chip itself was measured under it, D where other chips were."""
    rows: int
    """Measured rows behind it: of the chip at level C, of all chips at level D."""


def supported_stacks(chip: Chip | None = None) -> Iterator[SupportedStack]:
    """What is answered on a chip; without one, what was measured on any.

    >>> from hetbench.catalog.chips import chip
    >>> [each.level for each in supported_stacks(chip("nvidia-h100-pcie-80gb")) if each.stack == "compiled"][:1]
    ['D']
    """
    for phase in PHASES:
        for known in chips().values() if chip is None else (chip,):
            yield from _on(known, phase, measured_only=chip is None)


def _on(chip: Chip, phase: str, measured_only: bool) -> Iterator[SupportedStack]:
    whole = load()
    spec = whole.groups.get(group_of(chip.family, phase), {"cells": {}, "stacks": {}})
    assert phase in GENERATION or phase == PHASES[0]
    for label, (_, rows, *_) in sorted(spec["stacks"].items()):
        stack, precision = label.split("|")
        level = whole.level(chip, phase, stack, precision)
        if level is None or chip.supports(precision) is False or (measured_only and level != "C"):
            continue
        cell = spec["cells"].get(f"{chip.name}|{label}")
        yield SupportedStack(stack, chip.name, precision, phase, level, cell[1] if cell else rows)
