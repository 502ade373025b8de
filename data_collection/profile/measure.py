"""Measure one task in this process: build, warm up, canary, repeat, canary; errors become a status."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from data_collection.backends import Backend
from data_collection.profile.libraries import ran_by
from data_collection.profile.noise import Robust, robust
from data_collection.profile.quiet import Canary, Meter, Sight, Watch
from data_collection.profile.subjects import Subject, ready, rehearse
from data_collection.profile.tasks import Task
from data_collection.profile.timing import Budget, repeat, warm_up
from hetbench.errors import RefusedError

__all__ = ["Energy", "Outcome", "measure", "status_of"]

_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory", "bad_alloc")
_UNSUPPORTED = ("not implemented for", "not supported", "unsupported", "could not run", "not currently supported")


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of one task: its status and, if it ran, its columns."""

    status: str
    reason: str | None = None
    figures: dict[str, Any] = field(default_factory=dict)
    """Columns of a row."""
    seen: Sight | None = None
    robust: Robust | None = None
    """The latency that counts if the machine was disturbed."""


def measure(backend: Backend, task: Task, budget: Budget, *, llc_bytes: float, fresh: bool,
            change: Callable[[Any], Any] | None = None) -> Outcome:
    """Time a task; `change`, if given, modifies a model's network first.

    Peak memory is reported only in a `fresh` process, which holds no memory of an earlier task; on a CPU only for eager
    PyTorch, since compilers and other runtimes allocate in the same process."""
    tells_peak = fresh and (task.stack == "eager" or backend.device != "cpu")
    try:
        if task.threads:
            backend.set_threads(task.threads)
        canary = Canary(backend)
        rehearse(task)
        held = backend.memory()
        with ready(backend, task, change) as subject:
            figures, peak, seen, least = _timed(backend, task, subject, budget, canary, llc_bytes)
    except Exception as error:  # noqa: BLE001 - whatever a foreign library throws becomes the status of this row
        said = str(error).strip()[:300]
        return Outcome(status_of(error), said if isinstance(error, RefusedError) else f"{type(error).__name__}: {said}")
    if tells_peak and held and peak:
        figures["peak_memory_bytes"] = max(0, peak[1] - held[0])
    return Outcome("ok", None, figures, seen, least)


def status_of(error: BaseException) -> str:
    """The row status of an exception.

    >>> status_of(RuntimeError('"addmm_impl_cpu_" not implemented for \\'Bool\\'')), status_of(MemoryError())
    ('unsupported', 'oom')
    """
    text = str(error).lower()
    if isinstance(error, MemoryError) or any(sign in text for sign in _OUT_OF_MEMORY):
        return "oom"
    if isinstance(error, RefusedError | NotImplementedError) or any(sign in text for sign in _UNSUPPORTED):
        return "unsupported"
    return "error"


def _timed(backend: Backend, task: Task, subject: Subject, budget: Budget, canary: Canary,
           llc_bytes: float) -> tuple[dict[str, Any], tuple[int, int] | None, Sight, Robust | None]:
    """Columns of the row, memory after the warm-up, what disturbed it, and the latency if something did."""
    resets = [subject.reset] if subject.reset else []
    if task.cache == "cold":
        resets.append(backend.sweep(llc_bytes))
    reset = _one_after_another(resets) if resets else None
    backend.reset_peak_memory()
    shortest = warm_up(backend, subject.call, reset)
    peak = backend.memory()
    fresh_call = _one_after_another([*resets[:1], subject.call]) if subject.reset else subject.call
    figures = {
        "library": subject.library or ran_by(fresh_call), "cpu_fallback": backend.fell_back(fresh_call),
        "kernel_ms": _ms(backend.kernel_seconds(fresh_call)),
    }  # fmt: skip
    watch = Watch(canary, budget.canary_ms) if budget.canary_ms else None
    canary_ms, meter = canary.ms(), Meter()
    timing = repeat(backend, subject.call, task.protocol, budget, shortest=shortest, reset=reset, quiet=watch)
    others = meter.others_cores()
    if watch:
        canary_ms = watch.quiet_ms if timing.quiet else watch.slowest_ms
    else:
        canary_ms = max(canary_ms, canary.ms())
    figures |= timing.figures()
    figures["energy_j"] = None if reset else _joules(backend, subject.call, budget, shortest)
    least = robust(timing.windows, watch.looks, min(watch.best_ms, *watch.looks)) if watch else None
    return figures, peak, Sight(canary_ms, others), least


def _joules(backend: Backend, call: Callable[[], Any], budget: Budget, shortest: float) -> float | None:
    """Joules per call, from separate repeats without canary; None if the device reports neither energy nor power."""
    if backend.joules() is None and backend.watts() is None:
        return None
    with Energy(backend) as energy:
        timing = repeat(backend, call, "wall", budget, shortest=shortest)
    return None if energy.joules is None else energy.joules / (timing.calls * len(timing.seconds))


def _one_after_another(calls: list[Callable[[], Any]]) -> Callable[[], None]:
    def run() -> None:
        for call in calls:
            call()

    return run


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else 1e3 * seconds


class Energy:
    """Energy of a block in joules: difference of the chip's counter, or mean power times time.

    None if the chip reports neither, or if the block was too short for the sampling rate."""

    shortest_s = 0.5
    every_s = 0.1

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.joules: float | None = None

    def __enter__(self) -> Energy:
        self._watts: list[float] = []
        self._done = threading.Event()
        self._thread = None
        self._counter = self.backend.joules()
        if self._counter is None and self.backend.watts() is not None:
            self._thread = threading.Thread(target=self._sample, daemon=True)
            self._thread.start()
        self._start = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        elapsed, counter = time.monotonic() - self._start, self.backend.joules()
        if self._thread:
            self._done.set()
            self._thread.join()
        if elapsed < self.shortest_s:
            return
        if self._counter is not None and counter is not None:
            self.joules = counter - self._counter if counter > self._counter else None  # a counter can wrap
        elif self._watts:
            self.joules = elapsed * sum(self._watts) / len(self._watts)

    def _sample(self) -> None:
        while not self._done.wait(self.every_s):
            watts = self.backend.watts()
            if watts is not None:
                self._watts.append(watts)
