"""Express every tensor size of a network as an integer polynomial in batch, seq_len and (image_size + a) // d.

Convolutions and pooling round down; a chain of them is again (image_size + a) // d, with d the product of the strides.
Padding to a multiple rounds up: a = d - 1. A size is the shortest sum of at most three terms with integer factors that
is exact at every traced setting; if there is none, `FitError` is raised.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations
from typing import Any

from data_collection.extract.build import Point
from hetbench.errors import HetBenchError
from hetbench.tracing.document import Terms

__all__ = ["Basis", "FitError"]

Factors = tuple[Any, ...]
DIVISORS = (1, 2, 4, 8, 16, 32, 64, 14, 224)


class FitError(HetBenchError):
    """A size is not a polynomial in the known variables."""


class Basis:
    """Values of the monomials at the traced points; `express` fits one size."""

    def __init__(self, points: Sequence[Point]) -> None:
        self.points = list(points)
        self.families = self._families()
        self.used: dict[Factors, int] = {(): 0}

    @property
    def monomials(self) -> list[Factors]:
        """The monomials that some size uses, in order of index."""
        return list(self.used)

    def _families(self) -> list[dict[tuple[int, ...], Factors]]:
        """Groups of monomials that may occur in one sum, constants first."""
        batches = [] if _constant([p.batch for p in self.points]) else ["b"]
        over_batch: list[Factors] = [(), *(tuple(batches) * n for n in (1, 2) if batches)]
        atoms: list[list[Any]] = []
        if not _constant([p.seq_len for p in self.points]):
            atoms.append(["s"])
        if not _constant([p.image_size for p in self.points]):
            atoms += [[(a, d)] for d in DIVISORS for a in dict.fromkeys((0, d - 1))]
        families = []
        for atom in atoms or [[]]:
            powers = [(), *(tuple(atom) * n for n in (1, 2, 4) if atom)]
            family: dict[tuple[int, ...], Factors] = {}
            for power in powers:
                for batch in over_batch:
                    factors = (*batch, *power)
                    family.setdefault(tuple(self._value(factors, p) for p in self.points), factors)
            families.append(family)
        return families

    @staticmethod
    def _value(factors: Factors, point: Point) -> int:
        value = 1
        for factor in factors:
            if factor == "b":
                value *= point.batch
            elif factor == "s":
                value *= point.seq_len or 0
            else:
                value *= ((point.image_size or 0) + factor[0]) // factor[1]
        return value

    def express(self, seen: tuple[int, ...]) -> Terms:
        """`seen`, one size at each point, as terms (monomial index, factor); raises `FitError`."""
        if not any(seen):
            return ()
        for count in (1, 2, 3):
            for family in self.families:
                for values in combinations(family, count):
                    factors = _solve(values, seen)
                    if factors is not None:
                        named = [(self._index(family[v]), f) for v, f in zip(values, factors, strict=True)]
                        return tuple(sorted(named))
        raise FitError(f"no polynomial gives {seen} at {self.points}")

    def _index(self, factors: Factors) -> int:
        return self.used.setdefault(factors, len(self.used))


def _constant(values: Sequence[Any]) -> bool:
    return len(set(values)) == 1


def _solve(values: Sequence[tuple[int, ...]], seen: tuple[int, ...]) -> list[int] | None:
    """Non-zero integer factors with sum(factor * value) == seen at every point, or None."""
    size = len(values)
    rows: list[list[Fraction]] = []  # linearly independent equations in reduced form
    for point in range(len(seen)):
        row = [Fraction(value[point]) for value in values] + [Fraction(seen[point])]
        for known in rows:
            pivot = next(i for i, x in enumerate(known) if x)
            if row[pivot]:
                scale = row[pivot] / known[pivot]
                row = [a - scale * b for a, b in zip(row, known, strict=True)]
        if any(row[:size]):
            rows.append(row)
        elif row[size]:
            return None
        if len(rows) == size:
            break
    if len(rows) < size:
        return None
    factors: list[Fraction] = [Fraction(0)] * size
    for row in reversed(rows):
        pivot = next(i for i, x in enumerate(row) if x)
        rest = sum((row[i] * factors[i] for i in range(size) if i != pivot), Fraction(0))
        factors[pivot] = (row[size] - rest) / row[pivot]
    if any(f.denominator != 1 or f == 0 for f in factors):
        return None
    whole = [int(f) for f in factors]
    holds = all(sum(f * v[i] for f, v in zip(whole, values, strict=True)) == seen[i] for i in range(len(seen)))
    return whole if holds else None
