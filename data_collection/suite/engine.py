"""Measure the tasks that are due, one row after another, in a child process here or on the workers of `cluster`.

An engine only measures; `carry_out`, in the driver's process, writes the rows.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, fields, replace
from datetime import datetime
from fnmatch import fnmatch
from pathlib import Path

from data_collection.backends import Backend
from data_collection.profile.environment import Environment
from data_collection.profile.session import Session, key_of, settled, shown
from data_collection.profile.tasks import Task
from data_collection.profile.worker import Worker
from data_collection.store import Row, Run, key, open_run
from data_collection.store.locks import locked
from data_collection.suite.plan import Device, Plan
from hetbench.errors import InvalidInputError, UnknownNameError

__all__ = ["Measured", "Order", "alone", "carry_out", "local", "period"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A plan and which of its tasks this call measures."""

    plan: Plan
    store: Path
    since: datetime | None = None
    """Rows older than this are measured again."""
    again: bool = False
    """Whether to measure rows that the store has."""
    only: Sequence[str] = ()
    """Conditions such as `name=bert-*`; several on one field are alternatives, different fields must all match."""
    limit: int | None = None
    say: Callable[[str], None] = print

    def due(self, device: Device) -> list[Task]:
        """Tasks to measure on a device; prints what is left out and how many rows exist already."""
        tasks, left_out = self.plan.tasks(device)
        for reason in left_out:
            self.say(f"left out: {reason}")
        tasks = _chosen(tasks, self.only)
        there = set() if self.again else settled(self.store, self.since, noisy=self.plan.policy.keep_noisy)
        due = [task for task in tasks if key_of(device.environment, task) not in there][: self.limit]
        self.say(f"{device.environment.chip.name}: {len(due)} of {len(tasks)} to measure into {self.store}")
        return due


def _chosen(tasks: Sequence[Task], only: Sequence[str]) -> list[Task]:
    known = [field.name for field in fields(Task)]
    asked: dict[str, list[str]] = {}
    for words in only:
        name, equals, pattern = words.partition("=")
        if not equals:
            raise InvalidInputError(f"--only {words!r} must be FIELD=PATTERN, such as name=bert-* or batch=8.")
        if name not in known:
            raise UnknownNameError("field of --only", name, known)
        asked.setdefault(name, []).append(pattern)
    return [
        task for task in tasks
        if all(any(fnmatch(str(getattr(task, name)), each) for each in patterns) for name, patterns in asked.items())
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Measured:
    """One measured row, not yet assigned to a run."""

    task: Task
    row: Row
    environment: Environment
    left: int
    """Number of tasks still to be measured."""


def local(order: Order, backend: Backend, device: Device, memory_bytes: int | None = None) -> Iterator[Measured]:
    """Measure on this machine, in a child process."""
    worker = Worker.on(backend, device.environment.chip, memory_bytes)
    with closing(worker):
        session = Session(device.environment, worker, store=order.store, policy=order.plan.policy)
        due = order.due(device)
        for place, task in enumerate(due, 1):
            yield Measured(task, session.measure(task, ""), device.environment, len(due) - place)


def carry_out(measuring: Iterable[Measured], store: Path, command: Sequence[str],
              say: Callable[[str], None]) -> dict[str, int]:
    """Write the rows of an engine, one run per environment; returns the number of rows by status.

    A row whose key was already written in this call is dropped."""
    counts: dict[str, int] = {}
    seen: set[str] = set()
    runs: dict[str, Run] = {}
    start = time.monotonic()
    with ExitStack() as stack:
        for each in measuring:
            if key(each.row) in seen:
                continue
            seen.add(key(each.row))
            environment = each.environment
            if environment.id not in runs:
                runs[environment.id] = stack.enter_context(open_run(store, environment.manifest(), ["suite", *command]))
            runs[environment.id].append(replace(each.row, run=runs[environment.id].name))
            counts[each.row.status] = counts.get(each.row.status, 0) + 1
            eta = (time.monotonic() - start) / len(seen) * each.left
            say(f"[{len(seen)}/{len(seen) + each.left}, {period(eta)} to go] {each.task.label()}: {shown(each.row)}")
    for run in runs.values():
        say(f"run {run.name}")
    return counts


@contextmanager
def alone(store: Path) -> Iterator[None]:
    """Hold the store's suite lock: two suites would measure the same rows and disturb each other."""
    try:
        store.mkdir(parents=True, exist_ok=True)
        stream = locked(store / "suite.lock", "a+b")
    except BlockingIOError:
        other = (store / "suite.lock").read_text(encoding="utf-8", errors="replace").strip()
        raise InvalidInputError(
            f"another suite measures into {store} (process {other}). "
            "Wait for it, or name another directory: --store DIR."
        ) from None
    except OSError as error:
        raise InvalidInputError(
            f"cannot write the store {store}: {error.strerror}. Name a writable directory: --store DIR."
        ) from None
    with stream:
        stream.truncate(0)
        stream.write(str(os.getpid()).encode())
        stream.flush()
        yield


def period(seconds: float) -> str:
    """A duration as text.

    >>> period(42), period(125), period(7384)
    ('42 s', '2 min', '2 h 3 min')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
