"""The `autogluon` surrogate: AutoGluon tabular on physics features, target log(measured / roofline).

One class of operators at a time. The full head (every column) blends CatBoost and the cell perceptron with the
weights that AutoGluon's ensemble selection gives on a tuning split of the training rows; the ratio head
(no absolute chip property) is one CatBoost, for chips without rows. AutoGluon trains; hetbench serves arrays.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from autogluon.features.generators import IdentityFeatureGenerator
from autogluon.tabular import TabularPredictor

from hetbench.predict.perceptron import Perceptron
from hetbench.predict.trees import Forest
from hetbench.schema import PROTOCOLS
from surrogates.export import forest, mean_forest
from surrogates.operators.dataset import Effects, Matrix
from surrogates.operators.perceptron import CELL, PerceptronModel

_LEAST_WEIGHT = 0.1  # a member that weighs less is not worth its time at every query


@dataclass(frozen=True)
class Budget:
    """How large a fit is: the only knobs of a training run."""

    rows: int
    """Training rows at most, drawn so that small cells are not drowned."""
    trees: int
    depth: int
    learning_rate: float
    hidden: int = 192
    layers: int = 3
    epochs: int = 30
    columns: float = 1.0
    """Share of the columns that a tree level may use: fewer carry over better to chips never seen."""


BUDGETS = {
    "gemm": Budget(900_000, 400, 8, 0.2, epochs=24),
    "prefill": Budget(450_000, 400, 8, 0.2, epochs=30),
    "decode": Budget(450_000, 400, 8, 0.2, epochs=30),
    "conv": Budget(300_000, 400, 8, 0.2, epochs=50),
    "vector": Budget(200_000, 400, 8, 0.2, epochs=40),
}
# chosen on NeuSight's training chips alone, one left out each
RATIO_BUDGETS = (Budget(100_000, 400, 8, 0.1), Budget(100_000, 300, 8, 0.05, columns=0.3))


HOLD_OUT_BUDGETS = (Budget(25_000, 150, 7, 0.15), Budget(25_000, 120, 7, 0.1, columns=0.3))
"""Of ratio heads that only score a hold-out."""


@dataclass(frozen=True)
class FullHead:
    """What AutoGluon fitted, with its own predictor kept for the agreement check."""

    predictor: TabularPredictor
    model: str
    """AutoGluon's name of the model that is served: its ensemble, or the best member where that carries it."""
    weights: dict[str, float]
    forest: Forest | None
    perceptron: Perceptron | None

    def __call__(self, frame: pd.DataFrame) -> np.ndarray:
        """AutoGluon's own prediction of log(latency / base), [rows]."""
        return self.predictor.predict(frame, model=self.model).to_numpy(np.float64)


def full_columns(
    made: Matrix, frame: pd.DataFrame, effects: Effects, cells: dict[str, int], labels: pd.Series
) -> pd.DataFrame:
    """The columns of the full head: ratio, absolute, effects, protocol, and the cell's index."""
    blocks = (made.ratio, made.absolute, effects.columns(frame), _protocol(frame))
    table = pd.DataFrame(np.concatenate(blocks, axis=1).astype(np.float32))
    table.columns = [f"x{index:02d}" for index in range(table.shape[1])]
    table[CELL] = labels.map(cells).fillna(0).to_numpy(np.int64)
    return table


def ratio_columns(made: Matrix, frame: pd.DataFrame, effects: Effects) -> np.ndarray:
    """The columns of the ratio head: ratio, the effects of op, library, layout and dtype, protocol."""
    return np.concatenate((made.ratio, effects.columns(frame)[:, :4], _protocol(frame)), axis=1).astype(np.float32)


def _protocol(frame: pd.DataFrame) -> np.ndarray:
    return frame.protocol.map(PROTOCOLS.index).to_numpy(np.float32)[:, None]


def sample(frame: pd.DataFrame, rows: int, seed: int = 0) -> np.ndarray:
    """Indices of at most `rows` rows; a cell of n rows is drawn with weight sqrt(n)."""
    if len(frame) <= rows:
        return np.arange(len(frame))
    size = frame.groupby(["chip", "op", "dtype", "protocol", "library"]).chip.transform("size").to_numpy()
    weight = 1 / np.sqrt(size)
    chosen = np.random.default_rng(seed).choice(len(frame), rows, replace=False, p=weight / weight.sum())
    return np.sort(chosen)


