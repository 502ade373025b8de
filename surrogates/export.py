"""From a fitted CatBoost member to the plain arrays that hetbench serves."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hetbench.forest import Forest


def forest(booster: Any, names: Sequence[str] | None = None) -> Forest:
    """The trees of a CatBoost regressor (numeric features, symmetric trees) as a `Forest`.

    `names` are the columns of the served matrix, for boosters that were fitted on a subset of them.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.json"
        booster.save_model(str(path), format="json")
        model = json.loads(path.read_text())
    trees = model["oblivious_trees"]
    depth = max(len(tree["splits"]) for tree in trees)
    borders: dict[int, set[float]] = {}
    for tree in trees:
        for split in tree["splits"]:
            borders.setdefault(split["float_feature_index"], set()).add(split["border"])
    columns = sorted(borders)
    features = model["features_info"]["float_features"]
    served = columns if names is None else [list(names).index(features[column]["feature_id"]) for column in columns]
    sorted_borders = [np.array(sorted(borders[column]), dtype=np.float32) for column in columns]
    split_column = np.zeros((depth, len(trees)), dtype=np.int64)
    split_rank = np.full((depth, len(trees)), 255, dtype=np.uint8)  # a missing level is never above
    leaves = np.zeros((len(trees), 2**depth), dtype=np.float32)
    for index, tree in enumerate(trees):
        for level, split in enumerate(tree["splits"]):
            used = columns.index(split["float_feature_index"])
            split_column[level, index] = used
            split_rank[level, index] = int(np.searchsorted(sorted_borders[used], np.float32(split["border"])))
        leaves[index, : len(tree["leaf_values"])] = tree["leaf_values"]
    scale, bias = model["scale_and_bias"]
    return Forest(
        np.array(served), tuple(sorted_borders), split_column, split_rank[:, :, None],
        (leaves * scale).ravel(), float(bias[0] if isinstance(bias, list) else bias),
    )
