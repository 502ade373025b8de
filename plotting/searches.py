"""Reads search results of the baselines: one Parquet file per run, with the problem in its metadata."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hetbench.errors import InvalidInputError, RefusedError
from plotting import fronts, style
from plotting.command import files

__all__ = ["RESULTS", "Objective", "Run", "Search", "average", "drawn", "evaluations", "limits", "of_objectives",
           "read", "staircase_of"]  # fmt: skip

RESULTS = "search"
_MADE_BY = "python -m baselines.search"
_SPAN = 1e4  # greatest ratio of moments
_TIMES = 200  # moments at which runs are averaged


@dataclass(frozen=True, slots=True)
class Objective:
    """An objective of a search."""

    name: str
    unit: str
    better: str

    @property
    def sign(self) -> int:
        """1 where lower is better, -1 where higher is."""
        return 1 if self.better == "lower" else -1

    @property
    def label(self) -> str:
        """Name, unit and direction, for an axis."""
        return f"{self.name}{style.of_unit(self.unit)} ({self.better} is better)"


@dataclass(frozen=True)
class Run:
    """One run of a method with one seed."""

    method: str
    seed: int
    points: Any
    """Objectives in order of evaluation, lower is better, NaN where infeasible, [n, objectives]."""
    elapsed_s: Any
    """Simulated seconds since the start, [n]."""


@dataclass(frozen=True)
class Search:
    """All runs of one problem."""

    space: str
    slug: str
    objectives: tuple[Objective, ...]
    reference: Any
    """Reference point, lower is better, [objectives]."""
    ideal: Any
    """Best of each objective in a sample, or the best found if the results do not state it, [objectives]."""
    runs: tuple[Run, ...]

    @property
    def title(self) -> str:
        """Space and objectives."""
        return f"{self.space}: {self.slug}"

    @cached_property
    def methods(self) -> dict[str, list[Run]]:
        """Runs by method, sorted by seed."""
        names = sorted({run.method for run in self.runs})
        return {name: sorted((r for r in self.runs if r.method == name), key=lambda r: r.seed) for name in names}

    @cached_property
    def front(self) -> Any:
        """Non-dominated points of all runs, [k, objectives]."""
        return fronts.nondominated(np.concatenate([fronts.nondominated(run.points) for run in self.runs]))

    @cached_property
    def shown(self) -> tuple[Any, Any]:
        """Least and greatest coordinates of the fronts of all runs, [objectives] each."""
        points = np.concatenate([fronts.nondominated(run.points) for run in self.runs])
        low, high = points.min(axis=0), points.max(axis=0)
        return low, np.where(high > low, high, low + np.maximum(np.abs(low), 1.0))

    @property
    def signs(self) -> Any:
        """Factors from minimised to original coordinates, [objectives]."""
        return np.array([each.sign for each in self.objectives])

    def scaled(self, points: Any) -> Any:
        """Points with 0 at the ideal and 1 at the reference point: hypervolumes are shares of the box between."""
        return (points - self.ideal) / (self.reference - self.ideal)

    @cached_property
    def volumes(self) -> dict[tuple[str, int], Any]:
        """Hypervolume after every evaluation as a share of the box, by method and seed, [n] each."""
        one = np.ones(len(self.objectives))
        return {(run.method, run.seed): fronts.growth(self.scaled(run.points), one) for run in self.runs}


def read(folder: Path) -> dict[str, Search]:
    """Problems in the folder with at least one feasible row, by `space-slug`."""
    found: dict[tuple[str, str], list[Path]] = {}
    for path in files(folder, "*/*/*/seed*.parquet", _MADE_BY):
        found.setdefault((path.parts[-4], path.parts[-3]), []).append(path)
    searches = {f"{space}-{slug}": _search(folder, space, slug, paths) for (space, slug), paths in found.items()}
    known = {name: search for name, search in searches.items() if len(search.front)}
    if not known:
        raise RefusedError(f"no feasible row in {folder}. Run: {_MADE_BY}")
    return known


def of_objectives(folder: Path, count: int) -> dict[str, Search]:
    """Problems with `count` objectives."""
    found = {name: search for name, search in read(folder).items() if len(search.objectives) == count}
    if not found:
        raise RefusedError(f"no search of {count} objectives in {folder}. Run: {_MADE_BY}")
    return found


def _search(folder: Path, space: str, slug: str, paths: Sequence[Path]) -> Search:
    import pyarrow.parquet as pq

    stated = [json.loads((pq.read_schema(path).metadata or {}).get(b"hetbench", b"{}")) for path in paths]
    shared = folder / "reference" / space / f"{slug}.json"
    known = json.loads(shared.read_text()) if shared.exists() else {}
    names = {json.dumps([each.get("objectives"), each.get("reference_point")]) for each in stated}
    if len(names) > 1 or "null" in names.pop():
        raise InvalidInputError(f"{paths[0].parent.parent}: the runs don't state one reference point and objectives.")
    objectives = tuple(Objective(o["name"], o["unit"], o["better"]) for o in stated[0]["objectives"])
    runs = tuple(_run(pd.read_parquet(path), objectives) for path in paths)
    best = np.fmin.reduce(np.concatenate([run.points for run in runs]), axis=0)  # NaN where nothing is feasible
    ideal = stated[0].get("ideal") or known.get("ideal") or best
    reference = np.array(stated[0]["reference_point"], dtype=float)
    return Search(space, slug, objectives, reference, np.array(ideal, dtype=float), runs)


def _run(rows: pd.DataFrame, objectives: Sequence[Objective]) -> Run:
    rows = rows.sort_values("index")
    points = np.column_stack([each.sign * rows[each.name].to_numpy(float) for each in objectives])
    points[~rows.feasible.to_numpy(bool)] = np.nan
    return Run(rows.method.iloc[0], int(rows.seed.iloc[0]), points, rows.elapsed_s.to_numpy(float))


def average(lines: Sequence[tuple[Any, Any]], *, log: bool = False) -> tuple[Any, Any, Any]:
    """Where, mean and standard error of step functions (where [n], value [n]) while all of them run, [moments] each."""
    first, last = max(where[0] for where, _ in lines), min(where[-1] for where, _ in lines)
    if log:
        at = np.geomspace(max(first, last / _SPAN), max(first, last), _TIMES)  # the first row may have cost nothing
    else:
        at = np.unique(np.concatenate([where for where, _ in lines]))
        at = at[(at >= first) & (at <= last)]
    rows = np.array([value[np.searchsorted(where, at * (1 + 1e-12), side="right") - 1] for where, value in lines])
    known = np.isfinite(rows).all(axis=0)  # a run has no best value before its first feasible one
    at, rows = at[known], rows[:, known]
    error = rows.std(axis=0, ddof=1) / np.sqrt(len(rows)) if len(rows) > 1 else np.zeros(len(at))
    return at, rows.mean(axis=0), error


def staircase_of(search: Search, front: Any) -> tuple[Any, Any]:
    """x and y of a front's staircase in original units, extended beyond the visible range."""
    end = np.maximum(search.reference, search.shown[1])
    return tuple((fronts.staircase(front, end + (end - search.shown[0])) * search.signs).T)


def evaluations(values: Any) -> Any:
    """1, 2, ... for values in order of evaluation, [n]."""
    return np.arange(1, len(values) + 1)


def limits(axis: Any, search: Search) -> None:
    """Limit the axes to the fronts of all runs plus a margin; dominated points may lie outside."""
    low, high = search.shown
    ends = np.array([low - 0.06 * (high - low), high + 0.06 * (high - low)]) * search.signs
    axis.set(xlim=sorted(ends[:, 0]), ylim=sorted(ends[:, 1]))


def drawn(axis: Any, line: tuple[Any, Any, Any], method: str, how: style.Style) -> None:
    """Draw a mean as steps with a band of one standard error and about ten markers."""
    at, mean, error = line
    axis.plot(at, mean, label=method, markevery=0.1, drawstyle="steps-post", **how.of_line())
    axis.fill_between(at, mean - error, mean + error, step="post", color=how.colour, alpha=0.15, linewidth=0)
