"""Search an architecture space from the shell.

    python -m baselines.search --space gpt-s --objectives loss_proxy,latency@cann --method nsga2 --seeds 5 \\
        --budget 500 --output runs/search

Writes one Parquet file a run, OUTPUT/SPACE/OBJECTIVES/METHOD/seedK.parquet, and the reference point to
OUTPUT/reference. Files that are there are kept and not run again. Exit codes: 0 done, 2 wrong usage or an unknown name,
3 refused for lack of evidence or of a library, 130 stopped.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from baselines.jobs import Job, pending, run_all
from baselines.methods import METHODS
from baselines.problems import problem, scale_of
from baselines.results import boxed, read
from hetbench.errors import InvalidInputError, exit_code

__all__ = ["main", "parser", "progressing"]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="python -m baselines.search", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--space", default="gpt-s",
                      help="space: gpt-s, vit, deploy, ... (`hetbench spaces`); default: %(default)s")
    made.add_argument("--objectives", default="loss_proxy,latency@cann",
                      help="objectives separated by commas: loss_proxy, latency@cann, energy@nvidia-t4, memory")
    made.add_argument("--constraints", default="",
                      help="constraints separated by commas: 'latency@mlu<20ms,memory@cuda<16GB'")
    made.add_argument("--quality", help="module:function, architectures -> values of the objective 'quality'")
    made.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", dest="setting",
                      help="option of every query, such as batch=8; can be repeated")
    made.add_argument("--method", default="nsga2",
                      help="methods separated by commas (see --list-methods), or all; default: %(default)s")
    made.add_argument("--seeds", type=int, default=5, help="number of seeds, 0 to SEEDS-1; default: %(default)s")
    made.add_argument("--budget", type=int, default=500, help="evaluations per run; default: %(default)s")
    made.add_argument("--output", type=Path, default=Path("runs/search"), help="folder; default: %(default)s")
    made.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes; default: one per core")
    made.add_argument("--list-methods", action="store_true", help="list the methods and exit")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run the searches and print a summary."""
    chosen = parser().parse_args(argv)
    if chosen.list_methods:
        return _list_methods()
    return exit_code(partial(_search, chosen), "stopped; finished runs are kept, run the command again to resume.")


def _search(chosen: argparse.Namespace) -> int:
    for name in ("seeds", "budget", "workers"):
        if getattr(chosen, name) < 1:
            raise InvalidInputError(f"--{name} must be a whole number from 1; given: {getattr(chosen, name)}.")
    sys.path.insert(0, os.getcwd())  # where a quality function of the caller's own may lie
    asked = problem(chosen.space, chosen.objectives.split(","), chosen.constraints.split(","), chosen.quality,
                    dict(map(_option, chosen.setting)))  # fmt: skip
    names = list(METHODS) if chosen.method == "all" else chosen.method.split(",")
    jobs = [Job(asked, name, seed, chosen.budget, chosen.output) for name in names for seed in range(chosen.seeds)]
    progressing(jobs, chosen.workers)
    _summarise(jobs)
    return 0


def progressing(jobs: Sequence[Job], workers: int) -> dict[Job, float]:
    """Run the missing searches with a progress bar on stderr; return the seconds of each run."""
    left, seconds = pending(jobs), {}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("runs", total=len(jobs), completed=len(jobs) - len(left))
        for job, took in run_all(left, workers):
            seconds[job] = took
            progress.update(task, advance=1, description=f"{job.problem.space.name} {job.method}")
    return seconds


def _summarise(jobs: Sequence[Job]) -> None:
    asked, output = jobs[0].problem, jobs[0].output
    scale = scale_of(asked, output)
    table = Table("method", "hypervolume", "deviation", "feasible", "simulated s", "s a run", box=None, pad_edge=False)
    for name in dict.fromkeys(job.method for job in jobs):
        runs = [read(job.path) for job in jobs if job.method == name]
        volumes = [boxed(scale, run.minimised) for run in runs]
        means = (np.mean([run.columns[column][-1] for run in runs]) for column in ("elapsed_s", "wall_s"))
        feasible = float(np.mean([run.columns["feasible"].mean() for run in runs]))
        cells = (f"{np.mean(volumes):.4f}", f"{np.std(volumes):.4f}", f"{feasible:.0%}", *(f"{m:.1f}" for m in means))
        table.add_row(name, *cells)
    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    console.print(table)
    points = ", ".join(f"{each.name} {each.sign * value:.4g} {each.unit}"
                       for each, value in zip(asked.objectives, scale.reference, strict=True))  # fmt: skip
    console.print(f"hypervolume: share of the box from the ideal to the reference point ({points})", soft_wrap=True)
    console.print(f"written to {output / asked.space.name / asked.slug}", soft_wrap=True)


def _list_methods() -> int:
    table = Table("method", "what", "needs", "limits", box=None, pad_edge=False)
    for each in METHODS.values():
        table.add_row(each.name, each.title, ", ".join(each.needs) or "–", each.limits)
    Console(width=None if sys.stdout.isatty() else 160, highlight=False).print(table)
    return 0


def _option(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not (equals and name and value):
        raise InvalidInputError(f"--set {text!r} must be NAME=VALUE, such as --set batch=8.")
    return name, int(value) if value.lstrip("-").isdigit() else value


if __name__ == "__main__":
    sys.exit(main())
