"""The table of search methods: what each is, which library implements it, and what limits its cost.

A method is a function that evaluates on a `Bench` until the budget is spent. The same seed gives the same rows.
"""

from __future__ import annotations

import random as python_random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import count
from math import comb
from types import MappingProxyType
from typing import Any

import numpy as np

from baselines import model_based, synetune
from baselines.bench import Bench, Ints
from hetbench.errors import InvalidInputError, RefusedError, UnknownNameError

__all__ = ["METHODS", "Method", "check", "run"]

_NEIGHBOURS = 16
_POPULATION = 40
_WHOLE_GRID = 2**18  # points; of larger grids a random part is taken


@dataclass(frozen=True, slots=True)
class Method:
    """One way to search."""

    name: str
    title: str
    needs: tuple[str, ...]
    """Packages of the `search` extra that it imports."""
    limits: str
    """What limits its cost, or why no library implementation is used."""
    work: Callable[[Bench], None]
    least: int = 1
    """Smallest number of objectives."""


def shuffled(bench: Bench) -> None:
    """Architectures drawn uniformly."""
    bench(bench.random(bench.left))


def grid(bench: Bench) -> None:
    """Architectures with identical layers in random order, then with identical layers per half, then per quarter.

    Syne Tune 0.16 has no grid search, and the full grid of gpt-s has 10^12 points.
    """
    names = [each.name.partition(".")[0] for each in bench.space.parameters]
    seen: set[tuple[int, ...]] = set()
    for parts in (2**power for power in count()):
        grid_of = _grouped(names, parts)
        sizes = [int(bench.counts[grid_of == group].min()) for group in range(grid_of.max() + 1)]
        total = np.prod(np.array(sizes, dtype=float))
        if total <= _WHOLE_GRID:
            digits = np.stack(np.unravel_index(bench.rng.permutation(int(total)), sizes), axis=1)
        else:
            digits = np.stack([bench.rng.integers(size, size=4 * bench.budget) for size in sizes], axis=1)
        codes = bench.space.canonical(digits[:, grid_of])
        fresh = [row for row in dict.fromkeys(map(tuple, codes.tolist())) if row not in seen]
        seen.update(fresh)
        if fresh:
            bench(np.array(fresh))
        if not bench.left or parts > len(names):
            return


