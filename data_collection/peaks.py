"""Measure the peaks of a CPU: matrix products in each precision, and memory bandwidth by a STREAM triad.

    python -m data_collection.peaks [--threads 2] [--seconds 20]

For chips without a datasheet, such as a virtual machine's share of a processor. Each figure is the best of many
repeats, so load from other processes can only lower it. Enter the figures in data_collection/sources/own_chips.csv.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from data_collection.arguments import count, number
from hetbench.errors import command
from hetbench.schema import itemsize

__all__ = ["bandwidth_gbs", "main", "product_tflops"]

_DTYPES = {"fp64": "float64", "fp32": "float32", "bf16": "bfloat16"}
_SIZES = ((1024, 1024, 1024), (1024, 4096, 4096))  # m, n, k
_TRIAD = 2**25  # elements of fp32: three arrays of 128 MiB, four times a cache of 32 MiB each


def product_tflops(precision: str, seconds: float) -> float:
    """Best TFLOP/s of a matrix product."""
    import torch

    best = 0.0
    for m, n, k in _SIZES:
        a = torch.ones(m, k, dtype=getattr(torch, _DTYPES[precision]))
        b = torch.ones(n, k, dtype=a.dtype)
        took = _shortest(partial(torch.nn.functional.linear, a, b), seconds / len(_SIZES))
        best = max(best, 2 * m * n * k / took / 1e12)
    return best


def bandwidth_gbs(seconds: float) -> float:
    """Best GB/s of a = b + scalar * c, three arrays counted once each, as STREAM counts."""
    import torch

    a, b, c = (torch.ones(_TRIAD) for _ in range(3))
    return 3 * _TRIAD * itemsize("fp32") / _shortest(lambda: torch.add(b, c, alpha=1.5, out=a), seconds) / 1e9


def _shortest(call: Callable[[], Any], seconds: float) -> float:
    """Seconds of the fastest call within `seconds`."""
    call()
    best, end = float("inf"), time.perf_counter() + seconds
    while (start := time.perf_counter()) < end:
        call()
        best = min(best, time.perf_counter() - start)
    return best


@command("stopped")
def main(argv: Sequence[str] | None = None) -> int:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m data_collection.peaks", description=__doc__, formatter_class=raw)
    parser.add_argument("--threads", type=count(), default=os.cpu_count())
    add = parser.add_argument
    add("--seconds", type=number(above=True), default=20.0, help="seconds per figure; default: %(default)s")
    chosen = parser.parse_args(argv)
    import torch

    torch.set_num_threads(chosen.threads)
    for precision in _DTYPES:
        print(f"{precision}_tflops = {product_tflops(precision, chosen.seconds):.4f}", flush=True)
    print(f"mem_bw_gbs = {bandwidth_gbs(chosen.seconds):.2f}", flush=True)
    return 0


if __name__ == "__main__":
    main()
