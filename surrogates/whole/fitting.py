"""One fit of a group: networks and trees from measured rows, what whole.json says of them, and predictions of rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from hetbench.predict.model_features import Composition
from hetbench.predict.models import Group, forest_rows
from hetbench.predict.network import LAUNCH
from hetbench.predict.pooling import LEVELS, effect_of
from surrogates.export import forest
from surrogates.whole.network import Size, fit
from surrogates.whole.pooling import Labels, labels, names_of, pooled
from surrogates.whole.rows import WholeRows

_RATIO_MARGIN = 0.4  # log of how far beyond the measured ratios to the roofline an answer may lie: 1.5 x
_FEW_TREES, _MANY_ROWS = 600, 2000
LARGE, NETWORK_ROWS = 10_000, 600  # rows of a fit from which on its networks see at most so many rows of a cell


@dataclass(frozen=True)
class Fitted:
    """What one fit gives: a group that predicts, and its arrays."""

    group: Group
    arrays: dict[str, np.ndarray]


def labels_of(frame: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Labels of stack and cell."""
    names = names_of(frame)
    return names["stacks"], names["cells"]


def cell_weight(cells: pd.Series) -> np.ndarray:
    """1 / sqrt(rows of the cell), mean 1."""
    weight = 1 / np.sqrt(cells.map(cells.value_counts()).to_numpy(float))
    return weight / weight.mean()


def sampled(cells: pd.Series, train: np.ndarray, size: Size) -> tuple[np.ndarray, Size]:
    """The rows that the networks of a fit see, and the size of fit: a few rich cells do not take most of the steps.

    Trees see all rows, and rich cells are answered by trees.
    """
    if len(train) < LARGE:
        return train, size
    order = np.random.default_rng(1).permutation(train)
    own = cells.iloc[order]
    return order[(own.groupby(own).cumcount() < NETWORK_ROWS).to_numpy()], replace(size, batch=size.batch // 3)


def fit_group(rows: WholeRows, train: np.ndarray, size: Size, seeds: int) -> Fitted:
    """Networks and trees of the rows `train` (indices)."""
    from catboost import CatBoostRegressor

    made = labels(rows, train)
    pooling, believed = pooled(made, rows)
    weight = cell_weight(made.names["cells"])
    shown, steps = sampled(made.names["cells"], train, size)
    networks = [
        fit(rows, shown, pooling, made.index, believed, weight, steps, seed=seed) for seed in range(seeds)
    ]
    residual = pd.Series(np.log(rows.frame.ms.to_numpy()) - rows.base_log)
    effects = {"": float(residual[train].median())}
    for level in LEVELS:
        effects |= residual[train].groupby(made.names[level].to_numpy()[train]).median().to_dict()
    each = zip(made.names.itertuples(index=False), believed, strict=True)
    effect, many = np.array([effect_of(effects, *row) for row in each]), len(train) > _MANY_ROWS
    booster = CatBoostRegressor(
        iterations=size.trees if many else _FEW_TREES, depth=7 if many else 5, learning_rate=size.tree_rate,
        loss_function="RMSE", rsm=0.4, border_count=120, thread_count=1, random_seed=0, verbose=0,
        allow_writing_files=False,
    )  # fmt: skip
    matrix = forest_rows(rows.summary, rows.frame.batch.to_numpy(float), effect)
    booster.fit(matrix[train], (residual - effect).to_numpy()[train], sample_weight=weight[train])
    arrays = forest(booster).to_arrays("fit.forest")
    for seed, network in enumerate(networks):
        arrays |= network.to_arrays(f"fit.network{seed}")
    return Fitted(Group(_spec(made, rows, train, effects, seeds), arrays, "fit"), arrays)


def _spec(made: Labels, rows: WholeRows, train: np.ndarray, effects: dict[str, float], seeds: int) -> dict[str, Any]:
    """What whole.json says of a fit: labels with their rows, evidence, usual effects and bounds."""
    spec: dict[str, Any] = {"seeds": seeds, "effects": effects, "network_share": [0.5, 0.5]}
    spec["operators"] = {name: [i, made.by_operator.get(name, 0)] for name, i in made.operators.items()}
    for level, table in zip(LEVELS, made.tables, strict=True):
        count = made.names[level].iloc[train].value_counts()
        spec[level] = {label: [i, int(count[label])] for label, i in table.items()}
    spec["evidence"] = dict(zip(LEVELS, made.evidence, strict=True))
    return spec | bounds(rows, made.names, train)


def bounds(rows: WholeRows, names: pd.DataFrame, train: np.ndarray) -> dict[str, Any]:
    """What measured rows never left: the log of the roofline by stack and by die, of latency over roofline and launches
    by stack."""
    frame = names[["stacks", "dies"]].assign(base=rows.base_log, ms=rows.frame.ms.to_numpy()).iloc[train]
    launches = np.add.reduceat(rows.count, rows.starts[:-1])[train]
    frame["ratio"] = np.log(frame.ms / (np.exp(frame.base) + launches * np.exp(LAUNCH)))
    found: dict[str, Any] = {"range": {}, "ratio": {}}
    for level in ("stacks", "dies"):
        for label, part in frame.groupby(level):
            found["range"][label] = [round(float(each), 3) for each in (part.base.min(), part.base.max())]
    for label, part in frame.groupby("stacks"):
        least, most = part.ratio.min() - _RATIO_MARGIN, part.ratio.max() + _RATIO_MARGIN
        found["ratio"][label] = [round(float(least), 3), round(float(most), 3)]
    return found


def predict(fitted: Fitted, rows: WholeRows, which: np.ndarray) -> pd.DataFrame:
    """ms by every method, of the rows `which`; labels not trained on count as unseen."""
    frame = rows.frame.iloc[which]
    names = list(names_of(frame).itertuples(index=False, name=None))
    found = np.zeros((len(which), 5))
    for place, row in enumerate(which):
        part = slice(rows.starts[row], rows.starts[row + 1])
        made = Composition(
            rows.matrix[part, :-1], tuple(rows.operator[part]), rows.count[part], rows.base_ms[part],
            float(rows.compute_ms[row]),
        )
        found[place] = _members(fitted.group, made, float(frame.batch.iloc[place]), names[place])
    network, trees, constant, seen, networks = found.T
    out = frame[["family", "chip", "graph", "architecture", "file", "stack", "precision", "batch", "phase", "ms"]]
    return out.assign(
        network=network, trees=trees, constant=constant, roofline=np.exp(rows.base_log[which]), row=which,
        seen=seen > 0, networks=networks,
    )  # fmt: skip


def _members(group: Group, made: Composition, batch: float, names: Any) -> tuple[float, ...]:
    """ms by the network, the trees and the usual effect alone; whether the cell saw such work, and its networks."""
    pieces = group.pieces(made, batch, names)[0][None]
    out = []
    for share in (1.0, 0.0):
        group.spec["network_share"] = [share, share]
        found = group.calls(pieces, batch, names)
        out.append(float(found.value[0]))
    base, effect = made.base_ms @ made.count, effect_of(group.spec["effects"], names, group.believed(names))
    many = group.spec["evidence"]["cells"].get(names[-1], {}).get("", 0)
    known = names[0] in group.spec["stacks"] and bool(found.seen[0])
    return *out, float(base * np.exp(effect)), float(known), float(many)
