"""Similarity of operator instances: the cosine of their normalised features within an operator class.

The features are those of `hetbench.knowledge.signature`; their mean and deviation over the measured operators of the
class are part of the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hetbench.knowledge.signature import columns, dim_names, sizes
from hetbench.operators import operator_type, operator_types
from hetbench.predict.features import class_of
from hetbench.predict.products import product

if TYPE_CHECKING:
    from hetbench.knowledge.store import Store

__all__ = ["SimilarityIndex"]

Ints = NDArray[np.int64]


class SimilarityIndex:
    """The measured operator instances of a `Store` as unit vectors, by class; computed on first use and kept."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._features: dict[str, tuple[Ints, NDArray[np.float64]]] = {}

    def features(self, cls: str) -> tuple[Ints, NDArray[np.float64]]:
        """Measured instances of a class [instances] and their unit vectors [instances, columns]."""
        if cls not in self._features:
            parts = [(op, *part) for op in self._store.spans for part in self.raw(cls, op, self._store.measured(op))]
            self._features[cls] = (
                np.concatenate([index for _, index, _ in parts]),
                np.concatenate([self.unit(cls, op, made) for op, _, made in parts]),
            )
        return self._features[cls]

    def raw(self, cls: str, op: str, rows: Ints) -> list[tuple[Ints, NDArray[np.float64]]]:
        """(indices, features in log2) of the instances `rows` of one type that belong to the class, by dtype."""
        values = self._store.array(f"dims/{op}")[rows - self._store.spans[op].start].astype(np.int64)
        dims = dict(zip(dim_names(op), values.T, strict=True))
        cost = operator_type(op).cost_class
        mine = np.full(len(rows), cost == cls)
        if cost == "attention":
            mine = (dims["q_len"] == 1) == (cls == "decode") if cls in ("prefill", "decode") else mine
        out, dtypes = [], self._store.array("dtype")[rows]
        for code in np.unique(dtypes[mine]):
            pick = mine & (dtypes == code)
            part = {name: value[pick] for name, value in dims.items()}
            out.append((rows[pick], columns(cls, op, part, self._store.meta["dtypes"][code])))
        return out

    def unit(self, cls: str, op: str, made: NDArray[np.float64]) -> NDArray[np.float64]:
        """Features of operators of one type as unit vectors.

        The features are standardised over the measured operators of the class. Two extra columns weigh as much as all
        features together: a constant, which separates operators in the same direction from the mean, and the type.
        """
        mean, deviation = (np.array(row) for row in self._store.meta["scales"][cls])
        types = _types(cls)
        extra = np.zeros((len(made), 1 + len(types)))
        extra[:, [0, 1 + types.index(op)]] = np.sqrt(made.shape[1])
        whole = np.hstack([(made - mean) / deviation, extra])
        out: NDArray[np.float64] = whole / np.linalg.norm(whole, axis=1, keepdims=True)
        return out

    def nearest(
        self, op: str, dims: Mapping[str, int], dtype: str, *, chip: str | None = None, k: int = 5, itself: bool = True
    ) -> list[tuple[int, float]]:
        """(index, cosine) of the k most similar measured instances of the class, best first.

        `chip` restricts them to those that it measured; `itself` says whether the operator itself may be one. Ties at
        six decimals are broken by: the operator itself, same type, same dtype, lower index.
        """
        cls = class_of(op, dims)
        if cls not in self._store.meta["scales"]:
            return []
        index, vectors = self.features(cls)
        cosine = np.round(product(vectors, self.unit(cls, op, columns(cls, op, sizes(op, dims), dtype))[0]), 6)
        own = self._store.find(op, dims, dtype)
        keep = np.ones(len(index), dtype=bool) if chip is None else self._store.measured_by(chip)[index]
        if own is not None and not itself:
            keep &= index != own
        index, cosine = index[keep], cosine[keep]
        if len(index) > k:
            best = cosine >= np.partition(cosine, -k)[-k]
            index, cosine = index[best], cosine[best]
        span = self._store.spans.get(op, range(0))
        other_type = (index < span.start) | (index >= span.stop)
        code = self._store.meta["dtypes"].index(dtype) if dtype in self._store.meta["dtypes"] else -1
        other = index != (-1 if own is None else own)
        order = np.lexsort((index, self._store.array("dtype")[index] != code, other_type, other, -cosine))[:k]
        return [(int(index[at]), float(cosine[at])) for at in order]


@lru_cache(maxsize=8)
def _types(cls: str) -> list[str]:
    """The operator types of a class."""
    cost = "attention" if cls in ("prefill", "decode") else cls
    return [name for name, kind in operator_types().items() if kind.cost_class == cost]
