"""Predictions of what was held out, and the intervals that others held out set for them.

An interval of a row is between two quantiles of log(measured / predicted) of other rows held out alike: for operators
and whole models the half of the shapes or models that the row is not in, for a chip left out the other chips.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hetbench.schema import FAMILIES
from plotting.command import files

__all__ = ["FAMILIES", "band", "held", "model_rows", "operator_rows", "others", "with_intervals"]

_LEAST = 30  # rows that set an interval of their own; fewer take the family's
_SHAPE = ("op", "dtype", "b", "m", "n", "k", "c", "h", "w", "oc", "kh", "kw", "stride", "pad", "groups", "batch", "q_len",
          "kv_len", "heads", "kv_heads", "head_dim", "causal", "window", "numel", "rows", "cols", "tokens", "dim")  # fmt: skip
_TAKEN = ("family", "chip", "measured", "predicted", "unit", "cell")


def model_rows(folder: Path, split: str) -> pd.DataFrame:
    """Whole models held out (split `models`) or on chips left out (`chips`): columns of `_TAKEN`, in ms.

    `unit` is what was held out together, `cell` the stack, or the phase of a generation, which share an interval.
    """
    from hetbench import whole

    parts, shipped = [], whole.load().groups
    for path in files(folder, f"*.{split}.parquet", "python -m surrogates.whole"):
        frame, name = pd.read_parquet(path), path.name.removesuffix(f".{split}.parquet")
        if len(frame):
            share = shipped[name]["network_share"] if name in shipped else 0.5
            predicted = np.exp(share * np.log(frame.network) + (1 - share) * np.log(frame.trees))
            cell = frame.phase if name == "generation" else frame["stack"]
            unit = frame.away if split == "chips" else frame.graph
            parts.append(frame.assign(measured=frame.ms, predicted=predicted, unit=unit, cell=name + "/" + cell))
    return pd.concat(parts, ignore_index=True)[list(_TAKEN)]


def operator_rows(folder: Path) -> pd.DataFrame:
    """Operators of shapes held out on chips that have rows, level B: columns of `_TAKEN`, in ms.

    `unit` is the shape, `cell` the class of operators and whether the launch floor dominates.
    """
    parts = []
    for path in files(folder, "*.seen.parquet", "python -m surrogates.train"):
        frame = pd.read_parquet(path)
        frame = frame[frame.level == "B"]
        floor = np.where(frame.roofline_ms <= frame.base_ms / 2, "/launch", "")
        shape = pd.util.hash_pandas_object(frame[[name for name in _SHAPE if name in frame]], index=False)
        parts.append(frame.assign(measured=frame.latency_ms, unit=shape, cell=frame.cls + floor))
    return pd.concat(parts, ignore_index=True)[list(_TAKEN)]


def others(frame: pd.DataFrame, *, each: bool = False) -> list[Any]:
    """Pairs (rows that set intervals, rows checked by them), [rows] of bool each: halves of the units, or each unit."""
    codes = pd.util.hash_pandas_object(frame.unit, index=False).to_numpy()
    checked = [frame.unit.to_numpy() == unit for unit in sorted(set(frame.unit))] if each else [codes % 2 == 0, codes % 2 == 1]
    return [(~rows, rows) for rows in checked if rows.any() and not rows.all()]


def band(frame: pd.DataFrame, sets: Any, checked: Any, levels: Iterable[float]) -> tuple[Any, Any]:
    """Ends of log(measured / predicted) at each level for the rows `checked`, from `sets`, [levels, checked] each.

    Quantiles are those of the cell in the family, of the family, or of all, the first that has enough rows. A band
    always holds the prediction itself, as those that hetbench answers do.
    """
    residual = np.log(frame.measured / frame.predicted).to_numpy()
    tails = (1 - np.asarray(list(levels), dtype=float)) / 2
    asked = (frame.family + "|" + frame.cell).to_numpy()
    low, high = np.zeros((2, len(tails), int(checked.sum())))
    for name in set(asked[checked]):
        family = (frame.family == name.partition("|")[0]).to_numpy() & sets
        chosen = next((rows for rows in ((asked == name) & sets, family) if rows.sum() >= _LEAST), sets)
        place = asked[checked] == name
        low[:, place] = np.minimum(np.quantile(residual[chosen], tails), 0)[:, None]
        high[:, place] = np.maximum(np.quantile(residual[chosen], 1 - tails), 0)[:, None]
    return low, high


def held(frame: pd.DataFrame, levels: Iterable[float], *, each: bool = False, wider: Any = None) -> pd.DataFrame:
    """Share of measurements inside their intervals: one row a family, with `n` and a column a level.

    `wider` is another table of residuals whose bands, where wider, count: a chip left out is never surer than a model.
    """
    levels = list(levels)
    residual = np.log(frame.measured / frame.predicted).to_numpy()
    parts = []
    for sets, rows in others(frame, each=each):
        low, high = band(frame, sets, rows, levels)
        if wider is not None:
            joined = pd.concat((wider, frame[rows]), ignore_index=True)
            own = np.arange(len(joined)) >= len(wider)
            more = band(joined, ~own, own, levels)
            low, high = np.minimum(low, more[0]), np.maximum(high, more[1])
        inside = (residual[rows] >= low) & (residual[rows] <= high)
        parts.append(pd.DataFrame(inside.T, columns=levels).assign(family=frame.family[rows].to_numpy()))
    found = pd.concat(parts, ignore_index=True).groupby("family")
    return found[levels].mean().assign(n=found.size())


def with_intervals(frame: pd.DataFrame, level: float) -> pd.DataFrame:
    """The rows with columns lower and upper at one level, set by the other half of the units."""
    parts = []
    for sets, rows in others(frame):
        low, high = band(frame, sets, rows, [level])
        part = frame[rows]
        parts.append(part.assign(lower=part.predicted * np.exp(low[0]), upper=part.predicted * np.exp(high[0])))
    return pd.concat(parts)
