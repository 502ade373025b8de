"""Fourier transforms of `rows` signals of `cols` points (several transformed axes multiplied).

Work is counted as 5 n log2 n for a complex transform and half of that where one side is real, the convention of FFTW
(https://www.fftw.org/speed/method.html). Elements are real numbers: a complex one is two. The real side of a real
transform has n elements and its complex side n / 2 + 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from hetbench.operators._arrays import as_array
from hetbench.operators._base import Dims, OperatorType, Size


def _flops(d: Dims) -> Size:
    scalar = all(isinstance(d[name], int) for name in ("rows", "cols", "real"))
    points = as_array(d["cols"], dtype=np.float64)
    work = np.rint(5 * points * np.log2(points) / (1 + as_array(d["real"]))).astype(np.int64) * d["rows"]
    return int(work) if scalar else work


def _elements(d: Dims) -> Size:
    half = d["cols"] + 2 * (d["cols"] // 2 + 1)
    return d["rows"] * (d["real"] * half + (1 - d["real"]) * 4 * d["cols"])


def _fft(d: Dims, torch: Any, dtype: Any, device: str) -> Callable[[], Any]:
    real = dtype if dtype in (torch.float32, torch.float64) else torch.float32
    x = torch.ones(d["rows"], d["cols"], dtype=real, device=device)
    if d["real"]:
        return lambda: torch.fft.rfft(x)
    given = torch.complex(x, x)
    return lambda: torch.fft.fft(given)


OPERATORS = (OperatorType("FFT", "vector", ("rows", "cols"), _flops, _elements, _fft, {"real": 0}),)
