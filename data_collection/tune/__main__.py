"""python -m data_collection.tune --model NAME | --operator NAME dim=size ...  [--method ...] [--trials N] [settings]

Searches threads, layout, precision, execution mode (`--stack`) and batch for the lowest time per sample. The best
setting is then measured in alternation with the default. Writes report.json, report.md and space.json to --out, and
every row to the store. `--saturate` doubles the batch until throughput gains less than 5 %.

    python -m data_collection.tune --model mobilenet-v2 --method ga --trials 30 --saturate
    python -m data_collection.tune --operator Linear m=128 n=3072 k=768 --batch-dim m --method grid

Values on the command line replace those of an axis (`--precision fp32` keeps the numerics unchanged). Exit codes: 0 a
best setting was found and confirmed; 1 no trial succeeded undisturbed, or the confirmation was disturbed; 2 wrong
usage; 3 refused.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from data_collection.arguments import CHIP_FILE, count, number
from data_collection.backends import backends, picked
from data_collection.chip import chosen_chip
from data_collection.profile.environment import describe
from data_collection.profile.session import Policy, Session
from data_collection.profile.tasks import Task
from data_collection.profile.timing import Budget
from data_collection.profile.worker import Worker
from data_collection.store import DEFAULT_STORE, Row, Run, open_run
from data_collection.tune.report import Report
from data_collection.tune.search import METHODS, check
from data_collection.tune.space import AXES, Subject, space_for
from data_collection.tune.trials import Tuner, best_of
from hetbench.catalog.models import model
from hetbench.errors import InvalidInputError, UnknownNameError, exit_code
from hetbench.operators import operator_type
from hetbench.schema import PHASES


def parser() -> argparse.ArgumentParser:
    """The command line."""
    raw = argparse.RawDescriptionHelpFormatter
    made = argparse.ArgumentParser(prog="python -m data_collection.tune", description=__doc__, formatter_class=raw)
    subject = made.add_mutually_exclusive_group(required=True)
    subject.add_argument("--model")
    subject.add_argument("--operator", nargs="+", metavar=("NAME", "DIM=SIZE"))
    add = made.add_argument
    add("--batch-dim", help="dim of the operator that scales with the batch")
    add("--seq-len", type=count())
    add("--image-size", type=count())
    add("--phase", choices=PHASES)
    for axis in AXES:
        add(f"--{axis}", nargs="+", type=count() if axis in ("threads", "batch") else str, help="first: default")
    add("--method", default="random", help=f"{', '.join(METHODS)}; default: %(default)s")
    add("--trials", type=count(), default=20)
    add("--seed", type=count(0), default=0)
    add("--rounds", type=count(), default=3, help="rounds of confirmation; default: %(default)s")
    add("--saturate", action="store_true", help="also find the batch where throughput saturates")
    add("--batch-limit", type=count(), default=256, help="largest batch for --saturate; default: %(default)s")
    add("--backend", help=f"one of {', '.join(backends())}; default: an accelerator if there is one, else the CPU")
    add("--chip", help="catalogue name of the chip, if the device is not recognised")
    add("--chip-file", type=Path, metavar="FILE", help=CHIP_FILE)
    add("--seconds", type=number(), default=1.0, help="most seconds to repeat one row")
    add("--timeout", type=number(above=True), default=300.0, help="time limit of one row in seconds")
    add("--patience", type=number(), default=60.0, help="most seconds to wait for a quiet machine")
    add("--store", type=Path, default=DEFAULT_STORE)
    add("--out", type=Path, help="default: runs/tune/NAME")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    words = list(sys.argv[1:] if argv is None else argv)
    chosen = parser().parse_args(words)
    return exit_code(partial(run, chosen, words), "stopped; the rows measured so far are in the store.")


def run(chosen: argparse.Namespace, words: Sequence[str]) -> int:
    """Search, confirm, report; exit code 1 if there is no confirmed best setting."""
    check(chosen.method)
    subject = _subject(chosen)
    if chosen.saturate and subject.kind == "operator" and not subject.batch_dim:
        raise InvalidInputError(f"--saturate of an operator needs --batch-dim, one of {', '.join(subject.dims or {})}.")
    device = picked(chosen.backend)
    environment = describe(device, chosen_chip(device, chosen.chip, chosen.chip_file))
    asked = {axis: getattr(chosen, axis) for axis in AXES if getattr(chosen, axis)}
    space = space_for(subject, device, environment.chip, asked)
    subject.task(space.default, device.protocols[0])  # reject invalid arguments before anything is measured
    least = min(0.05, chosen.seconds)
    policy = Policy(budget=Budget(min_seconds=least, max_seconds=chosen.seconds), timeout_s=chosen.timeout,
                    patience_s=chosen.patience)  # fmt: skip
    worker = Worker.on(device, environment.chip)
    say = partial(print, flush=True)
    session = Session(environment, worker, store=chosen.store, policy=policy, say=say)
    out = chosen.out or Path("runs") / "tune" / subject.name
    with open_run(chosen.store, environment.manifest(), ["tune", *words]) as opened:
        try:
            tuner = Tuner(subject, space, device.protocols[0], partial(_measured, session, opened), say)
            report = _report(tuner, chosen, environment.chip.name, opened.name, environment.base_software)
        finally:
            worker.close()
    report.write(out)
    print(f"{report.markdown().split(chr(10) * 2)[2]}\n\nwritten to {out}")
    return int(report.after is None or report.before is None)


def _report(tuner: Tuner, chosen: argparse.Namespace, chip: str, run: str, software: str) -> Report:
    trials = list(tuner.search(METHODS[chosen.method], chosen.trials, chosen.seed))
    best = best_of(trials)
    before, after = tuner.confirm(best.setting, chosen.rounds) if best else (None, None)
    saturation = tuner.saturate(best.setting, chosen.batch_limit) if best and chosen.saturate else None
    return Report(subject=tuner.subject, chip=chip, software=software, method=chosen.method, seed=chosen.seed,
                  space=tuner.space, trials=trials, before=before, after=after, saturation=saturation, run=run)


def _measured(session: Session, run: Run, task: Task) -> Row:
    row = session.measure(task, run.name)
    run.append(row)
    return row


def _subject(chosen: argparse.Namespace) -> Subject:
    if chosen.model:
        return Subject(kind="model", name=model(chosen.model).name, seq_len=chosen.seq_len,
                       image_size=chosen.image_size, phase=chosen.phase)  # fmt: skip
    name, *words = chosen.operator
    kind = operator_type(name)
    dims = _dims(words)
    kind.check(dims)
    if chosen.batch_dim and chosen.batch_dim not in dims:
        raise UnknownNameError(f"dim of {kind.name}", chosen.batch_dim, dims)
    return Subject(kind="operator", name=kind.name, dims=dims, batch_dim=chosen.batch_dim)


def _dims(words: Sequence[str]) -> Mapping[str, int]:
    found: dict[str, Any] = {}
    for word in words:
        name, _, size = word.partition("=")
        if not re.fullmatch(r"-?[0-9]{1,18}", size):
            raise InvalidInputError(f"{word!r} must be DIM=SIZE, such as m=128.")
        found[name] = int(size)
    return found


if __name__ == "__main__":
    sys.exit(main())
