"""Measurement cells of one operator class, and the choice of the head and cell that answer for an operator.

A cell is what was measured together: rows of one operator type, chip, dtype, timing protocol, library and layout.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetbench.catalog.chips import Chip, chips
from hetbench.catalog.estimates import peak_flops

__all__ = ["CELL_KEYS", "ENOUGH_ROWS", "Cell", "Cells", "Choice", "engine_of", "is_older", "near_twins", "version_of"]

CELL_KEYS = ("op", "chip", "dtype", "protocol", "library", "layout")
ENOUGH_ROWS = 50
"""A cell with fewer rows is evidence for a bias, not for the full head."""
_TWIN = 1.5
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
        self.enough: dict[str, int] = {}
        """Rows of each chip in cells of at least `ENOUGH_ROWS`."""
        for index, (op, chip, dtype, protocol, library, layout, die, rows) in enumerate(records):
            cell = Cell(index, op, chip, dtype, protocol, library, layout, rows, effects[index])
            self.count[chip] = self.count.get(chip, 0) + rows
            if rows >= ENOUGH_ROWS:
                self.enough[chip] = self.enough.get(chip, 0) + rows
                self.by_name.setdefault((chip, op, dtype), []).append(cell)
                self.by_die.setdefault((die, op, dtype), []).append(cell)

    def rows_of(self, chip: str) -> int:
        return self.count.get(chip, 0)

    def best(
        self, chip: Chip, own: bool, op: str, dtype: str, protocol: str, library: str | None, layout: str | None
    ) -> list[Cell]:
        """The best cells of the chip (`own`) or of its near twins, [] where none qualifies.

        The protocol asked for goes first. Under it every engine has a cell, that of its newest version with the most
        rows; the engine with the most rows goes first. A library or layout asked for leaves one cell.
        """
        table = self.by_name if own else self.by_die
        found = table.get((chip.name if own else chip.die, op, dtype), [])
        found = [c for c in found if library in (None, c.library) and layout in (None, c.layout)]
        if not own:
            found = [c for c in found if near_twins(chip, chips()[c.chip], dtype)]
        order = (protocol, *_PROTOCOL_ORDER)
        first = min((order.index(c.protocol) for c in found), default=0)
        size = {name: sum(c.rows for c in each) for name, each in _by_engine(found).items()}
        engines = _by_engine([c for c in found if order.index(c.protocol) == first])
        best = [max(each, key=lambda c: (version_of(c.library), c.rows)) for each in engines.values()]
        best.sort(key=lambda c: -size[engine_of(c.library)])
        return best if library is None and layout is None else best[:1]


def _by_engine(cells: Sequence[Cell]) -> dict[str, list[Cell]]:
    found: dict[str, list[Cell]] = {}
    for cell in cells:
        found.setdefault(engine_of(cell.library), []).append(cell)
    return found


def engine_of(library: str) -> str:
    """The engine of a library as rows name it: "vllm" of "vllm 0.24.0/context/fa3"."""
    return re.split("[ /]", library)[0]


def version_of(library: str) -> tuple[int, ...]:
    """The first three numbers of a library's version, () where it states none.

    >>> version_of("vllm 0.20.1.dev3+g20dc1caee/context/fa2"), version_of("miopen")
    ((0, 20, 1), ())
    """
    stated = re.search(r" (\d[^/ ]*)", library)
    return tuple(int(part) for part in re.findall(r"\d+", stated[1])[:3]) if stated else ()


def is_older(library: str, than: str) -> bool:
    """Whether a library is an earlier version of the engine of another.

    >>> is_older("vllm 0.20.1/context/fa2", "vllm 0.28.0/context/fa3"), is_older("trtllm 1.3.0", "vllm 9.0.0")
    (True, False)
    """
    return engine_of(library) == engine_of(than) and version_of(library) < version_of(than)


def near_twins(one: Chip, other: Chip, dtype: str) -> bool:
    """Whether chips of one die have peaks within a factor of 1.5: a part with most units cut is no twin."""
    peaks = peak_flops(one, dtype), peak_flops(other, dtype)
    return bool(peaks[0] and peaks[1] and 1 / _TWIN < peaks[0] / peaks[1] < _TWIN)


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
    alone: bool = False
    """Whether one surrogate was asked for by name, so that nothing is blended with it."""
    peers: tuple[Cell, ...] = ()
    """Cells of other engines that timed the same; the answer is the geometric mean over all of them."""
    rgat: float = 0.0
    """Weight of the RGAT in log(latency / base), 0 to 1; the head has the rest."""
