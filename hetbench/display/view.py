"""What people see of a result: a caption, columns, rows of cells, and the notes and references folded below."""

from __future__ import annotations

from dataclasses import dataclass

from hetbench.display.numbers import digits, number

__all__ = ["Cell", "Level", "Range", "View", "is_logarithmic"]

_SPREAD = 50.0


def is_logarithmic(low: float, high: float) -> bool:
    """Whether figures from `low` to `high` are drawn on a logarithmic scale: positive, and far apart.

    >>> is_logarithmic(1.0, 51.0), is_logarithmic(1.0, 50.0), is_logarithmic(0.0, 51.0)
    (True, False, False)
    """
    return low > 0 and high > _SPREAD * low


@dataclass(frozen=True, slots=True)
class Range:
    """A cell with a value, its unit and its interval.

    >>> print(Range(1.9, "ms", 1.7, 2.2), Range(3.0, "J"), sep=", ")
    1.9 ms [1.7, 2.2], 3 J
    """

    value: float
    unit: str
    lower: float | None = None
    """Lower end of the interval, in `unit`; None without an interval."""
    upper: float | None = None

    @property
    def ends(self) -> tuple[float, float]:
        """Lower and upper end; the value twice where there is no interval."""
        return (self.value if self.lower is None else self.lower), (self.value if self.upper is None else self.upper)

    def __str__(self) -> str:
        text = number(self.value, self.unit)
        if self.lower is None or self.upper is None:
            return text
        return f"{text} [{digits(self.lower)}, {digits(self.upper)}]"


@dataclass(frozen=True, slots=True)
class Level:
    """A cell with an evidence level, A to D."""

    letter: str
    meaning: str

    def __str__(self) -> str:
        return self.letter


Cell = str | Range | Level


@dataclass(frozen=True, slots=True)
class View:
    """A table for people."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    """One tuple a row, as long as `columns`; the first cell is the label of the row."""
    notes: tuple[str, ...] = ()
    refs: tuple[str, ...] = ()

    def ranges(self) -> tuple[tuple[str, Range], ...]:
        """Label and first `Range` of every row that has one.

        >>> View("", ("chip", "latency"), (("nvidia-l4", Range(2.0, "ms")), ("nvidia-t4", "refused"))).ranges()
        (('nvidia-l4', Range(value=2.0, unit='ms', lower=None, upper=None)),)
        """
        found = ((str(row[0]), next((cell for cell in row if isinstance(cell, Range)), None)) for row in self.rows)
        return tuple((label, cell) for label, cell in found if cell is not None)
