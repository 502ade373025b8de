"""Train, export and score the operator surrogates, one class at a time; resumes after the last finished class.

    python -m surrogates.train --corpus corpus/ --out hetbench/catalog/surrogates --work runs/operators
    python -m surrogates.train --add my_rows.parquet

Writes <class>.npz, operators.json (what hetbench reads) and card.json (scores, versions, and the manifest and pins of
the corpus). With --add only the rows of one more chip are learned, as `python -m surrogates.add` does.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hetbench.catalog.chips import chips
from hetbench.errors import command
from hetbench.predict.cells import CELL_KEYS, ENOUGH_ROWS
from hetbench.predict.operators import FORMAT, OperatorSurrogate
from surrogates import add
from surrogates.corpus import cited, load
from surrogates.evaluate import served
from surrogates.intervals import INTERVAL_LEVEL, band, calibration_half
from surrogates.operators import card, holdout
from surrogates.operators.dataset import Effects, Matrix, cell_labels, complete, floors, matrix, with_roofline
from surrogates.operators.tabular import (
    BUDGETS,
    RATIO_BUDGETS,
    FullHead,
    discard,
    fit_full,
    fit_ratio,
    full_columns,
    ratio_columns,
    sample,
)  # fmt: skip
from surrogates.splits import TEST, TUNE, die, shape_fold

_BIAS_ROWS = 10.0  # a bias of this many rows counts half


@command("stopped; the same command goes on from here")
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data = parser.add_mutually_exclusive_group(required=True)
    data.add_argument("--corpus", type=Path, help="folder of `python -m data_collection.sources build`")
    data.add_argument("--add", type=Path, metavar="ROWS", help="Parquet or CSV file of rows of one chip")
    parser.add_argument("--out", type=Path, default=Path("hetbench/catalog/surrogates"))
    parser.add_argument(
        "--work", type=Path, default=Path("runs/operators"), help="cache, checkpoints and hold-out scores"
    )
    parser.add_argument("--classes", nargs="*", default=list(BUDGETS))
    parser.add_argument("--shrink", type=float, default=1.0, help="share of the budget, for a quick look")
    options = parser.parse_args()
    if options.add:
        add.main([str(options.add), "--out", str(options.out)])
        return
    options.out.mkdir(parents=True, exist_ok=True)
    options.work.mkdir(parents=True, exist_ok=True)
    began = time.time()
    frames = {name: with_roofline(complete(frame)) for name, frame in load(options.corpus, options.work).items()}
    folds = {name: shape_fold(frame) for name, frame in frames.items()}
    floor = floors([frame[folds[name] != TEST] for name, frame in frames.items()])
    stage = options.work / "artefact"
    stage.mkdir(exist_ok=True)
    identity = f"operators-{card.data_hash(frames)[:12]}"

    def publish(folder: Path, specs: dict[str, Any]) -> None:
        index = {"format": FORMAT, "id": identity, "interval_level": INTERVAL_LEVEL, "floors": floor, "classes": specs}
        (folder / "operators.json").write_text(json.dumps(index, separators=(",", ":")))

    def once(kind: str, name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The result of one step, from its checkpoint when there is one."""
        done = options.work / f"{name}.{kind}.json"
        if not done.exists():
            start = time.time()
            result = make()
            done.write_text(json.dumps({**result, "seconds": round(time.time() - start)}))
            print(f"{name}: {kind} took {time.time() - start:.0f} s", flush=True)
        return json.loads(done.read_text())

    specs: dict[str, Any] = {}
    for name in options.classes:
        specs[name] = once(
            "fit", name, partial(fit_class, name, frames[name], folds[name], floor, stage, publish, options)
        )
        publish(stage, specs)
    for name in options.classes:
        bands = once("bands", name, partial(calibrate, name, frames, folds[name], floor, stage, options.work))
        specs[name]["intervals"] = {key: value for key, value in bands.items() if key != "seconds"}
        publish(stage, specs)
    card.write(stage, frames, options.work, time.time() - began, cited(options.corpus))
    for path in sorted(stage.iterdir()):
        shutil.copyfile(path, options.out / path.name)
    size = sum(path.stat().st_size for path in stage.iterdir()) / 1e6
    print(f"{options.out}: {size:.1f} MB after {time.time() - began:.0f} s")


