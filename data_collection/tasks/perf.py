"""Speed: latency and throughput from the profiler's rows, and with several clients that call one network at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from data_collection.backends import Backend
from data_collection.profile.quiet import Canary, Meter, Sight
from data_collection.profile.subjects import ready
from data_collection.profile.tasks import Task
from data_collection.profile.timing import quantile, warm_up
from hetbench.errors import RefusedError

__all__ = ["concurrent", "figures", "of_row"]

FIGURES = ("qps", "avg_ms", "p50_ms", "p99_ms")


def of_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Speed from a row of the store; a noisy row has one latency, a row without one only a status and a reason."""
    known = dict.fromkeys(FIGURES)
    if row["status"] == "ok":
        known = figures(row["raw_ms"], row["batch"])
    elif row["status"] == "noisy":
        known |= {"qps": 1e3 * row["batch"] / row["latency_ms"], "p50_ms": row["latency_ms"]}
    names = ("batch", "status", "reason", "repeats", "spread", "peak_memory_bytes", "library")
    return {**{name: row[name] for name in names}, **known}


def figures(milliseconds: Sequence[float], batch: int) -> dict[str, Any]:
    """Samples per second from the mean, and mean, median and p99 per call; p99 needs 100 calls.

    >>> figures([1.0, 3.0], batch=8)
    {'qps': 4000.0, 'avg_ms': 2.0, 'p50_ms': 2.0, 'p99_ms': None}
    """
    ordered = sorted(milliseconds)
    mean = sum(ordered) / len(ordered)
    p99 = quantile(ordered, 0.99) if len(ordered) >= 100 else None
    return {"qps": 1e3 * batch / mean, "avg_ms": mean, "p50_ms": quantile(ordered, 0.5), "p99_ms": p99}


def concurrent(backend: Backend, task: Task, clients: int, iterations: int) -> tuple[dict[str, Any], Sight]:
    """Total samples per second, and latency per client, of `clients` threads that share one network.

    Each thread calls it `iterations` times. Runs in the child process."""
    if task.stack == "openvino":
        raise RefusedError("an OpenVINO request takes one call at a time; measure concurrent clients on another stack.")
    if task.threads:
        backend.set_threads(task.threads)
    canary = Canary(backend)
    with ready(backend, task) as subject:
        if subject.reset:
            raise RefusedError(f"{task.phase} changes its cache at every call, so clients cannot share a network.")
        warm_up(backend, subject.call)
        before, meter = canary.ms(), Meter()
        spans = _calls(backend, subject.call, clients, iterations)
        others = meter.others_cores()
        seen = Sight(max(before, canary.ms()), others)
    wall = max(end for _, end in spans) - min(start for start, _ in spans)
    known = figures([1e3 * (end - start) for start, end in spans], task.batch or 1)
    return known | {"qps": len(spans) * (task.batch or 1) / wall}, seen


def _calls(backend: Backend, call: Any, clients: int, iterations: int) -> list[tuple[float, float]]:
    """Start and end of every call of every client, in seconds."""
    import torch

    spans: list[tuple[float, float]] = []
    failures: list[BaseException] = []
    barrier = threading.Barrier(clients)

    def client() -> None:
        try:
            with torch.no_grad():  # inference mode is per thread
                barrier.wait()
                for _ in range(iterations):
                    start = time.perf_counter()
                    call()
                    backend.synchronise()
                    spans.append((start, time.perf_counter()))
        except Exception as error:  # noqa: BLE001 - raised again below, in the thread that measures
            failures.append(error)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    if failures:
        raise failures[0]
    return spans
