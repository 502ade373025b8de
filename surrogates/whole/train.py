"""Train, score and export the whole-model surrogates, one group at a time; resumes after the last finished group.

    python -m data_collection.tables.model_rows --corpus ../shared/corpus --out runs/models/rows.parquet
    python -m surrogates.whole --rows runs/models/rows.parquet --out hetbench/catalog/surrogates --work runs/models

Writes whole-<group>.npz, whole.json (what hetbench reads) and whole_card.json: scores on unseen models, unseen families
of architectures and unseen chips, next to the chip + stack constant and the roofline, and interval coverage.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hetbench.errors import command
from hetbench.predict.models import FORMAT, Network, forest_rows
from hetbench.predict.trees import Forest
from surrogates.evaluate import score
from surrogates.export import forest
from surrogates.splits import balanced_folds, die
from surrogates.whole.bands import coverage, coverage_of_chips, of_one_more, residual_tables, variance_among
from surrogates.whole.network import Size, fit
from surrogates.whole.rows import WholeRows, add_rows, read

SIZES = {
    "pass-gpu": Size(64, 50, 128, 1500), "pass-oneapi": Size(64, 50, 64, 1500), "pass-cann": Size(32, 80, 32),
    "pass-mlu": Size(32, 80, 32), "generation": Size(64, 60, 64),
}  # fmt: skip
FOLDS = {"pass-gpu": 4}  # of the others 5
SEEDS = 2
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the network in the blend
_FEW_TREES, _MANY_ROWS = 600, 2000
_CHIP_ROWS = 60  # a die with fewer rows is not left out
METHODS = ("surrogate", "network", "trees", "constant", "roofline")


@dataclass(frozen=True)
class Fitted:
    """What one fit gives: networks, trees and the tables of labels."""

    networks: list[Network]
    trees: Forest
    effects: dict[str, float]
    operators: dict[str, int]
    stacks: dict[str, int]
    cells: dict[str, int]


def labels_of(frame: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Labels of stack and cell, as `hetbench.predict.models.Group.label` writes them."""
    stack = frame["stack"] + "|" + frame.precision
    return stack, frame.chip + "|" + stack


def cell_weight(cells: pd.Series) -> np.ndarray:
    """1 / sqrt(rows of the cell), mean 1."""
    weight = 1 / np.sqrt(cells.map(cells.value_counts()).to_numpy(float))
    return weight / weight.mean()


def fit_group(rows: WholeRows, train: np.ndarray, size: Size, seeds: int) -> Fitted:
    """Networks and trees of the rows `train` (indices)."""
    from catboost import CatBoostRegressor

    stack, cell = labels_of(rows.frame)
    tables = [{name: i for i, name in enumerate(sorted(set(each.iloc[train])), 1)} for each in (stack, cell)]
    labels = np.stack([each.map(table).fillna(0) for each, table in zip((stack, cell), tables, strict=True)], axis=1)
    operators = {name: i for i, name in enumerate(sorted(set(rows.operator)), 1)}
    codes = pd.Series(rows.operator).map(operators).to_numpy(np.int64)
    weight = cell_weight(cell)
    networks = [fit(rows, train, codes, labels.astype(np.int64), weight, size, seed=seed) for seed in range(seeds)]
    residual = pd.Series(np.log(rows.frame.ms.to_numpy()) - rows.base_log)[train]
    effects = {"": float(residual.median())}
    for each in (stack, cell):
        effects |= residual.groupby(each.iloc[train].to_numpy()).median().to_dict()
    effect, many = effects_of(rows.frame, effects), len(train) > _MANY_ROWS
    booster = CatBoostRegressor(
        iterations=size.trees if many else _FEW_TREES, depth=7 if many else 5, learning_rate=0.06, loss_function="RMSE",
        rsm=0.4, border_count=120, thread_count=2, random_seed=0, verbose=0, allow_writing_files=False,
    )  # fmt: skip
    target = (residual - effect[train]).to_numpy()
    booster.fit(tree_matrix(rows, effect)[train], target, sample_weight=weight[train])
    return Fitted(networks, forest(booster), effects, operators, *tables)


