"""One class of operators: both heads fitted, its arrays written, and what operators.json says of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hetbench.catalog.chips import chips
from hetbench.predict.cells import CELL_KEYS, ENOUGH_ROWS
from hetbench.predict.operators import OperatorSurrogate
from surrogates.evaluate import served
from surrogates.operators import holdout
from surrogates.operators.dataset import Effects, Matrix, cell_labels, matrix
from surrogates.operators.tabular import (
    BUDGETS,
    RATIO_BUDGETS,
    Budget,
    FullHead,
    discard,
    fit_full,
    fit_ratio,
    full_columns,
    ratio_columns,
    sample,
)  # fmt: skip
from surrogates.splits import TEST, TUNE
from surrogates.writing import write_arrays

_BIAS_ROWS = 10.0  # a bias of this many rows counts half
WIDEST = {"D/": [[-1.0, 1.0], [-1.0, 1.0]]}
"""Bands of a class before its own are set."""


@dataclass(frozen=True)
class Fitted:
    """A class after fitting: what operators.json says of it, and what checks the export."""

    spec: dict[str, Any]
    rows: pd.DataFrame
    table: pd.DataFrame
    head: FullHead | None
    """None where the head was read from its checkpoint."""


def fit_class(
    name: str, frame: pd.DataFrame, fold: np.ndarray, floor: dict[str, dict[str, float]], stage: Path, work: Path,
    shrink: float = 1.0,
) -> Fitted:  # fmt: skip
    """Fit both heads of one class on the rows outside the test fold and write its arrays to `stage`."""
    budget = BUDGETS[name]
    known = frame[fold != TEST].reset_index(drop=True)
    picked = sample(known, int(budget.rows * shrink))
    train, train_fold = known.iloc[picked].reset_index(drop=True), fold[fold != TEST][picked]
    made = matrix(train, floor)
    effects = Effects.fit(train[train_fold != TUNE], made.target[train_fold != TUNE])
    size = cell_labels(known).value_counts()
    cells = {label: index for index, label in enumerate(sorted(size.index))}
    table = full_columns(made, train, effects, cells, cell_labels(train))
    print(f"{name}: {len(train):,} of {len(known):,} training rows, {len(cells)} cells", flush=True)
    head, weights, arrays = _full_head(work / f"{name}.full.npz", table, made.target, train_fold == TUNE, budget)
    ratio = [replace(each, rows=int(each.rows * shrink)) for each in RATIO_BUDGETS]
    spec, more = spec_of(train, made, effects, cells, size, known, ratio, set(train.family))
    spec["members"] = weights
    write_arrays(stage / f"{name}.npz", {**arrays, **more})
    return Fitted(spec, train.iloc[:20_000], table.iloc[:20_000], head)


def _full_head(
    stored: Path, table: pd.DataFrame, target: np.ndarray, held: np.ndarray, budget: Budget
) -> tuple[FullHead | None, dict[str, float], dict[str, np.ndarray]]:
    """The full head with its weights and arrays, fitted or read from its checkpoint."""
    head = None
    if not stored.exists():
        head = fit_full(table, target, held, budget)
        members = [getattr(head, member).to_arrays(member) for member in head.weights]
        fitted = {k: v for part in members for k, v in part.items()}
        write_arrays(stored, {"weights": json.dumps(head.weights), **fitted}, compressed=False)
    with np.load(stored) as kept:
        arrays = {key: kept[key] for key in kept.files}
    return head, json.loads(str(arrays.pop("weights"))), arrays


def spec_of(
    train: pd.DataFrame, made: Matrix, effects: Effects, cells: dict[str, int], size: pd.Series, known: pd.DataFrame,
    budgets: Sequence[Budget], families: set[str],
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:  # fmt: skip
    """What operators.json says of a class, without its members, and its arrays beside theirs.

    `train` are the rows that the heads are fitted on, drawn from `known`; ratio heads are those of `families`.
    """
    ratio, arrays = fit_ratio_heads(train, made, budgets, families)
    spec = {
        "cells": _cell_records(cells, size), "chips": sorted(set(known.chip)), "ratio": ratio,
        "constant": holdout.constants_by_family(train, made.target), "protocol": usual_protocol(known),
        "measured": holdout.measured_protocols(known), "intervals": WIDEST,
    }  # fmt: skip
    low, high = cell_ranges(cells, train, made)
    return spec, {"cell_effects": _cell_effects(cells, effects), "cell_low": low, "cell_high": high, **arrays}


def cell_ranges(cells: dict[str, int], train: pd.DataFrame, made: Matrix) -> tuple[np.ndarray, np.ndarray]:
    """Least and largest of every ratio column over the rows of each cell's chip, operator and dtype, [cells, columns].

    A cell without training rows has no limits.
    """
    keys = ["op", "chip", "dtype"]
    names = train[keys].agg("|".join, axis=1).to_numpy()
    low = np.full((len(cells), made.ratio.shape[1]), -np.inf, dtype=np.float32)
    high = -low
    limits = {name: (made.ratio[rows].min(0), made.ratio[rows].max(0))
              for name, rows in pd.Series(names).groupby(names).indices.items()}  # fmt: skip
    for label, index in cells.items():
        name = "|".join(label.split("|")[: len(keys)])
        if name in limits:
            low[index], high[index] = limits[name]
    return low, high


def fit_ratio_heads(
    train: pd.DataFrame, made: Matrix, budgets: Sequence[Budget], families: set[str]
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The ratio heads, of all rows and of each family with enough chips: what operators.json says, and the arrays."""
    specs, arrays = {}, {}
    for group in sorted({"any", *(holdout.ratio_group(train, family) for family in families)}):
        rows = np.flatnonzero(holdout.rows_of_group(train, group))
        part, target = train.iloc[rows].reset_index(drop=True), made.target[rows]
        effects = Effects.fit(part, target)
        columns = ratio_columns(made.take(rows), part, effects)
        dense = (part.groupby("chip").chip.transform("size") >= holdout.DENSE_ROWS).to_numpy()
        chosen = np.flatnonzero(dense)[sample(part[dense], budgets[0].rows)]
        weight = holdout.cell_weight(part.iloc[chosen])
        fitted = fit_ratio(columns[chosen], target[chosen], weight, budgets)
        residual = pd.Series(target - fitted.predict(columns))
        few = residual[~dense].groupby(part.chip[~dense]).agg(["median", "size"])
        bias = {chip: float(row["median"] * row["size"] / (row["size"] + _BIAS_ROWS)) for chip, row in few.iterrows()}
        specs[group] = {**ratio_labels(part, effects), "bias": bias}
        arrays |= fitted.forest.to_arrays(f"ratio_{group}")
    return specs, arrays


