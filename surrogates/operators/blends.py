"""Shares of learned head, constant efficiency and roofline, and interval bands, by level and family.

Both are set on rows whose source, software version, die or family the heads had not seen. A group is what left
together. A blend is the geometric mean with the least error, the mean over groups of their median: where the learned
head is worse than physics it yields. A band is wide enough for groups it was not set on: it is scaled until the bands
of the other groups hold nine tenths of each group's rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from surrogates.evaluate import coverage, score
from surrogates.intervals import INTERVAL_LEVEL, size_bin

METHODS = ("learned", "constant", "roofline")
SHARES = tuple(
    (a / 4, b / 4, 1 - (a + b) / 4) for a in range(4, -1, -1) for b in range(4 - a, -1, -1)
)  # learned alone first, so that ties go to it
_PHYSICS = ((0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
_MANY = 200
_LEAST = 30  # rows of a level and family that set a band or a blend of their own
_GAIN = 0.97  # a blend must err less than this share of the head's error to take its place
_GROUPS = 3
_OF_GROUP = 10  # rows of a group that tells something of its own
_BINS = 3
_STEPS = np.arange(1.0, 2.01, 0.05)
"""Scales of a band: beyond, its groups have too little in common to foretell another."""
_FEW_STEPS = np.arange(1.0, 1.51, 0.05)
"""Scales where fewer than four groups tell little of how groups differ."""


def gathered(left_out: pd.DataFrame, chips_out: pd.DataFrame, families_out: pd.DataFrame) -> pd.DataFrame:
    """All hold-out rows of a class in the same columns: level, family, group, split, latency_ms, METHODS, sizes."""
    columns = ["family", "level", "group", "split", "latency_ms", *METHODS, "base_ms", "roofline_ms", "source", "op"]
    by_version = left_out.source + " · " + left_out.version
    sources = left_out.assign(group=np.where(left_out.split == "version", by_version, left_out.source))
    parts = [sources[columns]]
    for kind, rows in (("die", chips_out), ("family", families_out)):
        rows = rows.assign(learned=rows.surrogate, split=kind, level="D")
        if kind == "family":
            rows = rows[~rows.family.isin(chips_out.family)]
        parts.append(rows[columns])
    return pd.concat(parts, ignore_index=True)


def calibrated(left_out: pd.DataFrame, chips_out: pd.DataFrame, families_out: pd.DataFrame) -> dict[str, Any]:
    """What operators.json says of a class: `blend` and `intervals`, by "LEVEL/family" and "LEVEL/"."""
    rows = gathered(left_out, chips_out, families_out)
    blend: dict[str, Sequence[float]] = {}
    bands: dict[str, list[list[float]]] = {}
    for level in ("B", "X", "C", "D"):
        own = rows[rows.level == level] if level != "C" else rows[rows.level.isin(("C", "D"))]
        for family, part in own.groupby("family"):
            near = part[part.level == level] if (part.level == level).sum() >= _LEAST else part
            if len(near) >= _LEAST:
                key = f"{level}/{family}"
                served_as_b = blend.get(f"B/{family}", SHARES[0])  # a shape outside is still told by the cell's head
                blend[key] = served_as_b if level == "X" else best_blend(near, only_if_worse=level == "B")
                bands[key] = scaled_band(near, blended(near, blend[key]))
        everything = own if len(own) else rows
        if level == "X":  # without rows of its own, an outside shape takes the band of D
            continue
        told = np.empty(len(everything))
        for family, places in everything.groupby("family").indices.items():
            shares = blend.get(f"{level}/{family}", SHARES[0])
            told[places] = blended(everything.iloc[places], shares)
        bands[f"{level}/"] = scaled_band(everything, told)
    return {"blend": blend, "intervals": bands}


def lent(specs: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Level B of a class and family whose operators one source alone timed: the band of the family's matrix products.

    How far sources differ on one chip is a matter of clocks, harness and library more than of the operator; nothing of
    the class itself tells it.
    """
    gemm = specs.get("gemm", {}).get("intervals", {})
    out = {}
    for name, spec in specs.items():
        keys = [f"B/{family}" for family in spec["protocol"]]
        missing = {key: gemm[key] for key in keys if key in gemm and key not in spec["intervals"]}
        out[name] = {**spec, "intervals": {**spec["intervals"], **missing}}
    return out


def blended(rows: pd.DataFrame, shares: Sequence[float]) -> np.ndarray:
    """Geometric mean of the methods by their shares, ms [rows]."""
    return np.exp(sum(share * np.log(rows[name].to_numpy()) for share, name in zip(shares, METHODS, strict=True)))


def best_blend(rows: pd.DataFrame, only_if_worse: bool = False) -> Sequence[float]:
    """The shares with the least error, the mean over groups of their median APE, each group by the root of its rows.

    With `only_if_worse` the head keeps the whole answer unless a baseline errs less on many rows: at level B it also
    knows sources that nobody left out, whose errors a blend would raise.
    """
    if only_if_worse and len(rows) < _MANY:
        return SHARES[0]
    groups = list(rows.groupby("group").indices.values())
    weight = np.sqrt([len(places) for places in groups])
    measured = rows.latency_ms.to_numpy()
    errors = []
    for shares in SHARES:
        error = np.abs(blended(rows, shares) / measured - 1)
        errors.append(np.average([np.median(error[places]) for places in groups], weights=weight))
    best = int(np.argmin(errors))
    if only_if_worse and errors[0] <= min(errors[SHARES.index(alone)] for alone in _PHYSICS):
        return SHARES[0]
    return SHARES[best] if errors[best] < _GAIN * errors[0] else SHARES[0]


