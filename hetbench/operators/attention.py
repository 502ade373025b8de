"""Scaled dot-product attention, prefill and decode, with grouped KV heads, causal mask and sliding window.

FLOP are counted over the attended (query, key) pairs: a causal mask halves them, a sliding window limits them. The
queries are the last `q_len` of `kv_len` positions; appending to the KV cache is part of the operator.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

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
    q, kv = np.asarray(q_len, dtype=np.int64), np.asarray(kv_len, dtype=np.int64)
    width = np.where(np.asarray(window) > 0, window, kv)
    first = np.maximum(kv - q + 1, 1)  # keys seen by the first query
    rising = np.clip(width - first + 1, 0, q)  # queries that see fewer keys than the window holds
    masked = rising * (2 * first + rising - 1) // 2 + (q - rising) * np.minimum(width, kv)
    pairs = np.where(np.asarray(causal) > 0, masked, q * np.minimum(width, kv))
    return int(pairs) if scalar else pairs


def _flops(d: Dims) -> Size:
    pairs = attended_pairs(d["q_len"], d["kv_len"], d["causal"], d["window"])
    return 4 * d["batch"] * d["heads"] * d["head_dim"] * pairs


def _elements(d: Dims) -> Size:
    seen = np.where(np.asarray(d["window"]) > 0, np.minimum(d["kv_len"], d["window"] + d["q_len"]), d["kv_len"])
    queries = 2 * d["q_len"] * d["heads"]  # read q, write the output
    total = d["batch"] * d["head_dim"] * (queries + 2 * seen * d["kv_heads"])
    return int(total) if isinstance(d["batch"], int) and isinstance(d["kv_len"], int) else total


def _attention(d: Dims, torch: Any, dtype: Any, device: str) -> Callable[[], Any]:
    def tensor(heads: int, length: int) -> Any:
        return torch.ones(d["batch"], heads, length, d["head_dim"], dtype=dtype, device=device)

    query, key, value = tensor(d["heads"], d["q_len"]), *(tensor(d["kv_heads"], d["kv_len"]) for _ in range(2))
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
        _attention, {"causal": 0, "window": 0},
    ),
)
