"""Convolutions over three axes, and transposed convolutions over one to three.

A transposed convolution of an input of c channels with stride s is the gradient of the convolution that takes its
output to its input, and costs the same: every input element is multiplied with every tap of its kernel. `stride` and
`pad` hold for all axes. The output is `(size - 1) * stride - 2 * pad + kernel` wide, plus `extra`; `area` holds its
positions where steps differ by axis.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import prod
from typing import Any

from hetbench.operators._base import Dims, OperatorType, Size
from hetbench.operators.conv import conv_out, input_area

__all__ = ["transposed_out"]

_AXES = {1: (("l", "k"),), 2: (("h", "kh"), ("w", "kw")), 3: (("d", "kd"), ("h", "kh"), ("w", "kw"))}
"""Number of axes -> names of each axis' size and kernel."""


def transposed_out(size: Size, kernel: Size, stride: Size, pad: Size, extra: Size = 0) -> Size:
    """Output length of one axis of a transposed convolution.

    >>> transposed_out(4, 2, 2, 0)
    8
    """
    return (size - 1) * stride - 2 * pad + kernel + extra


def _kernel(axes: int, d: Dims) -> Size:
    return prod(d[kernel] for _, kernel in _AXES[axes])


def _weights(axes: int, d: Dims) -> Size:
    return d["oc"] * (d["c"] // d["groups"]) * _kernel(axes, d)


def _size(axes: int, d: Dims) -> Size:
    return prod(d[size] for size, _ in _AXES[axes])


def _out3d(d: Dims) -> Size:
    return prod(conv_out(d[size], d[kernel], d["stride"], d["pad"]) for size, kernel in _AXES[3])


def _flops3d(d: Dims) -> Size:
    return 2 * d["n"] * _out3d(d) * _weights(3, d)


def _elements3d(d: Dims) -> Size:
    return d["n"] * d["c"] * input_area(d, _size(3, d)) + _weights(3, d) + d["n"] * d["oc"] * _out3d(d)


def _flat3d(d: Dims) -> Dims:
    """The terms of a convolution over two axes: depth goes into height."""
    out = [conv_out(d[size], d[kernel], d["stride"], d["pad"]) for size, kernel in _AXES[3]]
    return {
        **d, "h": d["d"] * d["h"], "kh": d["kd"] * d["kh"], "out_h": out[0] * out[1], "out_w": out[2],
    }  # fmt: skip


def _conv3d(d: Dims, torch: Any, dtype: Any, device: str) -> Callable[[], Any]:
    x = torch.ones(d["n"], d["c"], d["d"], d["h"], d["w"], dtype=dtype, device=device)
    weight = torch.ones(d["oc"], d["c"] // d["groups"], d["kd"], d["kh"], d["kw"], dtype=dtype, device=device)
    return lambda: torch.nn.functional.conv3d(x, weight, None, d["stride"], d["pad"], 1, d["groups"])


def _sizes_out(axes: int, d: Dims) -> list[Size]:
    return [transposed_out(d[size], d[kernel], d["stride"], d["pad"], d["extra"]) for size, kernel in _AXES[axes]]


def _transposed_flops(axes: int, d: Dims) -> Size:
    return 2 * d["n"] * _size(axes, d) * _weights(axes, d)


def _transposed_elements(axes: int, d: Dims) -> Size:
    out = input_area(d, prod(_sizes_out(axes, d)))
    return d["n"] * d["c"] * _size(axes, d) + _weights(axes, d) + d["n"] * d["oc"] * out


def _as_convolution(axes: int, d: Dims) -> Dims:
    """The terms of the convolution over two axes whose gradient it is: input and output swapped."""
    sizes, out = [d[size] for size, _ in _AXES[axes]], _sizes_out(axes, d)
    kernels = [d[kernel] for _, kernel in _AXES[axes]]
    high = slice(0, axes - 1)  # all but the last axis
    return {
        **d, "c": d["oc"], "oc": d["c"], "h": prod(out[high]) + 0 * out[-1], "w": out[-1],
        "kh": prod(kernels[high]) + 0 * kernels[-1], "kw": kernels[-1],
        "out_h": prod(sizes[high]) + 0 * sizes[-1], "out_w": sizes[-1],
    }  # fmt: skip


def _transposed(axes: int, d: Dims, torch: Any, dtype: Any, device: str) -> Callable[[], Any]:
    sizes, kernels = ([d[names[i]] for names in _AXES[axes]] for i in range(2))
    x = torch.ones(d["n"], d["c"], *sizes, dtype=dtype, device=device)
    weight = torch.ones(d["c"], d["oc"] // d["groups"], *kernels, dtype=dtype, device=device)
    call = getattr(torch.nn.functional, f"conv_transpose{axes}d")
    return lambda: call(x, weight, None, d["stride"], d["pad"], d["extra"], d["groups"])


def _transposed_type(axes: int) -> OperatorType:
    dims = ("n", "c", *(size for size, _ in _AXES[axes]), "oc", *(kernel for _, kernel in _AXES[axes]))
    return OperatorType(
        f"ConvTranspose{axes}d", "conv", dims, partial(_transposed_flops, axes), partial(_transposed_elements, axes),
        partial(_transposed, axes), {"stride": 1, "pad": 0, "extra": 0, "groups": 1, "area": 0},
        class_dims=partial(_as_convolution, axes),
    )  # fmt: skip


OPERATORS = (
    OperatorType(
        "Conv3d", "conv", ("n", "c", "d", "h", "w", "oc", "kd", "kh", "kw"), _flops3d, _elements3d, _conv3d,
        {"stride": 1, "pad": 0, "groups": 1, "area": 0}, class_dims=_flat3d,
    ),
    *(_transposed_type(axes) for axes in _AXES),
)
