"""Result files of searches and their statistics: hypervolume, ranks, significance.

A file holds one run, one row per evaluation; its metadata describe the search. It appears only once it is complete.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from baselines.bench import Bench, non_dominated
from baselines.problems import Problem, Scale
from hetbench.errors import InvalidInputError

__all__ = [
    "Comparison", "Run", "compare", "finished", "hypervolume", "metadata", "path_of", "read", "read_all", "write",
]  # fmt: skip

Array = NDArray[np.float64]
_KEY = b"hetbench"
_PACKAGES = ("hetbench", "numpy", "pymoo", "syne-tune", "botorch", "torch", "xgboost", "scikit-learn")


@dataclass(frozen=True)
class Run:
    """One run, read back."""

    meta: Mapping[str, Any]
    columns: Mapping[str, Any]
    """Arrays by the names of the columns, [evaluations]."""

    @property
    def method(self) -> str:
        """Who searched."""
        return str(self.columns["method"][0])

    @property
    def seed(self) -> int:
        """Seed of the search."""
        return int(self.columns["seed"][0])

    @property
    def minimised(self) -> Array:
        """Objectives of the feasible rows, lower is better, [feasible, objectives]."""
        signs = [-1.0 if each["better"] == "higher" else 1.0 for each in self.meta["objectives"]]
        values = np.stack([self.columns[each["name"]] for each in self.meta["objectives"]], axis=1) * signs
        out: Array = values[self.columns["feasible"]]
        return out

    @property
    def scale(self) -> Scale:
        """Ideal and reference point that the problem states."""
        return Scale(tuple(self.meta["ideal"]), tuple(self.meta["reference_point"]))


def path_of(output: Path, problem: Problem, method: str, seed: int) -> Path:
    """Path of the file of a run."""
    return output / problem.space.name / problem.slug / method / f"seed{seed}.parquet"


def metadata(problem: Problem, scale: Scale, budget: int) -> dict[str, Any]:
    """The metadata of a run."""
    stated = {"reference_point": list(scale.reference), "ideal": list(scale.ideal), "budget": budget}
    return {**problem.describe(), **stated, "versions": {name: _version(name) for name in _PACKAGES}}


def write(path: Path, bench: Bench, method: str) -> None:
    """Write the run of a bench; the file appears only once it is complete."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns, count = bench.columns(), len(bench.codes)
    first = {"space": [bench.space.name] * count, "method": [method] * count, "seed": [bench.seed] * count}
    meta = json.dumps(metadata(bench.problem, bench.scale, bench.budget))
    table = pa.table({**first, **columns}).replace_schema_metadata({_KEY: meta.encode()})
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    pq.write_table(table, part)
    part.replace(path)


def read(path: Path) -> Run:
    """Read the run of a file."""
    import pyarrow.parquet as pq

    table = pq.read_table(path, partitioning=None)
    columns = {name: table[name].to_numpy(zero_copy_only=False) for name in table.column_names}
    return Run(_meta(table.schema.metadata, path), columns)


def read_all(folder: Path) -> list[Run]:
    """Every run in a folder, sorted by path."""
    return [read(path) for path in sorted(folder.rglob("seed*.parquet"))]


def finished(path: Path, problem: Problem, scale: Scale, budget: int) -> bool:
    """Whether this run has a result file. Raises if a file of another run has the same name."""
    if not path.exists():
        return False
    import pyarrow.parquet as pq

    found, wanted = _meta(pq.read_schema(path).metadata, path), json.loads(json.dumps(metadata(problem, scale, budget)))
    for name in wanted.keys() - {"versions"}:
        if found.get(name) != wanted[name]:
            raise InvalidInputError(
                f"{path} is of another search: {name} is {found.get(name)!r} there and {wanted[name]!r} here. "
                "Name another --output, or delete it."
            )
    return True


def _meta(found: Any, path: Path) -> Any:
    if not found or _KEY not in found:
        raise InvalidInputError(f"{path} is not a search result: it has no hetbench metadata.")
    return json.loads(found[_KEY])