def scaled_band(rows: pd.DataFrame, told: np.ndarray) -> list[list[float]]:
    """[low, high] of log(measured / told) by size bin, scaled until sources left out are held as often as stated.

    Versions left out shape a band; they scale it only where fewer than three sources could.
    """
    residual = np.log(rows.latency_ms.to_numpy() / told)
    bins = size_bin(rows.roofline_ms.to_numpy(), rows.base_ms.to_numpy())
    group = rows.group.to_numpy(str)
    weight = 1 / np.sqrt(pd.Series(group).groupby(group).transform("size").to_numpy())
    own = _bands(residual, bins, weight)
    names, size = np.unique(group, return_counts=True)
    if len(names) < 2:
        return own
    steps = _STEPS if (size >= _OF_GROUP).sum() > _GROUPS else _FEW_STEPS
    inside = np.zeros((len(steps), len(rows)), dtype=bool)
    for name in names:
        away = group == name
        low, high = np.array(_bands(residual[~away], bins[~away], weight[~away]))[bins[away]].T
        inside[:, away] = (residual[away] >= steps[:, None] * low) & (residual[away] <= steps[:, None] * high)
    source = (rows.split != "version").to_numpy()
    told_by = source if len(set(group[source])) >= _GROUPS else np.ones(len(rows), dtype=bool)
    held = np.average(inside[:, told_by], axis=1, weights=weight[told_by])
    enough = np.flatnonzero(held >= INTERVAL_LEVEL)
    scale = float(steps[enough[0]] if len(enough) else steps[-1])
    least, most = float(residual.min()), float(residual.max())  # nothing was further off than this
    return [[round(max(scale * low, min(least, low)), 4), round(min(scale * high, max(most, high)), 4)]
            for low, high in own]  # fmt: skip


def _bands(residual: np.ndarray, bins: np.ndarray, weight: np.ndarray) -> list[list[float]]:
    """Weighted quantiles of the residuals by size bin; a bin of few rows takes those of all."""
    pairs = []
    for index in range(_BINS):
        chosen = bins == index if (bins == index).sum() >= _LEAST else np.ones(len(bins), dtype=bool)
        low, high = weighted_quantiles(residual[chosen], weight[chosen])
        pairs.append([min(low, -0.01), max(high, 0.01)])
    return pairs


def weighted_quantiles(values: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """Both ends of the central nine tenths."""
    order = np.argsort(values)
    place = (np.cumsum(weight[order]) - weight[order] / 2) / weight.sum()
    tail = (1 - INTERVAL_LEVEL) / 2
    low, high = np.interp((tail, 1 - tail), place, values[order])
    return float(low), float(high)


def scores(rows: pd.DataFrame, spec: Mapping[str, Any], splits: Sequence[str]) -> list[dict[str, Any]]:
    """By family and level on rows left out by some splits: every method, the blend, coverage and width.

    A group is told by the blend of all groups, but held by the band of all rows of other sources.
    """
    table = []
    for (family, level), pool in rows.groupby(["family", "level"], sort=True):
        part = pool[pool.split.isin(splits)]
        if len(part) < _LEAST:
            continue
        shares = spec["blend"].get(f"{level}/{family}", SHARES[0])
        told = blended(part, shares)
        held = _held_by_others(part, told, pool.assign(told=blended(pool, shares)))
        measured = part.latency_ms.to_numpy()
        each = {name: score(measured, part[name].to_numpy()) for name in METHODS}
        table.append({"family": family, "level": level, "groups": part.group.nunique(), "served": score(measured, told),
                      **each, "inside": held["inside"], "width": held["width"]})  # fmt: skip
    return table


def each_group(rows: pd.DataFrame, spec: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Median APE of every group left out beside physics, the worst first."""
    table = []
    for (group, family, level), part in rows.groupby(["group", "family", "level"], sort=True):
        measured = part.latency_ms.to_numpy()
        told = blended(part, spec["blend"].get(f"{level}/{family}", SHARES[0]))
        table.append({
            "source": group, "family": family, "level": level, "n": len(part),
            "ratio": round(float(np.median(measured / told)), 3), "served": _median(measured, told),
            **{name: _median(measured, part[name].to_numpy()) for name in METHODS},
        })  # fmt: skip
    return sorted(table, key=lambda row: -row["served"])


def _median(measured: np.ndarray, told: np.ndarray) -> float:
    return round(100 * float(np.median(np.abs(told / measured - 1))), 1)


def _held_by_others(rows: pd.DataFrame, told: np.ndarray, pool: pd.DataFrame) -> dict[str, Any]:
    """Coverage of each group by the band that the pool's other groups give, and the median width.

    A group of a source is held by other sources; one of a version by all that is not of it. Where less than `_LEAST`
    rows are left, the whole pool sets the band.
    """
    bins = size_bin(rows.roofline_ms.to_numpy(), rows.base_ms.to_numpy())
    low, high = np.empty(len(rows)), np.empty(len(rows))
    for (split, group), places in rows.groupby(["split", "group"]).indices.items():
        others = pool[pool.group != group]
        if split == "source":
            others = others[others.source != group]
        sets = others if len(others) >= _LEAST else pool
        band = np.array(scaled_band(sets, sets.told.to_numpy()))
        low[places], high[places] = band[bins[places]].T
    return coverage(rows.assign(lower=told * np.exp(low), upper=told * np.exp(high)))
