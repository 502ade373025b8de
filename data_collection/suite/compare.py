"""What changed between two runs: the ratio of medians of every key that both measured, and its significance.

A key is what was measured, on which chip and at which setting, without the software version, which may be what changed.
The raw repeats are compared by the Mann-Whitney U test (distribution-free); p-values are corrected for the number of
keys by Benjamini and Hochberg. Repeats of one run are not independent, so that tiny shifts become significant; a
change therefore also has to exceed a threshold.

The test is implemented here because the extra `collect` does not install SciPy.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from data_collection.profile.tasks import Task
from data_collection.store import connect, read
from data_collection.store.rows import IDENTITY
from hetbench.errors import InvalidInputError, UnknownNameError

__all__ = ["Change", "adjusted", "compare", "mann_whitney"]

_EXACT = 20
"""Up to this many repeats on each side, without ties, the distribution of U is enumerated exactly."""


@dataclass(frozen=True, slots=True)
class Change:
    """One key in both runs."""

    label: str
    chip: str
    verdict: str
    """slower, faster, same, broken (only the first has a latency), mended (only the second), or unknown (neither)."""
    ratio: float | None = None
    """Median of the second run over that of the first."""
    q: float | None = None
    """p-value of the rank test, corrected for the number of keys."""
    said: str = ""
    """Statuses of both, if one has no latency."""


def compare(store: Path, first: str, second: str, *, threshold: float = 1.05, level: float = 0.05) -> list[Change]:
    """Changes from the first run to the second, for the keys that both have."""
    if not 1 <= threshold < math.inf:
        raise InvalidInputError(f"--threshold {threshold} must be a ratio from 1; 1.05 is 5 % slower.")
    contents = connect(read(store))
    rows = [_rows(contents, run) for run in _runs(contents, first, second)]
    both = [(rows[0][key], rows[1][key]) for key in rows[0] if key in rows[1]]
    measured = [(a, b) for a, b in both if _repeated(a) and _repeated(b)]
    sure = adjusted([mann_whitney(a["raw_ms"], b["raw_ms"]) for a, b in measured])
    found = [_change(a, b, q, threshold, level) for (a, b), q in zip(measured, sure, strict=True)]
    return found + [_without_figure(a, b) for a, b in both if not (_repeated(a) and _repeated(b))]


def _repeated(row: dict[str, Any]) -> bool:
    """Whether a row has repeats to compare."""
    return row["status"] == "ok" and bool(row["raw_ms"])


def _change(a: dict[str, Any], b: dict[str, Any], q: float, threshold: float, level: float) -> Change:
    ratio = b["latency_ms"] / a["latency_ms"]
    verdict = "same"
    if q < level and not 1 / threshold < ratio < threshold:
        verdict = "slower" if ratio > 1 else "faster"
    return Change(_label(a), a["chip"], verdict, ratio, q)


def _without_figure(a: dict[str, Any], b: dict[str, Any]) -> Change:
    """A disturbed or noisy row and one without repeats say nothing about the software.

    Any other row without a latency does."""
    said = f"{a['status']} -> {b['status']}"
    if a["status"] == b["status"] == "ok":
        return Change(_label(a), a["chip"], "unknown", said="no repeats were kept, so that chance cannot be told apart")
    if a["latency_ms"] and b["latency_ms"]:
        said += f", x {b['latency_ms'] / a['latency_ms']:.3f}"
    if {"disturbed", "noisy"} & {a["status"], b["status"]} or "ok" not in (a["status"], b["status"]):
        return Change(_label(a), a["chip"], "unknown", said=said)
    return Change(_label(a), a["chip"], "broken" if a["status"] == "ok" else "mended", said=said)


def _label(row: dict[str, Any]) -> str:
    return Task(**{name: row[name] for name in Task.__dataclass_fields__}).label()


def _runs(contents: Any, *asked: str) -> list[str]:
    """Full names of runs that have rows, oldest first; each given as a name, a prefix, `latest` or `previous`."""
    ordered = "SELECT run FROM rows LEFT JOIN runs USING (run) GROUP BY run ORDER BY max(coalesce(number, 0)), run"
    known = [run for (run,) in contents.execute(ordered).fetchall()]
    places = {"latest": known[-1:], "previous": known[-2:-1]}
    found = []
    for name in asked:
        fits = places[name] if name in places else [run for run in known if run.startswith(name)]
        if len(fits) > 1:
            raise InvalidInputError(f"run {name!r} is ambiguous: it is the beginning of {', '.join(fits)}.")
        if not fits:
            raise UnknownNameError("run", name, (*known, *places))
        found += fits
    if found[0] == found[1]:
        raise InvalidInputError(f"run {found[0]} cannot be compared with itself.")
    return found


def _rows(contents: Any, run: str) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Rows of a run by key; if it has several software versions, the last."""
    result = contents.execute("SELECT * FROM rows WHERE run = ? ORDER BY started", [run])
    names = [column[0] for column in result.description]
    rows = [dict(zip(names, values, strict=True)) for values in result.fetchall()]
    return {tuple(row[name] for name in IDENTITY if name != "software"): row for row in rows}


def adjusted(values: Sequence[float]) -> list[float]:
    """p-values corrected by Benjamini and Hochberg, in the order given.

    >>> adjusted([0.01, 0.04, 0.03])
    [0.03, 0.04, 0.04]
    """
    least, found = 1.0, [0.0] * len(values)
    for rank, place in sorted(enumerate(sorted(range(len(values)), key=values.__getitem__), 1), reverse=True):
        least = min(least, values[place] * len(values) / rank)
        found[place] = least
    return found


def mann_whitney(first: Sequence[float], second: Sequence[float]) -> float:
    """Two-sided p-value: exact for few repeats without ties, else normal with corrections for ties and continuity.

    >>> round(mann_whitney([1, 2, 3, 4, 5, 6], [7, 8, 9, 10, 11, 12]), 6)  # 2 of the 924 orders are as extreme
    0.002165
    """
    n, m = len(first), len(second)
    ties = Counter([*first, *second])
    ordered = sorted(second)
    u = sum(bisect_left(ordered, a) + bisect_right(ordered, a) for a in first) / 2  # pairs won; a tie counts half
    u = min(u, n * m - u)
    if max(n, m) <= _EXACT and len(ties) == n + m:
        return min(1.0, 2 * sum(_orders(n, m, place) for place in range(int(u) + 1)) / math.comb(n + m, n))
    tied = sum(count**3 - count for count in ties.values()) / ((n + m) * (n + m - 1))
    variance = n * m / 12 * (n + m + 1 - tied)
    if not variance:
        return 1.0  # all repeats are equal
    return min(1.0, math.erfc((n * m / 2 - u - 0.5) / math.sqrt(2 * variance)))


@cache
def _orders(n: int, m: int, u: int) -> int:
    """Number of orders of n and m values with statistic u, by recursion on the side of the largest value."""
    if u < 0 or not n or not m:
        return int(u == 0)
    return _orders(n - 1, m, u - m) + _orders(n, m - 1, u)
