"""Matrix products. C[m, n] = A[m, k] @ B[k, n]; Linear's B are weights, MatMul's are not, BMM has b of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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
)
