"""Hostile and clumsy cases of every kind for as long as they are given, with one line of counts at the end.

    python -m tests.fuzz --minutes 60                    # other cases each time; Ctrl-C ends it, with counts
    python -m tests.fuzz --kind changed_set --seed 7 --first 1234 --cases 1      # one case again

A case is *answered* or *refused* with a message; *silent* if something wrong was answered or left unsaid, *raw* if an
error is none of hetbench's own, a *hang* if it takes longer than two minutes, *lost* if a file or a row went missing.
Exit code 1 where there is one of the latter four.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

from tests.fuzz import questions, records, sets, tables, words

_HANG_S = 120
STOP = Event()
Case = Callable[[random.Random, Any], str]
ASKING: dict[str, Case] = {
    each.__name__: each
    for each in (
        questions.question,
        questions.serving_question,
        questions.operator_question,
        questions.other_method,
        tables.operator_table,
        tables.model_table,
        tables.observed_table,
    )
}
"""Kinds of cases that are given an API object, by name."""
READING: dict[str, Case] = {
    each.__name__: each
    for each in (
        sets.changed_set,
        sets.sheet,
        records.store,
        records.contribution,
        records.configuration,
        words.command_line,
    )
}
"""Kinds of cases that are given a folder, by name."""
_SHARE = {
    "question": 12,
    "serving_question": 6,
    "operator_question": 5,
    "changed_set": 1,
    "store": 2,
    "contribution": 2,
    "command_line": 3,
    "sheet": 3,
}
"""How often a kind is drawn; others 4 times."""


class Hang(BaseException):
    """A case took too long."""


def _alarm(*_: object) -> None:
    raise Hang


def outcome(kind: str, draw: random.Random, api: Any, scratch: Path) -> tuple[str, str]:
    """How a case ended, and the words about it where it did not end well."""
    signal.alarm(_HANG_S)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return (ASKING[kind](draw, api) if kind in ASKING else READING[kind](draw, scratch)), ""
    except AssertionError as why:
        lost = "missing" in str(why) or "went without" in str(why) or "kept of" in str(why)
        return "lost" if lost else "silent", f"{why}\n{_where()}"
    except Hang:
        return "hang", _where()
    except Exception:  # noqa: BLE001 - what must not happen
        return "raw", traceback.format_exc(limit=-4)
    finally:
        signal.alarm(0)


def _where() -> str:
    return traceback.format_exc(limit=-3)


def run(seed: int, first: int, cases: int, minutes: float, kinds: list[str]) -> Counter[tuple[str, str]]:
    """Try cases until there are so many or the time is over; prints those that end badly."""
    counts: Counter[tuple[str, str]] = Counter()
    api, until, number = questions.service(), time.monotonic() + 60 * minutes, first
    drawn = [kind for kind in kinds for _ in range(_SHARE.get(kind, 4))]
    with tempfile.TemporaryDirectory() as made, contextlib.chdir(made):
        os.environ["HETBENCH_HOME"] = f"{made}/home"
        while number < first + cases and time.monotonic() < until and not STOP.is_set():
            kind = random.Random(f"{seed} {number}").choice(drawn)
            ended, said = outcome(kind, random.Random(f"{seed} {number} {kind}"), api, Path(made))
            counts[kind, ended] += 1
            if said:
                print(f"--- {ended}: {kind}, --seed {seed} --first {number}\n{said[:3000]}", flush=True)
            number += 1
    return counts


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--cases", type=int, default=10**9)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--kind", nargs="+", choices=[*ASKING, *READING], default=[*ASKING, *READING])
    asked = parser.parse_args()
    signal.signal(signal.SIGALRM, _alarm)
    signal.signal(signal.SIGINT, lambda *_: STOP.set())  # after the case in hand, with the counts
    counts = run(asked.seed, asked.first, asked.cases, asked.minutes, asked.kind)
    ends = ("answered", "refused", "silent", "raw", "hang", "lost")
    for kind in asked.kind:
        print(f"{kind:18}", *(f"{counts[kind, end]:7,} {end}" for end in ends))
    total = Counter({end: sum(counts[kind, end] for kind in asked.kind) for end in ends})
    print(f"seed {asked.seed}: {sum(total.values()):,} cases:", ", ".join(f"{total[end]:,} {end}" for end in ends))
    return int(any(total[end] for end in ends[2:]))


if __name__ == "__main__":
    sys.exit(main())
