"""Memory of one pass by exact arithmetic: weights, activations at their peak, KV cache.

A buffer lives from the operator that makes it to the last one that touches it, as in an allocator that reuses at
once; inputs live throughout, operators work without scratch space, and attention keeps no score matrix. Masks,
positions and normalisation statistics are not counted. What a framework, its context and its fragmentation add is
not in it: this is the least that the network needs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetbench.schema import itemsize

__all__ = ["MemoryBreakdown", "breakdown"]


@dataclass(frozen=True, slots=True)
class MemoryBreakdown:
    """Bytes of one pass."""

    weights_bytes: int
    """All parameters at the asked precision, tied weights once."""
    activations_peak_bytes: int
    """Most bytes of inputs and intermediate results alive at once."""
    kv_cache_bytes: int
    """Keys and values of all cached positions after the pass; 0 in inference."""

    @property
    def total_bytes(self) -> int:
        """Sum of the three."""
        return self.weights_bytes + self.activations_peak_bytes + self.kv_cache_bytes


def breakdown(
    table: Mapping[str, Any], template: Sequence[int], values: NDArray[np.int64], *, params: int, weight_bytes: int,
    data_bytes: int,
) -> MemoryBreakdown:
    """Memory of a variant (`table`, node -> `template`) at the sizes `values` [sizes].

    `weight_bytes` is the width of a parameter, `data_bytes` that of an activation.
    """

    def width(dtype: str) -> int:
        return data_bytes if dtype == "data" else itemsize(dtype)

    buffers = table["buffers"]
    change = np.zeros(len(template) + 2, dtype=np.int64)  # bytes that come (+) and go (-) at each operator
    made = np.array(buffers["made"], dtype=np.int64)
    last = made + np.array(buffers["life"], dtype=np.int64)
    widths = np.array([width(dtype) for dtype in table["dtypes"]], dtype=np.int64)
    size = values[np.array(buffers["size"], dtype=np.int64)] * widths[np.array(buffers["dtype"], dtype=np.int64)]
    np.add.at(change, made, size)
    np.subtract.at(change, last + 1, size)
    given = sum(int(values[index]) * width(dtype) for index, dtype in table["inputs"])
    peak = given + int(np.cumsum(change).max(initial=0))
    return MemoryBreakdown(params * weight_bytes, peak, _cache_elements(table, template, values) * data_bytes)


def _cache_elements(table: Mapping[str, Any], template: Sequence[int], values: NDArray[np.int64]) -> int:
    """Elements of all cached keys and values."""
    total = 0
    for index, times in Counter(template).items():
        _, _, dims, cached, _ = table["templates"][index]
        if cached:
            size = {name: int(values[place]) for name, place in dims.items()}
            length = min(size["kv_len"], size["window"]) if cached == "window" else size["kv_len"]
            total += 2 * times * size["batch"] * size["kv_heads"] * length * size["head_dim"]
    return total
