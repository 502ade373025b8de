"""python -m data_collection.profile operators [--models all|NAME ...] | models NAME ...   [--store DIR] [settings]

Measures on this machine and writes each row to the store before the next begins. `operators` times the distinct
operators of the catalogue models' graphs, `models` whole networks with random weights. Lists of settings combine:

    python -m data_collection.profile operators --models resnet-50 gpt2 --precision fp32 bf16 --batch 1 8 --limit 200
    python -m data_collection.profile models bert-base --seq-len 32 128 --stack eager onnxruntime

The same command resumes where it stopped: rows that the store has for this chip, setting and software are skipped
(`--again` measures them once more). If the machine is not quiet, it waits, and finally marks the row `disturbed`; with
`--keep-noisy` the row gets the corrected latency of its quietest part and is marked `noisy`.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from data_collection.arguments import CHIP_FILE, KEEP_NOISY, count, number
from data_collection.backends import Backend, backends, picked
from data_collection.chip import chosen_chip
from data_collection.profile.environment import describe
from data_collection.profile.session import Policy, Session
from data_collection.profile.stacks import STACKS, missing
from data_collection.profile.tasks import Grid, Task, model_tasks, operator_tasks
from data_collection.profile.timing import Budget
from data_collection.profile.worker import Worker
from data_collection.store import DEFAULT_STORE, open_run
from data_collection.store.rows import CACHES, LAYOUTS, TIMED
from hetbench.catalog.models import model, models
from hetbench.errors import InvalidInputError, RefusedError, UnknownNameError, exit_code
from hetbench.schema import PHASES, precision
from hetbench.training import OPTIMIZERS, TRAINING


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    """Help that states the default of every option that has one."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return super()._get_help_string(action) if action.default not in (None, []) else action.help


def parser() -> argparse.ArgumentParser:
    """The command line."""
    raw = argparse.RawDescriptionHelpFormatter
    made = argparse.ArgumentParser(prog="python -m data_collection.profile", description=__doc__, formatter_class=raw)
    commands = made.add_subparsers(dest="kind", required=True)
    for kind, text in (("operators", "distinct operators of models"), ("models", "whole models")):
        add = commands.add_parser(kind, help=text, formatter_class=_Help).add_argument
        if kind == "operators":
            add("--models", nargs="+", default=["all"], metavar="NAME", help="models whose operators are measured")
            add("--types", nargs="+", default=[], metavar="OP", help="only these operator types")
        else:
            add("models", nargs="+", metavar="NAME", help="catalogue models, or all")
        add("--precision", nargs="+", default=["fp32"])
        add("--batch", nargs="+", type=count(), default=[1])
        add("--seq-len", nargs="+", type=count(), default=[None])
        add("--image-size", nargs="+", type=count(), default=[None])
        add("--phase", nargs="+", default=[], choices=[*PHASES, TRAINING], help="default: the model's first phase")
        add("--optimizer", default="adamw", choices=OPTIMIZERS, help="of training steps")
        add("--stack", nargs="+", default=["eager"], choices=STACKS)
        add("--layout", nargs="+", default=["contiguous"], choices=LAYOUTS)
        add("--cache", nargs="+", default=["hot"], choices=CACHES)
        add("--threads", nargs="+", type=count(), help="CPU threads; default: all cores")
        add("--protocol", help="event or wall; default: that of the backend")
        add("--backend", help=f"one of {', '.join(backends())}; default: an accelerator if there is one, else the CPU")
        add("--chip", help="catalogue name of the chip, if the device is not recognised")
        add("--chip-file", type=Path, metavar="FILE", help=CHIP_FILE)
        add("--limit", type=count(), help="largest number of operators or models")
        add("--store", "--out", type=Path, default=DEFAULT_STORE)
        add("--again", action="store_true", help="also measure rows that the store has")
        add("--timeout", type=number(above=True), default=300.0, help="time limit of one row in seconds")
        add("--seconds", type=number(), default=1.0, help="most seconds to repeat one row")
        add("--min-seconds", type=number(), default=0.05,
            help="least seconds to repeat one row; energy counters need 0.5")  # fmt: skip
        add("--repeats", type=count(), default=100, help="least number of repeats, within --seconds")
        add("--retries", type=count(0), default=4, help="further attempts for a disturbed row")
        add("--patience", type=number(), default=60.0, help="most seconds to wait for a quiet machine")
        add("--keep-noisy", action="store_true", help=KEEP_NOISY)
        add("--memory-gb", type=number(above=True), help="limit of the child process; default: 0.9 of what is free")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    words = list(sys.argv[1:] if argv is None else argv)
    chosen = parser().parse_args(words)
    stopped = "stopped; the rows before are in the store. Run the same command again to go on."
    return exit_code(partial(run, chosen, words), stopped)


