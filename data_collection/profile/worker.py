"""Measure in a child process, so that a hang, an out-of-memory kill or a crash costs one row and nothing else."""

from __future__ import annotations

import ctypes
import logging
import multiprocessing
import os
import signal
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from data_collection.backends import Backend
from data_collection.profile.measure import Outcome, measure
from data_collection.profile.quiet import Canary, Meter, Sight
from data_collection.profile.tasks import Task
from data_collection.profile.timing import Budget
from hetbench.catalog.chips import Chip
from hetbench.errors import RefusedError

__all__ = ["Worker"]

_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of Linux
_START_S = 120.0  # importing torch on a busy machine


class Worker:
    """The parent's side. The child is started on demand and restarted after it died."""

    def __init__(self, backend: Backend, *, llc_bytes: float, memory_bytes: int | None = None) -> None:
        self.backend, self.llc_bytes, self.memory_bytes = backend, llc_bytes, memory_bytes
        self._process: Any = None
        self._pipe: Connection | None = None
        self._used = False

    @classmethod
    def on(cls, backend: Backend, chip: Chip, memory_bytes: int | None = None) -> Worker:
        """A worker for this chip; its memory limit defaults to 0.9 of the free memory."""
        import psutil

        memory_bytes = memory_bytes or int(0.9 * psutil.virtual_memory().available)
        return cls(backend, llc_bytes=2**20 * (chip.llc_mb or chip.l2_mb or 32), memory_bytes=memory_bytes)

    def measure(self, task: Task, budget: Budget, timeout: float, *, fresh: bool = False) -> Outcome:
        """The outcome of one task; with `fresh` in a new child, which also reports peak memory."""
        if fresh and self._used:
            self.close()
        outcome = self.ask(_measured, (task, budget, self.llc_bytes, fresh), timeout)
        if fresh:
            self.close()
        return outcome if isinstance(outcome, Outcome) else Outcome("error", str(outcome))

    def look(self, threads: int | None, seconds: float = 0.5) -> Sight | None:
        """Canary time and load of other processes over about this many seconds; None if the child died."""
        seen = self.ask(_looked, (threads, seconds), _START_S)
        return seen if isinstance(seen, Sight) else None

    def close(self, patience: float = 5.0) -> None:
        """End the child by closing its pipe; it is killed if it stays busy for too long."""
        if self._process is not None:
            assert self._pipe is not None
            self._pipe.close()
            self._process.join(patience)
            self._process.kill()
            self._process.join()
            self._process.close()
        self._process = self._pipe = None
        self._used = False

    def ask(self, function: Callable[..., Any], arguments: tuple[Any, ...], timeout: float) -> Any:
        """The result of `function(backend, *arguments)` in the child, or an outcome that says how the child died."""
        self._start()
        assert self._pipe is not None
        kills = _kernel_kills()
        self._used = True
        try:
            self._pipe.send((function, arguments))
            if self._pipe.poll(timeout):
                return self._pipe.recv()
        except (EOFError, ConnectionError):
            return self._buried(kills)
        self.close(patience=0)
        return Outcome("timeout", f"not done after {timeout:g} s")

    def _buried(self, kills: int | None) -> Outcome:
        """The outcome of a child that died."""
        self._process.join()
        code = self._process.exitcode
        self.close()
        if code == -signal.SIGKILL and kills is not None and (_kernel_kills() or 0) > kills:
            return Outcome("oom", "the kernel's out-of-memory killer ended the process")
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return Outcome("error", f"the measuring process ended with {how}")

    def _start(self) -> None:
        if self._process is not None and self._process.is_alive():
            return
        self.close()
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self.backend, self.memory_bytes), daemon=True)
        self._process.start()
        theirs.close()
        if not self._pipe.poll(_START_S):
            raise RefusedError(f"the measuring process did not start within {_START_S:g} s; the machine is too busy.")
        self._pipe.recv()


def _kernel_kills() -> int | None:
    """Number of processes that the kernel's OOM killer ended since boot."""
    with suppress(OSError):
        for line in Path("/proc/vmstat").read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return None


def _serve(pipe: Connection, backend: Backend, memory_bytes: int | None) -> None:
    """Main loop of the child: serves requests until the pipe closes, which also happens when the parent dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")  # the first to be killed when memory runs out
    if memory_bytes:
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    os.environ |= {"HF_HUB_OFFLINE": "1", "TORCHINDUCTOR_COMPILE_THREADS": "1"}  # no pool that outlives this process
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    pipe.send("ready")
    with suppress(EOFError, ConnectionError):
        while True:
            function, arguments = pipe.recv()
            pipe.send(function(backend, *arguments))


def _measured(backend: Backend, task: Task, budget: Budget, llc_bytes: float, fresh: bool) -> Outcome:
    return measure(backend, task, budget, llc_bytes=llc_bytes, fresh=fresh)


def _looked(backend: Backend, threads: int | None, seconds: float) -> Sight:
    if threads:
        backend.set_threads(threads)
    canary, meter, end = Canary(backend), Meter(), time.monotonic() + seconds
    shown = []
    while time.monotonic() < end:
        shown.append(canary.ms())
        time.sleep(0.02)
    return Sight(min(shown), meter.others_cores())
