"""python -m data_collection.suite run SUITE.toml [--check] [--older-than 30d] | compare RUN_A RUN_B   [--store DIR]

`run` measures what a suite file lists and the store does not have yet; after an interruption the same command resumes.
`--check` prints what would be measured. `--engine ray` distributes the tasks over a Ray cluster whose nodes announce
their chips:

    ray start --address=HEAD:6379 --resources='{"amd-mi210": 2}'
    python -m data_collection.suite run configs/suites/default.toml --engine ray --address HEAD:6379

`compare` lists what became slower between two runs: `previous`, `latest`, or a run's name or a prefix of it.

Exit codes: 0 done; 1 `run`: rows failed or were disturbed, or tasks are left; 1 `compare`: something became slower or
fails; 2 wrong usage or an unknown name; 3 refused; 130 interrupted.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from data_collection.arguments import CHIP_FILE, KEEP_NOISY, count, number
from data_collection.backends import Backend, backends, picked
from data_collection.chip import chosen_chip
from data_collection.profile.environment import ROOT, describe
from data_collection.store import DEFAULT_STORE
from data_collection.store.rows import TIMED
from data_collection.suite.compare import compare
from data_collection.suite.engine import Measured, Order, alone, carry_out, local
from data_collection.suite.plan import Device, load
from hetbench.errors import InvalidInputError, RefusedError, exit_code

SUITE = ROOT / "configs" / "suites" / "default.toml"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    raw = argparse.RawDescriptionHelpFormatter
    made = argparse.ArgumentParser(prog="python -m data_collection.suite", description=__doc__, formatter_class=raw)
    commands = made.add_subparsers(dest="command", required=True)
    add = commands.add_parser("run", help="measure what a suite file lists").add_argument
    add("suite", nargs="?", type=Path, default=SUITE, help=f"default: {SUITE.relative_to(ROOT)}")
    add("--check", action="store_true", help="print what would be measured, without measuring")
    add("--create-config", type=Path, metavar="FILE", help="write a commented suite to start from")
    add("--older-than", metavar="AGE", help="also measure rows older than this: 12h, 30d, 4w")
    add("--again", action="store_true", help="measure everything once more, to compare two runs")
    add("--only", nargs="+", default=[], metavar="FIELD=PATTERN", help="such as name=bert-* precision=fp32 batch=8")
    add("--limit", type=count(), help="largest number of rows to measure in this call")
    add("--keep-noisy", action="store_true", help=KEEP_NOISY)
    add("--engine", choices=("local", "ray"), default="local")
    add("--address", help="address of the Ray cluster; default: a local one")
    add("--backend", help=f"one of {', '.join(backends())}; default: an accelerator if there is one, else the CPU")
    add("--chip", help="catalogue name of the chip, if the device is not recognised")
    add("--chip-file", type=Path, metavar="FILE", help=CHIP_FILE)
    add("--memory-gb", type=number(above=True), help="limit of the child process; default: 0.9 of the free memory")
    add("--store", type=Path, default=DEFAULT_STORE)
    add = commands.add_parser("compare", help="list what became slower between two runs").add_argument
    add("first", metavar="RUN_A")
    add("second", metavar="RUN_B")
    add("--threshold", type=number(1.0), default=1.05, help="least ratio that counts as a change; default: %(default)s")
    add("--store", type=Path, default=DEFAULT_STORE)
    return made


def main(argv: Sequence[str] | None = None) -> int:
    words = list(sys.argv[1:] if argv is None else argv)
    chosen = parser().parse_args(words)
    if chosen.command == "compare":
        work = partial(_compare, chosen)
    else:
        work = partial(_create, chosen.create_config) if chosen.create_config else partial(_run, chosen, words)
    return exit_code(work, "stopped; the rows before are in the store. Run the same command again to go on.")


def _run(chosen: argparse.Namespace, words: Sequence[str]) -> int:
    if chosen.address and chosen.engine != "ray":
        raise InvalidInputError("--address is that of a Ray cluster: add --engine ray.")
    say = partial(print, flush=True)
    since = _before(chosen.older_than) if chosen.older_than else None
    plan = load(chosen.suite)
    plan = replace(plan, policy=replace(plan.policy, keep_noisy=True)) if chosen.keep_noisy else plan
    order = Order(plan=plan, store=chosen.store, since=since, again=chosen.again, only=chosen.only,
                  limit=chosen.limit, say=say)  # fmt: skip
    if chosen.check:
        due = order.due(_here(chosen)[1])
        for (kind, name), many in sorted(Counter((task.kind, task.name) for task in due).items()):
            print(f"  {kind} {name}: {many}")
        return 0
    with alone(chosen.store), closing(_engine(chosen, order)) as measuring:
        counts = carry_out(measuring, chosen.store, words, say)
    print(", ".join(f"{many} {status}" for status, many in counts.items()) or "nothing new")
    return int(any(status not in (*TIMED, "unsupported") for status in counts))


def _engine(chosen: argparse.Namespace, order: Order) -> Iterator[Measured]:
    if chosen.engine == "local":
        device, facts = _here(chosen)
        memory = int(chosen.memory_gb * 1e9) if chosen.memory_gb else None
        yield from local(order, device, facts, memory)
        return
    from data_collection.suite import cluster

    ray = cluster.started(chosen.address, None if chosen.address else _here(chosen)[1].environment.chip.name)
    try:
        yield from cluster.measured(order, ray)
    finally:
        ray.shutdown()


def _here(chosen: argparse.Namespace) -> tuple[Backend, Device]:
    device = picked(chosen.backend)
    return device, Device.of(device, describe(device, chosen_chip(device, chosen.chip, chosen.chip_file)))


def _create(path: Path) -> int:
    try:
        with path.open("x", encoding="utf-8") as stream:
            stream.write(SUITE.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInputError(f"cannot write {path}: {error.strerror}. Name a file that is not there yet.") from None
    print(f"{path}: edit it, then: python -m data_collection.suite run {path} --check")
    return 0


def _compare(chosen: argparse.Namespace) -> int:
    changes = compare(chosen.store, chosen.first, chosen.second, threshold=chosen.threshold)
    for each in sorted(changes, key=lambda change: -(change.ratio or 0)):
        if each.verdict != "same":
            shown = f"x {each.ratio:.3f}, q = {each.q:.2g}" if each.ratio else each.said
            print(f"{each.verdict:8} {each.label} on {each.chip}: {shown}")
    counts = Counter(each.verdict for each in changes)
    if not changes:
        raise RefusedError("the runs have no key in common, so there is nothing to compare.")
    print(", ".join(f"{many} {verdict}" for verdict, many in counts.items()))
    return int(counts["slower"] + counts["broken"] > 0)


def _before(age: str) -> datetime:
    """The time that lies `age` before now."""
    match = re.fullmatch(r"([0-9]{1,6})([hdw])", age)
    if not match:
        raise InvalidInputError(f"--older-than {age!r:.40} must be a number up to 999999 with h, d or w: 12h, 30d, 4w.")
    hours = int(match[1]) * {"h": 1, "d": 24, "w": 168}[match[2]]
    now = datetime.now(UTC)
    years = timedelta(hours=hours) // timedelta(days=366)
    if years >= now.year - 1:
        raise InvalidInputError(f"--older-than {age} lies before the year 1: no measurement is that old.")
    return now - timedelta(hours=hours)


if __name__ == "__main__":
    sys.exit(main())
