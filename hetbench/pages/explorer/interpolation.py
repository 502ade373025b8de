"""Values between the points of a grid, and how far they are from the library's own answers.

The logarithms of value and bounds are interpolated over the logarithms of the sizes: on each axis by the parabola
through the two neighbours and the next grid point, or by the line through the neighbours where that point is refused or
the axis has only two. The level is the weakest of the grid points used, and at most B away from a grid point, where
nothing is measured. The page's script (`templates/explorer/data.js`) computes the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from math import exp, isnan, log, prod, sqrt
from typing import Any

import numpy as np

from hetbench.api import HetBench
from hetbench.pages.explorer.grids import LEVELS, Block, Grids, question

__all__ = ["Between", "GridError", "between", "measured_error"]

SAMPLES = 160
"""Off-grid points that are compared in each phase."""


@dataclass(frozen=True, slots=True)
class Between:
    """An interpolated answer."""

    value: float
    lower: float
    upper: float
    level: str
    on_grid: bool


@dataclass(frozen=True, slots=True)
class GridError:
    """Distance of interpolated values from `HetBench.query` at the same sizes, as |ln(interpolated / answer)|."""

    phase: str
    points: int
    median: float
    p90: float
    largest: float
    measured: int
    """Points at which the library's answer is a published row, which no grid can foresee; not part of the errors."""

    def to_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("phase", "points", "median", "p90", "largest", "measured")}


def between(block: Block, quantity: str, chip: int, variant: int, sizes: Mapping[str, float]) -> Between | None:
    """The answer at any sizes within the grid; None outside it, or where one of the grid points used is refused.

    >>> from hetbench.pages.explorer.choice import choose
    >>> from hetbench.pages.explorer.grids import ask_grids
    >>> api = HetBench()
    >>> block = ask_grids(api, choose(api, ["bert-tiny"], ["nvidia-l4"]))[0].blocks[0]
    >>> found = between(block, "latency", 0, 0, {"batch": 2, "seq_len": 128})
    >>> found.lower < found.value < found.upper, found.on_grid
    (True, False)
    """
    q = block.quantities.index(quantity)
    for points in (3, 2):
        corners = list(_corners(block, sizes, points))
        marks = [int(block.marks[q, chip, variant, cell]) for cell, _ in corners]
        if corners and max(marks) < len(LEVELS):
            break
    else:
        return None
    cells = [cell for cell, _ in corners]
    value, low, high = (
        exp(sum(weight * log(float(block.values[q, bound, chip, variant, cell])) for cell, weight in corners))
        for bound in _bounds(block, q, chip, variant, cells)
    )
    on_grid, level = len(corners) == 1, LEVELS[max(marks)]
    level = "B" if level == "A" and not on_grid else level
    return Between(value, min(low, value), max(high, value), level, on_grid)


def _bounds(block: Block, q: int, chip: int, variant: int, cells: Sequence[int]) -> tuple[int, int, int]:
    """Rows of value, lower and upper; the value stands for bounds that a measured grid point does not have."""
    known = [not np.isnan(block.values[q, 1:, chip, variant, cell]).any() for cell in cells]
    return (0, 1, 2) if all(known) else (0, 0, 0)


def _corners(block: Block, sizes: Mapping[str, float], points: int) -> Iterator[tuple[int, float]]:
    """Cells around a point with their weights, which sum to 1; none outside the grid."""
    sides = []
    for name, values in block.axes.items():
        found = _neighbours(values, sizes.get(name, values[0]), points)
        if not found:
            return
        sides.append((found, len(values)))
    for corner in product(*(found for found, _ in sides)):
        cell, weight = 0, 1.0
        for (place, share), (_, count) in zip(corner, sides, strict=True):
            cell, weight = cell * count + place, weight * share
        yield cell, weight


def _neighbours(values: Sequence[int], size: float, points: int) -> list[tuple[int, float]]:
    """Places of an axis around a size, at most `points`, with their weights: Lagrange's, in the logarithm of the size.

    >>> _neighbours((1, 4, 16), 4, 3), _neighbours((1, 4, 16), 2, 2), _neighbours((1, 4, 16), 17, 3)
    ([(1, 1.0)], [(0, 0.5), (1, 0.5)], [])
    >>> _neighbours((1, 4, 16), 2, 3)
    [(0, 0.375), (1, 0.75), (2, -0.125)]
    """
    if size in values:
        return [(values.index(int(size)), 1.0)]
    if not values[0] < size < values[-1]:
        return []
    right = next(place for place, value in enumerate(values) if value > size)
    count = min(points, len(values))
    first = min(right - 1, len(values) - count)
    used = range(first, first + count)
    weights = [prod(log(size / values[other]) / log(values[place] / values[other]) for other in used if other != place)
               for place in used]  # fmt: skip
    return list(zip(used, weights, strict=True))


def measured_error(api: HetBench, grids: Grids, samples: int = SAMPLES) -> list[GridError]:
    """The interpolation error of each phase at points half-way between grid points, spread over all series alike."""
    found = []
    for phase in dict.fromkeys(block.phase for block in grids.blocks):
        points = list(_off_grid(grids, phase))
        chosen = points[:: max(1, -(-len(points) // samples))]
        errors, measured = [], 0
        for block, chip, variant, sizes in chosen:
            quantity = block.quantities[0]
            mine = between(block, quantity, chip, variant, sizes)
            row = question(block.model, grids.chips[chip], phase, block.variants[variant], sizes)
            row["metric"] = quantity
            row["chip"] = row.pop("target")
            answer = api.query_models({name: [value] for name, value in row.items()})
            value = float(answer["value"][0])
            if mine is None or isnan(value):
                continue
            if answer["level"][0] == "A":
                measured += 1
            else:
                errors.append(abs(log(mine.value / value)))
        found.append(_summary(phase, errors, measured))
    return found


def _summary(phase: str, errors: Sequence[float], measured: int) -> GridError:
    if not errors:
        return GridError(phase, 0, 0.0, 0.0, 0.0, measured)
    middle, high, most = (float(each) for each in np.quantile(errors, (0.5, 0.9, 1.0)))
    return GridError(phase, len(errors), middle, high, most, measured)


def _off_grid(grids: Grids, phase: str) -> Iterator[tuple[Block, int, int, dict[str, int]]]:
    """Every series at the geometric means of neighbouring sizes, whole numbers, away from the grid on every axis."""
    for block in grids.blocks:
        if block.phase == phase:
            middles = [_middles(values) for values in block.axes.values()]
            for sizes in product(*middles):
                for chip, variant in product(range(len(grids.chips)), range(len(block.variants))):
                    yield block, chip, variant, dict(zip(block.axes, sizes, strict=True))


def _middles(values: Sequence[int]) -> list[int]:
    """Whole numbers half-way between neighbours on the logarithmic axis; an axis of one size stays.

    >>> _middles((1, 4, 16)), _middles((224,))
    ([2, 8], [224])
    """
    found = [round(sqrt(low * high)) for low, high in pairwise(values)]
    return [each for each in found if each not in values] or [values[0]]
