"""Pooling over [n, c, h, w]; square strides and padding, output sizes rounded down."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from hetbench.operators._base import Dims, OperatorType, Size
from hetbench.operators.conv import conv_out


def _out(d: Dims) -> Size:
    area = conv_out(d["h"], d["kh"], d["stride"], d["pad"]) * conv_out(d["w"], d["kw"], d["stride"], d["pad"])
    return d["n"] * d["c"] * area


def _flops(d: Dims) -> Size:
    return _out(d) * d["kh"] * d["kw"]


def _elements(d: Dims) -> Size:
    return d["n"] * d["c"] * d["h"] * d["w"] + _out(d)


def _input(d: Dims, torch: Any, dtype: Any, device: str) -> Any:
    return torch.ones(d["n"], d["c"], d["h"], d["w"], dtype=dtype, device=device)


def _make(call: str, d: Dims, torch: Any, dtype: Any, device: str) -> Callable[[], Any]:
    x, pool = _input(d, torch, dtype, device), getattr(torch.nn.functional, call)
    return lambda: pool(x, (d["kh"], d["kw"]), d["stride"], d["pad"])


def _adaptive(d: Dims, torch: Any, dtype: Any, device: str) -> Callable[[], Any]:
    x = _input(d, torch, dtype, device)
    return lambda: torch.nn.functional.adaptive_avg_pool2d(x, (d["oh"], d["ow"]))


_WINDOW = ("n", "c", "h", "w", "kh", "kw")

OPERATORS = (
    OperatorType(
        "MaxPool2d", "vector", _WINDOW, _flops, _elements, partial(_make, "max_pool2d"), {"stride": 1, "pad": 0}
    ),
    OperatorType(
        "AvgPool2d", "vector", _WINDOW, _flops, _elements, partial(_make, "avg_pool2d"), {"stride": 1, "pad": 0}
    ),
    OperatorType(
        "AdaptiveAvgPool2d",
        "vector",
        ("n", "c", "h", "w", "oh", "ow"),
        lambda d: d["n"] * d["c"] * d["h"] * d["w"],
        lambda d: d["n"] * d["c"] * (d["h"] * d["w"] + d["oh"] * d["ow"]),
        _adaptive,
    ),
)
