"""One structure of a network, as its table stores it: operator templates whose sizes are polynomials of the setting."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetbench.graphs.operator_table import resolve_dtype
from hetbench.graphs.setting import Setting

__all__ = ["Variant", "meets"]

Ints = NDArray[np.int64]


class Variant:
    """One structure of a network: operator templates with sizes as polynomials, evaluated at any setting."""

    def __init__(self, table: Mapping[str, Any]) -> None:
        self.table = table
        self.monomials: list[list[Any]] = table["monomials"]
        self.coefficients = np.zeros((len(table["sizes"]), len(self.monomials)), dtype=np.int64)  # [sizes, monomials]
        for row, terms in enumerate(table["sizes"]):
            for place, factor in terms:
                self.coefficients[row, place] = factor
        self.template: list[int] = table["nodes"]["template"] if "nodes" in table else []
        times = Counter(self.template)
        self.counts: list[int] = table.get("counts") or [times[index] for index in range(len(table["templates"]))]
        """How often one pass runs each template, [templates]."""
        self.kept: dict[Any, Any] = {}
        """What callers derive from the structure alone, by keys of their own."""
        self._last: tuple[Setting | None, Ints] = None, np.zeros(0, dtype=np.int64)
        self._groups: dict[str, list[tuple[str, str, tuple[str, ...], Ints, Ints]]] = {}

    def values(self, setting: Setting) -> Ints:
        """All sizes at a setting, int64 [sizes]."""
        last, found = self._last
        if last is setting:
            return found
        factors, places = self._factors
        image = setting.image_size or 0
        symbols = {"": 1, "b": setting.batch or 0, "s": setting.seq_len or 0}
        values = [symbols[each] if isinstance(each, str) else (image + each[0]) // each[1] for each in factors]
        powers: Ints = np.array(values, dtype=np.int64)[places].prod(axis=0)
        found = self.coefficients @ powers
        found.setflags(write=False)
        self._last = setting, found
        return found

    @cached_property
    def _factors(self) -> tuple[list[Any], Ints]:
        """The factors of all monomials, 1 first, and where those of each stand, [most factors, monomials]."""
        found: list[Any] = [""]
        for factor in (each for factors in self.monomials for each in factors):
            if factor not in found:
                found.append(factor)
        places = np.zeros((max(map(len, self.monomials), default=0), len(self.monomials)), dtype=np.int64)
        for column, factors in enumerate(self.monomials):
            places[: len(factors), column] = [found.index(each) for each in factors]
        return found, places

    @cached_property
    def fixed(self) -> NDArray[np.bool_]:
        """Sizes that are the same at every setting, [sizes]."""
        varies = np.array([bool(factors) for factors in self.monomials], dtype=bool)
        found: NDArray[np.bool_] = ~(self.coefficients[:, varies] != 0).any(axis=1)
        return found

    def groups(self, precision: str) -> list[tuple[str, str, tuple[str, ...], Ints, Ints]]:
        """(op, dtype, dim names, size indices [dims, rows], count [rows]) of each group."""
        if precision not in self._groups:
            found: dict[tuple[str, str, tuple[str, ...]], Counter[tuple[int, ...]]] = {}
            for index, (op, dtype, dims, *_) in enumerate(self.table["templates"]):
                key = (op, resolve_dtype(op, dtype, precision), tuple(dims))
                found.setdefault(key, Counter())[tuple(dims.values())] += self.counts[index]
            self._groups[precision] = [
                (*key, np.array(list(rows), dtype=np.int64).T.copy(), np.array(list(rows.values()), dtype=np.int64))
                for key, rows in sorted(found.items())
            ]
        return self._groups[precision]


def meets(setting: Setting, conditions: Sequence[Sequence[Any]]) -> bool:
    """Whether a setting meets all conditions of a variant, each (size, value, whether they must be equal)."""
    return all((_size_of(setting, size) == value) == equal for size, value, equal in conditions)


def _size_of(setting: Setting, size: str | Sequence[int]) -> int | None:
    """What a condition looks at: a size by its name, or [a, d]: the patches (image_size + a) // d along one side."""
    if isinstance(size, str):
        return {"batch": setting.batch, "seq_len": setting.seq_len, "image_size": setting.image_size}[size]
    return ((setting.image_size or 0) + size[0]) // size[1]
