"""Operators that make tensors from shapes and numbers, and those whose number of results depends on values."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from hetbench.onnx.movement import first, known, reshaped, whole
from hetbench.onnx.run import MOST_VALUES, Given, Op, Run, number
from hetbench.onnx.tensors import Tensor, axis_of

__all__ = ["HANDLERS"]


def _shape(run: Run, op: Op, given: Given) -> Tensor:
    x = first(given)
    sizes = x.shape[slice(op.get("start", 0), op.get("end"))]
    return run.constant(np.array(sizes, dtype=np.int64))


def _size(run: Run, op: Op, given: Given) -> Tensor:
    return run.constant(np.array(first(given).numel(), dtype=np.int64))


def _filled(run: Run, op: Op, given: Given) -> Tensor:
    """ConstantOfShape, with zeros where it states no value."""
    shape, fill = whole(given[0], "shape"), op.get("value")
    dtype, one = run.dtype(1 if fill is None else fill.data_type), np.float32(0)
    if fill is not None:
        from onnx import numpy_helper

        one = numpy_helper.to_array(fill).reshape(-1)[0]
    return run.new(shape, dtype, None if prod(shape) > MOST_VALUES else np.full(tuple(shape), one))


def _range(run: Run, op: Op, given: Given) -> Tensor:
    if not known(run, *given[:3]):
        raise ValueError("its length depends on data that is not in the file")
    start, end, step = (number(each) for each in given[:3] if each is not None)
    many = max(0, int(np.ceil((end - start) / step)))
    dtype = first(given).dtype
    if many > MOST_VALUES:
        return run.new((many,), dtype)
    counted: Any = np.arange(many, dtype=np.float32 if dtype.is_floating_point else np.int64)
    return run.new((many,), dtype, start + step * counted)


def _one_hot(run: Run, op: Op, given: Given) -> Tensor:
    index, depth, values = given[:3]
    assert index is not None
    assert values is not None
    axis = op.get("axis", -1) % (index.ndim + 1)
    shape = [*index.shape[:axis], whole(depth, "depth")[0], *index.shape[axis:]]
    return run.call("one_hot", [index], run.new(shape, values.dtype))  # type: ignore[no-any-return]


def _where_true(run: Run, op: Op, given: Given) -> Tensor:
    x = first(given)
    if op.kind == "NonZero":
        return run.constant(np.array(np.nonzero(_values(x)), dtype=np.int64))
    chosen, axis = np.flatnonzero(_values(given[1])), op.get("axis")
    given_axis = 0 if axis is None else axis_of(axis, x.ndim)
    source = x if axis is not None else reshaped(run, x, (x.numel(),))
    shape = (*source.shape[:given_axis], len(chosen), *source.shape[given_axis + 1 :])
    return run.call("index_select", [source], run.new(shape, x.dtype))  # type: ignore[no-any-return]


def _values(tensor: Tensor | None) -> Any:
    if tensor is None or tensor.value is None:
        raise ValueError("how many elements it returns depends on data that is not in the file")
    return np.asarray(tensor.value)


def _drawn(run: Run, op: Op, given: Given) -> Tensor:
    shape = op.get("shape") or first(given).shape
    return run.call("rand_like", list(given), run.new(shape, run.dtype(op.get("dtype", 1))))  # type: ignore[no-any-return]


def _eye(run: Run, op: Op, given: Given) -> Tensor:
    x = first(given)
    rows, cols = x.shape
    value = np.eye(rows, cols, k=op.get("k", 0)) if x.numel() <= MOST_VALUES else None
    return run.new(x.shape, run.dtype(op.get("dtype")) if op.get("dtype") else x.dtype, value)


HANDLERS: dict[str, Callable[[Run, Op, Given], Any]] = {
    "Shape": _shape, "Size": _size, "ConstantOfShape": _filled, "Range": _range, "OneHot": _one_hot,
    "NonZero": _where_true, "Compress": _where_true, "EyeLike": _eye,
    **dict.fromkeys(("RandomNormalLike", "RandomUniformLike", "RandomNormal", "RandomUniform"), _drawn),
}  # fmt: skip
