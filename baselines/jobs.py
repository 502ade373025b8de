"""Runs searches in sequence or in several processes; finished runs are kept and skipped."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from baselines import methods
from baselines.bench import Bench
from baselines.problems import Problem, scale_of
from baselines.results import finished, path_of, write

__all__ = ["Job", "pending", "run_all"]


@dataclass(frozen=True)
class Job:
    """One run."""

    problem: Problem
    method: str
    seed: int
    budget: int
    output: Path

    @property
    def path(self) -> Path:
        """Its file."""
        return path_of(self.output, self.problem, self.method, self.seed)


def pending(jobs: Iterable[Job]) -> list[Job]:
    """The jobs without a result file. Raises before any run for unavailable methods and files of other searches."""
    jobs = list(jobs)
    for name, objectives in dict.fromkeys((job.method, len(job.problem.objectives)) for job in jobs):
        methods.check(name, objectives)
    return [job for job in jobs
            if not finished(job.path, job.problem, scale_of(job.problem, job.output), job.budget)]  # fmt: skip


def run_all(jobs: Sequence[Job], workers: int) -> Iterator[tuple[Job, float]]:
    """Run jobs; yield each with its seconds once its file is written."""
    if workers <= 1 or len(jobs) <= 1:
        yield from ((job, _run(job)) for job in jobs)
        return
    fresh = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork
    with _single_threaded(), ProcessPoolExecutor(min(workers, len(jobs)), mp_context=fresh) as pool:
        running = {pool.submit(_run, job): job for job in jobs}
        try:
            for future in as_completed(running):
                yield running[future], future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _run(job: Job) -> float:
    start = time.perf_counter()
    bench = Bench(job.problem, scale_of(job.problem, job.output), job.budget, job.seed)
    methods.run(job.method, bench)
    write(job.path, bench, job.method)
    return time.perf_counter() - start


@contextmanager
def _single_threaded() -> Iterator[None]:
    """Limit numerical libraries to one thread in each started process, to avoid oversubscription."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before
