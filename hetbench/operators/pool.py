"""Pooling over [n, c, l], [n, c, h, w] and [n, c, d, h, w]; one stride and padding for all axes, sizes rounded down.

`area` holds the input positions of each channel where steps differ by axis and h x w does not say it (see `conv`);
`indices` is 1 where a maximum's int64 position is written too.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import prod
from typing import Any

from hetbench.operators._base import Dims, OperatorType, Size
from hetbench.operators.conv import conv_out, input_area

_AXES = {1: (("l", "k"),), 2: (("h", "kh"), ("w", "kw")), 3: (("d", "kd"), ("h", "kh"), ("w", "kw"))}
"""Number of axes -> names of each axis' size and window."""


def _out(axes: int, d: Dims) -> Size:
    out = d["n"] * d["c"]
    for size, window in _AXES[axes]:
        out = out * conv_out(d[size], d[window], d["stride"], d["pad"])
    return out


def _window(axes: int, d: Dims) -> Size:
    return prod(d[window] for _, window in _AXES[axes])


def _flops(axes: int, d: Dims) -> Size:
    return _out(axes, d) * _window(axes, d)


def _elements(axes: int, d: Dims) -> Size:
    return d["n"] * d["c"] * input_area(d, prod(d[size] for size, _ in _AXES[axes])) + _out(axes, d)


def _index_bytes(axes: int, d: Dims) -> Size:
    return 8 * d["indices"] * _out(axes, d)


def _make(call: str, axes: int, d: Dims, torch: Any, dtype: Any, device: str) -> Callable[[], Any]:
    sizes, windows = ([d[names[i]] for names in _AXES[axes]] for i in range(2))
    x, pool = torch.ones(d["n"], d["c"], *sizes, dtype=dtype, device=device), getattr(torch.nn.functional, call)
    given = {"return_indices": True} if d.get("indices") else {}
    return lambda: pool(x, tuple(windows), d["stride"], d["pad"], **given)


def _adaptive(call: str, d: Dims, torch: Any, dtype: Any, device: str) -> Callable[[], Any]:
    x = torch.ones(d["n"], d["c"], d["h"], d["w"], dtype=dtype, device=device)
    return lambda: getattr(torch.nn.functional, call)(x, (d["oh"], d["ow"]))


_STEPS = {"stride": 1, "pad": 0, "area": 0}


def _pools(axes: int) -> tuple[OperatorType, OperatorType]:
    dims = ("n", "c", *(size for size, _ in _AXES[axes]), *(window for _, window in _AXES[axes]))
    costs = partial(_flops, axes), partial(_elements, axes)
    return (
        OperatorType(
            f"MaxPool{axes}d", "vector", dims, *costs, partial(_make, f"max_pool{axes}d", axes),
            {**_STEPS, "indices": 0}, partial(_index_bytes, axes), class_dims=partial(_planes, axes),
        ),
        OperatorType(
            f"AvgPool{axes}d", "vector", dims, *costs, partial(_make, f"avg_pool{axes}d", axes), _STEPS,
            class_dims=partial(_planes, axes),
        ),
    )


def _planes(axes: int, d: Dims) -> Dims:
    return {"rows": d["n"] * d["c"], "cols": prod(d[size] for size, _ in _AXES[axes])}


OPERATORS = (
    *(pool for axes in _AXES for pool in _pools(axes)),
    *(
        OperatorType(
            name, "vector", ("n", "c", "h", "w", "oh", "ow"), lambda d: d["n"] * d["c"] * d["h"] * d["w"],
            lambda d: d["n"] * d["c"] * (d["h"] * d["w"] + d["oh"] * d["ow"]), partial(_adaptive, call),
        )
        for name, call in (("AdaptiveAvgPool2d", "adaptive_avg_pool2d"), ("AdaptiveMaxPool2d", "adaptive_max_pool2d"))
    ),
)