def _grouped(names: list[str], parts: int) -> Ints:
    """Group of each parameter that shares one choice: parameters of one name, split into `parts` runs, [parameters]."""
    keys = []
    for place, name in enumerate(names):
        size, rank = names.count(name), names[:place].count(name)
        keys.append((name, rank * min(parts, size) // size))
    return np.array([list(dict.fromkeys(keys)).index(key) for key in keys])


def local_search(bench: Bench) -> None:
    """Pareto local search: the neighbours of a non-dominated architecture that was not expanded yet, else a random one.

    Syne Tune 0.16 has no local search.
    """
    bench(bench.random(min(_NEIGHBOURS, bench.left)))
    looked: set[tuple[int, ...]] = set()
    while bench.left:
        open_ = [row for row in bench.best().tolist() if tuple(row) not in looked]
        start = open_[bench.rng.integers(len(open_))] if open_ else bench.random(1)[0].tolist()
        looked.add(tuple(start))
        around = _neighbours(bench, np.array(start))
        bench(around[bench.rng.permutation(len(around))[:_NEIGHBOURS]])


def _neighbours(bench: Bench, code: Ints) -> Ints:
    """All architectures that differ in a single parameter, [n, parameters]."""
    rows = []
    for column, size in enumerate(bench.counts):
        for value in range(size):
            changed = code.copy()
            changed[column] = value
            rows.append(changed)
    around = np.unique(bench.space.canonical(np.array(rows)), axis=0)
    out: Ints = around[(around != code).any(axis=1)]
    return out


def nsga2(bench: Bench) -> None:
    """pymoo's NSGA-II on integer codes."""
    from pymoo.algorithms.moo.nsga2 import NSGA2

    _ask_and_tell(bench, NSGA2(pop_size=_POPULATION, **_pymoo_operators()))


def nsga3(bench: Bench) -> None:
    """pymoo's NSGA-III on integer codes, with about as many reference directions (Das and Dennis) as its population."""
    from pymoo.algorithms.moo.nsga3 import NSGA3
    from pymoo.util.ref_dirs import get_reference_directions

    objectives = bench.scores.shape[1]
    partitions = next(parts for parts in count(1) if comb(parts + objectives, objectives - 1) > _POPULATION)
    directions = get_reference_directions("das-dennis", objectives, n_partitions=partitions)
    _ask_and_tell(bench, NSGA3(ref_dirs=directions, pop_size=_POPULATION, **_pymoo_operators()))


def _pymoo_operators() -> dict[str, Any]:
    """Sampling, crossover and mutation of integer codes."""
    from pymoo.operators.crossover.sbx import SBX
    from pymoo.operators.mutation.pm import PM
    from pymoo.operators.repair.rounding import RoundingRepair
    from pymoo.operators.sampling.rnd import IntegerRandomSampling

    return {
        "sampling": IntegerRandomSampling(), "eliminate_duplicates": True,
        "crossover": SBX(prob=0.9, eta=3, vtype=float, repair=RoundingRepair()),
        "mutation": PM(eta=3, vtype=float, repair=RoundingRepair()),
    }  # fmt: skip


def _ask_and_tell(bench: Bench, algorithm: Any) -> None:
    """Run an algorithm of pymoo, one generation at a time."""
    from pymoo.core.evaluator import Evaluator
    from pymoo.core.problem import Problem
    from pymoo.problems.static import StaticProblem

    wide = Problem(n_var=len(bench.counts), n_obj=bench.scores.shape[1], xl=0, xu=bench.counts - 1, vtype=int)
    algorithm.setup(wide, termination=("n_gen", 10**6), seed=bench.seed, verbose=False)
    while bench.left:
        asked = algorithm.ask()
        if not len(asked):  # every architecture of a small space was seen
            return shuffled(bench)
        scores = bench(bench.space.canonical(np.rint(asked.get("X")).astype(np.int64)))
        if len(scores) == len(asked):
            Evaluator().eval(StaticProblem(wide, F=scores), asked)
            algorithm.tell(infills=asked)
    return None


_SYNE, _BOTORCH = ("syne-tune",), ("botorch",)
METHODS: Mapping[str, Method] = MappingProxyType({m.name: m for m in (
    Method("random", "random search", (), "one batch; ours", shuffled),
    Method("grid", "grid of identical layers, refined", (), "own: Syne Tune 0.16 has none", grid),
    Method("local_search", "Pareto local search", (), "16 neighbours a step; own: Syne Tune 0.16 has none",
           local_search),
    Method("regularized_evolution", "regularized evolution, random scalarisation", _SYNE,
           "population 50; new weights every 25 evaluations", synetune.regularized_evolution),
    Method("nsga2", "NSGA-II (pymoo)", ("pymoo",), "population 40", nsga2),
    Method("nsga3", "NSGA-III (pymoo)", ("pymoo",), "population 40, at most 40 reference directions", nsga3, least=2),
    Method("mo_rea", "multi-objective regularized evolution", _SYNE, "population 50", synetune.mo_rea),
    Method("mo_asha", "MO-ASHA over repeats", _SYNE, synetune.ASHA_LIMITS, synetune.mo_asha),
    Method("tpe", "TPE, random scalarisation", _SYNE, synetune.TPE_LIMITS, synetune.tpe),
    Method("bore", "BORE, random scalarisation", _SYNE, synetune.BORE_LIMITS, synetune.bore),
    Method("cqr", "conformal quantile regression, random scalarisation", _SYNE, synetune.CQR_LIMITS, synetune.cqr),
    Method("bo_linear", "Bayesian optimisation, linear scalarisation", _BOTORCH, model_based.LIMITS,
           model_based.bo_linear),
    Method("bo_random", "Bayesian optimisation, random scalarisation", _BOTORCH, model_based.LIMITS,
           model_based.bo_random),
    Method("ehvi", "expected hypervolume improvement (BoTorch qLogEHVI)", _BOTORCH, model_based.EHVI_LIMITS,
           model_based.ehvi, least=2),
)})  # fmt: skip


def check(name: str, objectives: int) -> Method:
    """The method called `name` for a number of objectives. Raises `RefusedError` if its packages are not installed."""
    if name not in METHODS:
        raise UnknownNameError("search method", name, METHODS)
    missing = [each for each in METHODS[name].needs if find_spec(each.replace("-", "_")) is None]
    if missing:
        raise RefusedError(f"method {name} needs {', '.join(missing)}. Run: pip install --editable '.[search]'")
    if objectives < METHODS[name].least:
        raise InvalidInputError(f"method {name} needs {METHODS[name].least} objectives or more; given: {objectives}.")
    return METHODS[name]


def run(name: str, bench: Bench) -> None:
    """Search until the budget is spent; the libraries' global random states are seeded and restored afterwards."""
    method = check(name, len(bench.problem.objectives))
    with _seeded(bench.seed):
        while bench.left:  # a method that ends early, in a space that it has exhausted, starts again
            method.work(bench)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed the global generators: Syne Tune and BoTorch draw from those of NumPy and torch despite their own seed."""
    states: tuple[Any, Any] = python_random.getstate(), np.random.get_state()
    python_random.seed(seed)
    np.random.seed(seed)
    try:
        yield
    finally:
        python_random.setstate(states[0])
        np.random.set_state(states[1])
