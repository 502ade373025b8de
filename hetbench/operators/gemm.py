"""Matrix products. C[m, n] = A[m, k] @ B[k, n]; Linear's B are weights, MatMul's are not, BMM has b of them.

GroupedMatMul multiplies m rows, sorted into `groups` parts, each by the weights of its part: the experts of a
mixture. At most one group a row is read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from hetbench.operators._base import Dims, OperatorType, Size


def _flops(d: Dims) -> Size:
    return 2 * d["m"] * d["n"] * d["k"] + d["bias"] * d["m"] * d["n"]


def _elements(d: Dims) -> Size:
    return d["m"] * d["k"] + d["k"] * d["n"] + d["m"] * d["n"] + d["bias"] * d["n"]


def _linear(d: Dims, torch: Any, dtype: Any, device: str) -> Callable[[], Any]:
    x = torch.ones(d["m"], d["k"], dtype=dtype, device=device)
    weight = torch.ones(d["n"], d["k"], dtype=dtype, device=device)
    bias = torch.ones(d["n"], dtype=dtype, device=device) if d["bias"] else None
    return lambda: torch.nn.functional.linear(x, weight, bias)


def _matmul(d: Dims, torch: Any, dtype: Any, device: str) -> Callable[[], Any]:
    a = torch.ones(d["m"], d["k"], dtype=dtype, device=device)
    b = torch.ones(d["k"], d["n"], dtype=dtype, device=device)
    return lambda: torch.matmul(a, b)


def _bmm(d: Dims, torch: Any, dtype: Any, device: str) -> Callable[[], Any]:
    a = torch.ones(d["b"], d["m"], d["k"], dtype=dtype, device=device)
    b = torch.ones(d["b"], d["k"], d["n"], dtype=dtype, device=device)
    return lambda: torch.bmm(a, b)


def _groups_used(d: Dims) -> Size:
    if isinstance(d["groups"], int) and isinstance(d["m"], int):
        return min(d["groups"], d["m"])
    return np.minimum(d["groups"], d["m"])


def _grouped_elements(d: Dims) -> Size:
    return d["m"] * d["k"] + _groups_used(d) * d["k"] * d["n"] + d["m"] * d["n"]


def _grouped(d: Dims, torch: Any, dtype: Any, device: str) -> Callable[[], Any]:
    x = torch.ones(d["m"], d["k"], dtype=dtype, device=device)
    weights = torch.ones(d["groups"], d["k"], d["n"], dtype=dtype, device=device)
    parts = torch.tensor_split(x, d["groups"])
    return lambda: torch.cat([part @ weight for part, weight in zip(parts, weights, strict=True)])


def _as_batched(d: Dims) -> Dims:
    used = _groups_used(d)
    return {"b": used, "m": -(-d["m"] // used), "n": d["n"], "k": d["k"]}


OPERATORS = (
    OperatorType("Linear", "gemm", ("m", "n", "k"), _flops, _elements, _linear, {"bias": 0}),
    OperatorType(
        "MatMul", "gemm", ("m", "n", "k"), lambda d: _flops({**d, "bias": 0}), lambda d: _elements({**d, "bias": 0}),
        _matmul,
    ),
    OperatorType(
        "BMM", "gemm", ("b", "m", "n", "k"), lambda d: 2 * d["b"] * d["m"] * d["n"] * d["k"],
        lambda d: d["b"] * _elements({**d, "bias": 0}), _bmm,
    ),
    OperatorType(
        "GroupedMatMul", "gemm", ("groups", "m", "n", "k"), lambda d: 2 * d["m"] * d["n"] * d["k"], _grouped_elements,
        _grouped, class_dims=_as_batched,
    ),
)
