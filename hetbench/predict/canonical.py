"""Dims of operators in the terms common to their class, with the work and the traffic that follow from them.

Types of one class share a set of dims (a Linear is a batched product of one), so that one surrogate serves all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetbench.operators import operator_type
from hetbench.operators._arrays import as_array
from hetbench.operators.attention import attended_pairs
from hetbench.operators.conv import conv_out

__all__ = ["canonical_columns", "canonical_dims"]

Array = NDArray[Any]
_LANES = 32  # threads that share a row of a norm or softmax: shorter rows leave the others idle
_BY_ROW = ("LayerNorm", "RMSNorm", "GroupNorm", "Softmax", "LogSoftmax")


def canonical_dims(op: str, dims: Mapping[str, Any], itemsize: int) -> dict[str, Array]:
    """Dims of one operator type in the terms common to its class, with `flops` and `bytes`; arrays [rows].

    `dims` are ints or int arrays [rows], `itemsize` the bytes per element.

    >>> sorted(canonical_dims("Linear", {"m": 8, "n": 4, "k": 2}, 2))
    ['b', 'bytes', 'flops', 'k', 'm', 'n']
    """
    given = {**operator_type(op).optional, **dims}
    full = {name: np.atleast_1d(np.asarray(value, dtype=np.int64)) for name, value in given.items()}
    rows = max(len(value) for value in full.values())
    return canonical_columns(op, {name: _spread(value, rows) for name, value in full.items()}, itemsize)


def canonical_columns(op: str, full: Mapping[str, Any], itemsize: int) -> dict[str, Any]:
    """The same for dims that are all given and all [rows]; also for columns that only record what is done with them."""
    kind = operator_type(op)
    own = full if kind.class_dims is None else kind.class_dims(full)
    shared = _CANONICAL[kind.cost_class](op, own if kind.cost_class != "vector" else full)
    rows = len(next(iter(full.values())))
    both = {"flops": kind.flops(full), "bytes": kind.bytes_moved(full, itemsize)}
    return {**shared, **{name: _spread(as_array(value, np.float64), rows) for name, value in both.items()}}


def _spread(value: Array, rows: int) -> Array:
    """The value as [rows]; `broadcast_to` only where it is not that already, since it costs more than it looks."""
    return value if value.shape == (rows,) else np.broadcast_to(value, rows)


def _gemm_dims(op: str, d: Mapping[str, Array]) -> dict[str, Array]:
    return {"b": d["b"] if "b" in d else np.ones_like(d["m"]), "m": d["m"], "n": d["n"], "k": d["k"]}


def _attention_dims(op: str, d: Mapping[str, Array]) -> dict[str, Array]:
    return {**d, "pairs": attended_pairs(d["q_len"], d["kv_len"], d["causal"], d["window"])}


def _conv_dims(op: str, d: Mapping[str, Array]) -> dict[str, Array]:
    if op == "Conv1d":
        one = np.ones_like(d["n"])
        out_w = conv_out(d["l"], d["k"], d["stride"], d["pad"])
        return {**d, "h": one, "w": d["l"], "kh": one, "kw": d["k"], "out_h": one, "out_w": out_w}
    if "out_h" in d:  # three axes, or a transposed convolution: already in these terms
        return dict(d)
    out_h = conv_out(d["h"], d["kh"], d["stride"], d["pad"])
    return {**d, "out_h": out_h, "out_w": conv_out(d["w"], d["kw"], d["stride"], d["pad"])}


def _vector_dims(op: str, d: Mapping[str, Array]) -> dict[str, Array]:
    """[rows, cols] of what the operator walks over; elementwise operators are one row."""
    kind = operator_type(op)
    if kind.class_dims is not None:
        own = kind.class_dims(d)
        rows, cols = own["rows"], own["cols"]
    elif "rows" in d:
        rows, cols = d["rows"], d["cols"]
    elif "tokens" in d:
        rows, cols = d["tokens"], d["dim"] if "dim" in d else (d["heads"] + d["kv_heads"]) * d["head_dim"]
    elif "numel" in d:
        rows, cols = np.ones_like(d["numel"]), d["numel"]
    else:
        rows, cols = d["n"] * d["c"], d["h"] * d["w"]
    numel = rows * cols
    idle = np.maximum(_LANES / cols, 1.0) if op in _BY_ROW else np.ones(len(cols))
    per = {"touched": kind.bytes_moved(d, 1) / numel, "work": kind.flops(d) / numel}
    return {"rows": rows, "cols": cols, "idle": idle, **per}


_CANONICAL = {"gemm": _gemm_dims, "attention": _attention_dims, "conv": _conv_dims, "vector": _vector_dims}
