"""Peaks measured on a device: matrix products in each precision, memory bandwidth, and the time of an empty call.

Each figure is the best of many repeats, by the clock or, on a CPU, by the time on the processors over the threads,
whichever is less, so that load from other processes lowers it little. Bandwidth is that of a STREAM
triad, a = b + scalar * c, three arrays counted once each; in caches likewise, on arrays that fit.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from data_collection.backends import Backend
from hetbench.schema import itemsize

__all__ = ["bandwidth_gbs", "launch_us", "peaks", "product_tflops"]

_DTYPES = {"fp64": "float64", "fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}
_FACT = {"fp64": "fp64_tflops", "fp32": "fp32_tflops", "fp16": "fp16_tflops", "bf16": "bf16_tflops"}
_ON_CPU = ("fp64", "fp32", "bf16")  # fp16 on a CPU is emulated by most builds of PyTorch
_CPU_SIZES = ((1024, 1024, 1024), (1024, 4096, 4096))  # m, n, k
_SIZES = ((4096, 4096, 4096), (8192, 8192, 8192))
_TRIAD = 2**25  # elements of fp32: three arrays of 128 MiB, more than the last-level cache of any chip here
_SLOWER = 0.5
"""A precision whose products reach less than this share of fp32's has no units of its own and is not stated."""


def peaks(backend: Backend, seconds: float) -> Iterator[tuple[str, float]]:
    """Each fact of a chip that is measured, with its figure: peaks in TFLOPS, then the bandwidth in GB/s.

    `seconds` is the time for each figure. A precision that the device cannot compute, or emulates, is left out.
    """
    found: dict[str, float] = {}
    for precision in _ON_CPU if backend.device == "cpu" else tuple(_DTYPES):
        try:
            found[precision] = product_tflops(backend, precision, seconds)
        except (RuntimeError, TypeError):  # torch has no kernel for it on this device
            continue
        if precision in ("fp64", "fp32") or found[precision] > _SLOWER * found.get("fp32", 0.0):
            yield _FACT[precision], found[precision]
    yield "mem_bw_gbs", bandwidth_gbs(backend, seconds)


def product_tflops(backend: Backend, precision: str, seconds: float) -> float:
    """Best TFLOP/s of a matrix product."""
    import torch

    best, sizes = 0.0, _CPU_SIZES if backend.device == "cpu" else _SIZES
    for m, n, k in sizes:
        a = torch.ones(m, k, dtype=getattr(torch, _DTYPES[precision]), device=backend.device)
        b = torch.ones(n, k, dtype=a.dtype, device=backend.device)
        took = _shortest(backend, partial(torch.nn.functional.linear, a, b), seconds / len(sizes))
        best = max(best, 2 * m * n * k / took / 1e12)
    return best


def bandwidth_gbs(backend: Backend, seconds: float, elements: int = _TRIAD) -> float:
    """Best GB/s of a triad on three arrays of `elements` fp32 values."""
    import torch

    a, b, c = (torch.ones(elements, device=backend.device) for _ in range(3))
    took = _shortest(backend, lambda: torch.add(b, c, alpha=1.5, out=a), seconds)
    return 3 * elements * itemsize("fp32") / took / 1e9


def launch_us(backend: Backend, protocol: str, seconds: float = 1.0) -> float:
    """Shortest time in microseconds of a call on one element, under a timing protocol of the backend."""
    import torch

    one = torch.ones(1, device=backend.device)
    calls, best, end = 100, float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        best = min(best, backend.seconds(lambda: torch.relu(one), calls, protocol) / calls)
    return 1e6 * best


def _shortest(backend: Backend, call: Callable[[], Any], seconds: float) -> float:
    """Seconds of the fastest call within `seconds`, waiting for the device after each.

    On a CPU the time on the processors over the threads counts where it is less than that by the clock: others took
    the processor in between. Both are only lengthened by load, since every thread works in these calls."""
    call()
    backend.synchronise()
    best, end = float("inf"), time.perf_counter() + seconds
    while (start := time.perf_counter()) < end:
        busy = backend.busy_seconds()
        call()
        backend.synchronise()
        best = min(best, time.perf_counter() - start)
        if busy is not None:
            best = min(best, (backend.busy_seconds() or math.inf) - busy)
    return best