def fit_class(
    name: str, frame: pd.DataFrame, fold: np.ndarray, floor: dict[str, dict[str, float]], stage: Path,
    publish: Callable[[Path, dict[str, Any]], None], options: argparse.Namespace,
) -> dict[str, Any]:  # fmt: skip
    """Fit both heads of one class, write its arrays, and return what operators.json says of it."""
    budget = BUDGETS[name]
    known = frame[fold != TEST].reset_index(drop=True)
    picked = sample(known, int(budget.rows * options.shrink))
    train, train_fold = known.iloc[picked].reset_index(drop=True), fold[fold != TEST][picked]
    made = matrix(train, floor)
    effects = Effects.fit(train[train_fold != TUNE], made.target[train_fold != TUNE])
    size = cell_labels(known).value_counts()
    cells = {label: index for index, label in enumerate(sorted(size.index))}
    table = full_columns(made, train, effects, cells, cell_labels(train))
    print(
        f"{name}: {len(train):,} of {len(known):,} training rows, {len(cells)} cells, {table.shape[1]} columns",
        flush=True,
    )
    stored = options.work / f"{name}.full.npz"
    head = None
    if not stored.exists():
        head = fit_full(table, made.target, train_fold == TUNE, budget)
        members = {m: getattr(head, m).to_arrays(m) for m in head.weights}
        np.savez(
            stored, weights=json.dumps(head.weights), **{k: v for arrays in members.values() for k, v in arrays.items()}
        )
    with np.load(stored) as kept:
        arrays = {key: kept[key] for key in kept.files}
    weights = json.loads(str(arrays.pop("weights")))
    ratio, ratio_arrays = fit_ratio_heads(train, made)
    np.savez_compressed(stage / f"{name}.npz", cell_effects=_cell_effects(cells, effects), **arrays, **ratio_arrays)
    spec = {
        "members": weights, "cells": _cell_records(cells, size), "chips": sorted(set(known.chip)),
        "ratio": ratio, "constant": holdout.constants(train, made.target), "protocol": usual_protocol(known),
        "measured": holdout.measured_protocols(known),
        "intervals": {"D/": [[-1.0, 1.0], [-1.0, 1.0]]},
    }  # fmt: skip
    if head is not None:
        publish(stage, {name: spec})
        check_agreement(name, OperatorSurrogate(stage), floor, train.iloc[:20_000], table.iloc[:20_000], head)
        discard(head)
    return spec


def fit_ratio_heads(train: pd.DataFrame, made: Matrix) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The ratio heads, of all rows and of each family with enough chips: what operators.json says, and the arrays."""
    specs, arrays = {}, {}
    for group in sorted({"any", *(holdout.ratio_group(train, family) for family in set(train.family))}):
        rows = np.flatnonzero(holdout.rows_of_group(train, group))
        part, target = train.iloc[rows].reset_index(drop=True), made.target[rows]
        effects = Effects.fit(part, target)
        columns = ratio_columns(made.take(rows), part, effects)
        dense = (part.groupby("chip").chip.transform("size") >= holdout.DENSE_ROWS).to_numpy()
        chosen = np.flatnonzero(dense)[sample(part[dense], RATIO_BUDGETS[0].rows)]
        weight = holdout.cell_weight(part.iloc[chosen])
        fitted = fit_ratio(columns[chosen], target[chosen], weight, RATIO_BUDGETS)
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
    name: str, surrogate: OperatorSurrogate, floor: dict[str, dict[str, float]], rows: pd.DataFrame,
    table: pd.DataFrame, head: FullHead,
) -> None:  # fmt: skip
    """The exported arrays must answer as AutoGluon does, within 1e-4 of log latency."""
    size = pd.Series({"|".join(r[:6]): r[7] for r in surrogate.classes[name]["cells"]})
    enough = (cell_labels(rows).map(size) >= ENOUGH_ROWS).to_numpy()
    answer = served(rows[enough], surrogate)
    expected = matrix(rows[enough], floor).base_ms * np.exp(head(table[enough]))
    worst = float(np.abs(np.log(answer.predicted / expected)).max())
    print(
        f"{name}: export agrees with AutoGluon within {worst:.1e} of log latency on {enough.sum():,} rows", flush=True
    )
    if worst > 1e-4:
        raise SystemExit(f"{name}: the export differs from AutoGluon by {worst:.1e}")


def calibrate(
    name: str,
    frames: dict[str, pd.DataFrame],
    fold: np.ndarray,
    floor: dict[str, dict[str, float]],
    stage: Path,
    work: Path,
) -> dict[str, list[list[float]]]:
    """Split-conformal bands of log residuals by level and family; also writes the hold-out predictions."""
    frame, known = frames[name], list(frames.values())
    test = frame[fold == TEST].reset_index(drop=True)
    test = test.iloc[sample(test, 100_000)].reset_index(drop=True)
    made = matrix(test, floor)
    seen = served(test, OperatorSurrogate(stage)).drop(columns=["lower", "upper"])  # of no band yet
    seen = seen.assign(base_ms=made.base_ms, roofline=made.roofline_ms + made.floor_ms)
    seen.to_parquet(work / f"{name}.seen.parquet")
    chips_out = holdout.leave_groups_out(frame, die(frame), RATIO_BUDGETS, known)
    chips_out.to_parquet(work / f"{name}.chips.parquet")
    families_out = holdout.leave_groups_out(frame, frame.family, RATIO_BUDGETS, known, least=30)
    families_out.to_parquet(work / f"{name}.families.parquet")
    bands = {}
    half = seen[calibration_half(seen)]
    for family, part in half[half.level == "B"].groupby("family"):
        bands[f"B/{family}"] = band(part, "predicted")
    for family, part in chips_out.groupby("family"):
        bands[f"C/{family}"] = bands[f"D/{family}"] = band(part, "surrogate")
    for family, part in families_out.groupby("family"):
        if f"D/{family}" not in bands:
            bands[f"C/{family}"] = bands[f"D/{family}"] = band(part, "surrogate")
    everything = pd.concat([chips_out, families_out])
    bands["C/"] = bands["D/"] = band(everything, "surrogate")
    bands["B/"] = band(half, "predicted")
    return bands


if __name__ == "__main__":
    main()
