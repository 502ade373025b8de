"""The search experiment: every method on every GPT space and chip family.

    python -m baselines.experiment --output runs/experiment

Objectives are the loss proxy, latency and energy on the family's chip. Finished runs are kept, so a stopped
experiment can be resumed; then baselines/report.md is written from the files.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from baselines.jobs import Job
from baselines.methods import METHODS
from baselines.problems import Problem, problem
from baselines.report import report
from baselines.search import progressing
from hetbench.errors import InvalidInputError, exit_code
from hetbench.schema import FAMILIES

__all__ = ["CHIPS", "SPACES", "main", "problems"]

SPACES = ("gpt-s", "gpt-m", "gpt-l")
CHIPS = {family: family for family in FAMILIES} | {"cann": "huawei-ascend-910a"}
"""The chip of each family: the default, except for cann, whose default chip has no known TDP and so no energy."""
REPORT = Path(__file__).resolve().parent / "report.md"


def problems(spaces: Sequence[str] = SPACES) -> list[Problem]:
    """The problems: every space on every family."""
    return [problem(space, ["loss_proxy", f"latency@{chip}", f"energy@{chip}"])
            for space in spaces for chip in CHIPS.values()]  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Run the missing searches and write the report."""
    made = argparse.ArgumentParser(
        prog="python -m baselines.experiment", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    made.add_argument("--output", type=Path, default=Path("runs/experiment"))
    made.add_argument("--report", type=Path, default=REPORT)
    made.add_argument("--spaces", default=",".join(SPACES), help="spaces separated by commas; default: %(default)s")
    made.add_argument("--methods", default="all", help="methods separated by commas, or all; default: %(default)s")
    made.add_argument("--seeds", type=int, default=5)
    made.add_argument("--budget", type=int, default=500)
    made.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    chosen = made.parse_args(argv)
    return exit_code(partial(_run, chosen), "stopped; finished runs are kept, run the command again to resume.")


def _run(chosen: argparse.Namespace) -> int:
    for name in ("seeds", "budget", "workers"):
        if getattr(chosen, name) < 1:
            raise InvalidInputError(f"--{name} must be a whole number from 1; given: {getattr(chosen, name)}.")
    names = list(METHODS) if chosen.methods == "all" else chosen.methods.split(",")
    asked, start = problems(chosen.spaces.split(",")), time.perf_counter()
    jobs = [Job(each, name, seed, chosen.budget, chosen.output)
            for each in asked for name in names for seed in range(chosen.seeds)]  # fmt: skip
    progressing(jobs, chosen.workers)
    chosen.report.write_text(report([job.path for job in jobs], asked), encoding="utf-8")
    sys.stdout.write(f"{len(jobs)} runs in {chosen.output}, {time.perf_counter() - start:.0f} s; {chosen.report}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