def effects_of(frame: pd.DataFrame, effects: dict[str, float]) -> np.ndarray:
    """log(ms / base) that is usual in each row's cell, else under its stack, else of all."""
    stack, cell = labels_of(frame)
    known = stack.map(effects).fillna(effects[""])
    return cell.map(effects).fillna(known).to_numpy(float)


def tree_matrix(rows: WholeRows, effect: np.ndarray) -> np.ndarray:
    """What the trees see of every row."""
    return forest_rows(rows.summary, rows.frame.batch.to_numpy(float), effect)


def predict(fitted: Fitted, rows: WholeRows, which: np.ndarray) -> pd.DataFrame:
    """ms by every method, of the rows `which`; labels not trained on count as unseen."""
    frame = rows.frame.iloc[which]
    stack, cell = (each.map(table).fillna(0).astype(int).to_numpy() for each, table in
                   zip(labels_of(frame), (fitted.stacks, fitted.cells), strict=True))  # fmt: skip
    log_network = np.zeros(len(which))
    for place, row in enumerate(which):
        part = slice(rows.starts[row], rows.starts[row + 1])
        made = _Row(rows.matrix[part, :-1], rows.count[part], rows.base_ms[part])
        codes = np.array([fitted.operators.get(name, 0) for name in rows.operator[part]])
        batch = frame.batch.iloc[place]
        labels = stack[place], cell[place]
        found = [n.log_ms(n.operator_ms(made, batch, codes, *labels).sum(), *labels) for n in fitted.networks]
        log_network[place] = np.mean(found)
    effect = effects_of(rows.frame, fitted.effects)
    trees = fitted.trees(tree_matrix(rows, effect)[which]) + (effect + rows.base_log)[which]
    out = frame[["family", "chip", "graph", "architecture", "file", "stack", "precision", "batch", "phase", "ms"]]
    return out.assign(
        network=np.exp(log_network), trees=np.exp(trees), constant=np.exp((effect + rows.base_log)[which]),
        roofline=np.exp(rows.base_log[which]), row=which,
    )  # fmt: skip


@dataclass(frozen=True)
class _Row:
    """What a network reads of a composition."""

    matrix: np.ndarray
    count: np.ndarray
    base_ms: np.ndarray


def held_out(rows: WholeRows, groups: pd.Series, size: Size, most: int) -> pd.DataFrame:
    """Every fold of whole groups predicted by a fit of the others."""
    fold = balanced_folds(groups, most)
    parts = []
    for k in sorted(set(fold)):
        fitted = fit_group(rows, np.flatnonzero(fold != k), size, 1)
        parts.append(predict(fitted, rows, np.flatnonzero(fold == k)))
    return pd.concat(parts).sort_values("row").reset_index(drop=True)


