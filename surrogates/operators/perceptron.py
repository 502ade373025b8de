"""The residual perceptron as an AutoGluon model: features standardised, a learned vector per measurement cell.

Huber loss on log latency, AdamW under a one-cycle schedule; deterministic for a seed and a thread count.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from autogluon.core.models import AbstractModel

from hetbench.predict.perceptron import Perceptron

CELL = "cell"  # the column that holds the index of the cell
_CELL_WIDTH = 24
_HUBER = 0.05  # residuals beyond 5 % count linearly: the median matters, outliers do not


class PerceptronModel(AbstractModel):
    """Hyper-parameters: hidden, layers, epochs, batch, learning_rate, cells, seed."""

    ag_key = "PERCEPTRON"
    ag_name = "Perceptron"

    def _set_default_params(self) -> None:
        defaults = {
            "hidden": 192,
            "layers": 3,
            "epochs": 30,
            "batch": 2048,
            "learning_rate": 3e-3,
            "cells": 1,
            "seed": 0,
        }
        for name, value in defaults.items():
            self._set_default_param_value(name, value)

    def _fit(self, X: pd.DataFrame, y: pd.Series, **kwargs: Any) -> None:
        params = self._get_model_params()
        matrix, cell = _split(self.preprocess(X))
        self.model = fit(matrix, cell, y.to_numpy(np.float32), **params)

    def _predict_proba(self, X: pd.DataFrame, **kwargs: Any) -> np.ndarray:
        matrix, cell = _split(self.preprocess(X))
        return self.model(matrix, cell)

    def _get_default_auxiliary_params(self) -> dict[str, Any]:
        return {**super()._get_default_auxiliary_params(), "valid_raw_types": ["int", "float"], "drop_unique": False}


def _split(frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    return frame.drop(columns=CELL).to_numpy(np.float32), frame[CELL].to_numpy(np.int64)


def fit(
    matrix: np.ndarray, cell: np.ndarray, target: np.ndarray, *, hidden: int, layers: int, epochs: int, batch: int,
    learning_rate: float, cells: int, seed: int,
) -> Perceptron:  # fmt: skip
    """Train on matrix [rows, columns], cell [rows], target [rows] = log(latency / base)."""
    import torch

    torch.manual_seed(seed)
    mean, scale, standard = _standardised(matrix)
    x = torch.from_numpy(standard)
    where, offset = torch.from_numpy(cell), float(target.mean())
    y = torch.from_numpy((target - offset).astype(np.float32))
    table = torch.nn.Embedding(cells, _CELL_WIDTH)
    torch.nn.init.normal_(table.weight, 0.0, 0.3)
    first = torch.nn.Linear(x.shape[1] + _CELL_WIDTH, hidden)
    middle = [torch.nn.Linear(hidden, hidden) for _ in range(layers - 1)]
    last = torch.nn.Linear(hidden, 1)
    parameters = [p for module in (table, first, *middle, last) for p in module.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=1e-5)
    steps = max(len(x) // batch, 1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, learning_rate, total_steps=epochs * steps + 1, pct_start=0.1
    )
    for _ in range(epochs):
        order = torch.randperm(len(x))
        for step in range(steps):
            rows = order[step * batch : (step + 1) * batch]
            told = _forward((table, first, middle, last), x[rows], where[rows])
            loss = torch.nn.functional.huber_loss(told, y[rows], delta=_HUBER)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return _exported(mean, scale, offset, (table, first, middle, last))


def _standardised(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean and deviation of each column, and the columns in them, clipped; unknown values count as the mean."""
    finite = np.where(np.isfinite(matrix), matrix, np.nan)
    known = np.isfinite(finite).any(axis=0)
    mean, scale = np.zeros(matrix.shape[1], np.float32), np.ones(matrix.shape[1], np.float32)
    mean[known], scale[known] = np.nanmean(finite[:, known], axis=0), np.nanstd(finite[:, known], axis=0) + 1e-6
    return mean, scale, np.clip(np.nan_to_num((finite - mean) / scale), -6, 6).astype(np.float32)


def _forward(parts: Any, x: Any, where: Any) -> Any:
    """The network's answer, [batch]; `parts` are the cells' table, the first layer, the middle ones and the last."""
    import torch

    silu = torch.nn.functional.silu
    table, first, middle, last = parts
    state = silu(first(torch.cat([x, table(where)], dim=1)))  # [batch, hidden]
    for layer in middle:
        state = state + silu(layer(state))
    return last(state)[:, 0]


def _exported(mean: np.ndarray, scale: np.ndarray, offset: float, parts: Any) -> Perceptron:
    """The network as arrays; what a cell adds to the first layer is multiplied out."""
    import torch

    table, first, middle, last = parts
    columns = len(mean)
    with torch.no_grad():
        by_cell = table.weight @ first.weight[:, columns:].T + first.bias  # [cells, hidden]
        weights = [first.weight[:, :columns].T, *(layer.weight.T for layer in (*middle, last))]
        biases = [layer.bias for layer in (*middle, last)]
    arrays = [tuple(np.ascontiguousarray(t.detach().numpy()) for t in group) for group in (weights, biases)]
    return Perceptron(mean, scale, by_cell.numpy(), arrays[0], arrays[1], offset)
