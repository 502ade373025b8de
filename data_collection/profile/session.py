"""Measure tasks one after another and write rows; a disturbed row is measured again, and marked if that fails."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from data_collection.profile.environment import Environment
from data_collection.profile.measure import Outcome
from data_collection.profile.noise import Robust, least_of
from data_collection.profile.quiet import disturbance
from data_collection.profile.tasks import Task
from data_collection.profile.timing import Budget
from data_collection.profile.worker import Worker
from data_collection.store import Row, Run, connect, key, read
from data_collection.store.rows import FIGURES
from hetbench.errors import RefusedError

__all__ = ["Policy", "Session", "canaries", "key_of", "noisy", "row_of", "settled", "shown"]

_HEAVY_BYTES = 2**28
"""Operators whose tensors are larger are measured in a process of their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Limits of a session: time per row, retries, and waiting for a quiet machine."""

    budget: Budget = field(default_factory=Budget)
    timeout_s: float = 300.0
    retries: int = 4
    patience_s: float = 60.0
    """Seconds to wait per row until the machine is quiet."""
    keep_noisy: bool = False
    """Whether a row that stays disturbed gets the estimate of `noise` as its latency, and the status `noisy`."""


class Session:
    """One run of the profiler on one device: turns the worker's outcomes into rows of the store."""

    def __init__(self, environment: Environment, worker: Worker, *, store: Path | None, policy: Policy,
                 say: Callable[[str], None] = print, floors: Mapping[int | None, float] | None = None) -> None:
        """`floors` replaces the store's canary times on a machine without the store (a cluster node)."""
        self.environment, self.worker, self.store, self.policy, self.say = environment, worker, store, policy, say
        self.floors = floors
        self.references: dict[int | None, float] = {}
        """Threads -> the canary's best time in milliseconds."""

    def new(self, tasks: Iterable[Task]) -> list[Task]:
        """Tasks without a final row in the store; disturbed rows are measured again."""
        done = settled(self.store, noisy=self.policy.keep_noisy)
        return [task for task in tasks if key_of(self.environment, task) not in done]

    def run(self, tasks: Iterable[Task], run: Run) -> dict[str, int]:
        """Measure and append each task; returns the number of rows by status."""
        counts: dict[str, int] = {}
        tasks = list(tasks)
        try:
            for place, task in enumerate(tasks, 1):
                row = self.measure(task, run.name)
                run.append(row)
                counts[row.status] = counts.get(row.status, 0) + 1
                self.say(f"[{place}/{len(tasks)}] {task.label()}: {shown(row)}")
        finally:
            self.worker.close()
        return counts

    def measure(self, task: Task, run: str) -> Row:
        """Measure one task and return its row, whatever the status; nothing is written."""
        started = datetime.now(UTC).isoformat(timespec="seconds")
        outcome = self._settled(task)
        return row_of(self.environment, task, outcome, run, started, self.references.get(task.threads))

    def _settled(self, task: Task) -> Outcome:
        """The first undisturbed outcome, or the last one, marked as disturbed or noisy."""
        reference = self._reference(task.threads)
        fresh = task.kind == "model" or task.bytes_moved() > _HEAVY_BYTES
        deadline = time.monotonic() + self.policy.patience_s
        estimates: list[Robust] = []
        for attempt in range(self.policy.retries + 1):
            budget = replace(self.policy.budget, canary_ms=reference)
            outcome = self.worker.measure(task, budget, self.policy.timeout_s, fresh=fresh)
            if outcome.seen is None:
                return outcome
            reference = self.references[task.threads] = min(reference, outcome.seen.canary_ms)
            reason = disturbance(outcome.seen, reference)
            if reason is None:
                return outcome
            estimates += [outcome.robust] if outcome.robust else []
            if attempt < self.policy.retries and not self._wait(task.threads, deadline):
                break
        if self.policy.keep_noisy and estimates:
            return noisy(outcome, reason, least_of(estimates))
        return Outcome("disturbed", reason, outcome.figures, outcome.seen)

    def _wait(self, threads: int | None, deadline: float) -> bool:
        """Wait until the machine is quiet; False if it was not before the deadline."""
        while time.monotonic() < deadline:
            seen = self.worker.look(threads)
            if seen and disturbance(seen, self.references[threads]) is None:
                return True
            time.sleep(min(5.0, max(0.0, deadline - time.monotonic())))
        return False

    def _reference(self, threads: int | None) -> float:
        """The canary's best time in this run or in earlier runs on this chip with this software."""
        if threads not in self.references:
            seen = self.worker.look(threads, seconds=1.0)
            if seen is None:
                raise RefusedError("the child process dies on the canary, a small matrix product.")
            if self.floors is None:
                self.floors = canaries(self.store, self.environment)
            self.references[threads] = min(seen.canary_ms, self.floors.get(threads, math.inf))
        return self.references[threads]


