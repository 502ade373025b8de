"""Resampling of [n, c, h, w] to [n, c, oh, ow]: interpolation to another size, and samples at given positions.

Each of the `taps` samples of an output element is read, weighted and added: 16 for bicubic, 4 bilinear, 8 trilinear,
2 linear, 1 nearest. Memory moves every tensor once. Three axes are written as h and w = the other two multiplied.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hetbench.operators._base import Dims, OperatorType, Size

_MODES = {1: "nearest", 4: "bilinear"}


def _flops(d: Dims) -> Size:
    return 2 * d["taps"] * d["n"] * d["c"] * d["oh"] * d["ow"]


def _elements(d: Dims) -> Size:
    return d["n"] * d["c"] * (d["h"] * d["w"] + d["oh"] * d["ow"])


def _image(d: Dims, torch: Any, dtype: Any, device: str) -> Any:
    return torch.ones(d["n"], d["c"], d["h"], d["w"], dtype=dtype, device=device)


def _interpolate(d: Dims, torch: Any, dtype: Any, device: str) -> Callable[[], Any]:
    x, size = _image(d, torch, dtype, device), (d["oh"], d["ow"])
    return lambda: torch.nn.functional.interpolate(x, size=size, mode=_MODES.get(d["taps"], "bicubic"))


def _grid_elements(d: Dims) -> Size:
    return _elements(d) + 2 * d["n"] * d["oh"] * d["ow"]


def _grid_sample(d: Dims, torch: Any, dtype: Any, device: str) -> Callable[[], Any]:
    x, mode = _image(d, torch, dtype, device), _MODES.get(d["taps"], "bicubic")
    grid = torch.zeros(d["n"], d["oh"], d["ow"], 2, dtype=dtype, device=device)  # x and y in -1 .. 1
    return lambda: torch.nn.functional.grid_sample(x, grid, mode, align_corners=False)


_DIMS = ("n", "c", "h", "w", "oh", "ow")
OPERATORS = (
    OperatorType("Interpolate", "vector", _DIMS, _flops, _elements, _interpolate, {"taps": 16}),
    OperatorType("GridSample", "vector", _DIMS, _flops, _grid_elements, _grid_sample, {"taps": 4}),
)
