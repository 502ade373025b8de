"""Elementwise operators: arithmetic, activations, casts, copies and concatenation.

`numel` is the number of output elements, `reads` the number of tensors of that size that are read. A transcendental
function counts as a few operations per element; its time depends on the memory traffic.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from hetbench.operators._base import Dims, OperatorType, Size


def _flops(per_element: int, d: Dims) -> Size:
    return per_element * d["numel"]


def _elements(tensors: int, d: Dims) -> Size:
    return tensors * d["numel"]


def _make(reads: int, call: str, d: Dims, torch: Any, dtype: Any, device: str) -> Callable[[], Any]:
    inputs = [torch.ones(d["numel"], dtype=dtype, device=device) for _ in range(reads)]
    functional = torch.nn.functional
    special: dict[str, Callable[[], Any]] = {
        "add_scalar": lambda: inputs[0] + 1.5, "mul_scalar": lambda: inputs[0] * 1.5,
        "div_scalar": lambda: inputs[0] / 1.5, "pow_scalar": lambda: inputs[0] ** 2,
        "where": lambda: torch.where(inputs[0] > 0, inputs[1], inputs[2]), "compare": lambda: inputs[0] > inputs[1],
        "cat": lambda: torch.cat([inputs[0][: d["numel"] // 2], inputs[0][d["numel"] // 2 :]]),
        "cast": lambda: inputs[0].to(torch.float32 if dtype != torch.float32 else torch.float16),
        "clone": lambda: inputs[0].clone(), "clamp": lambda: torch.clamp(inputs[0], -1, 1),
        "pad": lambda: functional.pad(inputs[0], (0, 1)), "repeat": lambda: inputs[0].repeat(1),
        "fill": lambda: torch.zeros(d["numel"], dtype=dtype, device=device),
        "lerp_scalar": lambda: torch.lerp(inputs[0], inputs[1], 0.5),
    }
    if call in special:
        return special[call]
    function = getattr(functional if call in _ACTIVATIONS else torch, call)
    return lambda: function(*inputs)


_ACTIVATIONS = {"relu", "relu6", "gelu", "silu", "sigmoid", "tanh", "hardswish", "hardsigmoid", "leaky_relu"}

# name, operations an element, tensors read, torch call
_TABLE = (
    ("Add", 1, 2, "add"), ("Sub", 1, 2, "sub"), ("Mul", 1, 2, "mul"), ("Div", 1, 2, "div"), ("Pow", 4, 2, "pow"),
    ("Maximum", 1, 2, "maximum"), ("Minimum", 1, 2, "minimum"),
    ("AddScalar", 1, 1, "add_scalar"), ("MulScalar", 1, 1, "mul_scalar"), ("DivScalar", 1, 1, "div_scalar"),
    ("PowScalar", 4, 1, "pow_scalar"), ("Clamp", 2, 1, "clamp"),
    ("ReLU", 1, 1, "relu"), ("ReLU6", 2, 1, "relu6"), ("GELU", 8, 1, "gelu"), ("SiLU", 5, 1, "silu"),
    ("Sigmoid", 4, 1, "sigmoid"), ("Tanh", 5, 1, "tanh"), ("Hardswish", 4, 1, "hardswish"),
    ("Hardsigmoid", 3, 1, "hardsigmoid"), ("LeakyReLU", 2, 1, "leaky_relu"),
    ("Exp", 4, 1, "exp"), ("Log", 4, 1, "log"), ("Neg", 1, 1, "neg"), ("Abs", 1, 1, "abs"), ("Sqrt", 2, 1, "sqrt"),
    ("Rsqrt", 2, 1, "rsqrt"), ("Reciprocal", 1, 1, "reciprocal"), ("Sin", 4, 1, "sin"), ("Cos", 4, 1, "cos"),
    ("Addcmul", 3, 3, "addcmul"), ("Addcdiv", 3, 3, "addcdiv"), ("Lerp", 3, 2, "lerp_scalar"), ("Atan2", 8, 2, "atan2"),
    ("Where", 1, 3, "where"), ("Compare", 1, 2, "compare"),
    ("Cast", 0, 1, "cast"), ("Copy", 0, 1, "clone"), ("Concat", 0, 1, "cat"), ("Pad", 0, 1, "pad"),
    ("Repeat", 0, 1, "repeat"), ("Fill", 0, 0, "fill"),
)


def _gated_flops(d: Dims) -> Size:
    return 6 * d["rows"] * (d["cols"] // 2)


def _gated_elements(d: Dims) -> Size:
    return d["rows"] * d["cols"] + d["rows"] * (d["cols"] // 2)


def _gated(d: Dims, torch: Any, dtype: Any, device: str) -> Callable[[], Any]:
    x = torch.ones(d["rows"], d["cols"], dtype=dtype, device=device)
    half = d["cols"] // 2
    return lambda: torch.nn.functional.silu(x[:, :half]) * x[:, half:]


def _glu(d: Dims, torch: Any, dtype: Any, device: str) -> Callable[[], Any]:
    x = torch.ones(d["rows"], d["cols"], dtype=dtype, device=device)
    return lambda: torch.nn.functional.glu(x, -1)


def _complex_product(d: Dims, torch: Any, dtype: Any, device: str) -> Callable[[], Any]:
    real = dtype if dtype in (torch.float32, torch.float64) else torch.float32
    a, b = (torch.complex(*[torch.ones(d["numel"], dtype=real, device=device)] * 2) for _ in range(2))
    return lambda: a * b


def _no_cost(_: Dims) -> Size:
    return 0


def _dropout(d: Dims, torch: Any, dtype: Any, device: str) -> Callable[[], Any]:
    x = torch.ones(d["numel"], dtype=dtype, device=device)
    return lambda: torch.nn.functional.dropout(x, 0.1, training=False)


OPERATORS = (
    *(
        OperatorType(
            name, "vector", ("numel",), partial(_flops, per_element), partial(_elements, reads + 1),
            partial(_make, reads, call),
        )
        for name, per_element, reads, call in _TABLE
    ),
    # gate and up projection come as one matrix [rows, cols]; the output is [rows, cols / 2]
    OperatorType("SiLUAndMul", "vector", ("rows", "cols"), _gated_flops, _gated_elements, _gated),
    # sigmoid of one half of [rows, cols] times the other half
    OperatorType(
        "GLU", "vector", ("rows", "cols"), lambda d: 5 * d["rows"] * (d["cols"] // 2), _gated_elements, _glu
    ),
    # `numel` complex numbers, each two elements of the dtype: four products and two sums
    OperatorType(
        "ComplexMul", "vector", ("numel",), lambda d: 6 * d["numel"], lambda d: 6 * d["numel"], _complex_product
    ),
    OperatorType("Dropout", "free", ("numel",), _no_cost, _no_cost, _dropout),  # the identity at inference
)
