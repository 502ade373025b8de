"""Scaled dot-product attention, prefill and decode, with grouped KV heads, causal mask and sliding window.

FLOP are counted over the attended (query, key) pairs: a causal mask halves them, a sliding window limits them. The
queries are the last `q_len` of `kv_len` positions; appending to the KV cache is part of the operator. Values are
`v_dim` wide where that differs from `head_dim`, the width of queries and keys.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from hetbench.operators._arrays import as_array
from hetbench.operators._base import Dims, OperatorType, Size

__all__ = ["attended_pairs"]


def attended_pairs(q_len: Size, kv_len: Size, causal: Size, window: Size) -> Size:
    """Number of attended (query, key) pairs of one head; integers or arrays [rows]. A window of 0 is no window.

    >>> attended_pairs(4, 4, 1, 0), attended_pairs(4, 4, 0, 0), attended_pairs(1, 129, 1, 0)
    (10, 16, 129)
    >>> attended_pairs(4, 4, 1, 2)  # 1 + 2 + 2 + 2
    7
    """
    scalar = all(isinstance(v, int) for v in (q_len, kv_len, causal, window))
    q, kv = as_array(q_len, dtype=np.int64), as_array(kv_len, dtype=np.int64)
    width = np.where(as_array(window) > 0, window, kv)
    first = np.maximum(kv - q + 1, 1)  # keys seen by the first query
    rising = np.clip(width - first + 1, 0, q)  # queries that see fewer keys than the window holds
    masked = rising * (2 * first + rising - 1) // 2 + (q - rising) * np.minimum(width, kv)
    pairs = np.where(as_array(causal) > 0, masked, q * np.minimum(width, kv))
    return int(pairs) if scalar else pairs


def _widths(d: Dims) -> Size:
    """Width of a query or key plus that of a value; `v_dim` 0 means that values are `head_dim` wide too."""
    if isinstance(d["v_dim"], int):
        return d["head_dim"] + (d["v_dim"] or d["head_dim"])
    return d["head_dim"] + np.where(as_array(d["v_dim"]) > 0, d["v_dim"], d["head_dim"])


def _flops(d: Dims) -> Size:
    pairs = attended_pairs(d["q_len"], d["kv_len"], d["causal"], d["window"])
    return 2 * d["batch"] * d["heads"] * _widths(d) * pairs


def _elements(d: Dims) -> Size:
    seen = np.where(as_array(d["window"]) > 0, np.minimum(d["kv_len"], d["window"] + d["q_len"]), d["kv_len"])
    # read q and write the output, read k and v: one of each pair is head_dim wide, the other v_dim
    total = d["batch"] * _widths(d) * (d["q_len"] * d["heads"] + seen * d["kv_heads"])
    return int(total) if isinstance(d["batch"], int) and isinstance(d["kv_len"], int) else total


def _attention(d: Dims, torch: Any, dtype: Any, device: str) -> Callable[[], Any]:
    def tensor(heads: int, length: int, width: int) -> Any:
        return torch.ones(d["batch"], heads, length, width, dtype=dtype, device=device)

    query = tensor(d["heads"], d["q_len"], d["head_dim"])
    key = tensor(d["kv_heads"], d["kv_len"], d["head_dim"])
    value = tensor(d["kv_heads"], d["kv_len"], d["v_dim"] or d["head_dim"])
    mask = None
    if d["causal"] and (d["window"] or 1 < d["q_len"] < d["kv_len"]):
        position = torch.arange(d["kv_len"], device=device)
        distance = position[-d["q_len"] :, None] - position[None, :]  # [q_len, kv_len]
        mask = (distance >= 0) & (distance < (d["window"] or d["kv_len"]))
    causal = bool(d["causal"]) and mask is None and d["q_len"] > 1
    grouped = d["heads"] != d["kv_heads"]
    attend = torch.nn.functional.scaled_dot_product_attention
    return lambda: attend(query, key, value, attn_mask=mask, is_causal=causal, enable_gqa=grouped)


OPERATORS = (
    OperatorType(
        "Attention", "attention", ("batch", "q_len", "kv_len", "heads", "kv_heads", "head_dim"), _flops, _elements,
        _attention, {"causal": 0, "window": 0, "v_dim": 0},
    ),
)
