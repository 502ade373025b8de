"""Hold-out predictions with cross-fitted intervals.

The interval of a row lies between two quantiles of log(measured / predicted) over other held-out rows: for operators
and models the half of the shapes or models without the row, for a held-out chip the other chips.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hetbench.schema import FAMILIES
from plotting.command import files

__all__ = ["FAMILIES", "band", "held", "model_rows", "operator_rows", "others", "with_intervals"]

_LEAST = 30  # fewest rows of a cell with its own interval; smaller cells use the family's
_SHAPE = (
    "op", "dtype", "b", "m", "n", "k", "c", "h", "w", "oc", "kh", "kw", "stride", "pad", "groups", "batch", "q_len",
    "kv_len", "heads", "kv_heads", "head_dim", "causal", "window", "numel", "rows", "cols", "tokens", "dim",
)  # fmt: skip
_TAKEN = ("group", "family", "chip", "measured", "predicted", "unit", "cell")


def model_rows(folder: Path, split: str) -> pd.DataFrame:
    """Held-out models (split `models`) or all models on held-out chips (`chips`): columns of `_TAKEN`, in ms.

    `group` is the surrogate, `unit` the unit of the hold-out; rows of one `cell` share an interval: the stack, or for
    generation the phase.
    """
    from hetbench.predict import models

    parts, shipped = [], models.load().groups
    for path in files(folder, f"*.{split}.parquet", "python -m surrogates.whole"):
        frame, name = pd.read_parquet(path), path.name.removesuffix(f".{split}.parquet")
        if len(frame):
            shares = shipped[name]["network_share"] if name in shipped else (0.5, 0.5)
            share = np.where(frame.networks >= models.RICH, *shares) if "networks" in frame else shares[0]
            predicted = np.exp(share * np.log(frame.network) + (1 - share) * np.log(frame.trees))
            cell = frame.phase if name == "generation" else frame["stack"]
            unit = frame.away if split == "chips" else frame.graph
            parts.append(frame.assign(measured=frame.ms, predicted=predicted, unit=unit, cell=cell, group=name))
    return pd.concat(parts, ignore_index=True)[list(_TAKEN)]


def operator_rows(folder: Path) -> pd.DataFrame:
    """Operators of held-out shapes on chips with rows, level B: columns of `_TAKEN`, in ms.

    `group` is the operator class, `unit` the shape, `cell` whether the launch floor dominates.
    """
    parts = []
    for path in files(folder, "*.seen.parquet", "python -m surrogates.train"):
        frame = pd.read_parquet(path)
        frame = frame[frame.level == "B"]
        floor = np.where(frame.roofline_ms <= frame.base_ms / 2, "launch", "work")
        shape = pd.util.hash_pandas_object(frame[[name for name in _SHAPE if name in frame]], index=False)
        parts.append(frame.assign(measured=frame.latency_ms, unit=shape, cell=floor, group=frame.cls))
    return pd.concat(parts, ignore_index=True)[list(_TAKEN)]


def others(frame: pd.DataFrame, *, each: bool = False) -> list[Any]:
    """Pairs (calibration rows, checked rows) of bool masks [rows]: halves of the units, or leave one unit out."""
    codes = pd.util.hash_pandas_object(frame.unit, index=False).to_numpy()
    units = sorted(set(frame.unit)) if each else ()
    checked = [frame.unit.to_numpy() == unit for unit in units] if each else [codes % 2 == half for half in (0, 1)]
    return [(~rows, rows) for rows in checked if rows.any() and not rows.all()]


def band(frame: pd.DataFrame, sets: Any, checked: Any, levels: Any, *, each: bool = False) -> tuple[Any, Any]:
    """Ends of log(measured / predicted) at each level for the rows `checked`, from `sets`, [levels, checked] each.

    As hetbench answers: from rows of the cell in the family, where too few the wider of those of the cell and those of
    the family, and at worst from all of the group; the prediction itself is inside. `each`: all units weigh the same.
    """
    residual = np.log(frame.measured / frame.predicted).to_numpy()
    weight = 1 / frame.groupby(["group", "unit"]).measured.transform("size").to_numpy() if each else np.ones(len(frame))
    tails = (1 - np.asarray(levels, dtype=float)) / 2
    names = frame[["group", "family", "cell"]]
    low, high = np.zeros((2, len(tails), int(checked.sum())))
    for group, family, cell in sorted(set(names[checked].itertuples(index=False, name=None))):
        of_group = (frame.group == group).to_numpy() & sets
        of_family, of_cell = ((part == name).to_numpy() & of_group for part, name in
                              ((frame.family, family), (frame.cell, cell)))  # fmt: skip
        place = (names[checked] == (group, family, cell)).all(axis=1).to_numpy()
        for rows in _setting(of_family & of_cell, of_cell, of_family, of_group if of_group.any() else sets):
            ends = _quantiles(residual[rows], weight[rows], np.concatenate((tails, 1 - tails)))
            low[:, place] = np.minimum(low[:, place], ends[: len(tails), None])
            high[:, place] = np.maximum(high[:, place], ends[len(tails) :, None])
    return low, high


def _setting(both: Any, of_cell: Any, of_family: Any, of_group: Any) -> list[Any]:
    """The masks [rows] of calibration rows that a band is taken from."""
    if both.sum() >= _LEAST:
        return [both]
    wider = [rows for rows, least in ((of_cell, _LEAST), (of_family, 1)) if rows.sum() >= least]
    return wider or [of_group]


def _quantiles(values: Any, weight: Any, at: Any) -> Any:
    order = np.argsort(values)
    reached = (np.cumsum(weight[order]) - weight[order] / 2) / weight.sum()
    return np.interp(at, reached, values[order])


def held(frame: pd.DataFrame, levels: Sequence[float], *, each: bool = False, wider: Any = None) -> pd.DataFrame:
    """Share of measurements inside their intervals: one row per family, with `n` and one column per level.

    `wider` is another table of residuals; the wider band of both counts, so a held-out chip is never more certain than
    a held-out model.
    """
    residual = np.log(frame.measured / frame.predicted).to_numpy()
    parts = []
    for sets, rows in others(frame, each=each):
        low, high = band(frame, sets, rows, levels, each=each)
        if wider is not None:
            joined = pd.concat((wider, frame[rows]), ignore_index=True)
            own = np.arange(len(joined)) >= len(wider)
            more = band(joined, ~own, own, levels)
            low, high = np.minimum(low, more[0]), np.maximum(high, more[1])
        inside = (residual[rows] >= low) & (residual[rows] <= high)
        parts.append(pd.DataFrame(inside.T, columns=list(levels)).assign(family=frame.family[rows].to_numpy()))
    found = pd.concat(parts, ignore_index=True).groupby("family")
    return found[list(levels)].mean().assign(n=found.size())


def with_intervals(frame: pd.DataFrame, level: float) -> pd.DataFrame:
    """The rows with columns lower and upper at one level, calibrated on the other half of the units."""
    parts = []
    for sets, rows in others(frame):
        low, high = band(frame, sets, rows, [level])
        part = frame[rows]
        parts.append(part.assign(lower=part.predicted * np.exp(low[0]), upper=part.predicted * np.exp(high[0])))
    return pd.concat(parts)
