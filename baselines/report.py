"""The report of the experiment: ranking of methods, and transfer of Pareto sets between chip families."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from baselines.bench import Ints, non_dominated
from baselines.methods import METHODS
from baselines.problems import REPEATS, WARM_UP, Problem
from baselines.results import Comparison, Run, compare, hypervolume, read
from hetbench.spaces import Space

__all__ = ["Transfer", "report", "transfer"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Transfer:
    """Transfer of Pareto sets between chips in a space, for quality and one more metric."""

    metric: str
    chips: tuple[str, ...]
    share: Array
    """Hypervolume on the column's chip of the row's best set, over that of the column's own, [chips, chips]."""
    kept: Array
    """Share of the row's set that is in the column's own, [chips, chips]."""


def transfer(problems: Sequence[Problem], pool: Ints, metric: str) -> Transfer:
    """Pareto sets of a pool of architectures on each problem's chip, for quality and `metric`, tried on the others."""
    names = [next(each for each in p.objectives if each.metric == metric) for p in problems]
    values, bounds, fronts = [], [], []
    for p, asked in zip(problems, names, strict=True):
        places = [0, p.objectives.index(asked)]
        ideal, reference = (np.array(end)[places] for end in (p.scale.ideal, p.scale.reference))
        values.append((p.evaluate(pool).minimised[:, places] - ideal) / (reference - ideal))
        bounds.append([1.0, 1.0])
        fronts.append(non_dominated(values[-1]))
    own = [hypervolume(v[f], b) for v, f, b in zip(values, fronts, bounds, strict=True)]
    share = [[hypervolume(v[front], b) / best for v, b, best in zip(values, bounds, own, strict=True)]
             for front in fronts]  # fmt: skip
    kept = [[float((front & other).sum() / front.sum()) for other in fronts] for front in fronts]
    return Transfer(metric, tuple(str(each.device) for each in names), np.array(share), np.array(kept))


def report(paths: Sequence[Path], problems: Sequence[Problem]) -> str:
    """The report in Markdown."""
    runs = [read(path) for path in paths]
    return "\n".join([*_setting(runs, problems), *_methods(runs), *_transfers(runs, problems)]) + "\n"


def _setting(runs: Sequence[Run], problems: Sequence[Problem]) -> Iterable[str]:
    meta, seeds = runs[0].meta, {run.seed for run in runs}
    seconds = sum(float(run.columns["wall_s"][-1]) for run in runs)
    versions = ", ".join(f"{name} {number}" for name, number in meta["versions"].items() if number)
    yield "# Searching without the hardware\n"
    yield "Written by `python -m baselines.experiment`; every figure is computed from its result files.\n"
    methods = {run.method for run in runs}
    yield (f"{len(runs)} runs: {len(methods)} methods, {len(problems)} problems, {len(seeds)} seeds, {meta['budget']} "
           f"evaluations each; {seconds / 60:.0f} core-minutes in all. {versions}.\n")  # fmt: skip
    yield ("Objectives: the loss that a scaling law expects of the parameters (nobody trained these networks), latency "
           "and energy of one call at the space's usual setting, as hetbench predicts them. So all figures are about "
           "these predictions. Reference point: worst of 2,000 random architectures and the extreme ones, plus a tenth "
           f"of the range. A simulated measurement is {WARM_UP} calls to warm up and {REPEATS} timed.\n")  # fmt: skip
    yield "| space | chip | latency, ms | energy, J | hypervolume of the best known front |\n|---|---|---|---|---|"
    best = dict(zip(*_best_known(runs), strict=True))
    for p in problems:
        low, high = p.scale.ideal, p.scale.reference
        spans = [f"{low[place]:.3g} .. {high[place]:.3g}" for place in (1, 2)]
        chip = p.objectives[1].device
        yield f"| {p.space.name} | {chip} | {' | '.join(spans)} | {best[f'{p.space.name} {p.slug}']:.3f} |"
    yield "\nRanges are from the ideal to the reference point; the hypervolume is a share of the box between the two.\n"


def _best_known(runs: Sequence[Run]) -> tuple[tuple[str, ...], tuple[float, ...]]:
    made = compare(runs)
    return made.problems, made.best_known


