"""Detect disturbed measurements: a reference operator (canary) before and after, and CPU time of other processes."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from data_collection.backends import Backend
from hetbench.operators import operator_type

__all__ = ["Canary", "Meter", "Sight", "Watch", "disturbance"]

TOLERANCE = 0.10
"""Allowed slowdown of the canary over its best time. On a quiet machine nine of ten medians are within 2 % of the best;
with a busy host some are 12 to 25 % above it."""
OTHERS = 0.2
"""CPU cores that other processes may use."""
_LOOK = 10  # repeats of the canary between two windows
_TICK_S = 0.03  # the kernel counts CPU time in ticks of 10 ms; below three of them a difference says nothing


@dataclass(frozen=True, slots=True)
class Sight:
    """Canary time and load of other processes around one measurement."""

    canary_ms: float
    others_cores: float


def disturbance(seen: Sight, reference_ms: float) -> str | None:
    """Why a measurement is disturbed, or None.

    >>> disturbance(Sight(canary_ms=0.5, others_cores=0.0), reference_ms=0.4)
    'the canary took 0.5000 ms, 25 % above its best of 0.4000 ms'
    """
    excess = seen.canary_ms / reference_ms - 1
    if excess > TOLERANCE:
        return f"the canary took {seen.canary_ms:.4f} ms, {excess:.0%} above its best of {reference_ms:.4f} ms".replace(
            "%", " %"
        )
    if seen.others_cores > OTHERS:
        return f"other processes took {seen.others_cores:.2f} CPU cores meanwhile"
    return None


class Canary:
    """The canary: a small matrix product on the device, with the current number of threads."""

    def __init__(self, backend: Backend) -> None:
        import torch

        size, dtype = (256, torch.float32) if backend.device == "cpu" else (2048, torch.float16)
        self.backend = backend
        self.call: Callable[[], Any] = operator_type("MatMul").build(dict.fromkeys("mnk", size), dtype, backend.device)

    def ms(self, repeats: int = 30) -> float:
        """Median of a few repeats, in milliseconds."""
        self.call()
        return 1e3 * statistics.median(self.backend.seconds(self.call, 1, "wall") for _ in range(repeats))


class Watch:
    """Times the canary between repeats and says whether it was close to its best."""

    def __init__(self, canary: Canary, best_ms: float) -> None:
        self.canary, self.limit_ms = canary, best_ms * (1 + TOLERANCE)
        self.best_ms = best_ms
        self.looks: list[float] = []
        """Of each run the lesser of its time by the clock and on the processors, which only sharing lengthens."""
        self.slowest_ms = self.quiet_ms = 0.0

    def __call__(self) -> bool:
        before = self.canary.backend.busy_seconds()
        seen = self.canary.ms(repeats=_LOOK)
        after = self.canary.backend.busy_seconds()
        busy_ms = seen if before is None or after is None else 1e3 * (after - before) / (_LOOK + 1)  # one warms up
        self.looks.append(min(seen, busy_ms))
        self.slowest_ms = max(self.slowest_ms, seen)
        if seen <= self.limit_ms:
            self.quiet_ms = max(self.quiet_ms, seen)
        return seen <= self.limit_ms


class Meter:
    """CPU time of other processes between two points in time."""

    def __init__(self) -> None:
        self.start = self._now()

    @staticmethod
    def _now() -> tuple[float, float, float]:
        """Wall time, CPU time of the machine including time stolen by the host, CPU time of this process."""
        import psutil

        whole, own = psutil.cpu_times(), os.times()
        busy = sum(whole) - whole.idle - getattr(whole, "iowait", 0) - getattr(whole, "guest", 0)
        return time.monotonic(), busy, own.user + own.system + own.children_user + own.children_system

    def others_cores(self) -> float:
        """CPU cores that other processes used on average; 0 below the resolution of the kernel's clock."""
        wall, busy, own = (now - then for now, then in zip(self._now(), self.start, strict=True))
        others = busy - own
        return max(0.0, others / wall) if others > _TICK_S and wall > 0 else 0.0