def chips_out(rows: WholeRows, size: Size) -> pd.DataFrame:
    """Every die with enough rows predicted by a fit of the others, under the stacks that others ran too.

    Where a group has chips of one die only, its chips leave one by one: the card names them as twins.
    """
    group, (stack, _) = die(rows.frame), labels_of(rows.frame)
    if (group.value_counts() >= _CHIP_ROWS).sum() < 2:
        group = rows.frame.chip
    parts = []
    for name, count in group.value_counts().sort_index().items():
        away = (group == name).to_numpy()
        shared = away & stack.isin(set(stack[~away])).to_numpy()
        if count >= _CHIP_ROWS and shared.sum() >= _CHIP_ROWS // 3 and (~away).sum() >= _CHIP_ROWS:
            fitted = fit_group(rows, np.flatnonzero(~away), replace(size, epochs=max(size.epochs // 2, 15)), 1)
            parts.append(predict(fitted, rows, np.flatnonzero(shared)).assign(away=name))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def blended(frame: pd.DataFrame, share: float) -> pd.DataFrame:
    """The surrogate: network and trees, averaged in log ms."""
    return frame.assign(surrogate=np.exp(share * np.log(frame.network) + (1 - share) * np.log(frame.trees)))


def best_share(frames: list[pd.DataFrame]) -> float:
    """The network's share with the least median errors, as ratios, over the held-out frames and their phases."""
    def error(share: float) -> float:
        parts = [part for frame in frames for _, part in blended(frame, share).groupby("phase")]
        return float(np.mean([np.log(np.median(np.abs(part.surrogate / part.ms - 1))) for part in parts]))

    return min(SHARES, key=error)


def scores(frame: pd.DataFrame, by: list[str]) -> list[dict[str, Any]]:
    """Scores of every method by group."""
    rows = []
    for names, part in frame.groupby(by, sort=True):
        measured = part.ms.to_numpy()
        rows.append({**dict(zip(by, names, strict=True)), "models": part.graph.nunique(),
                     **{m: score(measured, part[m].to_numpy()) for m in METHODS}})  # fmt: skip
    return rows


def hold_outs(name: str, rows: WholeRows, work: Path) -> dict[str, pd.DataFrame]:
    """Predictions of unseen models, unseen families of architectures and unseen chips; kept in the work folder."""
    size, folds = SIZES[name], FOLDS.get(name, 5)
    made: dict[str, Callable[[], pd.DataFrame]] = {
        "models": lambda: held_out(rows, rows.frame.graph, size, folds),
        "architectures": lambda: held_out(rows, rows.frame.architecture, size, folds),
        "chips": lambda: chips_out(rows, size),
    }  # fmt: skip
    found = {}
    for kind, make in made.items():
        path = work / f"{name}.{kind}.parquet"
        if not path.exists():
            make().to_parquet(path)
        found[kind] = pd.read_parquet(path)
    return found


def final_fit(name: str, rows: WholeRows, work: Path) -> dict[str, Any]:
    """Fit on every row; writes the arrays into the work folder and returns what whole.json says of the labels."""
    path = work / f"{name}.fit.json"
    if not path.exists():
        fitted = fit_group(rows, np.arange(len(rows)), SIZES[name], SEEDS)
        arrays = fitted.trees.to_arrays(f"{name}.forest")
        for seed, network in enumerate(fitted.networks):
            arrays |= network.to_arrays(f"{name}.network{seed}")
        np.savez_compressed(work / f"whole-{name}.npz", **arrays)
        counts = [each.value_counts() for each in labels_of(rows.frame)]
        stacks, cells = (
            {label: [i, int(count[label])] for label, i in table.items()}
            for table, count in zip((fitted.stacks, fitted.cells), counts, strict=True)
        )
        spec = {"operators": fitted.operators, "effects": fitted.effects, "stacks": stacks, "cells": cells}
        path.write_text(json.dumps({"seeds": SEEDS, **spec}))
    return json.loads(path.read_text())


def ranges(rows: WholeRows) -> dict[str, list[float]]:
    """Least and largest log of the summed base that taught each stack: beyond, an answer is a guess of level D."""
    table = pd.Series(rows.base_log).groupby(labels_of(rows.frame)[0].to_numpy()).agg(["min", "max"])
    return {label: [round(float(low), 3), round(float(high), 3)] for label, low, high in table.itertuples()}


def scored(rows: WholeRows, out: dict[str, pd.DataFrame], share: float) -> dict[str, Any]:
    """The card of one group but for its intervals."""
    models, families, chips = out["models"], out["architectures"], out["chips"]
    by_set = ["family", "file", "precision"]
    return {
        "rows": len(rows), "graphs": rows.frame.graph.nunique(), "network_share": share,
        "unseen_models": scores(models, ["family"]), "unseen_models_by_set": scores(models, by_set),
        "unseen_models_by_cell": scores(models, ["family", "chip", "stack", "precision"]),
        "unseen_architectures": scores(families, ["family"]),
        "unseen_architectures_by_set": scores(families, by_set),
        "unseen_chips": scores(chips, ["family", "away"]) if len(chips) else [], "worst": worst(models),
    }  # fmt: skip


def with_bands(specs: dict[str, Any], cards: dict[str, Any], out: dict[str, dict[str, pd.DataFrame]]) -> None:
    """Add the tables of residuals to the specs and what they hold to the cards; dies of all groups count at level D."""
    chips = {name: frames["chips"] for name, frames in out.items()}
    prior = variance_among(chips.values(), "away")
    anywhere = of_one_more(pd.concat(chips.values()), "away", prior)
    for name, frames in out.items():
        kind, others = "phase" if name == "generation" else "stack", [chips[each] for each in chips if each != name]
        tables = residual_tables(frames["models"], chips[name], kind, prior)
        specs[name]["residuals"] = {"D": anywhere} | tables  # where no chip could be left out, those of everywhere
        cards[name] |= {
            "interval_coverage_unseen_models": coverage(frames["models"], kind),
            "interval_coverage_unseen_chips": coverage_of_chips(frames["models"], chips[name], others, kind),
        }  # fmt: skip


def worst(frame: pd.DataFrame, most: int = 4) -> list[dict[str, Any]]:
    """The unseen models missed by most: the median of measured over predicted by model, chip, stack and precision."""
    keys = ["graph", "chip", "stack", "precision", "file"]
    ratio = (frame.ms / frame.surrogate).groupby([frame[key] for key in keys]).agg(["median", "size"])
    order = np.log(ratio["median"]).abs().sort_values(ascending=False).index[:most]
    return [
        {**dict(zip(keys, key, strict=True)), "measured_over_predicted": round(float(ratio.loc[key, "median"]), 2),
         "rows": int(ratio.loc[key, "size"])}
        for key in order
    ]  # fmt: skip


@command("stopped")
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_rows(parser)
    parser.add_argument("--out", type=Path, default=Path("hetbench/catalog/surrogates"))
    parser.add_argument("--work", type=Path, default=Path("runs/models"), help="checkpoints and hold-out predictions")
    parser.add_argument("--groups", nargs="*", default=list(SIZES), choices=list(SIZES), help="compute these only")
    options = parser.parse_args()
    for folder in (options.work, options.out):
        folder.mkdir(parents=True, exist_ok=True)
    tables = read(options.rows, options.own)
    specs, cards, held = {}, {}, {}
    for name in options.groups:
        began = time.time()
        spec, out = final_fit(name, tables[name], options.work), hold_outs(name, tables[name], options.work)
        share = best_share([out["models"], out["architectures"]])
        out = {kind: blended(frame, share) if len(frame) else frame for kind, frame in out.items()}
        cards[name] = scored(tables[name], out, share)
        specs[name] = {**spec, "network_share": share, "range": ranges(tables[name])}
        held[name] = out
        print(f"{name}: {cards[name]['rows']} rows, {time.time() - began:.0f} s", flush=True)
    if set(options.groups) != set(SIZES):
        print("not written: an artefact needs every group")
        return
    with_bands(specs, cards, held)
    digest = hashlib.sha256(b"".join(rows.frame.ms.to_numpy().tobytes() for _, rows in sorted(tables.items())))
    for name in specs:
        shutil.copyfile(options.work / f"whole-{name}.npz", options.out / f"whole-{name}.npz")
    index = {"format": FORMAT, "id": f"whole-{digest.hexdigest()[:12]}", "groups": specs}
    (options.out / "whole.json").write_text(json.dumps(index, separators=(",", ":")))
    card = {"made_by": "python -m surrogates.whole", "data_sha256": digest.hexdigest(), "groups": cards}
    (options.out / "whole_card.json").write_text(json.dumps(card, indent=1))


if __name__ == "__main__":
    main()