def fit_full(table: pd.DataFrame, target: np.ndarray, held: np.ndarray, budget: Budget, threads: int = 2) -> FullHead:
    """Fit both members on the rows not `held`, weigh them on those held; `target` is log(latency / base)."""
    folder = tempfile.mkdtemp(prefix="autogluon-")
    data = table.assign(target=target.astype(np.float32))
    cat = {
        "iterations": budget.trees, "depth": budget.depth, "learning_rate": budget.learning_rate, "l2_leaf_reg": 1.0,
        "border_count": 254, "loss_function": "RMSE", "ag_args_fit": {"num_cpus": threads},
    }  # fmt: skip
    net = {
        "hidden": budget.hidden, "layers": budget.layers, "epochs": budget.epochs, "cells": int(table[CELL].max()) + 1,
        "ag_args_fit": {"num_cpus": threads},
    }  # fmt: skip
    predictor = TabularPredictor(
        label="target", problem_type="regression", eval_metric="mean_absolute_error", path=folder, verbosity=0
    ).fit(
        data[~held], tuning_data=data[held], hyperparameters={"CAT": cat, PerceptronModel: net},
        feature_generator=IdentityFeatureGenerator(), num_cpus=threads, num_gpus=0,
    )  # fmt: skip
    trainer: Any = predictor._trainer
    model = predictor.model_best
    ensemble = trainer.load_model(model)
    weights = dict(ensemble._get_model_weights()) if hasattr(ensemble, "_get_model_weights") else {model: 1.0}
    heaviest = max(weights, key=lambda name: weights[name])
    if weights[heaviest] > 1 - _LEAST_WEIGHT:
        model, weights = heaviest, {heaviest: 1.0}
    fitted = {name: trainer.load_model(name) for name in weights}
    trees = next((forest(m.model, list(table)) for n, m in fitted.items() if n.startswith("CatBoost")), None)
    network = next((m.model for n, m in fitted.items() if n.startswith("Perceptron")), None)
    short = {("forest" if name.startswith("CatBoost") else "perceptron"): float(w) for name, w in weights.items()}
    return FullHead(predictor, model, short, trees, network)


def fit_trees(table: pd.DataFrame, target: np.ndarray, budget: Budget, threads: int = 1) -> Forest:
    """The full head's CatBoost member alone, on all rows given: for hold-outs, which need many fits."""
    from catboost import CatBoostRegressor

    booster = CatBoostRegressor(
        iterations=budget.trees, depth=budget.depth, learning_rate=budget.learning_rate, l2_leaf_reg=1.0,
        border_count=254, loss_function="RMSE", thread_count=threads, random_seed=0, verbose=0,
        allow_writing_files=False,
    ).fit(table, target)  # fmt: skip
    return forest(booster, list(table))


def discard(head: FullHead) -> None:
    """Remove AutoGluon's folder of a head."""
    shutil.rmtree(Path(head.predictor.path), ignore_errors=True)


@dataclass(frozen=True)
class RatioHead:
    """The mean of several CatBoosts on ratio columns: one that follows the data, one that follows fewer columns."""

    boosters: tuple[Any, ...]

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        """log(latency / base), [rows]."""
        return np.mean([booster.predict(matrix) for booster in self.boosters], axis=0)

    @property
    def forest(self) -> Forest:
        """All trees as one forest."""
        return mean_forest([forest(booster) for booster in self.boosters])


def fit_ratio(
    matrix: np.ndarray, target: np.ndarray, weight: np.ndarray, budgets: Sequence[Budget], threads: int = 2
) -> RatioHead:
    """A CatBoost for each budget on ratio columns alone; `weight` is one a row."""
    from catboost import CatBoostRegressor

    return RatioHead(tuple(
        CatBoostRegressor(
            iterations=budget.trees, depth=budget.depth, learning_rate=budget.learning_rate, loss_function="RMSE",
            l2_leaf_reg=3.0, border_count=120, rsm=budget.columns, thread_count=threads, random_seed=0, verbose=0,
            allow_writing_files=False,
        ).fit(matrix, target, sample_weight=weight)
        for budget in budgets
    ))  # fmt: skip
