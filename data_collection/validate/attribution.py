"""python -m data_collection.validate.attribution [MODEL ...] [--out DIR]

Takes each group of operators out of a model on this CPU (`data_collection.profile.ablation`) and sets what the pass
saves beside the group's share in `hetbench.knowledge.explain`. Writes attribution.json and attribution.md after each
model.

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

from data_collection.profile.ablation import FUNCTIONS, saved
from data_collection.profile.environment import describe
from data_collection.profile.measure import Outcome
from data_collection.profile.worker import Worker
from data_collection.tune.trials import figure
from data_collection.validate.plan import MODELS, cpu, plain
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
    """One group of operators of one model: predicted beside measured."""

    model: str
    group: str
    predicted: float
    """Its share of the latency as `explain` attributes it, measured passes left aside, percent."""
    summed: float
    """Its share of the sum of its operators, each as the chip's own rows predict it, percent."""
    measured: float
    """What a pass without it saves, percent: median over pairs of passes."""
    lower: float
    upper: float
    """Order statistics that hold the median with 95 %."""


def shares(name: str, chip: Chip) -> dict[str, tuple[float, float]]:
    """By operator type that can be left out: percent of the attribution, and of the sum over operators."""
    graph = load(name)
    question = Question.build(graph, chip, {"precision": "fp32", "stack": "eager"})
    found = attribute(graph, (question, predict_metric(question, graph, "latency", "auto")))
    summed = surrogates().predict_model(graph.operators(*question.sizes), chip, protocol=PROTOCOL)
    return {
        each.name: (each.points, 100 * summed.by_operator.get(each.name, 0.0) / summed.value)
        for each in found.groups if each.name in FUNCTIONS.values()
    }  # fmt: skip


def compared(worker: Worker, name: str, chip: Chip, protocol: str, seconds: float) -> tuple[float, list[Group]]:
    """ms of a whole pass, and every group of a model, largest predicted share first."""
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
    """Measure, write after each model, and say."""
    device = cpu("attribution is")
    environment = describe(device, chosen.chip)
    worker, rows, text = Worker.on(device, environment.chip), list[Group](), ""
    chosen.out.mkdir(parents=True, exist_ok=True)
    try:
        for given in chosen.models:
            name = model(given).name
            whole, found = compared(worker, name, environment.chip, device.protocols[0], chosen.seconds)
            print(f"{name}: {len(found)} groups taken out of a pass of {whole:.4g} ms", flush=True)
            rows += found
            text = report(rows, environment.chip.name, environment.base_software)
            (chosen.out / "attribution.json").write_text(json.dumps([asdict(row) for row in rows], indent=1))
            (chosen.out / "attribution.md").write_text(text)
    finally:
        worker.close()
    print(text)
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    made = argparse.ArgumentParser(prog="python -m data_collection.validate.attribution", description=__doc__,
                                   formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    made.add_argument("models", nargs="*", default=list(MODELS), metavar="MODEL", help=f"default: {', '.join(MODELS)}")
    made.add_argument("--out", type=Path, default=Path("runs/validate-attribution"))
    made.add_argument("--chip", help="catalogue chip, where the CPU is not known by its name")
    made.add_argument("--seconds", type=float, default=6.0, help="spent on each group")
    chosen = made.parse_args(argv)
    return exit_code(partial(run, chosen), "stopped; the models that were finished are written.")


if __name__ == "__main__":
    sys.exit(main())
