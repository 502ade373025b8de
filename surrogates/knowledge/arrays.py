"""Encode the graph as the arrays of `knowledge.npz`: operator instances in order, and edges as integer columns."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from hetbench.knowledge.signature import dim_names
from surrogates.knowledge.models import Signature


@dataclass(frozen=True)
class Table:
    """The operator instances, sorted by type, dtype and dims, and the chips on which each was measured."""

    index: Mapping[Signature, int]
    operators: list[tuple[str, int]]
    dtypes: list[str]
    chips: list[str]
    arrays: Mapping[str, np.ndarray]

    @classmethod
    def of(cls, instances: set[Signature], kept: Sequence[tuple[str, pd.DataFrame]], datasets: Sequence[str]) -> Table:
        """Build the table; `kept` has the rows of `representatives` with their operator type."""
        names = sorted({chip for _, table in kept for chip in table.chip})
        pairs: dict[Signature, list[tuple[int, int]]] = {signature: [] for signature in instances}
        for op, table in kept:
            codes = zip(table.chip.map(names.index), table.dataset.map(list(datasets).index), strict=True)
            dims = table[list(dim_names(op))].itertuples(index=False, name=None)
            for dtype, size, pair in zip(table.dtype, dims, codes, strict=True):
                pairs.setdefault((op, dtype, tuple(map(int, size))), []).append(pair)
        order = sorted(pairs)
        dtypes = sorted({dtype for _, dtype, _ in order})
        operators = sorted(Counter(op for op, _, _ in order).items())
        sets = {tuple(sorted(pairs[signature])) for signature in order} - {()}
        codes = {each: at for at, each in enumerate(sorted(sets))}
        arrays = {
            "dtype": _small([dtypes.index(dtype) for _, dtype, _ in order]),
            "measured": _small([codes.get(tuple(sorted(pairs[signature])), -1) for signature in order]),
            "sets/start": _small(np.cumsum([0, *map(len, codes)])),
            "sets/chip": _small([chip for each in codes for chip, _ in each]),
            "sets/refs": _small([dataset for each in codes for _, dataset in each]),
        }
        start = 0
        for op, rows in operators:
            dims = _small([dims for _, _, dims in order[start : start + rows]])
            arrays[f"dims/{op}"] = np.asfortranarray(dims)  # one dim after the other compresses better
            start += rows
        return cls({signature: at for at, signature in enumerate(order)}, operators, dtypes, names, arrays)


@dataclass
class Relations:
    """Writes edges as columns of node numbers: names first, then the operator instances."""

    arrays: dict[str, np.ndarray]
    tables: dict[str, Any]
    names: Mapping[str, int]
    index: Mapping[Signature, int]

    def relation(self, relation: str, edges: Sequence[tuple[Any, Any, Mapping[str, Any]]]) -> None:
        for at, end in enumerate(("source", "target")):
            self.arrays[f"{relation}/{end}"] = _small([self._number(edge[at]) for edge in edges])
        self.tables[relation] = {}
        for name in edges[0][2] if edges else ():
            values = [edge[2][name] for edge in edges]
            table = None if isinstance(values[0], int | float) else sorted({_hashable(value) for value in values})
            codes = {} if table is None else {value: at for at, value in enumerate(table)}
            column = values if table is None else [codes[_hashable(value)] for value in values]
            self.tables[relation][name] = table
            self.arrays[f"{relation}/{name}"] = _small(column)

    def _number(self, end: Any) -> int:
        if isinstance(end, str):
            return self.names[end]
        return len(self.names) + (self.index[end] if isinstance(end, tuple) else end)


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def packed(meta: Mapping[str, Any]) -> np.ndarray:
    return np.frombuffer(json.dumps(meta, separators=(",", ":")).encode(), dtype=np.uint8)


def _small(values: Any) -> np.ndarray:
    """The array in the narrowest signed integer type that holds it."""
    array = np.asarray(values)
    if array.dtype.kind not in "iu":
        return array
    widths = (np.int8, np.int16, np.int32, np.int64)
    top = max(int(array.max(initial=0)), -int(array.min(initial=0)))
    return array.astype(next(width for width in widths if top <= np.iinfo(width).max))
