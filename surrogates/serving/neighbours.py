"""Residuals of the fitted physics as Gaussian processes: one for each engine, chip and network.

The lengths, correlations and variances are those of largest marginal likelihood over all groups, each group of at most
`_MOST` rows; residuals beyond `_CLIP` are cut, so that one run of another regime moves its neighbours little.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch

from hetbench.serving.names import named
from hetbench.serving.neighbours import AXES, CORRECTED, TRAITS, Kernel, Points, coded

_MOST, _CLIP, _LEAST = 60, 1.5, 3
_START = {"lengths": 4.0, "same": 0.5, "variance": 0.05, "noise": 0.01}


def metric_of(frame: pd.DataFrame) -> np.ndarray:
    """Which correction a row teaches and takes: a batch is mostly decode steps, [rows]."""
    return np.where(frame.metric == "latency", "tpot", frame.metric)


def group_of(frame: pd.DataFrame) -> pd.Series:
    """Engine, chip and network of each row."""
    shapes = {name: named(name).shape for name in frame.model.unique()}
    return frame.engine + " | " + frame.chip + " | " + frame.model.map(shapes)


def points_of(frame: pd.DataFrame) -> Points:
    at = np.log2(frame[list(AXES)].to_numpy(float))
    return Points(at, np.column_stack([coded(list(each)) for each in traits_of(frame)]))


def traits_of(frame: pd.DataFrame) -> list[list[str]]:
    """Texts of `TRAITS` of every row, [traits][rows]."""
    batch = ["batch" if each == "latency" else "" for each in frame.metric]
    return [list(frame.weights), list(frame.version), batch]


def kernels(frame: pd.DataFrame, residuals: np.ndarray) -> dict[str, Kernel]:
    """The kernel of each corrected metric; `residuals` are logs of measured over predicted, [rows]."""
    return {name: _likeliest(frame[metric_of(frame) == name], residuals[metric_of(frame) == name])
            for name in CORRECTED}  # fmt: skip


def _likeliest(frame: pd.DataFrame, residuals: np.ndarray) -> Kernel:
    parts = []
    frame = frame.reset_index(drop=True)
    for _, part in frame.groupby(group_of(frame)):
        if len(part) >= _LEAST:
            kept = part.iloc[:: -(-len(part) // _MOST)]
            p = points_of(kept)
            apart = torch.as_tensor(abs(p.at[:, None] - p.at[None]))
            differ = torch.as_tensor((p.traits[:, None] != p.traits[None]).astype(float))
            parts.append((apart, differ, torch.as_tensor(np.clip(residuals[kept.index], -_CLIP, _CLIP))))
    first = [np.log(_START["lengths"])] * len(AXES) + [0.0] * len(TRAITS)
    free = torch.tensor([*first, np.log(_START["variance"]), np.log(_START["noise"])], requires_grad=True)
    optimiser = torch.optim.LBFGS([free], max_iter=40, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        n, m = len(AXES), len(AXES) + len(TRAITS)
        loss = ((free[:n] - np.log(_START["lengths"])) ** 2).sum() / 4
        for apart, differ, r in parts:
            held = torch.exp(-(apart / torch.exp(free[:n])).sum(-1) + (differ * torch.nn.functional.logsigmoid(
                free[n:m])).sum(-1) + free[m])  # fmt: skip
            root = torch.linalg.cholesky(held + torch.exp(free[m + 1]) * torch.eye(len(r)))
            solved = torch.cholesky_solve(r[:, None], root)
            loss = loss + (r @ solved[:, 0]) / 2 + torch.log(torch.diagonal(root)).sum()
        loss.backward()
        return loss

    optimiser.step(closure)
    found = free.detach().numpy()
    n, m = len(AXES), len(AXES) + len(TRAITS)
    return Kernel(np.exp(found[:n]).round(3).tolist(), (1 / (1 + np.exp(-found[n:m]))).round(3).tolist(),
                  round(float(np.exp(found[m])), 4), round(float(np.exp(found[m + 1])), 4))  # fmt: skip


def corrected(
    made: dict[str, Kernel], train: pd.DataFrame, residuals: np.ndarray, test: pd.DataFrame
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """By metric, the log correction of every test row and the share of the variance that stays open, [tested]."""
    groups, asked = group_of(train), group_of(test)
    out = {}
    for name, kernel in made.items():
        factor, left = np.zeros(len(test)), np.ones(len(test))
        teaches = metric_of(train) == name
        for key in asked.unique():
            rows, at = np.flatnonzero(teaches & (groups == key)), np.flatnonzero(asked == key)
            if len(rows) == 0:
                continue
            points, there = points_of(train.iloc[rows]), points_of(test.iloc[at])
            solved = kernel.weights(points, np.clip(residuals[rows], -_CLIP, _CLIP))
            factor[at], left[at] = kernel.between(there, points) @ solved, kernel.unknown(there, points)
        out[name] = factor, left
    return out


def exported(made: dict[str, Kernel], frame: pd.DataFrame, residuals: np.ndarray) -> dict[str, Any]:
    """What `hetbench.serving.neighbours.Neighbours.read` reads, by metric and group."""
    kernels = {name: {part: getattr(k, part) for part in ("lengths", "same", "variance", "noise")}
               for name, k in made.items()}  # fmt: skip
    out: dict[str, Any] = {"kernels": kernels, "rows": {}}
    for name, kernel in made.items():
        at = np.flatnonzero(metric_of(frame) == name)
        part = frame.iloc[at].reset_index(drop=True)
        for key, rows in part.groupby(group_of(part)):
            points, r = points_of(rows), np.clip(residuals[at[rows.index]], -_CLIP, _CLIP)
            texts = list(zip(*traits_of(rows), strict=True))
            names = sorted({each for row in texts for each in row})
            index = [[names.index(each) for each in row] for row in texts]
            whole = rows[list(AXES)].round(3).to_numpy().tolist()
            out["rows"].setdefault(name, {})[str(key)] = {
                "traits": names, "weights": kernel.weights(points, r).round(4).tolist(),
                "at": [[*(int(v) if v == int(v) else v for v in row), *own]
                       for row, own in zip(whole, index, strict=True)],
            }  # fmt: skip
    return out
