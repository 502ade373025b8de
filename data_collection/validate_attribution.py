"""python -m data_collection.validate_attribution [MODEL ...] [--out DIR]

Takes each group of operators out of a model on this CPU (`data_collection.profile.ablation`) and sets what the pass
saves beside the group's share in `hetbench.explain`. Each ablated run is measured in turns with the whole model at the
same overhead; only quiet rounds count. Writes attribution.json and attribution.md.

    python -m data_collection.validate_attribution bert-tiny --rounds 2
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from data_collection.profile.ablation import FUNCTIONS
from data_collection.profile.changes import WITHOUT
from data_collection.validate_plan import Checker, checker, parser, written
from hetbench.attribution import attribute
from hetbench.chips import Chip
from hetbench.errors import exit_code
from hetbench.graph import load
from hetbench.latency import PROTOCOL
from hetbench.models import model
from hetbench.predictors import load as surrogates
from hetbench.question import Question
from hetbench.solve import predict

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
    measured: float | None
    """What a pass without it saves, percent; None where it was not measured."""
    lower: float | None
    upper: float | None
    """What the 95 % intervals of the two medians allow together."""
    whole_ms: float | None
    status: str


def shares(name: str, chip: Chip) -> dict[str, tuple[float, float]]:
    """By operator type that can be left out: percent of the attribution, and of the sum over operators."""
    graph = load(name)
    question = Question.build(graph, chip, {"precision": "fp32", "stack": "eager"})
    found = attribute(graph, (question, predict(question, graph, "latency", "auto")))
    summed = surrogates().predict_model(graph.operators(*question.sizes), chip, protocol=PROTOCOL)
    return {
        each.name: (each.points, 100 * summed.by_operator.get(each.name, 0.0) / summed.value)
        for each in found.groups if each.name in FUNCTIONS.values()
    }  # fmt: skip


def compared(check: Checker, name: str, chip: Chip) -> list[Group]:
    """Every group of a model, largest predicted share first."""
    found, task = [], check.task(name)
    for group, predicted in shares(name, chip).items():
        status, (whole, less) = check.in_turns((task, WITHOUT), (task, f"{WITHOUT}{group}"))
        measured = lower = upper = None
        if whole is not None and less is not None:
            measured, lower, upper = (
                100 * (1 - one / other)
                for one, other in ((less.median, whole.median), (less.upper, whole.lower), (less.lower, whole.upper))
            )
        found.append(Group(name, group, *predicted, measured, lower, upper, whole.median if whole else None, status))
    return found


def rank_agreement(rows: Sequence[Group]) -> float | None:
    """Kendall's tau between predicted and measured shares; None of fewer than two groups.

    >>> made = [Group("gpt2", str(p), p, p, m, None, None, None, "ok") for p, m in ((80, 70), (10, 20), (5, 6), (2, 8))]
    >>> round(rank_agreement(made), 3)
    0.667
    """
    pairs = [(row.predicted, row.measured) for row in rows if row.measured is not None]
    signs = [(a[0] - b[0]) * (a[1] - b[1]) for i, a in enumerate(pairs) for b in pairs[:i]]
    return sum((sign > 0) - (sign < 0) for sign in signs) / len(signs) if signs else None


def report(rows: Sequence[Group], chip: str, software: str) -> str:
    """The comparison as Markdown."""
    lines = [f"# Attribution against ablation on {chip}", "",
             f"{software}; fp32, eager, batch 1, all threads. Percent of a pass.", "",
             "| model | group | attributed | sum of operators | measured | 95 % | note |",
             "|---|---|---|---|---|---|---|"]  # fmt: skip
    for row in rows:
        seen = "–" if row.measured is None else f"{row.measured:.1f}"
        within = "–" if row.lower is None else f"{row.lower:.1f} .. {row.upper:.1f}"
        note = "" if row.status == "ok" else row.status
        shared = f"{row.predicted:.1f} | {row.summed:.1f} | {seen} | {within}"
        lines.append(f"| {row.model} | {row.group} | {shared} | {note} |")
    lines += ["", "| model | groups | Kendall tau | largest attributed | largest measured | mean difference, points |",
              "|---|---|---|---|---|---|"]  # fmt: skip
    for name in dict.fromkeys(row.model for row in rows):
        known = [row for row in rows if row.model == name and row.measured is not None]
        tau = rank_agreement(known)
        if tau is None:
            continue
        apart = sum(abs(row.predicted - (row.measured or 0.0)) for row in known) / len(known)
        first, second = (max(known, key=key).group for key in (lambda g: g.predicted, lambda g: g.measured))
        lines.append(f"| {name} | {len(known)} | {tau:.2f} | {first} | {second} | {apart:.1f} |")
    return "\n".join([*lines, ""])


def run(chosen: argparse.Namespace) -> int:
    """Measure, write, and say; 1 where a group could not be measured."""
    say, rows, text = partial(print, flush=True), list[Group](), ""
    with checker(chosen, say) as (check, environment):
        for name in chosen.models:
            for row in compared(check, model(name).name, environment.chip):
                say(f"{row.model} without {row.group}: predicted {row.predicted:.1f} %, measured {row.measured} %")
                rows.append(row)
            text = report(rows, environment.chip.name, environment.base_software)
            written(chosen.out, "attribution", rows, text)
    print(text)
    return int(any(row.measured is None for row in rows))


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    chosen = parser("validate_attribution", __doc__).parse_args(argv)
    return exit_code(partial(run, chosen), "stopped; the models that were finished are written.")


if __name__ == "__main__":
    sys.exit(main())