def ratio_labels(train: pd.DataFrame, effects: Effects) -> dict[str, Any]:
    """The effects that the ratio head takes for a chip without cells: by op and dtype, and by family the usual ones."""
    usual = {
        key: {family: part[key].value_counts().index[0] for family, part in train.groupby("family")}
        for key in ("library", "layout")
    }
    tables = effects.tables
    return {
        "op": {op: tables["op"][op] for op in sorted(set(train.op)) if op in tables["op"]}, "dtype": tables["dtype"],
        **{key: {f: tables[key].get(v, effects.default) for f, v in names.items()} for key, names in usual.items()},
        "default": effects.default,
    }  # fmt: skip


def usual_protocol(frame: pd.DataFrame) -> dict[str, str]:
    """The protocol most rows of a family have."""
    return {family: part.protocol.value_counts().index[0] for family, part in frame.groupby("family")}


def _cell_effects(cells: dict[str, int], effects: Effects) -> np.ndarray:
    labels = pd.DataFrame([label.split("|") for label in cells], columns=list(CELL_KEYS))
    return effects.columns(labels).astype(np.float32)


def _cell_records(cells: dict[str, int], size: pd.Series) -> list[list[Any]]:
    catalogue = chips()
    records = []
    for label in cells:
        values = label.split("|")
        records.append([*values, catalogue[values[1]].die, int(size[label])])
    return records


def check_agreement(
    name: str, surrogate: OperatorSurrogate, floor: dict[str, dict[str, float]], fitted: Fitted
) -> None:
    """The exported arrays must answer as AutoGluon does, within 1e-4 of log latency; then AutoGluon's folder goes.

    Rows of chips that another of their die speaks for are answered by its cells, so they are no check.
    """
    if fitted.head is None:
        return
    rows, table = fitted.rows, fitted.table
    size = pd.Series({"|".join(r[:6]): r[7] for r in surrogate.classes[name]["cells"]})
    own = {chip for chip in set(rows.chip) if surrogate.speaker(name, chips()[chip]).name == chip}
    enough = ((cell_labels(rows).map(size) >= ENOUGH_ROWS) & rows.chip.isin(own)).to_numpy()
    made = matrix(rows[enough], floor)
    expected = np.maximum(made.base_ms * np.exp(fitted.head(table[enough])), made.least_ms)
    surrogate.doublings = 0  # what the heads say, as AutoGluon does
    answer = served(rows[enough], surrogate)
    worst = float(np.abs(np.log(answer.predicted / expected)).max())
    print(f"{name}: export agrees with AutoGluon within {worst:.1e} on {enough.sum():,} rows", flush=True)
    if worst > 1e-4:
        raise SystemExit(f"{name}: the export differs from AutoGluon by {worst:.1e}")
    discard(fitted.head)
