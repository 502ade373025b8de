"""Repeat one call until the median is known closely enough, and keep every repeat."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from data_collection.backends import Backend
from data_collection.profile.noise import Window

__all__ = ["Budget", "Timing", "quantile", "repeat", "spread_of_median", "warm_up"]

Call = Callable[[], Any]
_RESOLUTION_S = 50e-6  # least duration of a repeat, so that clock and loop overhead are small
_FEWEST = 6  # with fewer values no order-statistics interval covers the median with 95 %
_WINDOW_S = 0.03  # repeats between two canary runs


@dataclass(frozen=True, slots=True)
class Budget:
    """When to stop repeating: after `max_seconds`; or once `min_repeats` and `min_seconds` are reached and half the
    95 % interval of the median is at most `spread` of it."""

    min_repeats: int = 100
    max_repeats: int = 1000
    min_seconds: float = 0.05
    max_seconds: float = 1.0
    spread: float = 0.02
    canary_ms: float | None = None
    """The canary's best time; if known, only repeats between two quiet canary runs count."""


@dataclass(frozen=True, slots=True)
class Timing:
    """All repeats, in seconds per call."""

    seconds: tuple[float, ...]
    calls: int
    """Calls per repeat; a repeat's value is their mean."""
    quiet: bool = True
    """Whether enough repeats were undisturbed."""
    windows: tuple[Window, ...] = ()
    """Groups of all repeats, the disturbed ones included, in the order of time."""

    def figures(self) -> dict[str, Any]:
        """The timing columns of a row. p90 is None below 10 repeats, p99 below 100."""
        ordered = sorted(1e3 * each for each in self.seconds)
        count = len(ordered)
        return {
            "latency_ms": quantile(ordered, 0.5), "min_ms": ordered[0],
            "p90_ms": quantile(ordered, 0.9) if count >= 10 else None,
            "p99_ms": quantile(ordered, 0.99) if count >= 100 else None,
            "iqr_ms": quantile(ordered, 0.75) - quantile(ordered, 0.25), "spread": spread_of_median(ordered),
            "repeats": count, "calls_per_repeat": self.calls, "raw_ms": tuple(1e3 * each for each in self.seconds),
        }  # fmt: skip


def quantile(ordered: Sequence[float], share: float) -> float:
    """A quantile of sorted values, linearly interpolated.

    >>> quantile([1.0, 2.0, 3.0, 4.0], 0.5)
    2.5
    """
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def spread_of_median(ordered: Sequence[float]) -> float:
    """Half the 95 % interval of the median, from order statistics, divided by the median; distribution-free.

    >>> spread_of_median([1.0] * 20)
    0.0
    """
    count = len(ordered)
    low = max(0, math.floor((count - 1.96 * math.sqrt(count)) / 2))
    return (ordered[count - 1 - low] - ordered[low]) / 2 / quantile(ordered, 0.5)


def warm_up(backend: Backend, call: Call, reset: Call | None = None) -> float:
    """Warm up by the backend's policy, at most ten times its seconds; returns the shortest call in seconds."""
    start, shortest, calls = time.perf_counter(), math.inf, 0
    while True:
        if reset:
            reset()
        shortest = min(shortest, backend.seconds(call, 1, "wall"))
        calls += 1
        elapsed = time.perf_counter() - start
        enough = calls >= backend.warmup_calls and elapsed >= backend.warmup_seconds
        if enough or elapsed > 10 * backend.warmup_seconds:
            return shortest


def repeat(backend: Backend, call: Call, protocol: str, budget: Budget, *, shortest: float,
           reset: Call | None = None, quiet: Callable[[], bool] | None = None) -> Timing:
    """Time `call`. With `reset`, which runs before every call outside the timed section, a repeat is one call.

    With `quiet`, which says whether the machine is undisturbed, repeats are grouped in short windows and only windows
    that were quiet before and after count. If too few are left, all are returned, and the caller's canary shows that
    they were disturbed.
    """
    least = max(_RESOLUTION_S, budget.min_seconds / budget.max_repeats)
    calls = 1 if reset else max(1, math.ceil(least / max(shortest, 1e-9)))
    seconds: list[float] = []
    dropped: list[float] = []
    windows: list[Window] = []
    start = time.perf_counter()
    calm = quiet is None or quiet()
    while True:
        window: list[float] = []
        busy = backend.busy_seconds()
        while not window or (quiet and sum(window) * calls < _WINDOW_S):
            if reset:
                reset()
            window.append(backend.seconds(call, calls, protocol) / calls)
        windows.append(_window(window, calls, busy, None if reset else backend.busy_seconds()))
        before, calm = calm, quiet is None or quiet()
        (seconds if before and calm else dropped).extend(window)
        count, elapsed = len(seconds), time.perf_counter() - start
        if count + len(dropped) < _FEWEST:
            continue
        if elapsed >= budget.max_seconds or count >= budget.max_repeats:
            break
        settled = count >= budget.min_repeats and elapsed >= budget.min_seconds
        if settled and (quiet or count % 10 == 0) and spread_of_median(sorted(seconds)) <= budget.spread:
            break
    return Timing(tuple(seconds if count >= _FEWEST else seconds + dropped), calls, count >= _FEWEST, tuple(windows))


def _window(window: Sequence[float], calls: int, before: float | None, after: float | None) -> Window:
    """A window of repeats; the time on the processors is unknown where the device is none or calls were reset."""
    busy = None if before is None or after is None else (after - before) / (len(window) * calls)
    return Window(statistics.median(window), busy)
