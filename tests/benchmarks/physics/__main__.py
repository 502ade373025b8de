"""Physics and common sense of every kind of answer: one line a property, exit code 1 where any is violated.

    python -m tests.benchmarks.physics [--examples 6] [--only WORD]

Takes one to four minutes of processor time. `--examples` prints the worst violations of each property, `--only` runs
the sections whose name holds the word. A small part runs with the tests: tests/hetbench/query/test_physics.py.
"""

from __future__ import annotations

import argparse
import sys
import time

from tests.benchmarks.physics import (
    consistency,
    derived,
    every_chip,
    relatives,
    settings,
    single_operators,
    sizes,
)
from tests.benchmarks.physics.asking import refused
from tests.benchmarks.physics.record import Record

SECTIONS = {
    "chips": every_chip.scan,
    "sizes": sizes.scan,
    "precisions": settings.precisions,
    "stacks": settings.stacks,
    "phases": settings.phases,
    "predictors": settings.predictors,
    "siblings": relatives.siblings,
    "consistency": consistency.scan,
    "shares": relatives.shares,
    "measured": relatives.measured,
    "operators": single_operators.scan,
    "derived": derived.scan,
}


def main() -> int:
    """Scan, print, and say by the exit code whether every property holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=0)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    record, shown, began = Record(), set[str](), time.time()
    for name, scan in SECTIONS.items():
        if options.only not in name:
            continue
        started = time.process_time()
        scan(record)
        print(*record.lines(set(record.properties) - shown, options.examples), sep="\n", flush=True)
        shown |= set(record.properties)
        print(f"  [{name}: {time.process_time() - started:.0f} s of processor time]", file=sys.stderr, flush=True)
    broken, every = len(record.broken), len(record.properties)
    print(
        f"{every - broken} of {every} properties hold; {time.time() - began:.0f} s, {time.process_time():.0f} s of "
        f"processor; refused {dict(refused)}"
    )
    return int(broken > 0)


if __name__ == "__main__":
    sys.exit(main())