def hypervolume(minimised: Any, reference: Sequence[float]) -> float:
    """Hypervolume dominated up to the reference point; lower is better, points beyond it are ignored.

    >>> hypervolume([[1, 3], [2, 2], [3, 1], [5, 5]], [4, 4])
    6.0
    """
    from pymoo.indicators.hv import HV

    points, bound = np.atleast_2d(np.asarray(minimised, dtype=float)), np.asarray(reference, dtype=float)
    points = points[(points < bound).all(axis=1)] if points.size else points[:0]
    return float(HV(ref_point=bound)(points[non_dominated(points)])) if len(points) else 0.0


def boxed(scale: Scale, minimised: Array) -> float:
    """Hypervolume as a share of the box between ideal and reference point."""
    ideal, reference = np.array(scale.ideal), np.array(scale.reference)
    return hypervolume((minimised - ideal) / (reference - ideal), np.ones(len(ideal)).tolist())


@dataclass(frozen=True)
class Comparison:
    """Statistics of methods over problems."""

    methods: tuple[str, ...]
    problems: tuple[str, ...]
    share: Array
    """Hypervolume over that of the best front of all runs of the problem, mean of seeds, [problems, methods]."""
    deviation: Array
    """Standard deviation of that over seeds, [problems, methods]."""
    best_known: tuple[float, ...]
    """Hypervolume of the front of all runs of each problem, as a share of the box of ideal and reference point."""

    @property
    def ranks(self) -> Array:
        """1 is best, ties share, [problems, methods]."""
        from scipy.stats import rankdata

        return np.asarray(rankdata(-self.share, axis=1))

    def friedman(self) -> float:
        """p-value of equal performance of all methods (Friedman test over problems)."""
        from scipy.stats import friedmanchisquare

        return float(friedmanchisquare(*self.share.T).pvalue)

    def critical_difference(self, level: float = 0.05) -> float:
        """Mean ranks further apart than this differ at the level (Nemenyi)."""
        from scipy.stats import studentized_range

        problems, methods = self.share.shape
        q = float(studentized_range.ppf(1 - level, methods, math.inf)) / math.sqrt(2)
        return q * math.sqrt(methods * (methods + 1) / (6 * problems))

    def against_best(self) -> dict[str, float]:
        """p of Wilcoxon's signed-rank test of the method of best mean rank against each other one over problems,
        corrected by Holm."""
        from scipy.stats import wilcoxon

        best = int(self.ranks.mean(axis=0).argmin())
        raw = {}
        for column, name in enumerate(self.methods):
            if column != best:
                difference = self.share[:, best] - self.share[:, column]
                raw[name] = float(wilcoxon(difference).pvalue) if difference.any() else 1.0
        held, corrected = 0.0, {}
        for place, (name, p) in enumerate(sorted(raw.items(), key=lambda item: item[1])):
            held = max(held, min(1.0, p * (len(raw) - place)))
            corrected[name] = held
        return corrected


def compare(runs: Sequence[Run]) -> Comparison:
    """Compare the methods of runs; every method must have run on every problem."""
    by_problem = {key: list(group) for key, group in groupby(sorted(runs, key=_problem_key), key=_problem_key)}
    methods = tuple(dict.fromkeys(run.method for run in runs))
    share, deviation, best_known = [], [], []
    for key, group in by_problem.items():
        best = boxed(group[0].scale, np.concatenate([run.minimised for run in group]))
        found = {name: [boxed(run.scale, run.minimised) / best for run in group if run.method == name]
                 for name in methods}  # fmt: skip
        missing = [name for name, values in found.items() if not values]
        if missing:
            raise InvalidInputError(f"{key} has no run of {', '.join(missing)}: methods must share their problems.")
        share.append([float(np.mean(values)) for values in found.values()])
        deviation.append([float(np.std(values)) for values in found.values()])
        best_known.append(best)
    return Comparison(methods, tuple(by_problem), np.array(share), np.array(deviation), tuple(best_known))


def _problem_key(run: Run) -> str:
    limits = [f"{each['name']}{each['relation']}{each['limit']:g}" for each in run.meta["constraints"]]
    setting = [f"{name}={value}" for name, value in run.meta["setting"].items()]
    return " ".join([run.meta["space"], "+".join(each["name"] for each in run.meta["objectives"]), *limits, *setting])


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