def noisy(outcome: Outcome, reason: str | None, found: Robust) -> Outcome:
    """A disturbed outcome with the estimate as its latency; the other figures of its repeats are dropped."""
    kept = {name: value for name, value in outcome.figures.items() if name not in FIGURES}
    return Outcome("noisy", reason, {**kept, "latency_ms": found.ms, "spread": found.spread}, outcome.seen)


def row_of(environment: Environment, task: Task, outcome: Outcome, run: str, started: str,
           reference_ms: float | None = None) -> Row:
    """The row of a task's outcome."""
    figures = outcome.figures
    if outcome.status == "disturbed":  # keep the repeats for inspection, but no latency that could be used
        figures = {name: value for name, value in figures.items() if name not in FIGURES}
    seen = outcome.seen
    return Row(
        **asdict(task), family=environment.chip.family, chip=environment.chip.name,
        software=environment.software(task), status=outcome.status, reason=outcome.reason, **figures,
        canary_ms=seen.canary_ms if seen else None, others_cores=seen.others_cores if seen else None,
        canary_reference_ms=reference_ms, environment=environment.id, run=run, started=started,
    )  # fmt: skip


def key_of(environment: Environment, task: Task) -> str:
    """The key of the task's row in this environment."""
    return key(row_of(environment, task, Outcome("ok"), "", ""))


def settled(store: Path | None, since: datetime | None = None, *, noisy: bool = False) -> set[str]:
    """Keys of rows that need not be measured again: not older than `since`, not disturbed, nor noisy unless `noisy`."""
    open_ = ("disturbed",) if noisy else ("disturbed", "noisy")
    return {
        key(Row(**values)) for values in _rows(store)
        if values["status"] not in open_ and (since is None or datetime.fromisoformat(values["started"]) >= since)
    }  # fmt: skip


def canaries(store: Path | None, environment: Environment) -> dict[int | None, float]:
    """Threads -> the canary's best time in earlier runs on this chip with this software."""
    found: dict[int | None, float] = {}
    for row in _rows(store):
        same = row["chip"] == environment.chip.name and row["software"].startswith(environment.base_software)
        if same and row["canary_reference_ms"]:
            found[row["threads"]] = min(row["canary_reference_ms"], found.get(row["threads"], math.inf))
    return found


def _rows(store: Path | None) -> list[dict[str, Any]]:
    """Rows of the store without their repeats; empty if there is no store yet."""
    if store is None or not (store / "runs").is_dir():
        return []
    result = connect(read(store)).execute("SELECT * REPLACE (NULL AS raw_ms) FROM rows")
    names = [column[0] for column in result.description]
    return [dict(zip(names, values, strict=True)) for values in result.fetchall()]


def shown(row: Row) -> str:
    """One line to print: the latency, or why there is none."""
    if row.latency_ms is None:
        return f"{row.status}: {row.reason}"
    said = "noisy, " if row.status == "noisy" else ""
    return f"{said}{row.latency_ms:.4g} ms +- {row.spread or 0:.1%}, {row.repeats} repeats, {row.library}"
