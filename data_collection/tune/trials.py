"""Try settings, confirm the best against the default, and find the batch where throughput saturates.

All functions take a callable that measures a task and returns its row; only undisturbed rows count. The fastest of many
trials is partly luck, so default and best are measured again in alternation, and the speed-up is from those rows only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from data_collection.profile.tasks import Task
from data_collection.store import Row
from data_collection.tune.search import Method
from data_collection.tune.space import Setting, Space, Subject
from hetbench.errors import HetBenchError

__all__ = ["Figure", "Saturation", "Trial", "Tuner", "best_of", "figure"]

_REPEATED = 100
"""After this many repeated proposals in a row a method counts as exhausted."""

Measure = Callable[[Task], Row]


@dataclass(frozen=True, slots=True)
class Trial:
    """A setting and its result."""

    setting: Setting
    status: str
    reason: str | None
    latency_ms: float | None

    @property
    def value(self) -> float | None:
        """Milliseconds per sample."""
        return None if self.latency_ms is None else self.latency_ms / self.setting["batch"]


@dataclass(frozen=True, slots=True)
class Figure:
    """Milliseconds per sample: median with its 95 % interval, and the number of repeats."""

    median: float
    lower: float
    upper: float
    repeats: int


@dataclass(frozen=True, slots=True)
class Saturation:
    """The smallest batch whose doubling gains little throughput."""

    steps: Sequence[Trial]
    batch: int | None
    """None if no batch gave a latency."""
    reason: str


@dataclass(frozen=True, slots=True)
class Tuner:
    """One subject on one device."""

    subject: Subject
    space: Space
    protocol: str
    measure: Measure
    say: Callable[[str], None] = print

    def try_one(self, setting: Setting) -> tuple[Trial, Row | None]:
        """Measure a setting; one that the model does not support is `unsupported`."""
        try:
            row = self.measure(self.subject.task(setting, self.protocol))
        except HetBenchError as error:
            return Trial(setting, "unsupported", str(error), None), None
        return Trial(setting, row.status, row.reason, row.latency_ms), row

    def search(self, method: Method, trials: int, seed: int) -> Iterator[Trial]:
        """Try the default, then what the method proposes; a repeated setting is answered from its first trial."""
        asked, known, repeated = method(self.space, seed), dict[tuple[object, ...], Trial](), 0
        proposed = self.space.default
        begun = False
        while len(known) < min(trials, self.space.size) and repeated < _REPEATED:
            place = tuple(proposed[name] for name in self.space.axes)
            repeated += 1
            if place not in known:
                repeated = 0
                known[place], _ = self.try_one(proposed)
                self.say(f"[{len(known)}/{min(trials, self.space.size)}] {shown(known[place])}")
                yield known[place]
            try:
                proposed = asked.send(known[place].value) if begun else next(asked)
            except StopIteration:
                return
            begun = True

    def confirm(self, best: Setting, rounds: int) -> tuple[Figure | None, Figure | None]:
        """Default and best measured in alternation; None if every round was disturbed."""
        repeats: tuple[list[float], list[float]] = ([], [])
        for _ in range(rounds):
            for kept, setting in zip(repeats, (self.space.default, best), strict=True):
                trial, row = self.try_one(setting)
                if row is not None and trial.status == "ok":
                    kept += [each / setting["batch"] for each in row.raw_ms or ()]
        before, after = (figure(kept) if kept else None for kept in repeats)
        return before, after

    def saturate(self, setting: Setting, limit: int, gain: float = 0.05) -> Saturation:
        """Double the batch from 1 until throughput gains less than `gain`, a row fails, or the limit is reached."""
        steps: list[Trial] = []
        batch = 1
        while batch <= limit:
            trial, _ = self.try_one({**setting, "batch": batch})
            steps.append(trial)
            self.say(f"batch {batch}: {shown(trial)}")
            known = [each for each in steps if each.value is not None]
            if trial.value is None:
                reason = f"{trial.status} at batch {batch}: {trial.reason}"
                return Saturation(steps, known[-1].setting["batch"] if known else None, reason)
            if len(known) > 1:
                more = known[-2].value / trial.value - 1  # type: ignore[operator]
                if more < gain:
                    reason = f"throughput changes by {more:+.1%} from batch {batch // 2} to {batch}"
                    return Saturation(steps, batch // 2, reason)
            batch *= 2
        return Saturation(steps, batch // 2, f"the limit of {limit} is reached, throughput still rises")


def best_of(trials: Sequence[Trial]) -> Trial | None:
    """The trial with the lowest time per sample; the first of equals."""
    return min((each for each in trials if each.value is not None), key=lambda each: each.value or 0, default=None)


def figure(repeats: Sequence[float]) -> Figure:
    """Median with its 95 % interval from order statistics.

    >>> figure([1.0, 2.0, 3.0, 4.0, 5.0])
    Figure(median=3.0, lower=1.0, upper=5.0, repeats=5)
    """
    ordered, count = sorted(repeats), len(repeats)
    low = max(0, math.floor((count - 1.96 * math.sqrt(count)) / 2))
    middle = (ordered[(count - 1) // 2] + ordered[count // 2]) / 2
    return Figure(middle, ordered[low], ordered[count - 1 - low], count)


def shown(trial: Trial) -> str:
    """One line to print: `threads=2 layout=contiguous precision=fp32 stack=eager batch=8: 0.51 ms a sample`."""
    words = " ".join(f"{name}={value}" for name, value in trial.setting.items() if value is not None)
    return f"{words}: " + (f"{trial.value:.4g} ms a sample" if trial.value else f"{trial.status}: {trial.reason}")
