"""From a recorded torch call to an operator type with its dims.

Views return None. What torch writes in several ways (`x @ W.T`, `addmm`, `F.linear`) becomes one type; a product
with a parameter is `Linear`, one of two activations `MatMul` or `BMM`. Data movement without a type of its own
(gather, roll, an indexed read, a reshape that must copy) is `Copy` over the elements written.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

from hetbench.errors import InvalidInputError
from hetbench.tracing.record import CREATION, Call, Recording, buffer_of

__all__ = ["Lowered", "aten_name", "dtype_name", "is_known", "lower"]


@dataclass(frozen=True, slots=True)
class Lowered:
    """An operator type with its dims; `dtype` is that of the data it works on."""

    op: str
    dims: dict[str, int]
    dtype: str


_DTYPES = {
    "float64": "fp64", "float32": "fp32", "float16": "fp16", "bfloat16": "bf16", "float8_e4m3fn": "fp8",
    "float8_e5m2": "fp8", "complex64": "fp64",
}  # fmt: skip


def dtype_name(dtype: Any) -> str:
    """`torch.float16` -> `fp16`; integer and boolean types keep their name."""
    name = str(dtype).removeprefix("torch.")
    return _DTYPES.get(name, name)


_VIEWS = frozenset({
    "_unsafe_view", "_reshape_alias", "slice", "lift_fresh", "view", "transpose", "permute", "unsqueeze", "squeeze",
    "expand", "expand_as", "T", "mT", "H", "t", "chunk", "split", "unbind", "narrow", "select", "swapaxes", "movedim",
    "unflatten", "detach", "view_as", "as_strided", "real", "imag", "data", "diagonal", "tensor_split", "unfold",
    "alias", "requires_grad_", "split_with_sizes", "unsafe_chunk", "swapdims", "moveaxis", "broadcast_to", "adjoint",
    "_has_compatible_shallow_copy_type",
})  # fmt: skip
_MAYBE_COPY = frozenset({
    "reshape", "contiguous", "flatten", "__getitem__", "ravel", "reshape_as", "pin_memory", "cpu", "cuda", "meshgrid",
    "broadcast_tensors",
})  # fmt: skip
_COPIES = frozenset({
    "clone", "roll", "gather", "index_select", "flip", "copy_", "__setitem__", "take_along_dim", "tril", "triu",
    "scatter", "scatter_", "index_copy_", "masked_select", "index", "pixel_shuffle", "pixel_unshuffle",
    "channel_shuffle", "sort", "topk", "repeat_interleave", "complex", "view_as_real", "view_as_complex", "one_hot",
    "index_put_",
})  # fmt: skip
_CASTS = frozenset({
    "to", "float", "half", "bfloat16", "double", "type_as", "int", "long", "bool", "type", "byte", "_to_copy",
})  # fmt: skip
_UNARY = {
    "relu": "ReLU", "relu6": "ReLU6", "gelu": "GELU", "silu": "SiLU", "sigmoid": "Sigmoid", "tanh": "Tanh",
    "hardswish": "Hardswish", "hardsigmoid": "Hardsigmoid", "leaky_relu": "LeakyReLU", "exp": "Exp", "log": "Log",
    "neg": "Neg", "__neg__": "Neg", "abs": "Abs", "sqrt": "Sqrt", "rsqrt": "Rsqrt", "reciprocal": "Reciprocal",
    "sin": "Sin", "cos": "Cos", "clamp": "Clamp", "clamp_min": "Clamp", "clamp_max": "Clamp", "hardtanh": "Clamp",
    "where": "Where", "masked_fill": "Where", "isinf": "Compare", "isnan": "Compare", "isfinite": "Compare",
    "logical_not": "Compare", "logical_and": "Compare", "logical_or": "Compare", "sign": "Compare",
    "round": "Compare", "floor": "Compare", "ceil": "Compare", "square": "PowScalar", "softplus": "GELU",
    "elu": "GELU", "mish": "GELU", "erf": "Tanh", "log1p": "Log", "expm1": "Exp", "nan_to_num": "Where",
    "celu": "GELU", "selu": "GELU", "logsigmoid": "SiLU", "exp2": "Exp", "log2": "Log", "bitwise_not": "Compare",
    "__invert__": "Compare", "zero_": "Fill", "fill_": "Fill", "sgn": "Compare", "prelu": "LeakyReLU",
}  # fmt: skip
_BINARY = {
    "add": "Add", "__add__": "Add", "__radd__": "Add", "__iadd__": "Add", "sub": "Sub", "__sub__": "Sub",
    "rsub": "Sub", "__rsub__": "Sub", "__isub__": "Sub", "subtract": "Sub", "mul": "Mul", "__mul__": "Mul",
    "__rmul__": "Mul", "__imul__": "Mul", "multiply": "Mul", "div": "Div", "__truediv__": "Div",
    "__rtruediv__": "Div", "__itruediv__": "Div", "true_divide": "Div", "divide": "Div", "pow": "Pow",
    "__pow__": "Pow", "__rpow__": "Pow", "floor_divide": "Div", "remainder": "Div", "maximum": "Maximum",
    "minimum": "Minimum",
}  # fmt: skip
_SCALAR = {"Add": "AddScalar", "Sub": "AddScalar", "Mul": "MulScalar", "Div": "DivScalar", "Pow": "PowScalar"}
_COMPARE = frozenset({
    "eq", "ne", "lt", "le", "gt", "ge", "__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__", "__and__",
    "__or__", "bitwise_and", "bitwise_or", "isin", "__xor__",
})  # fmt: skip
_REDUCE = {
    "mean": "Mean", "sum": "Sum", "max": "Max", "amax": "Max", "min": "Max", "amin": "Max", "any": "Max",
    "all": "Max", "argmax": "ArgMax", "argmin": "ArgMax", "norm": "VectorNorm", "vector_norm": "VectorNorm",
    "linalg_vector_norm": "VectorNorm", "prod": "Sum", "var": "Sum", "std": "Sum", "logsumexp": "Sum",
    "count_nonzero": "Sum",
}  # fmt: skip
_ROWS = {
    "softmax": "Softmax", "_softmax": "Softmax", "log_softmax": "LogSoftmax", "_log_softmax": "LogSoftmax",
    "cumsum": "CumSum",
}  # fmt: skip
_PRODUCTS = frozenset({"matmul", "__matmul__", "__rmatmul__", "bmm", "mm", "baddbmm", "addmm", "addbmm", "mv", "dot"})

# ATen names where they differ from the function's; `{}` takes Tensor or Scalar by the second operand.
_ATEN = {
    "add": "add.{}", "sub": "sub.{}", "mul": "mul.{}", "div": "div.{}", "pow": "pow.Tensor_{}", "rsub": "rsub.{}",
    "reshape": "clone", "contiguous": "clone", "flatten": "clone", "to": "_to_copy", "float": "_to_copy",
    "half": "_to_copy", "type_as": "_to_copy", "long": "_to_copy", "int": "_to_copy", "bool": "_to_copy",
    "double": "_to_copy", "bfloat16": "_to_copy", "__getitem__": "index.Tensor", "__setitem__": "copy_",
    "hardtanh": "hardtanh", "softmax": "_softmax", "log_softmax": "_log_softmax", "mean": "mean.dim",
    "sum": "sum.dim_IntList", "where": "where.self", "masked_fill": "masked_fill.{}", "pad": "constant_pad_nd",
    "max_pool2d": "max_pool2d_with_indices", "adaptive_avg_pool2d": "_adaptive_avg_pool2d",
    "adaptive_avg_pool1d": "adaptive_avg_pool1d", "matmul": "matmul", "cumsum": "cumsum", "batch_norm": "batch_norm",
    "clamp": "clamp", "eq": "eq.{}", "ne": "ne.{}", "lt": "lt.{}", "le": "le.{}", "gt": "gt.{}", "ge": "ge.{}",
    "and": "bitwise_and.Tensor", "or": "bitwise_or.Tensor", "invert": "bitwise_not", "any": "any", "all": "all",
    "stack": "stack", "_weight_norm": "_weight_norm_interface", "radd": "add.{}", "rmul": "mul.{}",
    "truediv": "div.{}", "rtruediv": "div.{}", "iadd": "add_.{}", "imul": "mul_.{}", "isub": "sub_.{}",
    "add_": "add_.{}", "mul_": "mul_.{}", "sub_": "sub_.{}", "div_": "div_.{}", "max": "max.dim", "min": "min.dim",
    "split": "split.Tensor", "ones": "ones", "interpolate": "upsample_bicubic2d", "tensor": "lift_fresh",
    "floordiv": "floor_divide", "zeros": "zeros", "type": "_to_copy", "norm": "norm.ScalarOpt_dim",
    "masked_fill_": "masked_fill_.{}",
}  # fmt: skip


def aten_name(call: Call) -> str:
    """Name of the ATen operator, as back ends register it; Python operators take the name of their method."""
    import torch

    name = call.name
    if name.startswith("__") and name.endswith("__") and name not in ("__getitem__", "__setitem__"):
        name = name.strip("_")
    pattern = _ATEN.get(name, name)
    if "{}" in pattern:
        second = call.args[1] if len(call.args) > 1 else None
        pattern = pattern.format("Tensor" if isinstance(second, torch.Tensor) else "Scalar")
    if name == "interpolate":
        pattern = f"upsample_{call.kwargs.get('mode', 'nearest')}2d"
    elif name in ("conv1d", "conv2d", "conv3d") and isinstance(_argument(call, 4, "padding", 0), str):
        pattern = f"{name}.padding"
    elif name in ("mean", "sum", "max", "min") and len(call.args) < 2 and not call.kwargs:
        pattern = name
    elif call.inplace and not name.endswith("_"):
        pattern = f"{name}_"
    return pattern


def is_known(name: str) -> bool:
    """Whether a torch function of this name can be lowered; others are recorded by what they are made of."""
    bare = name[:-1] if name.endswith("_") and not name.endswith("__") else name
    return name in _EVERY or bare in _EVERY


def _argument(call: Call, place: int, name: str, default: Any = None) -> Any:
    return call.args[place] if len(call.args) > place else call.kwargs.get(name, default)


def lower(call: Call, recording: Recording) -> Lowered | None:
    """The operator a call is, or None where it only looks at memory that exists.

    Raises `InvalidInputError` for a function that no operator type covers.
    """
    name = call.name
    fresh = bool(call.fresh)
    if name in _VIEWS or (name in (_MAYBE_COPY | _CASTS) and not fresh) or name == "item":
        return None
    bare = name[:-1] if name.endswith("_") and not name.endswith("__") else name
    handler = _HANDLERS.get(bare)
    if handler is not None:
        return handler(call, recording)
    for names, operator in ((_CASTS, "Cast"), (_COPIES | _MAYBE_COPY, "Copy")):
        if name in names or bare in names:
            if name in ("__setitem__", "copy_"):
                return Lowered("Copy", {"numel": max(_value_size(call), 1)}, dtype_name(call.outputs[0].dtype))
            return _elementwise(operator, call)
    if bare in _COMPARE:
        return _elementwise("Compare", call)
    if bare in _UNARY:
        return _elementwise(_activation(call, _UNARY[bare]), call)
    if bare in _BINARY:
        return _elementwise(_with_scalar(call, _BINARY[bare]), call)
    if bare in _REDUCE:
        numel = call.outputs[0].numel()
        dims = {"rows": numel, "cols": call.inputs[0].numel() // max(numel, 1)}
        return Lowered(_REDUCE[bare], dims, dtype_name(call.inputs[0].dtype))
    if bare in _ROWS:
        dim = _argument(call, 1, "dim", -1)
        cols = call.inputs[0].shape[dim] if call.inputs[0].dim() else 1
        return Lowered(_ROWS[bare], {"rows": call.inputs[0].numel() // cols, "cols": cols}, _dtype_of(call))
    if bare in _PRODUCTS:
        return _product(call, recording)
    raise InvalidInputError(
        f"no operator type covers torch function {call.name!r}, called in {call.frame.path or call.frame.module!r}. "
        "Known ones are the tables at the head of hetbench/tracing/lower.py."
    )


def _dtype_of(call: Call) -> str:
    """dtype of the first floating-point operand, else of the output."""
    for tensor in (*call.inputs, *call.outputs):
        if tensor.is_floating_point():
            return dtype_name(tensor.dtype)
    return dtype_name(call.outputs[0].dtype)


def _elementwise(operator: str, call: Call) -> Lowered:
    numel = max(tensor.numel() for tensor in call.outputs)
    if operator == "Cast":  # the wider side moves more
        sides = (call.inputs[0].dtype, call.outputs[0].dtype)
        return Lowered("Cast", {"numel": numel}, dtype_name(max(sides, key=lambda dtype: dtype.itemsize)))
    return Lowered(operator, {"numel": numel}, _dtype_of(call))


def _value_size(call: Call) -> int:
    value = call.args[-1]
    return int(value.numel()) if hasattr(value, "numel") else 1


def _activation(call: Call, operator: str) -> str:
    if call.name.startswith("hardtanh"):
        bounds = (_argument(call, 1, "min_val", -1.0), _argument(call, 2, "max_val", 1.0))
        return "ReLU6" if bounds == (0.0, 6.0) else "Clamp"
    return operator


def _with_scalar(call: Call, operator: str) -> str:
    tensors = [tensor for tensor in call.inputs if tensor.dim() > 0 or len(call.inputs) > 2]
    return operator if len(tensors) > 1 or operator not in _SCALAR else _SCALAR[operator]


def _product(call: Call, recording: Recording) -> Lowered:
    a, b = call.inputs[-2:]  # baddbmm and addmm put what they add first
    k = a.shape[-1]
    n = b.shape[-1] if b.dim() > 1 else 1
    weights = buffer_of(b) in recording.parameters
    added = len(call.inputs) > 2 and call.name.startswith("add")
    dtype = dtype_name(a.dtype)
    if weights or b.dim() <= 2:
        dims = {"m": a.numel() // k, "n": n, "k": k}
        return Lowered("Linear", {**dims, "bias": int(added)}, dtype) if weights else Lowered("MatMul", dims, dtype)
    m = a.shape[-2] if a.dim() > 1 else 1
    return Lowered("BMM", {"b": call.outputs[0].numel() // (m * n), "m": m, "n": n, "k": k}, dtype)


def _linear(call: Call, recording: Recording) -> Lowered:
    x, weight = call.inputs[:2]
    n, k = weight.shape
    dims = {"m": x.numel() // k, "n": n, "k": k}
    if buffer_of(weight) not in recording.parameters and not _made_of_parameters(weight):
        return Lowered("MatMul", dims, dtype_name(x.dtype))
    return Lowered("Linear", {**dims, "bias": int(len(call.inputs) > 2)}, dtype_name(x.dtype))


def _made_of_parameters(weight: Any) -> bool:
    """A parametrised weight (weight norm ...) is two-dimensional too; activations as weights are rare."""
    return bool(weight.dim() == 2)


def _one(value: Any) -> tuple[int, int]:
    pair = tuple(value) if isinstance(value, tuple | list) else (value, value)
    return (pair[0], pair[0]) if len(pair) == 1 else (int(pair[0]), int(pair[1]))


def _conv(call: Call, _: Recording) -> Lowered:
    x, weight = call.inputs[:2]
    stride, padding = _argument(call, 3, "stride", 1), _argument(call, 4, "padding", 0)
    dilation, groups = _argument(call, 5, "dilation", 1), _argument(call, 6, "groups", 1)
    batch = x.shape[0] if x.dim() == weight.dim() else 1
    out, kernel, size = call.outputs[0], weight.shape[2:], x.shape[-(weight.dim() - 2) :]
    flat = len(kernel) == 1
    if not flat and len(kernel) != 2:
        raise InvalidInputError(f"{call.frame.path}: no operator type for a convolution over {len(kernel)} axes.")
    step = _one(stride)
    if isinstance(padding, str):
        padding = 0 if padding == "valid" else [(width - 1) // 2 for width in kernel]
    pad = _one(padding)
    expected = [(width + 2 * p - k) // s + 1 for width, p, k, s in zip(size, pad, kernel, step, strict=False)]
    plain = _one(dilation) == (1, 1) and step[0] == step[1] and (flat or pad[0] == pad[1])
    if not plain or expected != list(out.shape[-len(kernel) :]):
        # one padding and no dilation in the dims: the padded size that gives this output
        size = [(width - 1) * step[0] + k for width, k in zip(out.shape[-len(kernel) :], kernel, strict=True)]
        pad = (0, 0)
    common = {"stride": step[0], "pad": pad[0], "groups": groups}
    channels, filters = weight.shape[1] * groups, weight.shape[0]
    if flat:
        dims = {"n": batch, "c": channels, "l": size[0], "oc": filters, "k": kernel[0], **common}
        return Lowered("Conv1d", dims, dtype_name(x.dtype))
    dims = {"n": batch, "c": channels, "h": size[0], "w": size[1], "oc": filters, "kh": kernel[0], "kw": kernel[1]}
    return Lowered("Conv2d", {**dims, **common}, dtype_name(x.dtype))


def _transposed(call: Call, _: Recording) -> Lowered:
    """A transposed convolution costs what the convolution costs whose gradient it is: output and input swapped."""
    x, weight, out = call.inputs[0], call.inputs[1], call.outputs[0]
    kernel, stride = weight.shape[2:], _one(_argument(call, 3, "stride", 1))[0]
    groups = _argument(call, 6, "groups", 1)
    size = [(width - 1) * stride + k for width, k in zip(x.shape[2:], kernel, strict=True)]
    common = {"stride": stride, "pad": 0, "groups": groups}
    ends = {"n": x.shape[0], "c": out.shape[1]}
    if len(kernel) == 1:
        dims = {**ends, "l": size[0], "oc": x.shape[1], "k": kernel[0], **common}
        return Lowered("Conv1d", dims, dtype_name(x.dtype))
    dims = {**ends, "h": size[0], "w": size[1], "oc": x.shape[1], "kh": kernel[0], "kw": kernel[1], **common}
    return Lowered("Conv2d", dims, dtype_name(x.dtype))


def _image(tensor: Any) -> dict[str, int]:
    """n, c, h, w of anything with channels second; missing axes are 1."""
    n, c, *rest = tensor.shape
    h, w = (rest[0], prod(rest[1:])) if rest else (1, 1)
    return {"n": n, "c": c, "h": h, "w": w}


def _pool(call: Call, _: Recording) -> Lowered:
    x = call.inputs[0]
    kernel = _one(_argument(call, 1, "kernel_size"))
    stride = _one(_argument(call, 2, "stride", None) or kernel)
    pad = _one(_argument(call, 3, "padding", 0))
    name = "MaxPool2d" if call.name.startswith("max") else "AvgPool2d"
    image = _image(x)
    covered = (min(kernel[0], image["h"] + 2 * pad[0]), min(kernel[1], image["w"] + 2 * pad[1]))
    if covered != kernel:  # EfficientNet's window of 1280: one that covers the image
        kernel, stride = covered, covered
    dims = {**image, "kh": kernel[0], "kw": kernel[1], "stride": stride[0], "pad": pad[0]}
    return Lowered(name, dims, dtype_name(x.dtype))


def _resized(operator: str) -> Callable[[Call, Recording], Lowered]:
    def handler(call: Call, _: Recording) -> Lowered:
        out = _image(call.outputs[0])
        dims = {**_image(call.inputs[0]), "oh": out["h"], "ow": out["w"]}
        return Lowered(operator, dims, dtype_name(call.inputs[0].dtype))

    return handler


def _norm(call: Call, _: Recording) -> Lowered:
    x = call.inputs[0]
    if call.name == "batch_norm":
        return Lowered("BatchNorm2d", _image(x), dtype_name(x.dtype))
    if call.name in ("group_norm", "instance_norm"):
        groups = _argument(call, 1, "num_groups") if call.name == "group_norm" else x.shape[1]
        rows = x.shape[0] * groups
        return Lowered("GroupNorm", {"rows": rows, "cols": x.numel() // rows}, dtype_name(x.dtype))
    cols = prod(_argument(call, 1, "normalized_shape"))
    name = "RMSNorm" if call.name == "rms_norm" else "LayerNorm"
    return Lowered(name, {"rows": x.numel() // cols, "cols": cols}, dtype_name(x.dtype))


def _embedding(call: Call, _: Recording) -> Lowered:
    index, table = call.inputs[:2]
    dims = {"tokens": index.numel(), "dim": table.shape[1], "vocab": table.shape[0]}
    return Lowered("Embedding", dims, dtype_name(table.dtype))


def _join(call: Call, _: Recording) -> Lowered:
    return _elementwise("Concat", call)


def _padded(call: Call, _: Recording) -> Lowered:
    return _elementwise("Pad", call)


def _repeat(call: Call, _: Recording) -> Lowered:
    return _elementwise("Repeat", call)


def _dropout(call: Call, _: Recording) -> Lowered:
    return _elementwise("Dropout", call)


def _weight_norm(call: Call, _: Recording) -> Lowered:
    v, g = call.inputs[:2]
    return Lowered("VectorNorm", {"rows": g.numel(), "cols": v.numel() // g.numel()}, dtype_name(v.dtype))


_HANDLERS: dict[str, Callable[[Call, Recording], Lowered]] = {
    "linear": _linear, "conv1d": _conv, "conv2d": _conv, "conv3d": _conv,
    "conv_transpose1d": _transposed, "conv_transpose2d": _transposed, "max_pool2d": _pool, "avg_pool2d": _pool,
    "adaptive_avg_pool2d": _resized("AdaptiveAvgPool2d"), "adaptive_avg_pool1d": _resized("AdaptiveAvgPool2d"),
    "interpolate": _resized("Interpolate"), "layer_norm": _norm, "rms_norm": _norm, "group_norm": _norm,
    "instance_norm": _norm, "batch_norm": _norm, "embedding": _embedding, "cat": _join, "concat": _join, "stack": _join,
    "pad": _padded, "repeat": _repeat, "tile": _repeat, "dropout": _dropout, "dropout2d": _dropout,
    "feature_dropout": _dropout, "alpha_dropout": _dropout, "_weight_norm": _weight_norm,
}  # fmt: skip

_EVERY = frozenset().union(
    _VIEWS, _MAYBE_COPY, _COPIES, _CASTS, _UNARY, _BINARY, _COMPARE, _REDUCE, _ROWS, _PRODUCTS, _HANDLERS, CREATION,
    ("scaled_dot_product_attention", "item"),
)
