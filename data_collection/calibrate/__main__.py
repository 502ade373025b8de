"""Correct the answers for this machine by a few minutes of measurements.

    python -m data_collection.calibrate [--minutes 5] [--models resnet-50 bert-base ...]

Measures passes of half of the models, then the operators that reduce the uncertainty of all of them most, until the
time is over; every fifth operator and the passes of the other models are held out. Prints error, coverage and width of
the predictions for what was held out, before and after, and writes the observations to a file that
`HetBench().load_observations(FILE)` reads. Stop it at any time: the same command goes on where it stopped.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from data_collection.arguments import CHIP_FILE, number
from data_collection.backends import Backend, backends, picked
from data_collection.calibrate.choice import MOST, order, prior
from data_collection.calibrate.measure import Timed, measured, read_timed
from data_collection.calibrate.portfolio import DEFAULT_MODELS, candidates, is_held_out, passes
from data_collection.calibrate.score import Score, model_table, operator_table, score
from data_collection.chip import chosen_chip
from data_collection.profile.environment import describe
from data_collection.profile.tasks import Task
from data_collection.profile.timing import Budget
from data_collection.profile.worker import Worker
from hetbench.api import HetBench
from hetbench.catalog.chips import Chip
from hetbench.catalog.models import model
from hetbench.catalog.own_chips import folder
from hetbench.errors import RefusedError, command
from hetbench.predict import operators

__all__ = ["main"]

_FOR_PASSES = 0.4
"""Share of the time that the passes may take."""
_BUDGET = Budget(min_repeats=20, min_seconds=0.05, max_seconds=0.5)
_PASS_BUDGET = Budget(min_repeats=8, min_seconds=0.3, max_seconds=3.0)


@command("stopped; what was measured is kept. Run the same command again to go on.")
def main(argv: Sequence[str] | None = None) -> int:
    """Measure, observe and compare; exit code 3 where too little could be measured."""
    raw = argparse.RawDescriptionHelpFormatter
    made = argparse.ArgumentParser(prog="python -m data_collection.calibrate", description=__doc__, formatter_class=raw)
    add = made.add_argument
    add("--minutes", type=number(above=True), default=5.0, help="time to measure; default: %(default)s")
    add("--models", nargs="+", default=list(DEFAULT_MODELS), help="the portfolio; default: %(default)s")
    add("--precision", help="default: fp16 on an accelerator that has it, else fp32")
    add("--backend", choices=sorted(backends()), help="default: an accelerator if there is one, else the CPU")
    add("--chip", help="name of the chip, if the device is not recognised")
    add("--chip-file", type=Path, metavar="FILE", help=CHIP_FILE)
    add("--output", type=Path, help="observations; default: CHIP.json in the observations of this machine")
    add("--again", action="store_true", help="measure again what an earlier run has measured")
    chosen = made.parse_args(argv)
    names = [model(name).name for name in chosen.models]
    device = picked(chosen.backend)
    chip = describe(device, chosen_chip(device, chosen.chip, chosen.chip_file)).chip
    precision = chosen.precision or ("fp16" if device.device != "cpu" and chip.supports("fp16") else "fp32")
    output = chosen.output or folder().parent / "observations" / f"{chip.name}.json"
    journal = output.with_suffix(".journal.jsonl")
    if chosen.again:
        journal.unlink(missing_ok=True)
    taught, held = _measure(device, chip, names, precision, journal, 60 * chosen.minutes)
    _report(chip.name, taught, held, output)
    return 0


def _measure(
    device: Backend, chip: Chip, names: Sequence[str], precision: str, journal: Path, seconds: float
) -> tuple[list[Timed], list[Timed]]:
    """What was measured to be taught, and what was measured to be held out."""
    protocol, began, known = device.protocols[0], time.monotonic(), read_timed(journal)
    say, worker = partial(print, flush=True), Worker.on(device, chip)
    print(f"{chip.name}, {precision}: {seconds / 60:g} minutes", flush=True)
    try:
        own, others = passes(names, precision, protocol)
        turns = [task for pair in zip(own, [*others, *own], strict=False) for task in pair]
        until = began + _FOR_PASSES * seconds
        timed = measured(dict.fromkeys(turns), worker, journal, until=until, budget=_PASS_BUDGET, say=say, known=known)
        tasks = _worthwhile(HetBench(), chip, names, precision, protocol)
        timed += measured(tasks, worker, journal, until=began + seconds, budget=_BUDGET, say=say, known=known)
    finally:
        worker.close()
    kept = set(others)
    held = [each for each in timed if each.task in kept or (each.task.kind == "operator" and is_held_out(each.task))]
    return [each for each in timed if each not in held], held


def _worthwhile(api: HetBench, chip: Chip, names: Sequence[str], precision: str, protocol: str) -> list[Task]:
    """Operators in the order of their worth, a held-out one after every four."""
    asked = candidates(api, chip.name, names, precision, protocol)[:MOST]
    if not asked:
        raise RefusedError(f"no operator of {', '.join(names)} is predicted on {chip.name} in {precision}.")
    shared, noise = prior(operators.load(api.artifacts), chip, asked)
    weights = np.array([each.weight for each in asked])
    open_ = np.array([not is_held_out(each.task) for each in asked])
    taught = [asked[at].task for at in order(shared, noise, weights, np.ones(len(asked)), open_)]
    held = [each.task for each in asked if is_held_out(each.task)]
    found: list[Task] = []
    for at, task in enumerate(taught):
        found.append(task)
        if at % 4 == 3 and held:
            found.append(held.pop(0))
    return [*found, *held]


def _report(chip: str, taught: Sequence[Timed], held: Sequence[Timed], output: Path) -> None:
    """Observe what was taught, print the comparison on what was held out, and save the observations."""
    api = HetBench()
    kinds = {"operators": "operator", "passes": "model"}
    parts = {name: [each for each in held if each.task.kind == kind] for name, kind in kinds.items()}
    before = {name: score(api, rows, chip) for name, rows in parts.items()}
    own = {name: [each for each in taught if each.task.kind == kind] for name, kind in kinds.items()}
    if not any(own.values()):
        raise RefusedError("nothing was measured in this time: give more --minutes.")
    for name, table in (("operators", operator_table), ("passes", model_table)):
        if own[name]:
            api.observe(table(own[name], chip))
    after = {name: score(api, rows, chip) for name, rows in parts.items()}
    for name in parts:
        print(f"{name}: {len(own[name])} observed, {len(parts[name])} held out")
        for when, found in (("before", before[name]), ("after", after[name])):
            print(f"  {when}: {_told(found)}")
    noisy = sum(each.noisy for each in taught)
    if noisy:
        print(f"{noisy} of {len(taught)} observed rows are noisy: other processes use this machine")
    output.parent.mkdir(parents=True, exist_ok=True)
    api.save_observations(output)
    print(f"saved: HetBench().load_observations({str(output)!r}) answers with these corrections")


def _told(found: Score | None) -> str:
    return "nothing to compare" if found is None else str(found)


if __name__ == "__main__":
    main()
