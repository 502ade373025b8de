"""python -m data_collection.validate.attribution [MODEL ...] [--out DIR]

Skips each group of operators of a model on this CPU (`data_collection.validate.ablation`) and writes the time saved
beside the share that `hetbench explain` attributes to the group. Writes attribution.json and attribution.md after
each model.

    python -m data_collection.validate.attribution bert-tiny --seconds 2
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from data_collection.arguments import number
from data_collection.profile.environment import describe
from data_collection.profile.measure import Outcome
from data_collection.profile.worker import Worker
from data_collection.tune.trials import figure
from data_collection.validate.ablation import FUNCTIONS, saved
from data_collection.validate.plan import MODELS, cpu, plain
from hetbench.artifacts import write_whole
from hetbench.attribution import attribute
from hetbench.catalog.chips import Chip
from hetbench.catalog.models import model
from hetbench.errors import RefusedError, exit_code
from hetbench.graphs.model_graph import load
from hetbench.predict.operators import load as surrogates
from hetbench.query import PROTOCOL, Question, predict_metric

__all__ = ["Group", "main", "rank_agreement", "report"]


@dataclass(frozen=True, slots=True)
class Group:
    """One group of operators of one model: predicted and measured share."""

    model: str
    group: str
    predicted: float
    """Its share of the latency as `explain` attributes it without measured passes, percent."""
    summed: float
    """Its share of the sum of all operators, each predicted by the chip's own operator rows, percent."""
    measured: float
    """Time saved by a pass without it, percent: median over pairs of passes."""
    lower: float
    upper: float
    """Bounds of the median's 95 % interval from order statistics."""


def shares(name: str, chip: Chip) -> dict[str, tuple[float, float]]:
    """For each operator type that can be skipped: percent by attribution, and of the sum over operators."""
    graph = load(name)
    question = Question.build(graph, chip, {"precision": "fp32", "stack": "eager"})
    found = attribute(graph, (question, predict_metric(question, graph, "latency", "auto")))
    summed = surrogates().predict_model(graph.operators(*question.sizes), chip, protocol=PROTOCOL)
    return {
        each.name: (each.points, 100 * summed.by_operator.get(each.name, 0.0) / summed.value)
        for each in found.groups if each.name in FUNCTIONS.values()
    }  # fmt: skip


def compared(worker: Worker, name: str, chip: Chip, protocol: str, seconds: float) -> tuple[float, list[Group]]:
    """Milliseconds of a complete pass, and every group of a model, largest predicted share first."""
    predicted = shares(name, chip)
    outcome = worker.ask(saved, (plain(name, protocol), list(predicted), seconds), 600 + 60 * seconds)
    worker.close()
    if isinstance(outcome, Outcome):
        raise RefusedError(f"{name} was not measured: {outcome.status}, {outcome.reason}")
    whole, found = outcome
    rows = []
    for group, each in predicted.items():
        seen = figure(found[group])
        rows.append(Group(name, group, *each, seen.median, seen.lower, seen.upper))
    return whole, rows


def rank_agreement(rows: Sequence[Group]) -> float:
    """Kendall's tau between attributed and measured shares.

    >>> made = [Group("gpt2", str(p), p, p, m, m, m) for p, m in ((80, 70), (10, 20), (5, 6), (2, 8))]
    >>> round(rank_agreement(made), 3)
    0.667
    """
    signs = [(one.predicted - other.predicted) * (one.measured - other.measured)
             for place, one in enumerate(rows) for other in rows[:place]]  # fmt: skip
    return sum((sign > 0) - (sign < 0) for sign in signs) / len(signs)


def report(rows: Sequence[Group], chip: str, software: str) -> str:
    """The comparison as Markdown."""
    lines = [f"# Attribution against ablation on {chip}", "",
             f"{software}; fp32, eager, batch 1, all threads. Percent of a pass.", "",
             "| model | group | attributed | sum of operators | measured | 95 % |",
             "|---|---|---|---|---|---|"]  # fmt: skip
    for row in rows:
        lines.append(f"| {row.model} | {row.group} | {row.predicted:.1f} | {row.summed:.1f} | {row.measured:.1f} "
                     f"| {row.lower:.1f} .. {row.upper:.1f} |")  # fmt: skip
    lines += ["", "| model | groups | Kendall tau | largest attributed | largest measured | mean difference, points |",
              "|---|---|---|---|---|---|"]  # fmt: skip
    for name in dict.fromkeys(row.model for row in rows):
        known = [row for row in rows if row.model == name]
        apart = sum(abs(row.predicted - row.measured) for row in known) / len(known)
        first, second = (max(known, key=key).group for key in (lambda g: g.predicted, lambda g: g.measured))
        lines.append(f"| {name} | {len(known)} | {rank_agreement(known):.2f} | {first} | {second} | {apart:.1f} |")
    return "\n".join([*lines, ""])


def run(chosen: argparse.Namespace) -> int:
    """Measure each model, write both files after it, and print its result."""
    device = cpu("attribution is")
    environment = describe(device, chosen.chip)
    worker, rows, text = Worker.on(device, environment.chip), list[Group](), ""
    chosen.out.mkdir(parents=True, exist_ok=True)
    try:
        for given in chosen.models:
            name = model(given).name
            whole, found = compared(worker, name, environment.chip, device.protocols[0], chosen.seconds)
            print(f"{name}: {len(found)} groups left out in turn; a complete pass takes {whole:.4g} ms", flush=True)
            rows += found
            text = report(rows, environment.chip.name, environment.base_software)
            values = json.dumps([asdict(row) for row in rows], indent=1)
            write_whole(chosen.out / "attribution.json", values, "--out DIR")
            write_whole(chosen.out / "attribution.md", text, "--out DIR")
    finally:
        worker.close()
    print(text)
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    made = argparse.ArgumentParser(prog="python -m data_collection.validate.attribution", description=__doc__,
                                   formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    made.add_argument("models", nargs="*", default=list(MODELS), metavar="MODEL", help=f"default: {', '.join(MODELS)}")
    made.add_argument("--out", type=Path, default=Path("runs/validate-attribution"))
    made.add_argument("--chip", help="catalogue name of the chip, if the CPU is not recognised")
    made.add_argument("--seconds", type=number(above=True), default=6.0, help="seconds per group of operators")
    chosen = made.parse_args(argv)
    return exit_code(partial(run, chosen), "stopped; the models that were finished are written.")


if __name__ == "__main__":
    sys.exit(main())
