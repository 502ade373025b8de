"""Measurement cells of one operator class, and the choice of the head and cell that answer for an operator.

A cell is what was measured together: rows of one operator type, chip, dtype, timing protocol, library and layout.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetbench.catalog.chips import Chip

__all__ = ["CELL_KEYS", "ENOUGH_ROWS", "Cell", "Cells", "Choice"]

CELL_KEYS = ("op", "chip", "dtype", "protocol", "library", "layout")
ENOUGH_ROWS = 50
"""A cell with fewer rows is evidence for a bias, not for the full head."""
_PROTOCOL_ORDER = ("event", "graph", "kernel", "wall")


@dataclass(frozen=True, slots=True)
class Cell:
    """One measurement cell: what was timed where and how, with its number of rows."""

    index: int
    op: str
    chip: str
    dtype: str
    protocol: str
    library: str
    layout: str
    rows: int
    effects: NDArray[np.float32]
    """Typical log(latency / base) by operator, library, layout, dtype and operator x dtype, [5]."""


class Cells:
    """The measurement cells of one operator class, by chip or die, operator and dtype."""

    def __init__(self, records: Sequence[Sequence[Any]], effects: NDArray[np.float32]) -> None:
        self.by_name: dict[tuple[str, str, str], list[Cell]] = {}
        self.by_die: dict[tuple[str, str, str], list[Cell]] = {}
        self.count: dict[str, int] = {}
        for index, (op, chip, dtype, protocol, library, layout, die, rows) in enumerate(records):
            cell = Cell(index, op, chip, dtype, protocol, library, layout, rows, effects[index])
            self.count[chip] = self.count.get(chip, 0) + rows
            if rows >= ENOUGH_ROWS:
                self.by_name.setdefault((chip, op, dtype), []).append(cell)
                self.by_die.setdefault((die, op, dtype), []).append(cell)

    def rows_of(self, chip: str) -> int:
        return self.count.get(chip, 0)

    def best(
        self, chip: Chip, own: bool, op: str, dtype: str, protocol: str, library: str | None, layout: str | None
    ) -> Cell | None:
        """The best cell of the chip (`own`) or of chips with the same die: protocol asked for first, then most rows."""
        table = self.by_name if own else self.by_die
        found = table.get((chip.name if own else chip.die, op, dtype), [])
        found = [c for c in found if library in (None, c.library) and layout in (None, c.layout)]
        order = (protocol, *_PROTOCOL_ORDER)
        return min(found, key=lambda c: (order.index(c.protocol), -c.rows, c.library), default=None)


@dataclass(frozen=True, slots=True)
class Choice:
    """What predicts one (operator, dtype, chip, protocol): head, labels, evidence level and support."""

    head: str
    """`full`; `ratio/FAMILY` or `ratio/any`, fitted on the rows of a family or of all chips; `chip/NAME`, fitted on one
    chip that was added later; `roofline`."""
    effects: NDArray[np.float32]
    cell: int
    protocol: str
    level: str
    support: int
    source: str
    bias: float
    dtype: str
    constant: float = np.nan
    """Typical log(latency / base) of the operator on other families; NaN where this family has rows of the class."""
    op: str = ""
    """Operator type that was asked for."""
    rgat: float = 0.0
    """Weight of the RGAT in log(latency / base), 0 to 1; the head has the rest."""
