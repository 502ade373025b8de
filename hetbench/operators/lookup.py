"""Table look-up and rotary position embedding.

Embedding reads `tokens` rows of `dim` from a table and writes them; RoPE rotates q and k in place:
heads + kv_heads vectors of head_dim a token, with one cosine and one sine each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hetbench.operators._base import Dims, OperatorType, Size


def _embedding(d: Dims, torch: Any, dtype: Any, device: str) -> Callable[[], Any]:
    table = torch.ones(d["vocab"], d["dim"], dtype=dtype, device=device)
    index = torch.arange(d["tokens"], device=device) % d["vocab"]
    return lambda: torch.nn.functional.embedding(index, table)


def _rotated(d: Dims) -> Size:
    return d["tokens"] * (d["heads"] + d["kv_heads"]) * d["head_dim"]


def _rope(d: Dims, torch: Any, dtype: Any, device: str) -> Callable[[], Any]:
    x = torch.ones(d["tokens"], d["heads"] + d["kv_heads"], d["head_dim"], dtype=dtype, device=device)
    cos, half = torch.ones(d["tokens"], 1, d["head_dim"], dtype=dtype, device=device), d["head_dim"] // 2
    return lambda: x * cos + torch.cat((-x[..., half:], x[..., :half]), -1) * cos


OPERATORS = (
    OperatorType(
        "Embedding", "vector", ("tokens", "dim"), lambda d: 0 * d["tokens"], lambda d: 2 * d["tokens"] * d["dim"],
        _embedding, {"vocab": 32000}, index_bytes=lambda d: 8 * d["tokens"],
    ),
    OperatorType(
        "RoPE", "vector", ("tokens", "heads", "kv_heads", "head_dim"), lambda d: 3 * _rotated(d),
        lambda d: 2 * _rotated(d) + 2 * d["tokens"] * d["head_dim"], _rope,
    ),
)