def _methods(runs: Sequence[Run]) -> Iterable[str]:
    made = compare(runs)
    ranks, against = made.ranks.mean(axis=0), made.against_best()
    order = np.argsort(ranks, kind="stable")
    yield "## Methods\n"
    yield ("Rank of the mean over seeds on each problem, mean over problems (1 is best). Hypervolume as a share of "
           "that of the best front known, of all runs of the problem together: mean over problems, and mean deviation "
           "over seeds. p: Wilcoxon's signed-rank test against the first over problems, with Holm.\n")  # fmt: skip
    yield "| method | mean rank | hypervolume | deviation | p | simulated min | s a run |"
    yield "|---|---|---|---|---|---|---|"
    for place in order:
        name = made.methods[place]
        own = [run.columns for run in runs if run.method == name]
        simulated, wall = (np.mean([each[column][-1] for each in own]) for column in ("elapsed_s", "wall_s"))
        share, deviation = made.share[:, place].mean(), made.deviation[:, place].mean()
        p = f"{against[name]:.2g}" if name in against else "–"
        cells = (f"{ranks[place]:.2f}", f"{share:.3f}", f"{deviation:.3f}", p, f"{simulated / 60:.1f}", f"{wall:.1f}")
        yield f"| {name} | {' | '.join(cells)} |"
    yield f"\n{_significance(made, ranks)}\n"
    yield "What keeps each method quick:\n"
    yield from (f"* `{made.methods[place]}`: {METHODS[made.methods[place]].limits}" for place in order)
    yield ""


def _significance(made: Comparison, ranks: Array) -> str:
    if len(made.methods) < 3 or len(made.problems) < 2:
        return "Too few methods or problems for tests of significance."
    difference, least = made.critical_difference(), ranks.min()
    ties = [name for name, rank in zip(made.methods, ranks, strict=True) if rank - least <= difference]
    return (f"Friedman's test that all methods do alike: p = {made.friedman():.2g}. By Nemenyi's test at 5 % mean "
            f"ranks differ from {difference:.2f} on; not told apart from the best: {', '.join(ties)}.")  # fmt: skip


def _transfers(runs: Sequence[Run], problems: Sequence[Problem]) -> Iterable[str]:
    yield "## How far Pareto sets carry from family to family\n"
    yield ("Of all architectures that were non-dominated in any run of the space, those best on the row's chip for "
           "loss and one metric are tried on the column's chip: the share of hypervolume they keep there, relative to "
           "the column's own best; in brackets how many of them are in the column's own set.\n")  # fmt: skip
    found = []
    for name in dict.fromkeys(p.space.name for p in problems):
        here = [p for p in problems if p.space.name == name]
        pool = _pool(here[0].space, [run for run in runs if run.meta["space"] == name])
        for metric in ("latency", "energy"):
            made = transfer(here, pool, metric)
            found.append((name, made))
            yield f"### {name}, loss and {metric} ({len(pool):,} architectures)\n"
            yield f"| best on | {' | '.join(made.chips)} |\n|---|{'---|' * len(made.chips)}"
            for chip, shares, kept in zip(made.chips, made.share, made.kept, strict=True):
                cells = (f"{share:.3f} ({same:.0%})" for share, same in zip(shares, kept, strict=True))
                yield f"| {chip} | {' | '.join(cells)} |"
            yield ""
    yield from (f"* {line}" for line in _carried(found))


def _carried(found: Iterable[tuple[str, Transfer]]) -> Iterable[str]:
    for name, made in found:
        others = ~np.eye(len(made.chips), dtype=bool)
        if not others.any():
            continue
        row, column = np.unravel_index(np.where(others, made.share, np.inf).argmin(), made.share.shape)
        yield (f"{name}, {made.metric}: a set taken to another family keeps {np.median(made.share[others]):.1%} of the "
               f"hypervolume in the median and {made.share[row, column]:.1%} at worst (from {made.chips[row]} to "
               f"{made.chips[column]}), while {np.median(made.kept[others]):.0%} of its architectures are in the set "
               "found there.")  # fmt: skip


def _pool(space: Space, runs: Sequence[Run]) -> Ints:
    """Distinct architectures that are non-dominated in their own run, [pool, parameters]."""
    texts: dict[str, Any] = {}
    for run in runs:
        configs = run.columns["config"][run.columns["feasible"]]
        texts.update(dict.fromkeys(configs[non_dominated(run.minimised)].tolist()))
    return space.codes(list(texts))
