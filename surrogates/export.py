"""From a fitted CatBoost member to the plain arrays that hetbench serves."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hetbench.predict.trees import Forest


def forest(booster: Any, names: Sequence[str] | None = None) -> Forest:
    """The trees of a CatBoost regressor (numeric features, symmetric trees) as a `Forest`.

    `names` are the columns of the served matrix, for boosters that were fitted on a subset of them.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.json"
        booster.save_model(str(path), format="json")
        model = json.loads(path.read_text())
    trees = model["oblivious_trees"]
    depth = max(len(tree["splits"] or []) for tree in trees)
    borders: dict[int, set[float]] = {}
    for tree in trees:
        for split in tree["splits"] or []:
            borders.setdefault(split["float_feature_index"], set()).add(split["border"])
    columns = sorted(borders)
    features = model["features_info"]["float_features"]
    served = columns if names is None else [list(names).index(features[column]["feature_id"]) for column in columns]
    sorted_borders = [np.array(sorted(borders[column]), dtype=np.float32) for column in columns]
    split_column = np.zeros((depth, len(trees)), dtype=np.int64)
    split_rank = np.full((depth, len(trees)), 255, dtype=np.uint8)  # a missing level is never above
    leaves = np.zeros((len(trees), 2**depth), dtype=np.float32)
    for index, tree in enumerate(trees):
        for level, split in enumerate(tree["splits"] or []):
            used = columns.index(split["float_feature_index"])
            split_column[level, index] = used
            split_rank[level, index] = int(np.searchsorted(sorted_borders[used], np.float32(split["border"])))
        leaves[index, : len(tree["leaf_values"])] = tree["leaf_values"]
    scale, bias = model["scale_and_bias"]
    return Forest(
        np.array(served), tuple(sorted_borders), split_column, split_rank[:, :, None],
        (leaves * scale).ravel(), float(bias[0] if isinstance(bias, list) else bias),
    )


def mean_forest(forests: Sequence[Forest]) -> Forest:
    """One forest that answers the mean of several of the same depth."""
    columns = sorted({int(column) for f in forests for column in f.columns})
    pooled = {
        column: [f.borders[list(f.columns).index(column)] for f in forests if column in f.columns] for column in columns
    }
    borders = [np.unique(np.concatenate(pooled[column])) for column in columns]
    split_column, split_rank = [], []
    for f in forests:
        place = np.array([columns.index(int(column)) for column in f.columns])
        widths = [len(b) for b in f.borders]
        new_rank = np.full((len(widths), max(widths) + 1), 255, dtype=np.int64)
        for row, old in enumerate(f.borders):
            new_rank[row, : len(old)] = np.searchsorted(borders[place[row]], old)
        ranks = f.split_rank[:, :, 0].astype(np.int64)
        kept = np.minimum(ranks, new_rank.shape[1] - 1)
        split_column.append(place[f.split_column])
        split_rank.append(np.where(ranks == 255, 255, new_rank[f.split_column, kept]))
    if max(len(b) for b in borders) >= 255:
        raise ValueError("more than 254 borders of one column do not fit the format")
    leaves = np.concatenate([f.leaves for f in forests]) / len(forests)
    return Forest(
        np.array(columns), tuple(borders), np.concatenate(split_column, axis=1),
        np.concatenate(split_rank, axis=1).astype(np.uint8)[:, :, None], leaves.astype(np.float32),
        float(np.mean([f.bias for f in forests])),
    )
