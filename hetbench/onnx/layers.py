"""Convolutions, pools, norms, reductions and resampling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import prod
from typing import Any

import numpy as np

from hetbench.onnx.elementwise import each
from hetbench.onnx.movement import known, whole
from hetbench.onnx.products import stored
from hetbench.onnx.run import Given, Op, Run
from hetbench.onnx.tensors import DTYPES, Tensor, axis_of

__all__ = ["HANDLERS", "convolved", "pooled"]

_INT64 = DTYPES[7]


def _steps(op: Op, axes: int, kernel: Sequence[int], size: Sequence[int]) -> tuple[list[int], list[int], list[int]]:
    """Strides, padding of both ends [begins + ends], and dilations of a window."""
    strides = list(op.get("strides") or [1] * axes)
    dilations = list(op.get("dilations") or [1] * axes)
    pads = list(op.get("pads") or [0] * (2 * axes))
    auto = op.get("auto_pad", "NOTSET")
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        pads = [0] * (2 * axes)
        for axis in range(axes):
            reach = (kernel[axis] - 1) * dilations[axis] + 1
            total = max((-(-size[axis] // strides[axis]) - 1) * strides[axis] + reach - size[axis], 0)
            ends = (total // 2, total - total // 2)
            pads[axis], pads[axis + axes] = ends if auto == "SAME_UPPER" else reversed(ends)
    elif auto == "VALID":
        pads = [0] * (2 * axes)
    return strides, pads, dilations


def _window(op: Op, x: Tensor, kernel: Sequence[int]) -> tuple[list[int], list[int], list[int], list[int]]:
    """Output sizes, strides, padding and dilations of a window that walks over the last axes."""
    axes = len(kernel)
    if axes != x.ndim - 2 or min(kernel) < 1:
        raise ValueError(f"a window of {tuple(kernel)} does not go over a tensor of shape {x.shape}")
    size = x.shape[-axes:]
    strides, pads, dilations = _steps(op, axes, kernel, size)
    out = []
    for axis in range(axes):
        reach = (kernel[axis] - 1) * dilations[axis] + 1
        room = size[axis] + pads[axis] + pads[axis + axes] - reach
        up = op.get("ceil_mode", 0) and -(-room // strides[axis]) * strides[axis] < size[axis] + pads[axis]
        out.append((-(-room // strides[axis]) if up else room // strides[axis]) + 1)
    return out, strides, pads, dilations


def convolved(run: Run, op: Op, x: Tensor, weight: Tensor, bias: Tensor | None, made: Any = None) -> Tensor:
    """A convolution; uneven padding, which torch has no word for, goes by its outputs."""
    axes, groups = weight.ndim - 2, op.get("group", 1)
    if groups < 1 or weight.shape[0] % groups or x.shape[1] != weight.shape[1] * groups:
        raise ValueError(f"{x.shape[1]} channels and weights of shape {weight.shape} do not meet in {groups} groups")
    out, strides, pads, dilations = _window(op, x, weight.shape[2:])
    even = pads[:axes] == pads[axes:]
    result = run.new((x.shape[0], weight.shape[0], *out), made or x.dtype)
    padding = pads[:axes] if even else [-1] * axes  # no padding gives these outputs: only the outputs count
    x, weight = stored(run, x, weight)
    args = [x, weight, bias, tuple(strides), tuple(padding), tuple(dilations), groups]
    return run.call(f"conv{axes}d", args, result)  # type: ignore[no-any-return]


def _conv(run: Run, op: Op, given: Given) -> Tensor:
    x, weight, bias = _padded(given, 3)
    made = convolved(run, op, x, weight, bias)
    kind = op.get("activation")
    return made if kind is None else each(run, _ACTIVATIONS.get(kind, "relu"), [made])


_ACTIVATIONS = {"Relu": "relu", "Sigmoid": "sigmoid", "Tanh": "tanh", "LeakyRelu": "leaky_relu", "Clip": "clamp",
                "HardSigmoid": "hardsigmoid"}  # fmt: skip


def _conv_transpose(run: Run, op: Op, given: Given) -> Tensor:
    x, weight, bias = _padded(given, 3)
    axes, kernel = weight.ndim - 2, weight.shape[2:]
    strides, dilations = list(op.get("strides") or [1] * axes), list(op.get("dilations") or [1] * axes)
    extra, pads = list(op.get("output_padding") or [0] * axes), list(op.get("pads") or [0] * (2 * axes))
    size, stated = x.shape[-axes:], op.get("output_shape")
    if stated:
        out = list(stated)[-axes:]
    elif op.get("auto_pad", "NOTSET").startswith("SAME"):
        out = [n * step for n, step in zip(size, strides, strict=True)]
    else:
        out = [(size[a] - 1) * strides[a] - pads[a] - pads[a + axes] + (kernel[a] - 1) * dilations[a] + 1 + extra[a]
               for a in range(axes)]  # fmt: skip
    groups = op.get("group", 1)
    if groups < 1 or x.shape[1] != weight.shape[0] or x.shape[1] % groups:
        raise ValueError(f"{x.shape[1]} channels and weights of shape {weight.shape} do not meet in {groups} groups")
    made = run.new((x.shape[0], weight.shape[1] * groups, *out), x.dtype)
    args = [x, weight, bias, tuple(strides), tuple(pads[:axes]), tuple(extra), groups]
    return run.call(f"conv_transpose{axes}d", args, made)  # type: ignore[no-any-return]


def pooled(run: Run, op: Op, given: Given) -> Any:
    """A pool over windows."""
    x, kernel = _first(given), list(op.get("kernel_shape"))
    axes, kind = len(kernel), "max" if "Max" in op.kind else "avg"
    out, strides, pads, _ = _window(op, x, kernel)
    made = run.new((*x.shape[:2], *out), x.dtype)
    results = [made, run.new(made.shape, _INT64)][: op.outputs]
    run.call(f"{kind}_pool{axes}d", [x, tuple(kernel), tuple(strides), tuple(pads[:axes])], results)
    return results


def _global_pool(run: Run, op: Op, given: Given) -> Tensor:
    x, kind = _first(given), "max" if "Max" in op.kind else "avg"
    axes = x.ndim - 2
    return run.call(f"adaptive_{kind}_pool{axes}d", [x, 1], run.new((*x.shape[:2], *[1] * axes), x.dtype))  # type: ignore[no-any-return]


def _batch_norm(run: Run, op: Op, given: Given) -> Any:
    x, *stats = (one for one in given if one is not None)
    made = [run.new(x.shape, x.dtype)] + [run.new(stats[0].shape, x.dtype) for _ in range(op.outputs - 1)]
    run.call("batch_norm", [x, *stats[:2]], made)  # mean and variance are no parameters
    return made


def _normalised(name: str, run: Run, op: Op, given: Given) -> Any:
    """Norms over the axes from `axis`; mean and deviation of each row come with some of them."""
    x = _first(given)
    axis = axis_of(op.get("axis", -1), x.ndim)
    rows = (*x.shape[:axis], *[1] * (x.ndim - axis))
    made = [run.new(x.shape, x.dtype)] + [run.new(rows, x.dtype) for _ in range(op.outputs - 1)]
    run.call(name, [x, x.shape[axis:], *given[1:]], made)
    return made


def _instance_norm(run: Run, op: Op, given: Given) -> Tensor:
    x = _first(given)
    groups = op.get("num_groups", op.get("groups", x.shape[1]))
    return run.call("group_norm", [x, groups, *given[1:]], run.new(x.shape, x.dtype))  # type: ignore[no-any-return]


def _softmax(run: Run, op: Op, given: Given) -> Tensor:
    x = _first(given)
    name = "log_softmax" if op.kind == "LogSoftmax" else "softmax"
    made = run.new(x.shape, x.dtype)
    if op.version >= 13:
        axis_of(axis := op.get("axis", -1), x.ndim)
        return run.call(name, [x, axis], made)  # type: ignore[no-any-return]
    cols = prod(x.shape[axis_of(op.get("axis", 1), x.ndim) :])  # rows of all axes from this one on
    dims = {"rows": x.numel() // max(cols, 1), "cols": cols}
    return run.run("LogSoftmax" if name == "log_softmax" else "Softmax", dims, [x], made)


_REDUCED: dict[str, tuple[str, Callable[..., Any] | None]] = {
    "ReduceMean": ("mean", np.mean), "ReduceSum": ("sum", np.sum), "ReduceMax": ("amax", np.max),
    "ReduceMin": ("amin", np.min), "ReduceProd": ("prod", np.prod), "ReduceL1": ("norm", None),
    "ReduceL2": ("norm", None), "ReduceLogSum": ("logsumexp", None), "ReduceLogSumExp": ("logsumexp", None),
    "ReduceSumSquare": ("norm", None),
}  # fmt: skip


def _reduced(run: Run, op: Op, given: Given) -> Tensor:
    x = _first(given)
    name, func = _REDUCED[op.kind]
    axes = op.get("axes")
    if len(given) > 1 and given[1] is not None:
        axes = whole(given[1], "axes")
    if not axes and op.get("noop_with_empty_axes", 0):
        return x
    gone = {axis_of(axis, x.ndim) for axis in axes} if axes else set(range(x.ndim))
    kept = bool(op.get("keepdims", 1))
    if func is not None and known(run, x):
        return run.constant(func(np.asarray(x.value), axis=tuple(sorted(gone)), keepdims=kept))
    shape = [1 if axis in gone else size for axis, size in enumerate(x.shape) if kept or axis not in gone]
    return run.call(name, [x, tuple(sorted(gone))], run.new(shape, x.dtype))  # type: ignore[no-any-return]


def _arg_max(run: Run, op: Op, given: Given) -> Tensor:
    x = _first(given)
    axis, kept = axis_of(op.get("axis", 0), x.ndim), op.get("keepdims", 1)
    shape = [1 if at == axis else size for at, size in enumerate(x.shape) if kept or at != axis]
    if known(run, x):
        func = np.argmax if op.kind == "ArgMax" else np.argmin
        return run.constant(func(np.asarray(x.value), axis).reshape(shape))
    return run.call("argmax", [x, axis], run.new(shape, _INT64))  # type: ignore[no-any-return]


def _cumulative(run: Run, op: Op, given: Given) -> Tensor:
    x = _first(given)
    axis = axis_of(whole(given[1], "axis")[0], x.ndim)
    plain = not op.get("exclusive", 0) and not op.get("reverse", 0)
    if plain and known(run, x):
        return run.new(x.shape, x.dtype, np.cumsum(np.asarray(x.value), axis))
    return run.call("cumsum", [x, axis], run.new(x.shape, x.dtype))  # type: ignore[no-any-return]


def _top_k(run: Run, op: Op, given: Given) -> list[Tensor]:
    x = _first(given)
    axis = axis_of(op.get("axis", -1), x.ndim)
    many = op.get("k") or whole(given[1], "k")[0]
    if many > x.shape[axis]:
        raise ValueError(f"it keeps {many:,} of {x.shape[axis]:,}")
    shape = list(x.shape)
    shape[axis] = many
    made = [run.new(shape, x.dtype), run.new(shape, _INT64)]
    run.call("topk", [x, many, axis], made)
    return made


def _resize(run: Run, op: Op, given: Given) -> Tensor:
    x, sizes = _first(given), given[3] if len(given) > 3 else None
    scales = given[1] if op.kind == "Upsample" or op.version < 11 else (given[2] if len(given) > 2 else None)
    axes = list(op.get("axes") or range(x.ndim))
    shape = list(x.shape)
    if sizes is not None and sizes.numel():
        wanted = whole(sizes, "new size")
    else:
        factors = op.get("scales") or (None if scales is None else scales.value)
        if factors is None:
            raise ValueError("its new size depends on data that is not in the file")
        factors = np.asarray(factors).reshape(-1)
        wanted = [int(x.shape[axis] * factor) for axis, factor in zip(axes, factors, strict=True)]
    for axis, size in zip(axes, wanted, strict=True):
        shape[axis] = size
    mode = {"linear": {3: "linear", 4: "bilinear", 5: "trilinear"}.get(x.ndim, "bilinear"), "cubic": "bicubic"}
    chosen = mode.get(op.get("mode", "nearest"), "nearest")
    return run.call("interpolate", [x, tuple(shape[2:]), None, chosen], run.new(shape, x.dtype))  # type: ignore[no-any-return]


def _grid_sample(run: Run, op: Op, given: Given) -> Tensor:
    x, grid = _padded(given, 2)
    mode = {"linear": "bilinear", "cubic": "bicubic"}.get(op.get("mode", "linear"), op.get("mode", "bilinear"))
    made = run.new((*x.shape[:2], *grid.shape[1:-1]), x.dtype)
    return run.call("grid_sample", [x, grid, mode], made)  # type: ignore[no-any-return]


def _affine_grid(run: Run, op: Op, given: Given) -> Tensor:
    theta, size = _first(given), whole(given[1], "size")
    made = run.new((size[0], *size[2:], len(size) - 2), theta.dtype)
    return run.call("affine_grid", [theta], made)  # type: ignore[no-any-return]


def _scaled(run: Run, op: Op, given: Given) -> Tensor:
    """LpNormalization: the norm of each row, and a division by it."""
    x, axis = _first(given), op.get("axis", -1)
    shape = list(x.shape)
    shape[axis] = 1
    norm = run.call("norm", [x, axis], run.new(shape, x.dtype))
    return each(run, "div", [x, norm])


def _local_norm(run: Run, op: Op, given: Given) -> Tensor:
    """LRN, as torch writes it: squares, their mean over a window of channels, a power and a division."""
    x = _first(given)
    squared = each(run, "mul", [x, x])
    n, c, *rest = x.shape
    made = run.new(x.shape, x.dtype)
    args = [squared, (op.get("size", 5), 1, 1), (1, 1, 1), (op.get("size", 5) // 2, 0, 0)]
    flat = run.view(squared, (n, 1, c, rest[0], prod(rest[1:])), (c * prod(rest), 0, prod(rest), prod(rest[1:]), 1))
    run.call("avg_pool3d", [flat, *args[1:]], run.view(made, flat.shape, flat.strides))
    return each(run, "div", [x, each(run, "pow", [made, 0.75])])


def _first(given: Given) -> Tensor:
    return _padded(given, 1)[0]  # type: ignore[no-any-return]


def _padded(given: Given, many: int) -> list[Any]:
    """The first inputs; those that may be missing are None."""
    if not given or given[0] is None:
        raise ValueError("its first input is missing")
    return [given[place] if place < len(given) else None for place in range(many)]


Handler = Callable[[Run, Op, Given], Any]
HANDLERS: dict[str, Handler] = {
    "Conv": _conv, "com.microsoft::FusedConv": _conv, "ConvTranspose": _conv_transpose,
    **dict.fromkeys(("MaxPool", "AveragePool", "LpPool"), pooled),
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"), _global_pool),
    "BatchNormalization": _batch_norm, **dict.fromkeys(("InstanceNormalization", "GroupNormalization"), _instance_norm),
    "LayerNormalization": partial(_normalised, "layer_norm"),
    **dict.fromkeys(("RMSNormalization", "SimplifiedLayerNormalization"), partial(_normalised, "rms_norm")),
    **dict.fromkeys(("Softmax", "LogSoftmax"), _softmax), **dict.fromkeys(_REDUCED, _reduced),
    **dict.fromkeys(("ArgMax", "ArgMin"), _arg_max), "CumSum": _cumulative, "TopK": _top_k,
    **dict.fromkeys(("Resize", "Upsample"), _resize), "GridSample": _grid_sample, "AffineGrid": _affine_grid,
    "LpNormalization": _scaled, "LRN": _local_norm,
}  # fmt: skip
