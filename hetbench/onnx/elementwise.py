"""Operators on each element, with what they compute: values that no data reaches are computed along."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from hetbench.onnx.run import MOST_VALUES, Given, Op, Run, number
from hetbench.onnx.tensors import DTYPES, DType, Tensor, broadcast

__all__ = ["HANDLERS", "cast", "each"]

_BOOL = DTYPES[9]
_erf = np.vectorize(math.erf, otypes=[np.float64])


def _divided(a: Any, b: Any) -> Any:
    whole = np.asarray(a).dtype.kind in "iu" and np.asarray(b).dtype.kind in "iu"
    return np.trunc(np.true_divide(a, b)).astype(np.asarray(a).dtype) if whole else np.true_divide(a, b)


_UNARY: dict[str, tuple[str, Callable[..., Any] | None]] = {
    "Relu": ("relu", lambda x: np.maximum(x, 0)), "Sigmoid": ("sigmoid", lambda x: 1 / (1 + np.exp(-x))),
    "Tanh": ("tanh", np.tanh), "Erf": ("erf", lambda x: _erf(x)), "Exp": ("exp", np.exp), "Log": ("log", np.log),
    "Neg": ("neg", np.negative), "Abs": ("abs", np.abs), "Sqrt": ("sqrt", np.sqrt),
    "Reciprocal": ("reciprocal", np.reciprocal), "Sin": ("sin", np.sin), "Cos": ("cos", np.cos), "Tan": ("tan", np.tan),
    "Asin": ("asin", np.arcsin), "Acos": ("acos", np.arccos), "Atan": ("atan", np.arctan), "Sinh": ("sinh", np.sinh),
    "Cosh": ("cosh", np.cosh), "Asinh": ("asinh", np.arcsinh), "Acosh": ("acosh", np.arccosh),
    "Atanh": ("atanh", np.arctanh), "Floor": ("floor", np.floor), "Ceil": ("ceil", np.ceil),
    "Round": ("round", np.round), "Sign": ("sign", np.sign), "Softplus": ("softplus", lambda x: np.log1p(np.exp(x))),
    "Softsign": ("softsign", lambda x: x / (1 + np.abs(x))), "Elu": ("elu", None), "Celu": ("celu", None),
    "Selu": ("selu", None), "LeakyRelu": ("leaky_relu", None), "HardSwish": ("hardswish", None),
    "Mish": ("mish", None), "ThresholdedRelu": ("threshold", None), "Swish": ("silu", None),
    "Shrink": ("hardshrink", None),
    "Gelu": ("gelu", None), "BitwiseNot": ("bitwise_not", np.invert), "com.microsoft::Gelu": ("gelu", None),
    "com.microsoft::QuickGelu": ("gelu", None), "IsNaN": ("isnan", np.isnan), "IsInf": ("isinf", np.isinf),
    "Not": ("logical_not", np.logical_not), "Bernoulli": ("bernoulli", None), "Hardmax": ("hardshrink", None),
}  # fmt: skip
_BINARY: dict[str, tuple[str, Callable[..., Any] | None]] = {
    "Add": ("add", np.add), "Sub": ("sub", np.subtract), "Mul": ("mul", np.multiply), "Div": ("div", _divided),
    "Pow": ("pow", np.power), "Equal": ("eq", np.equal), "Less": ("lt", np.less), "LessOrEqual": ("le", np.less_equal),
    "Greater": ("gt", np.greater), "GreaterOrEqual": ("ge", np.greater_equal), "And": ("logical_and", np.logical_and),
    "Or": ("logical_or", np.logical_or), "Xor": ("logical_xor", np.logical_xor),
    "BitwiseAnd": ("bitwise_and", np.bitwise_and),
    "BitwiseOr": ("bitwise_or", np.bitwise_or), "BitwiseXor": ("bitwise_xor", np.bitwise_xor),
    "BitShift": ("bitwise_left_shift", None), "PRelu": ("prelu", None), "Mod": ("remainder", np.mod),
}  # fmt: skip
_TRUTH = ("IsNaN", "IsInf", "Not", "Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "And", "Or", "Xor")
_VARIADIC = {"Sum": ("add", np.add), "Max": ("maximum", np.maximum), "Min": ("minimum", np.minimum),
             "Mean": ("add", None)}  # fmt: skip


def each(
    run: Run, name: str, given: list[Any], func: Any = None, dtype: DType | None = None, kwargs: Any = None
) -> Tensor:
    """Record an operator on each element of tensors that broadcast."""
    tensors = [one for one in given if isinstance(one, Tensor)]
    shape = broadcast(*(one.shape for one in tensors))
    value = None
    known = func is not None and not any(map(run.is_data, tensors)) and math.prod(shape) <= MOST_VALUES
    if known and all(one.value is not None for one in tensors):
        with np.errstate(all="ignore"):
            value = np.asarray(func(*(one.value if isinstance(one, Tensor) else one for one in given)))
    kept = dtype or next((one.dtype for one in tensors if one.ndim), tensors[0].dtype)
    made = run.new(shape, kept, value)
    if value is not None:
        return made
    made.strides = next((one.strides for one in tensors if one.shape == shape and _dense(one)), made.strides)
    run.call(name, given, made, kwargs, func=func)
    return made


def _dense(tensor: Tensor) -> bool:
    """Whether its elements fill their memory without gaps, in any order of the axes."""
    step = 1
    axes = zip(tensor.strides, tensor.shape, strict=True)
    for stride, size in sorted((stride, size) for stride, size in axes if size > 1):
        if stride != step:
            return False
        step *= size
    return True


def _table(name: str, func: Any, run: Run, op: Op, given: Given) -> Tensor:
    truth = _BOOL if op.kind in _TRUTH else None
    return each(run, name, [one for one in given if one is not None][:2], func, truth)


def _many(name: str, func: Any, run: Run, op: Op, given: Given) -> Tensor:
    made, *others = (one for one in given if one is not None)
    for other in others:
        made = each(run, name, [made, other], func)
    return made


def _hard_sigmoid(run: Run, op: Op, given: Given) -> Tensor:
    alpha, beta = op.get("alpha", 0.2), op.get("beta", 0.5)
    return each(run, "hardsigmoid", given, lambda x: np.clip(alpha * x + beta, 0, 1))


def _where(run: Run, op: Op, given: Given) -> Tensor:
    chosen, one, other = given[:3]
    assert chosen is not None
    assert one is not None
    assert other is not None
    dtype = one.dtype if one.numel() > 1 else other.dtype
    return each(run, "where", [chosen, one, other], np.where, dtype)


def _clip(run: Run, op: Op, given: Given) -> Tensor:
    ends = [op.get("min"), op.get("max")]
    for place, end in enumerate(given[1:3]):
        if end is not None:
            ends[place] = number(end) if end.value is not None else end
    low, high = ends
    bounded = low is not None and high is not None
    low_or, high_or = (-np.inf if low is None else low), (np.inf if high is None else high)
    if bounded and not any(isinstance(end, Tensor) for end in ends):
        return each(run, "hardtanh", [given[0], float(low), float(high)], lambda x, a, b: np.clip(x, a, b))
    return each(run, "clamp", [given[0]], lambda x: np.clip(x, low_or, high_or))


def cast(run: Run, given: Tensor | None, dtype: DType) -> Tensor:
    """A tensor in another type; itself where it has that type."""
    assert given is not None
    if given.dtype == dtype:
        return given
    value = None
    if given.value is not None and not run.is_data(given) and given.numel() <= MOST_VALUES:
        kind = dtype.name if dtype.name in ("bool", "int64", "int32", "float64", "float32", "uint8", "int8") else None
        with np.errstate(all="ignore"):
            value = np.asarray(given.value).astype(kind or ("float32" if dtype.is_floating_point else "int64"))
        return run.new(given.shape, dtype, value)
    made = run.new(given.shape, dtype)
    made.strides = given.strides if _dense(given) else made.strides
    return run.call("to", [given, dtype], made)  # type: ignore[no-any-return]


def _cast(run: Run, op: Op, given: Given) -> Tensor:
    return cast(run, given[0], run.dtype(op.get("to", 1)))


def _cast_like(run: Run, op: Op, given: Given) -> Tensor:
    assert given[1] is not None
    return cast(run, given[0], given[1].dtype)


HANDLERS: dict[str, Callable[[Run, Op, Given], Any]] = {
    **{kind: partial(_table, *entry) for kind, entry in {**_UNARY, **_BINARY}.items()},
    **{kind: partial(_many, *entry) for kind, entry in _VARIADIC.items()},
    "HardSigmoid": _hard_sigmoid, "Where": _where, "Clip": _clip, "Cast": _cast, "CastLike": _cast_like,
}  # fmt: skip
