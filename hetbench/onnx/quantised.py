"""Operators on integers: what stands between QuantizeLinear and DequantizeLinear, and products of integers.

A pair of the two around a product says in which format the product runs, and engines fuse it with its neighbours: it
costs nothing here. Weights of four bits are unpacked inside the product, which runs in the precision of activations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from hetbench.onnx.elementwise import cast, each
from hetbench.onnx.layers import convolved, pooled
from hetbench.onnx.movement import concatenated
from hetbench.onnx.products import kind_of, linear, multiplied
from hetbench.onnx.run import Given, Op, Run
from hetbench.onnx.tensors import DTYPES, DType, Tensor
from hetbench.tracing.lowered import Lowered, lowered_type

__all__ = ["HANDLERS"]

_INT8, _INT32, _FLOAT = DTYPES[3], DTYPES[6], DTYPES[1]


def _seen(tensor: Tensor, dtype: DType, kind: str) -> Tensor:
    return Tensor(tensor.shape, dtype, tensor.storage, tensor.strides, None, kind)


def _quantise(run: Run, op: Op, given: Given) -> Tensor:
    x, zero = _at(given, 0), given[2] if len(given) > 2 else None
    dtype = zero.dtype if zero is not None else DTYPES.get(op.get("output_dtype", 0)) or DTYPES[2]
    return _seen(x, dtype, kind_of(dtype))


def _dequantise(run: Run, op: Op, given: Given) -> Tensor:
    x, scale = _at(given, 0), _at(given, 1)
    kind = x.quantised or kind_of(x.dtype)
    dtype = scale.dtype if scale.dtype.is_floating_point else run.data_dtype
    if kind or x.storage._cdata in run.recording.parameters:
        return _seen(x, dtype, kind)
    return cast(run, x, dtype)


def _dynamic(run: Run, op: Op, given: Given) -> list[Tensor]:
    """The range of all elements, then the elements."""
    x = _at(given, 0)
    kind = lowered_type(x.dtype)
    made = [run.new(x.shape, DTYPES[2]), run.new((), run.data_dtype), run.new((), DTYPES[2])]
    made[0].quantised = "int8"
    work = Lowered("Max", {"rows": 1, "cols": x.numel()}, kind), Lowered("Cast", {"numel": x.numel()}, kind)
    run.call("quantize_per_tensor_dynamic", [x], made, operators=work)
    return made


def _integers(run: Run, op: Op, given: Given) -> Tensor:
    """MatMulInteger and ConvInteger: sums of int8 products in int32."""
    a, b = _at(given, 0), _at(given, 1)
    return convolved(run, op, a, b, None, _INT32) if op.kind == "ConvInteger" else multiplied(run, a, b, _INT32)


def _tagged(tensor: Tensor) -> Tensor:
    tensor.quantised = "int8"
    return tensor


def _product(places: Sequence[int], run: Run, op: Op, given: Given) -> Tensor:
    """A product whose operands come with scale and zero point; the result is int8, or real numbers without a scale."""
    a, b, *bias = (_at(given, place) if len(given) > place and given[place] is not None else None for place in places)
    assert a is not None
    assert b is not None
    added = bias[0] if bias else None
    if op.kind.endswith("Conv"):
        return _tagged(convolved(run, op, a, b, added, _INT8))
    if op.kind == "com.microsoft::QGemm" and op.get("transB", 0):
        b = run.view(b, b.shape[::-1], b.strides[::-1])
    if added is not None:
        return _tagged(linear(run, _seen(a, a.dtype, "int8"), _seen(b, b.dtype, "int8"), added))
    real = op.kind.endswith(("MatMulIntegerToFloat", "DynamicQuantizeMatMul"))
    a = _seen(a, a.dtype, "int8")
    made = multiplied(run, a, _seen(b, b.dtype, "int8"), run.data_dtype if real else _INT8)
    return made if real else _tagged(made)


def _dynamic_product(run: Run, op: Op, given: Given) -> Tensor:
    x, *_ = _dynamic(run, op, given[:1])
    return _product((0, 1), run, op, [x, *given[1:]])


def _simple(name: str, places: Sequence[int], run: Run, op: Op, given: Given) -> Tensor:
    """An element-wise operator on int8."""
    return _tagged(each(run, name, [_at(given, place) for place in places], dtype=_INT8))


def _pool(run: Run, op: Op, given: Given) -> Tensor:
    x = _at(given, 0)
    if op.kind.endswith("QLinearGlobalAveragePool"):
        made = run.new((*x.shape[:2], *[1] * (x.ndim - 2)), _INT8)
        return _tagged(run.call(f"adaptive_avg_pool{x.ndim - 2}d", [x, 1], made))
    return _tagged(pooled(run, op, [x])[0])


def _joined(run: Run, op: Op, given: Given) -> Tensor:
    return _tagged(concatenated(run, [_at(given, place) for place in range(2, len(given), 3)], op.get("axis", 1)))


def _softmax(run: Run, op: Op, given: Given) -> Tensor:
    x = _at(given, 0)
    return _tagged(run.call("softmax", [x, op.get("axis", -1)], run.new(x.shape, _INT8)))


def _few_bits(run: Run, op: Op, given: Given) -> Tensor:
    """Rows by a weight [n, k] of few bits, packed."""
    x, weight = _at(given, 0), _at(given, 1)
    n, k = op.get("N"), op.get("K")
    bias = given[5] if len(given) > 5 else None
    run.counted[weight.storage._cdata] = n * k
    run.few_bits = True
    dims = {"m": x.numel() // k, "n": n, "k": k, "bias": int(bias is not None)}
    given_tensors = [one for one in (x, weight, bias) if one is not None]
    return run.run("Linear", dims, given_tensors, run.new((*x.shape[:-1], n), x.dtype))


def _few_bit_rows(run: Run, op: Op, given: Given) -> Tensor:
    """Rows of a table of few bits, packed."""
    table, index = _at(given, 0), _at(given, 1)
    packed = 8 // op.get("bits", 4) if table.dtype.name == "uint8" else 1
    made = run.new((*index.shape, table.shape[-1] * packed), run.data_dtype)
    dims = {"tokens": index.numel(), "dim": made.shape[-1], "vocab": table.shape[0]}
    return run.run("Embedding", dims, [table, index], made)


def _at(given: Given, place: int) -> Tensor:
    found = given[place] if place < len(given) else None
    if found is None:
        raise ValueError(f"its input {place} is missing")
    return found


_MS = "com.microsoft::"
HANDLERS: dict[str, Callable[[Run, Op, Given], Any]] = {
    **dict.fromkeys(("QuantizeLinear", f"{_MS}QuantizeLinear"), _quantise),
    **dict.fromkeys(("DequantizeLinear", f"{_MS}DequantizeLinear"), _dequantise),
    "DynamicQuantizeLinear": _dynamic, **dict.fromkeys(("MatMulInteger", "ConvInteger"), _integers),
    "QLinearConv": partial(_product, (0, 3, 8)), f"{_MS}QLinearConv": partial(_product, (0, 3, 8)),
    "QLinearMatMul": partial(_product, (0, 3)), f"{_MS}QGemm": partial(_product, (0, 3, 6)),
    f"{_MS}MatMulIntegerToFloat": partial(_product, (0, 1)), f"{_MS}DynamicQuantizeMatMul": _dynamic_product,
    f"{_MS}QLinearAdd": partial(_simple, "add", (0, 3)), f"{_MS}QLinearMul": partial(_simple, "mul", (0, 3)),
    f"{_MS}QLinearSigmoid": partial(_simple, "sigmoid", (0,)),
    f"{_MS}QLinearLeakyRelu": partial(_simple, "leaky_relu", (0,)),
    **dict.fromkeys((f"{_MS}QLinearAveragePool", f"{_MS}QLinearGlobalAveragePool"), _pool),
    f"{_MS}QLinearConcat": _joined, f"{_MS}QLinearSoftmax": _softmax,
    **dict.fromkeys((f"{_MS}MatMulNBits", f"{_MS}MatMulBnb4", f"{_MS}MatMulFpQ4"), _few_bits),
    f"{_MS}GatherBlockQuantized": _few_bit_rows,
}  # fmt: skip