def run(chosen: argparse.Namespace, words: Sequence[str]) -> int:
    """Measure what the command line asks for; exit code 1 if any row failed or was disturbed."""
    device = picked(chosen.backend)
    tasks = _tasks(chosen, device)
    environment = describe(device, chosen_chip(device, chosen.chip, chosen.chip_file))
    budget = Budget(
        min_repeats=chosen.repeats, min_seconds=chosen.min_seconds, max_seconds=max(chosen.seconds, chosen.min_seconds)
    )
    policy = Policy(budget=budget, timeout_s=chosen.timeout, retries=chosen.retries, patience_s=chosen.patience,
                    keep_noisy=chosen.keep_noisy)  # fmt: skip
    chip = environment.chip
    worker = Worker.on(device, chip, int(chosen.memory_gb * 1e9) if chosen.memory_gb else None)
    with open_run(chosen.store, environment.manifest(), ["profile", *words]) as opened:
        session = Session(environment, worker, store=chosen.store, policy=policy, say=partial(print, flush=True))
        due = tasks if chosen.again else session.new(tasks)
        print(f"{chip.name}: {len(due)} of {len(tasks)} to measure into {chosen.store}", flush=True)
        counts = session.run(due, opened)
    print(f"run {opened.name}: {', '.join(f'{many} {status}' for status, many in counts.items()) or 'nothing new'}")
    return int(any(status not in (*TIMED, "unsupported") for status in counts))


def _tasks(chosen: argparse.Namespace, device: Backend) -> list[Task]:
    """What to measure, in order; prints the settings that a model does not support."""
    for stack in chosen.stack:
        reason = missing(stack)
        if reason:
            raise RefusedError(f"stack {stack}: {reason}")
    protocol = chosen.protocol or device.protocols[0]
    if protocol not in device.protocols:
        raise UnknownNameError("protocol", protocol, device.protocols)
    if device.device != "cpu" and chosen.threads:
        raise InvalidInputError(f"--threads is for the CPU; {device.family} runs on {device.device}.")
    names = list(models()) if chosen.models == ["all"] else [model(name).name for name in chosen.models]
    grid = Grid(
        precision=[precision(name) for name in chosen.precision], batch=chosen.batch, seq_len=chosen.seq_len,
        image_size=chosen.image_size, phase=chosen.phase, stack=chosen.stack, layout=chosen.layout, cache=chosen.cache,
        protocol=protocol, threads=chosen.threads or [os.cpu_count() if device.device == "cpu" else None],
        optimizer=chosen.optimizer,
    )  # fmt: skip
    if chosen.kind == "operators":
        tasks, refused = operator_tasks(names, grid, types=chosen.types, limit=chosen.limit)
    else:
        tasks, refused = model_tasks(names, grid, limit=chosen.limit)
    for reason in refused:
        print(f"left out: {reason}", file=sys.stderr)
    if not tasks:
        raise InvalidInputError("nothing to measure: the models support none of these settings.")
    return tasks


if __name__ == "__main__":
    sys.exit(main())
