"""Convolutions of one and two axes, dilation 1, padded alike on both sides and both axes; groups = c is depthwise.

A convolution whose steps differ by axis, or that is dilated, is written as the one with the same kernel and outputs;
`area` then holds the input positions of each channel, which h x w does not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from hetbench.operators._arrays import as_array
from hetbench.operators._base import Dims, OperatorType, Size

__all__ = ["conv_out", "input_area"]


def conv_out(size: Size, kernel: Size, stride: Size, pad: Size) -> Size:
    """Output length of one axis.

    >>> conv_out(224, 7, 2, 3)
    112
    """
    return (size + 2 * pad - kernel) // stride + 1


def input_area(d: Dims, usual: Size) -> Size:
    """Input positions of one channel: `area` where it is stated, else `usual`.

    >>> input_area({"area": 0}, 12), input_area({"area": 20}, 12)
    (12, 20)
    """
    if isinstance(d["area"], int):
        return d["area"] or usual
    return np.where(as_array(d["area"]) > 0, d["area"], usual)


def _out2d(d: Dims) -> Size:
    return conv_out(d["h"], d["kh"], d["stride"], d["pad"]) * conv_out(d["w"], d["kw"], d["stride"], d["pad"])


def _flops2d(d: Dims) -> Size:
    return 2 * d["n"] * d["oc"] * _out2d(d) * (d["c"] // d["groups"]) * d["kh"] * d["kw"]


def _elements2d(d: Dims) -> Size:
    weights = d["oc"] * (d["c"] // d["groups"]) * d["kh"] * d["kw"]
    return d["n"] * d["c"] * input_area(d, d["h"] * d["w"]) + weights + d["n"] * d["oc"] * _out2d(d)


def _flops1d(d: Dims) -> Size:
    out = conv_out(d["l"], d["k"], d["stride"], d["pad"])
    return 2 * d["n"] * d["oc"] * out * (d["c"] // d["groups"]) * d["k"]


def _elements1d(d: Dims) -> Size:
    out = conv_out(d["l"], d["k"], d["stride"], d["pad"])
    return d["n"] * d["c"] * input_area(d, d["l"]) + d["oc"] * (d["c"] // d["groups"]) * d["k"] + d["n"] * d["oc"] * out


def _conv2d(d: Dims, torch: Any, dtype: Any, device: str) -> Callable[[], Any]:
    x = torch.ones(d["n"], d["c"], d["h"], d["w"], dtype=dtype, device=device)
    weight = torch.ones(d["oc"], d["c"] // d["groups"], d["kh"], d["kw"], dtype=dtype, device=device)
    stride, pad, groups = d["stride"], d["pad"], d["groups"]
    return lambda: torch.nn.functional.conv2d(x, weight, None, stride, pad, 1, groups)


def _conv1d(d: Dims, torch: Any, dtype: Any, device: str) -> Callable[[], Any]:
    x = torch.ones(d["n"], d["c"], d["l"], dtype=dtype, device=device)
    weight = torch.ones(d["oc"], d["c"] // d["groups"], d["k"], dtype=dtype, device=device)
    stride, pad, groups = d["stride"], d["pad"], d["groups"]
    return lambda: torch.nn.functional.conv1d(x, weight, None, stride, pad, 1, groups)


OPERATORS = (
    OperatorType(
        "Conv2d", "conv", ("n", "c", "h", "w", "oc", "kh", "kw"), _flops2d, _elements2d, _conv2d,
        {"stride": 1, "pad": 0, "groups": 1, "area": 0},
    ),
    OperatorType(
        "Conv1d", "conv", ("n", "c", "l", "oc", "k"), _flops1d, _elements1d, _conv1d,
        {"stride": 1, "pad": 0, "groups": 1, "area": 0},
    ),
)
