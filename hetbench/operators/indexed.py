"""Operators that gather, add or order elements by an int64 index.

EmbeddingBag sums `tokens` rows of a table into `bags`. ScatterAdd adds `numel` elements to a tensor of which `touched`
elements are read and written; `indices` of them are told where to go. Sort and TopK order each row of [rows, cols] and
write values with their int64 positions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from hetbench.operators._base import Dims, OperatorType, Size


def _bag(d: Dims, torch: Any, dtype: Any, device: str) -> Callable[[], Any]:
    table = torch.ones(d["vocab"], d["dim"], dtype=dtype, device=device)
    index = torch.arange(d["tokens"], device=device) % d["vocab"]
    starts = torch.arange(d["bags"], device=device) * d["tokens"] // d["bags"]
    return lambda: torch.nn.functional.embedding_bag(index, table, starts, mode="sum")


def _scatter(d: Dims, torch: Any, dtype: Any, device: str) -> Callable[[], Any]:
    rows = max(1, min(d["indices"] or d["numel"], d["numel"]))
    source = torch.ones(rows, d["numel"] // rows, dtype=dtype, device=device)
    target = torch.zeros(max(1, d["touched"] // source.shape[1]), source.shape[1], dtype=dtype, device=device)
    index = torch.arange(rows, device=device) % len(target)
    return lambda: target.index_add(0, index, source)


def _depth(d: Dims) -> Size:
    """Levels of comparisons that sorting a row takes: log2 of its length, rounded up."""
    if isinstance(d["cols"], int):
        return max(1, (d["cols"] - 1).bit_length())
    return np.maximum(1, np.ceil(np.log2(np.maximum(d["cols"], 1))).astype(np.int64))


def _row_input(d: Dims, torch: Any, dtype: Any, device: str) -> Any:
    return torch.ones(d["rows"], d["cols"], dtype=dtype, device=device)


def _sort(d: Dims, torch: Any, dtype: Any, device: str) -> Callable[[], Any]:
    x = _row_input(d, torch, dtype, device)
    return lambda: x.sort(-1)


def _topk(d: Dims, torch: Any, dtype: Any, device: str) -> Callable[[], Any]:
    x = _row_input(d, torch, dtype, device)
    return lambda: x.topk(min(d["k"], d["cols"]), -1)


OPERATORS = (
    OperatorType(
        "EmbeddingBag", "vector", ("bags", "tokens", "dim"), lambda d: d["tokens"] * d["dim"],
        lambda d: (d["tokens"] + d["bags"]) * d["dim"], _bag, {"vocab": 32000},
        index_bytes=lambda d: 8 * (d["tokens"] + d["bags"]),
        class_dims=lambda d: {"rows": d["tokens"], "cols": d["dim"]},
    ),
    OperatorType(
        "ScatterAdd", "vector", ("numel", "touched"), lambda d: d["numel"], lambda d: d["numel"] + 2 * d["touched"],
        _scatter, {"indices": 0}, index_bytes=lambda d: 8 * d["indices"],
    ),
    OperatorType(
        "Sort", "vector", ("rows", "cols"), lambda d: d["rows"] * d["cols"] * _depth(d),
        lambda d: 2 * d["rows"] * d["cols"], _sort, index_bytes=lambda d: 8 * d["rows"] * d["cols"],
    ),
    OperatorType(
        "TopK", "vector", ("rows", "cols", "k"), lambda d: d["rows"] * d["cols"],
        lambda d: d["rows"] * (d["cols"] + d["k"]), _topk, index_bytes=lambda d: 8 * d["rows"] * d["k"],
    ),
)
