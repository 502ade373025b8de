"""Time tasks one after another until the time is over; what was measured before in the file is not measured again.

On a machine that others load, the time is that of the quietest part of the repeats, corrected by the canary
(`profile.noise`), and the row is marked as noisy.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from data_collection.profile.measure import Outcome
from data_collection.profile.quiet import disturbance
from data_collection.profile.tasks import Task
from data_collection.profile.timing import Budget
from data_collection.profile.worker import Worker
from hetbench.artifacts import replacing

__all__ = ["Timed", "measured", "read_timed"]

_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class Timed:
    """A task with its latency."""

    task: Task
    latency_ms: float
    noisy: bool


def measured(
    tasks: Iterable[Task], worker: Worker, journal: Path, *, until: float, budget: Budget, say: Callable[[str], None],
    known: Sequence[Timed] = (),
) -> list[Timed]:  # fmt: skip
    """Time tasks until `until` on the clock of `time.monotonic`; each is appended to the journal at once.

    A task that fails or does not run on the device is named and left out.
    """
    done = {each.task: each for each in known}
    found: list[Timed] = []
    reference: float | None = None
    for task in tasks:
        if task in done:
            found.append(done[task])
            continue
        if time.monotonic() >= until:
            break
        if reference is None:
            seen = worker.look(task.threads)
            reference = seen.canary_ms if seen else None
        outcome = worker.measure(task, replace(budget, canary_ms=reference), _TIMEOUT_S, fresh=task.kind == "model")
        if outcome.status != "ok":
            say(f"  {task.label()}: {outcome.status}: {outcome.reason}")
            continue
        if outcome.seen is not None:
            reference = min(reference or outcome.seen.canary_ms, outcome.seen.canary_ms)
        timed = _timed(task, outcome, reference)
        _append(journal, timed)
        found.append(timed)
        say(f"  {task.label()}: {timed.latency_ms:.4g} ms{' (noisy)' if timed.noisy else ''}")
    return found


def _timed(task: Task, outcome: Outcome, reference_ms: float | None) -> Timed:
    noisy = outcome.seen is not None and disturbance(outcome.seen, reference_ms or outcome.seen.canary_ms) is not None
    kept = outcome.robust.ms if noisy and outcome.robust else float(outcome.figures["latency_ms"])
    return Timed(task, kept, noisy)


def _append(journal: Path, timed: Timed) -> None:
    """Add a line to the journal and force it to the disk."""
    journal.parent.mkdir(parents=True, exist_ok=True)
    with journal.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"latency_ms": timed.latency_ms, "noisy": timed.noisy, **asdict(timed.task)}) + "\n")
        file.flush()
        os.fsync(file.fileno())


def read_timed(journal: Path) -> list[Timed]:
    """The rows of a journal. A last line that a kill cut off is dropped, so that the next row starts a line.

    Any other line that is no measurement is moved to a file beside the journal, and named on stderr.
    """
    if not journal.exists():
        return []
    data = journal.read_bytes()
    found, kept, wrong = [], b"", b""
    for line in data.splitlines(keepends=True):
        try:
            row: dict[str, Any] = json.loads(line)
            found.append(Timed(latency_ms=float(row.pop("latency_ms")), noisy=bool(row.pop("noisy")), task=Task(**row)))
            kept += line.rstrip(b"\n") + b"\n"
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
            wrong += line if line.endswith(b"\n") else b""
    if wrong:
        aside = journal.with_suffix(".quarantine.jsonl")
        with aside.open("ab") as file:
            file.write(wrong)
        print(f"{journal}: {len(wrong.splitlines())} lines are no measurements; they are in {aside}", file=sys.stderr)
    if kept != data:
        with replacing(journal) as partial:
            partial.write_bytes(kept)
    return found
