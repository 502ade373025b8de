"""Time tasks one after another until the time is over; what was measured before in the file is not measured again.

On a machine that others load, the time is the least of the medians over parts of the repeats, and the row is marked as
noisy: load only adds time, so that the quietest part is the closest to the truth.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from data_collection.profile.measure import Outcome
from data_collection.profile.quiet import disturbance
from data_collection.profile.tasks import Task
from data_collection.profile.timing import Budget
from data_collection.profile.worker import Worker
from hetbench.artifacts import replacing

__all__ = ["Timed", "least_median", "measured", "read_timed"]

_PARTS = 5
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
    found, reference = [], None
    for task in tasks:
        if task in done:
            found.append(done[task])
            continue
        if time.monotonic() >= until:
            break
        outcome = worker.measure(task, budget, _TIMEOUT_S, fresh=task.kind == "model")
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
    raw = outcome.figures["raw_ms"]
    return Timed(task, least_median(raw) if noisy else float(outcome.figures["latency_ms"]), noisy)


def least_median(repeats: Sequence[float], parts: int = _PARTS) -> float:
    """The least of the medians over consecutive parts of the repeats.

    >>> least_median([5.0, 5.0, 2.0, 2.1, 9.0, 9.0], parts=3)
    2.05
    """
    size = max(1, len(repeats) // parts)
    return min(statistics.median(repeats[at : at + size]) for at in range(0, len(repeats) - size + 1, size))


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
