"""Memory of one pass by exact arithmetic: weights, activations at their peak, KV cache.

A buffer lives from the operator that makes it to the last one that touches it, as in an allocator that reuses at
once; inputs live throughout, operators work without scratch space, and attention keeps no score matrix. Masks,
positions and normalisation statistics are not counted. What a framework, its context and its fragmentation add is
not in it: this is the least that the network needs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetbench.schema import itemsize

__all__ = ["MemoryBreakdown", "NodeBytes", "breakdown", "by_node"]

_WEIGHTS: Mapping[str, Callable[[Mapping[str, int]], int]] = {
    "Linear": lambda d: d["k"] * d["n"] + d.get("bias", 0) * d["n"],
    "Conv2d": lambda d: d["c"] // d.get("groups", 1) * d["oc"] * d["kh"] * d["kw"],
    "Conv1d": lambda d: d["c"] // d.get("groups", 1) * d["oc"] * d["k"],
    "Conv3d": lambda d: d["c"] // d.get("groups", 1) * d["oc"] * d["kd"] * d["kh"] * d["kw"],
    "ConvTranspose1d": lambda d: d["oc"] // d.get("groups", 1) * d["c"] * d["k"],
    "ConvTranspose2d": lambda d: d["oc"] // d.get("groups", 1) * d["c"] * d["kh"] * d["kw"],
    "ConvTranspose3d": lambda d: d["oc"] // d.get("groups", 1) * d["c"] * d["kd"] * d["kh"] * d["kw"],
    "GroupedMatMul": lambda d: d["groups"] * d["k"] * d["n"],
    "Embedding": lambda d: d["vocab"] * d["dim"], "EmbeddingBag": lambda d: d["vocab"] * d["dim"],
    "LayerNorm": lambda d: 2 * d["cols"], "RMSNorm": lambda d: d["cols"], "BatchNorm2d": lambda d: 2 * d["c"],
}  # fmt: skip
"""Elements of an operator's own parameters."""


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


@dataclass(frozen=True, slots=True)
class NodeBytes:
    """Bytes by operator instance, [nodes] each."""

    results: NDArray[np.int64]
    """What the instance hands to those that read it; of one that works in place or does nothing, what it was given."""
    weights: NDArray[np.float64]
    """All parameters, shared out in proportion to each instance's own count; tied and repeated weights are split."""
    cache: NDArray[np.int64]
    """Its cached keys and values."""


def by_node(
    table: Mapping[str, Any], nodes: Sequence[tuple[str, Mapping[str, int], tuple[int, ...]]], template: Sequence[int],
    values: NDArray[np.int64], *, weights_bytes: int, data_bytes: int,
) -> NodeBytes:  # fmt: skip
    """Bytes of every instance, each given as (op, dims, sources); see `NodeBytes`."""
    buffers = table["buffers"]
    width = np.array([data_bytes if name == "data" else itemsize(name) for name in table["dtypes"]], dtype=np.int64)
    made = values[np.array(buffers["size"], dtype=np.int64)] * width[np.array(buffers["dtype"], dtype=np.int64)]
    results = np.zeros(len(nodes), dtype=np.int64)
    np.add.at(results, np.array(buffers["made"], dtype=np.int64), made)
    for index, (_, _, sources) in enumerate(nodes):
        if not results[index] and sources:
            results[index] = results[sources[0]]
    keys = list(zip(template, table["nodes"]["path"], strict=True))
    times = Counter(keys)
    own = np.array([
        _WEIGHTS[op](dims) / times[key] if op in _WEIGHTS else 0.0
        for (op, dims, _), key in zip(nodes, keys, strict=True)
    ])  # fmt: skip
    total = own.sum()
    cached = [_cached(table["templates"][index], values) * data_bytes for index in template]
    return NodeBytes(results, own * (weights_bytes / total if total else 0.0), np.array(cached, dtype=np.int64))


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
    return sum(times * _cached(table["templates"][index], values) for index, times in Counter(template).items())


def _cached(template: Sequence[Any], values: NDArray[np.int64]) -> int:
    """Elements of the keys and values that one operator caches."""
    _, _, dims, cached, _ = template
    if not cached:
        return 0
    size = {name: int(values[place]) for name, place in dims.items()}
    length = min(size["kv_len"], size["window"]) if cached == "window" else size["kv_len"]
    return size["batch"] * size["kv_heads"] * length * (size["head_dim"] + (size.get("v_dim") or size["head_dim"]))
