"""A latency from a machine that others load: the quietest part of the repeats, corrected by the canary.

Repeats come in windows with a run of the canary before and after each (`timing.repeat`). Load only adds time, in three
ways, and each is undone by what is known of it:

* Others take the processor in the middle of a call. The time that this process itself spent on the processors, over its
  threads, leaves that out; a window's time is the lesser of that and of the clock. With several threads it still holds
  the waiting of one for another, so that it is an upper bound like the clock.
* Others share caches, clocks and memory. The canary shows by how much its own work is slower than at its best.
* Load comes and goes: the windows are grouped in blocks, and the block with the least median is the quietest.

On two cores with a load average of 14, the least window of one matrix product lay between 40 and 55 ms by the clock in
five rounds, and between 8.5 and 10.2 ms by the time on the processors.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["BLOCKS", "Robust", "Window", "least_of", "robust"]

BLOCKS = 5
_MOST_SLOWDOWN = 1.5
"""Most that the canary may correct: sharing of caches and clocks; beyond it the canary itself was interrupted."""

_LEAST_SPREAD = 0.05
"""A noisy row may be off by at least as much as quiet rows of one setting between runs."""


@dataclass(frozen=True, slots=True)
class Window:
    """Repeats between two runs of the canary; seconds per call."""

    clock_s: float
    """Median by the clock."""
    busy_s: float | None
    """Time on the processors over the number of threads; None where the device is no processor."""

    @property
    def seconds(self) -> float:
        """The lesser of both, each of which load only lengthens."""
        return self.clock_s if not self.busy_s else min(self.clock_s, self.busy_s)


@dataclass(frozen=True, slots=True)
class Robust:
    """A latency with how far it may be off."""

    ms: float
    spread: float
    """How far the median window lies above it, or the canary in its block above its best: the larger, relative."""


def robust(windows: Sequence[Window], looks: Sequence[float], best: float) -> Robust | None:
    """The latency of the quietest of five blocks of windows; None without windows.

    Args:
        windows: in the order of time.
        looks: times of the canary, one before the first window and one after each.
        best: its best time, in the same unit.

    >>> calm, loaded = Window(2e-3, 2e-3), Window(9e-3, 3e-3)
    >>> robust([loaded, calm, loaded], looks=[0.5, 0.4, 0.4, 0.5], best=0.4)
    Robust(ms=2.0, spread=0.33333333333333326)
    """
    if not windows:
        return None
    slowdown = [max(1.0, min(_MOST_SLOWDOWN, (looks[at] + looks[at + 1]) / 2 / best)) for at in range(len(windows))]
    size = max(1, len(windows) // BLOCKS)
    blocks = [slice(at, at + size) for at in range(0, len(windows) - size + 1, size)]
    found = [(statistics.median(each.seconds for each in windows[block]), statistics.median(slowdown[block]))
             for block in blocks]  # fmt: skip
    seconds, slower = min(found)
    usual = statistics.median(each.seconds / slow for each, slow in zip(windows, slowdown, strict=True))
    return Robust(1e3 * seconds / slower, max(_LEAST_SPREAD, usual * slower / seconds - 1, slower - 1))


def least_of(found: Sequence[Robust]) -> Robust:
    """The least of several attempts; its spread reaches to the median of them.

    >>> least_of([Robust(2.0, 0.1), Robust(3.0, 0.1), Robust(4.0, 0.1)])
    Robust(ms=2.0, spread=0.5)
    """
    least = min(found, key=lambda each: each.ms)
    return Robust(least.ms, max(least.spread, statistics.median(each.ms for each in found) / least.ms - 1))
