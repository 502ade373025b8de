"""Resampling of [n, c, h, w] to [n, c, oh, ow], as position tables are for image sizes of one's own.

Counted as bicubic: 16 samples read and weighted for each output element; memory moves every tensor once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hetbench.operators._base import Dims, OperatorType, Size


def _flops(d: Dims) -> Size:
    return 32 * d["n"] * d["c"] * d["oh"] * d["ow"]


def _elements(d: Dims) -> Size:
    return d["n"] * d["c"] * (d["h"] * d["w"] + d["oh"] * d["ow"])


def _interpolate(d: Dims, torch: Any, dtype: Any, device: str) -> Callable[[], Any]:
    x = torch.ones(d["n"], d["c"], d["h"], d["w"], dtype=dtype, device=device)
    resize, size = torch.nn.functional.interpolate, (d["oh"], d["ow"])
    return lambda: resize(x, size=size, mode="bicubic", align_corners=False)


OPERATORS = (
    OperatorType("Interpolate", "vector", ("n", "c", "h", "w", "oh", "ow"), _flops, _elements, _interpolate),
)
