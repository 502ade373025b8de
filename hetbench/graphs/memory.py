"""Memory of one pass by exact arithmetic: weights, peak of the activations, KV cache.

A buffer is live from the operator that writes it to the last one that reads it; inputs are live throughout. Not counted
are scratch space, attention score matrices, masks, positions, normalisation statistics, and the overhead of the
framework (context, allocator, fragmentation): the result is a lower bound.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetbench.schema import itemsize

__all__ = ["MemoryBreakdown", "NodeBytes", "bytes_by_node", "memory_breakdown"]

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
"""Operator type -> number of its parameters."""


@dataclass(frozen=True, slots=True)
class MemoryBreakdown:
    """Memory of one pass, in bytes."""

    weights_bytes: int
    """All parameters at the precision of the query, tied weights once."""
    activations_peak_bytes: int
    """Peak of the bytes of inputs and intermediate results that are live at the same time."""
    kv_cache_bytes: int
    """Keys and values of all cached positions after the pass; 0 in phase `inference`."""

    @property
    def total_bytes(self) -> int:
        """Weights, activations and KV cache together."""
        return self.weights_bytes + self.activations_peak_bytes + self.kv_cache_bytes


@dataclass(frozen=True, slots=True)
class NodeBytes:
    """Bytes by operator instance; each array is [nodes]."""

    results: NDArray[np.int64]
    """Bytes of the output; for an operator in place or without work, bytes of its first input."""
    weights: NDArray[np.float64]
    """Bytes of the parameters: the model's total, distributed in proportion to the parameters of each instance."""
    cache: NDArray[np.int64]
    """Bytes of its cached keys and values."""


def bytes_by_node(
    table: Mapping[str, Any], nodes: Sequence[tuple[str, Mapping[str, int], tuple[int, ...]]], template: Sequence[int],
    values: NDArray[np.int64], *, weights_bytes: int, data_bytes: int,
) -> NodeBytes:  # fmt: skip
    """Bytes of every instance; `nodes` lists (op, dims, sources), `values` the sizes of the variant, [sizes]."""
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


def memory_breakdown(
    table: Mapping[str, Any], template: Sequence[int], values: NDArray[np.int64], *, weights_bytes: int,
    data_bytes: int, kept: dict[Any, Any] | None = None,
) -> MemoryBreakdown:
    """Memory of a variant `table` at the sizes `values` [sizes]; `template` is the template of each node, [nodes].

    `weights_bytes` are the bytes of all parameters, `data_bytes` those of one activation;
    `kept` holds from call to call what depends on the table alone.
    """

    def width(dtype: str) -> int:
        return data_bytes if dtype == "data" else itemsize(dtype)

    kept = {} if kept is None else kept
    if "memory" not in kept:  # both in one step, for threads that look at the same time
        kept["memory"] = (
            {name: np.array(each, dtype=np.int64) for name, each in table["buffers"].items()},
            [(table["templates"][index], times) for index, times in Counter(template).items()
             if table["templates"][index][3]],
        )  # fmt: skip
    buffers, caches = kept["memory"]
    change = np.zeros(len(template) + 2, dtype=np.int64)  # bytes allocated (+) and freed (-) at each operator
    widths = np.array([width(dtype) for dtype in table["dtypes"]], dtype=np.int64)
    size = values[buffers["size"]] * widths[buffers["dtype"]]
    np.add.at(change, buffers["made"], size)
    np.subtract.at(change, buffers["made"] + buffers["life"] + 1, size)
    given = sum(int(values[index]) * width(dtype) for index, dtype in table["inputs"])
    peak = given + int(np.cumsum(change).max(initial=0))
    cached = sum(times * _cached(each, values) for each, times in caches)
    return MemoryBreakdown(weights_bytes, peak, cached * data_bytes)


def _cached(template: Sequence[Any], values: NDArray[np.int64]) -> int:
    """Elements of the keys and values that one operator caches."""
    _, _, dims, cached, _ = template
    if not cached:
        return 0
    size = {name: int(values[place]) for name, place in dims.items()}
    length = min(size["kv_len"], size["window"]) if cached == "window" else size["kv_len"]
    return size["batch"] * size["kv_heads"] * length * (size["head_dim"] + (size.get("v_dim") or size["head_dim"]))
