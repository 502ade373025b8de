"""python -m data_collection.tasks run --task NAME|FILE --hardware NAME --output DIR   |  --show-tasks  --show-hardware

Evaluates one model in one precision on this machine: speed (samples per second, mean, p50 and p99 of each batch size,
concurrent clients), numeric differences from fp32 on the CPU, and accuracy on your data with your weights. DIR gets
report.json and summary.html. A task is model-precision, a .toml file, or a workload .json file of ByteMLPerf:

    python -m data_collection.tasks run --task bert-base-fp32 --hardware cpu --output runs/bert
    python -m data_collection.tasks run --task bert-tiny-bf16 --hardware cpu --output runs/tiny --compile-only
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from data_collection.arguments import CHIP_FILE, KEEP_NOISY, count, number
from data_collection.backends import Backend, backend, backends
from data_collection.backends.oneapi import OneApi
from data_collection.chip import chosen_chip
from data_collection.pages import html
from data_collection.profile.session import Policy
from data_collection.profile.timing import Budget
from data_collection.store import DEFAULT_STORE
from data_collection.tasks.evaluate import Files, evaluate, failed, prepare, set_up
from data_collection.tasks.summary import summary
from data_collection.tasks.workload import named, names
from hetbench.artifacts.atomic import staged
from hetbench.errors import UnknownNameError, exit_code

WRITTEN = ("report.json", "summary.html")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    raw = argparse.RawDescriptionHelpFormatter
    made = argparse.ArgumentParser(prog="python -m data_collection.tasks", description=__doc__, formatter_class=raw)
    made.add_argument("--show-tasks", action="store_true", help="list the tasks")
    made.add_argument("--show-hardware", action="store_true", help="list the devices and why some are unavailable")
    commands = made.add_subparsers(dest="command")
    add = commands.add_parser("run", formatter_class=argparse.ArgumentDefaultsHelpFormatter).add_argument
    add("--task", required=True, help="name from --show-tasks, or a .toml or .json file")
    add("--hardware", required=True, help="name from --show-hardware")
    add("--output", required=True, type=Path, help="directory for the report")
    add("--compile-only", action="store_true", help="only build, compile or export the model and call it once")
    add("--weights", type=Path, help="trained weights (.safetensors) for the accuracy part")
    add("--data", type=Path, help="data set (.npz with the model's inputs and `labels`) for the accuracy part")
    add("--chip", help="catalogue name of the chip, if the device is not recognised")
    add("--chip-file", type=Path, metavar="FILE", help=CHIP_FILE)
    add("--store", type=Path, default=DEFAULT_STORE, help="store for the measured rows; default: %(default)s")
    add("--timeout", type=number(above=True), default=600.0, help="seconds one part may take; default: %(default)s")
    add("--seconds", type=number(), default=60.0, help="most seconds to repeat one batch size; default: %(default)s")
    add("--retries", type=count(0), default=4, help="further attempts for a disturbed row")
    add("--patience", type=number(), default=60.0, help="most seconds to wait for a quiet machine")
    add("--keep-noisy", action="store_true", help=KEEP_NOISY)
    return made


def main(argv: Sequence[str] | None = None) -> int:
    words = list(sys.argv[1:] if argv is None else argv)
    made = parser()
    chosen = made.parse_args(words)
    if not (chosen.command or chosen.show_tasks or chosen.show_hardware):
        made.error("nothing to do: run, --show-tasks or --show-hardware")
    return exit_code(partial(_listed_and_run, chosen, words), "stopped; no report was written.")


def _listed_and_run(chosen: argparse.Namespace, words: Sequence[str]) -> int:
    if chosen.show_tasks:
        print("\n".join(names()))
    if chosen.show_hardware:
        for name, each in _hardware().items():
            print(f"{name}\t{each.missing() or 'available'}")
    return run(chosen, words) if chosen.command else 0


def run(chosen: argparse.Namespace, words: Sequence[str]) -> int:
    """Evaluate and write the report; exit code 1 if a part failed or was disturbed."""
    workload = named(chosen.task)
    workload = replace(workload, compile_only=workload.compile_only or chosen.compile_only)
    device, files = _device(chosen.hardware), Files(chosen.weights, chosen.data)
    tasks = prepare(workload, device, files)
    chip = chosen_chip(device, chosen.chip, chosen.chip_file)
    policy = Policy(budget=Budget(min_seconds=0, max_seconds=chosen.seconds), timeout_s=chosen.timeout,
                    retries=chosen.retries, patience_s=chosen.patience, keep_noisy=chosen.keep_noisy)  # fmt: skip
    with staged(chosen.output, WRITTEN) as folder:
        session = {"store": chosen.store, "policy": policy, "say": partial(print, flush=True)}
        stage = set_up(workload, device, chip, session, ("tasks", *words))
        report = evaluate(workload, tasks, stage, files)
        (folder / "report.json").write_text(json.dumps(report, indent=1, allow_nan=False) + "\n")
        title = f"{workload.name} on {report['environment']['chip']}"
        (folder / "summary.html").write_text(html(title, summary(report)), encoding="utf-8")
    print(f"{title}: {', '.join(_said(report))}. Report: {chosen.output}")
    return int(failed(report))


def _said(report: dict) -> list[str]:
    """The status of each part in a word or two."""
    said = [f"{name} {report[name]['status']}" for name in ("numeric", "accuracy") if name in report]
    for name in ("compile", "perf", "clients"):
        statuses = {part["status"] for part in report.get(name, ())}
        said += [f"{name} {' and '.join(sorted(statuses))}"] if statuses else []
    return said or ["no part was requested"]


def _hardware() -> dict[str, Backend]:
    """Backends by family, and the CPU as `cpu`."""
    return {"cpu": OneApi("cpu"), **backends()}


def _device(name: str) -> Backend:
    if name == "cpu":
        return OneApi("cpu")
    if name not in backends():
        raise UnknownNameError("hardware", name, _hardware())
    return backend(name)


if __name__ == "__main__":
    sys.exit(main())
