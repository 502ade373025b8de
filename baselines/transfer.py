"""How well Pareto sets found with predicted latency on one chip family hold on another, with intervals.

    python -m baselines.transfer            # prints the tables; --readme writes them into baselines/README.md

On each family's default chip NSGA-II searches a space for quality and predicted latency, once for each seed. The set
found on A is then taken to B and compared with the set that the same search found on B: the hypervolume there over
the hypervolume of B's own. Two things make that uncertain, and both enter the interval: the search (seeds), and the
prediction. True latencies on B are drawn from the predictive distribution, for each architecture by itself, and both
sets are judged by the same draw. Errors that architectures of a chip share move both sets alike and change nothing, so
independent errors are the widest case.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from baselines.bench import Bench, Ints, non_dominated
from baselines.methods import run
from baselines.problems import Problem, problem
from hetbench.errors import InvalidInputError, exit_code
from hetbench.schema import FAMILIES
from hetbench.spaces import space

__all__ = ["Pair", "area", "found_sets", "main", "pair", "tables"]

Array = NDArray[np.float64]
SPACES = ("gpt-s", "vit", "resnet")
SEEDS, BUDGET, DRAWS = 10, 500, 30
_LEVEL = 0.9
README = Path(__file__).resolve().parent / "README.md"
BEGIN, END = "<!-- written by python -m baselines.transfer --readme -->\n", "<!-- end of transfer -->"


@dataclass(frozen=True, slots=True)
class Pair:
    """Sets found on one family, tried on another."""

    source: str
    target: str
    share: Array
    """Hypervolume on the target over that of the target's own set, by the predictions, [seeds]."""
    drawn: Array
    """The same where true latencies are draws, [seeds, draws]."""
    kept: Array
    """Share of the source's set that no member of the target's set dominates on the target, [seeds]."""

    def interval(self, values: Array) -> tuple[float, float]:
        """The central 90 % of values."""
        low, high = np.quantile(values, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
        return float(low), float(high)


def area(points: Array) -> float:
    """Hypervolume of points [n, 2] up to (1, 1), lower is better; points beyond it do not count.

    >>> area(np.array([[0.0, 0.5], [0.5, 0.0], [0.6, 0.6], [2.0, -1.0]]))
    0.75
    """
    inside = points[(points < 1).all(axis=1)]
    if not len(inside):
        return 0.0
    ordered = inside[np.lexsort(inside.T[::-1])]
    least = np.minimum.accumulate(ordered[:, 1])
    widths = np.diff(np.append(ordered[:, 0], 1.0))
    return float((widths * (1 - least)).sum())


def found_sets(asked: Problem, seeds: int, budget: int) -> list[Ints]:
    """The non-dominated architectures of an NSGA-II search with each seed, codes [front, parameters] each."""
    out = []
    for seed in range(seeds):
        bench = Bench(asked, asked.scale, budget, seed)
        run("nsga2", bench)
        out.append(np.unique(bench.best(), axis=0))
    return out


def pair(source: str, sets: Sequence[Ints], on: Problem, own: Sequence[Ints], draws: int) -> Pair:
    """Sets found on a source tried on the problem `on`, whose own sets are given; one of each for every seed."""
    low, high = np.array(on.scale.ideal), np.array(on.scale.reference)
    share, drawn, kept = [], [], []
    for seed, (theirs, ours) in enumerate(zip(sets, own, strict=True)):
        codes, count = np.concatenate((theirs, ours)), len(theirs)
        points = (on.evaluate(codes).minimised - low) / (high - low)
        share.append(area(points[:count]) / area(points[count:]))
        kept.append(_undominated(points[:count], points[count:]))
        latency = on.query(codes, on.objectives[1], sample=draws, seed=seed)  # [architectures, draws]
        scaled = (latency - low[1]) / (high - low)[1]
        each = [np.column_stack((points[:, 0], column)) for column in scaled.T]
        drawn.append([area(values[:count]) / area(values[count:]) for values in each])
    return Pair(source, str(on.objectives[1].device), np.array(share), np.array(drawn), np.array(kept))


def _undominated(points: Array, others: Array) -> float:
    """Share of points that none of the others dominates."""
    front = others[non_dominated(others)]
    beaten = [bool(((front <= p).all(axis=1) & (front < p).any(axis=1)).any()) for p in points]
    return 1 - float(np.mean(beaten))


def pairs(name: str, seeds: int, budget: int, draws: int) -> list[Pair]:
    """Every ordered pair of families in a space, for the space's own quality.

    A set is compared with that of the seed before it, so that on one chip too two searches are compared.
    """
    quality = str(space(name).quality)
    asked = {family: problem(name, [quality, f"latency@{family}"]) for family in FAMILIES}
    sets = {family: found_sets(each, seeds, budget) for family, each in asked.items()}
    return [pair(source, sets[source][1:] + sets[source][:1], asked[target], sets[target], draws)
            for source in FAMILIES for target in FAMILIES]  # fmt: skip


def tables(found: dict[str, list[Pair]], setting: tuple[int, int, int]) -> Iterator[str]:
    """The tables in Markdown, and what they say."""
    seeds, budget, draws = setting
    yield ("Hypervolume that a set found on the row's chip has on the column's, over that of a set found there: "
           f"median, and 90 % interval over {seeds} seeds (NSGA-II, {budget} evaluations) and {draws} draws of the "
           "true latencies each. On the diagonal two searches of the same chip.\n")  # fmt: skip
    for name, made in found.items():
        yield f"| {name}: found on | {' | '.join(FAMILIES)} |\n|---|{'---|' * len(FAMILIES)}"
        for source, row in groupby(made, key=lambda each: each.source):
            yield f"| {source} | {' | '.join(map(_cell, row))} |"
        yield ""
    yield from (f"* {_said(name, made)}" for name, made in found.items())


def _cell(each: Pair) -> str:
    low, high = each.interval(each.drawn)
    return f"{np.median(each.drawn):.3f} [{low:.2f}, {high:.2f}]"


def _said(name: str, made: Sequence[Pair]) -> str:
    others = [each for each in made if each.source != each.target]
    shares, drawn = (np.concatenate([getattr(each, what).ravel() for each in others]) for what in ("share", "drawn"))
    kept = np.concatenate([each.kept for each in others])
    alike = np.concatenate([each.share for each in made if each.source == each.target])
    worst = min(others, key=lambda each: float(np.median(each.drawn)))
    spans = [f"{np.median(values):.1%} [{low:.1%}, {high:.1%}]" for values in (drawn, shares, alike, kept)
             for low, high in [worst.interval(values)]]  # fmt: skip
    certain = [f"{each.source} to {each.target}" for each in others if each.interval(each.drawn)[1] < 1]
    lost = f"a loss is certain at 90 % for {len(certain)} of {len(others)} pairs"
    return (f"{name}: over all pairs of families a set keeps {spans[0]}; by the predictions alone {spans[1]}, against "
            f"{spans[2]} between two searches of one chip. The least is {worst.source} to {worst.target}, "
            f"{np.median(worst.drawn):.1%}; {lost}{': ' if certain else ''}{', '.join(certain)}. Of its members "
            f"{spans[3]} are not dominated by the set found there.")  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Search, try the sets elsewhere and print the tables."""
    made = argparse.ArgumentParser(prog="python -m baselines.transfer", description=__doc__,
                                   formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    made.add_argument("--spaces", default=",".join(SPACES), help="spaces separated by commas; default: %(default)s")
    made.add_argument("--seeds", type=int, default=SEEDS, help="searches a chip; default: %(default)s")
    made.add_argument("--budget", type=int, default=BUDGET, help="evaluations a search; default: %(default)s")
    made.add_argument("--draws", type=int, default=DRAWS, help="draws of the true latencies; default: %(default)s")
    made.add_argument("--readme", action="store_true", help="write the tables into baselines/README.md")
    return exit_code(partial(_main, made.parse_args(argv)), "stopped; nothing was written.")


def _main(chosen: Any) -> int:
    for name in ("seeds", "budget", "draws"):
        if getattr(chosen, name) < 1:
            raise InvalidInputError(f"--{name} must be a whole number from 1; given: {getattr(chosen, name)}.")
    setting = chosen.seeds, chosen.budget, chosen.draws
    found = {name: pairs(name, *setting) for name in chosen.spaces.split(",")}
    text = "\n".join(tables(found, setting)) + "\n"
    if chosen.readme:
        before, _, rest = README.read_text(encoding="utf-8").partition(BEGIN)
        README.write_text(f"{before}{BEGIN}\n{text}{END}{rest.partition(END)[2]}", encoding="utf-8")
    sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
