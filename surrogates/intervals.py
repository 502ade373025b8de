"""Split-conformal bands of log residuals, and what share of measurements that did not set them they hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from hetbench.predict.class_surrogate import HUGE_MS
from surrogates.corpus import shape_hash
from surrogates.evaluate import coverage

INTERVAL_LEVEL = 0.9


def size_bin(roofline_ms: np.ndarray, base_ms: np.ndarray) -> np.ndarray:
    """Bin of a band for each row: 0 where the launch floor dominates, 2 from a millisecond on, 1 between; [rows]."""
    return np.where(roofline_ms <= base_ms / 2, 0, np.where(base_ms < HUGE_MS, 1, 2))


def calibration_half(frame: pd.DataFrame) -> np.ndarray:
    """The half of the test shapes that sets intervals; the other half checks them."""
    return (shape_hash(frame) // 10) % 2 == 0


def band(frame: pd.DataFrame, column: str) -> list[list[float]]:
    """[[low, high] where the launch floor dominates, [low, high] elsewhere] of log(measured / predicted)."""
    residual = np.log(frame.latency_ms / frame[column]).to_numpy()
    floor_bound = _floor_bound(frame)
    tail = (1 - INTERVAL_LEVEL) / 2
    pairs = []
    for chosen in (floor_bound, ~floor_bound):
        values = residual[chosen] if chosen.sum() >= 30 else residual
        if len(values) == 0:
            return [[-1.0, 1.0], [-1.0, 1.0]]
        outer = min(1.0, (1 - tail) * (1 + 1 / len(values)))  # the finite-sample correction of split conformal
        low, high = np.quantile(values, (1 - outer, outer))
        pairs.append([min(float(low), 0.0), max(float(high), 0.0)])  # the prediction itself is inside
    return pairs


def check_shapes(seen: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Coverage at level B by family: bands from the calibration half, checked on the other half."""
    own = seen[seen.level == "B"]
    return {
        family: _held(part[calibration_half(part)], part[~calibration_half(part)], "predicted")
        for family, part in own.groupby("family")
        if 0 < calibration_half(part).sum() < len(part)
    }


def check_groups(left_out: pd.DataFrame) -> list[dict[str, Any]]:
    """Coverage of each group left out by the band of its family's other groups, or of all others where it has none."""
    rows = []
    for (family, group), part in left_out.groupby(["family", "group"], sort=True):
        others = left_out[left_out.group != group]
        near = others[others.family == family]
        if len(others):
            rows.append({"family": family, "group": group, **_held(near if len(near) else others, part, "surrogate")})
    return rows


def _held(sets: pd.DataFrame, checked: pd.DataFrame, column: str) -> dict[str, Any]:
    """How much of `checked` lies in the bands that `sets` gives."""
    low, high = np.array(band(sets, column))[np.where(_floor_bound(checked), 0, 1)].T
    return coverage(checked.assign(lower=checked[column] * np.exp(low), upper=checked[column] * np.exp(high)))


def _floor_bound(frame: pd.DataFrame) -> np.ndarray:
    return (frame.roofline_ms <= frame.base_ms / 2).to_numpy()
