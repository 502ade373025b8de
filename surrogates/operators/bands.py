"""Interval bands that hold on the next source: how far rows of one source scatter, and how far sources stand apart.

A band joins two parts in quadrature. Within: the central nine tenths of log(measured / told) about the median of each
group left out, by size. Between: the medians themselves, whose spread is that of the cell's own sources and, as far as
they are few, of the level's other cells, those of the class and of the family first; with Student's quantile, since a
spread of few sources is uncertain. Everything is in units of `slowness`: an operator that is told to run far from its
roofline is told less surely.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t as student
from sklearn.isotonic import isotonic_regression

from surrogates.intervals import INTERVAL_LEVEL, size_bin

_LEAST = 30  # rows of a size that tell a scatter of their own
_TELLS = 5  # rows of a group whose median tells how far it stands apart
_MANY_ROWS = 50  # of a group that tells how scatter goes with slowness
_KNOTS = (0.1, 0.3, 0.5, 0.7, 0.9)
_EDGES = (0.2, 0.4, 0.6, 0.8)
_NARROW = 0.8  # quantile of the deviations that measures scatter
_COUNTS_HALF = 10.0  # rows of a group whose median counts half
_PRIOR_GROUPS = 3.0
"""Groups that the spread of other classes and families counts as."""
_LEVEL_GROUPS = 2.0
"""Groups that the spread of the level counts as, against those of the class and of the family."""
_UNKNOWN_SPREAD = 0.5  # where no group was left out at all
_UNSEEN_SCATTER = 0.5
"""How much more rows of an unseen source scatter than those of one source alone; of n sources an n-th of it."""
_BINS = 3
_TAIL = (1 - INTERVAL_LEVEL) / 2
_RISING = ("B", "C", "D")
_NARROWEST = 1e-4
Band = list[list[float]]
"""[low, high] of the scaled residual by size bin."""
KEYS = ["cls", "family", "level", "split", "group", "source"]


def prepared(rows: pd.DataFrame, told: np.ndarray) -> pd.DataFrame:
    """The rows of one class as `KEYS` with residual log(measured / told), size bin and log(told / base)."""
    told_ratio = np.log(told / rows.base_ms.to_numpy())
    residual = np.log(rows.latency_ms.to_numpy() / told)
    bins = size_bin(rows.roofline_ms.to_numpy(), rows.base_ms.to_numpy())
    return rows[KEYS].assign(residual=residual, bin=bins, told_ratio=told_ratio).reset_index(drop=True)


def slowness(rows: pd.DataFrame) -> dict[str, list[float]]:
    """How the scatter within groups goes with log(told / base): rising factors `times` at `at`, of geometric mean 1."""
    group = [rows[key] for key in KEYS]
    inner = (rows.residual - rows.residual.groupby(group).transform("median")).abs()
    size = inner.groupby(group).transform("size")
    many = (size >= _MANY_ROWS).to_numpy()
    if not many.any():
        return {"at": [0.0], "times": [1.0]}
    usual = inner.groupby(group).transform("quantile", _NARROW).clip(lower=0.02)
    relative, weight = (inner / usual).to_numpy()[many], 1 / np.sqrt(size.to_numpy()[many])
    ratio = rows.told_ratio.to_numpy()[many]
    part = np.searchsorted(weighted_quantiles(ratio, weight, _EDGES), ratio)
    times = [weighted_quantiles(relative[part == at], weight[part == at], (_NARROW,))[0] if (part == at).any() else 0.0
             for at in range(len(_KNOTS))]  # fmt: skip
    times = np.maximum.accumulate(np.maximum(times, 0.1))
    at = weighted_quantiles(ratio, weight, _KNOTS)
    return {"at": np.round(at, 4).tolist(), "times": np.round(times / np.exp(np.mean(np.log(times))), 4).tolist()}


def scaled(rows: pd.DataFrame, curve: Mapping[str, Sequence[float]]) -> pd.DataFrame:
    """The rows with `unit`, the factor of their slowness, and `scaled`, their residual in it."""
    unit = np.interp(rows.told_ratio.to_numpy(), curve["at"], curve["times"])
    return rows.assign(unit=unit, scaled=rows.residual.to_numpy() / unit)


def medians(rows: pd.DataFrame) -> pd.DataFrame:
    """How far each group of enough rows stands from what it was told: `KEYS`, median and size."""
    found = rows.groupby(KEYS).scaled.agg(["median", "size"]).reset_index()
    return found[found["size"] >= _TELLS]


def usual_spread(groups: pd.DataFrame, cls: str, family: str, level: str) -> float:
    """How far sources of the level stand apart, those of the class and of the family counting most; in log."""
    near = groups[(groups.level == level) & (groups.split == "source")]
    if near.empty:
        near = groups
    square = near["median"] ** 2
    alike = pd.concat([square[near.cls == cls], square[near.family == family]])
    overall = float(square.mean()) if len(near) else _UNKNOWN_SPREAD**2
    return float(np.sqrt((_LEVEL_GROUPS * overall + alike.sum()) / (_LEVEL_GROUPS + len(alike))))


def band(rows: pd.DataFrame, spread: float) -> Band:
    """[low, high] of the scaled residual by size bin, for a source that none of the rows is of.

    `spread` is what `usual_spread` says. Groups of a source tell how far sources stand apart; versions, dies and
    families do where fewer than two sources were left out.
    """
    names, group = np.unique((rows.cls + rows.family + rows.split + rows.group).to_numpy(str), return_inverse=True)
    value, bins, size = rows.scaled.to_numpy(), rows.bin.to_numpy(), np.bincount(group)
    middle = np.array([np.median(value[group == at]) for at in range(len(names))])
    is_source = np.zeros(len(names), dtype=bool)
    is_source[group[(rows.split == "source").to_numpy()]] = True
    telling = is_source if is_source.sum() > 1 else np.ones(len(names), dtype=bool)
    counts = size[telling] / (size[telling] + _COUNTS_HALF)
    known = _PRIOR_GROUPS + counts.sum()
    between = np.sqrt((_PRIOR_GROUPS * spread**2 + (counts * middle[telling] ** 2).sum()) / known)
    between *= student.ppf(1 - _TAIL, known)
    inner = (value - middle[group]) * (1 + _UNSEEN_SCATTER / telling.sum())
    pairs = []
    for at in range(_BINS):
        chosen = bins == at if (bins == at).sum() >= _LEAST else np.ones(len(bins), dtype=bool)
        low, high = weighted_quantiles(inner[chosen], 1 / np.sqrt(size[group][chosen]), (_TAIL, 1 - _TAIL))
        ends = -np.hypot(min(low, 0.0), between), np.hypot(max(high, 0.0), between)
        pairs.append([round(float(end), 4) for end in ends])
    return pairs


def by_level(everything: pd.DataFrame, cls: str, family: str, groups: pd.DataFrame | None = None) -> dict[str, Band]:
    """The bands of a class and family, or of the class in any family "", by "LEVEL/family".

    Less evidence is never surer: bands of the levels B, C and D rise in this order, and where rows say otherwise, since
    few groups are of a level, neighbouring levels share the mean of their logarithms by groups (isotonic regression).
    `groups` are `medians(everything)`. Levels of too few rows have none; those of any family are told by the class.
    """
    groups = medians(everything) if groups is None else groups
    own = everything[everything.cls == cls]
    own = own[own.family == family] if family else own
    found, weights = {}, {}
    for level in (*_RISING, "X") if family else _RISING:
        near = own[own.level == level]
        if len(near) < _LEAST and family:
            continue
        near = near if len(near) >= _LEAST else own
        found[level] = band(near, usual_spread(groups, cls, family, level))
        weights[level] = near.group.nunique()
    rising = [level for level in _RISING if level in found]
    ends = np.log(np.maximum(np.abs([found[level] for level in rising]), _NARROWEST))  # [levels, bins, ends]
    for place in np.ndindex(ends.shape[1:] if rising else (0,)):
        at = (slice(None), *place)
        ends[at] = isotonic_regression(ends[at], sample_weight=[float(weights[level]) for level in rising])
    for level, each in zip(rising, np.exp(ends), strict=True):
        found[level] = [[round(float(-low), 4), round(float(high), 4)] for low, high in each]
    return {f"{level}/{family}": each for level, each in found.items()}


def weighted_quantiles(values: np.ndarray, weight: np.ndarray, places: Sequence[float]) -> np.ndarray:
    """Quantiles of weighted values at `places`, [places]."""
    order = np.argsort(values)
    at = (np.cumsum(weight[order]) - weight[order] / 2) / weight.sum()
    return np.interp(places, at, values[order])


def held(rows: pd.DataFrame, everything: pd.DataFrame) -> np.ndarray:
    """Whether each row lies in the band that others set, and the band's width in log; [2, rows].

    `rows` are some of one class, level and family; `everything` are those of all classes. A group of a source is held
    by what other sources say, one of a version by all that is not of it.
    """
    out, groups = np.empty((2, len(rows))), medians(everything)
    for (split, group), places in rows.groupby(["split", "group"]).indices.items():
        like, name = rows.iloc[places[0]], "source" if split == "source" else "group"
        key = like.source if split == "source" else group
        rest, told = everything[everything[name] != key], groups[groups[name] != key]
        mine = (rest.cls == like.cls) & (rest.family == like.family) & (rest.group == group)
        known = by_level(rest[~mine], like.cls, like.family, told).get(f"{like.level}/{like.family}")
        found = np.array(known or band(elsewhere(rest, like), usual_spread(told, like.cls, like.family, like.level)))
        part = rows.iloc[places]
        low, high = (found[part.bin.to_numpy()] * part.unit.to_numpy()[:, None]).T
        residual = part.residual.to_numpy()
        out[:, places] = (residual >= low) & (residual <= high), high - low
    return out


def elsewhere(rows: pd.DataFrame, like: Any) -> pd.DataFrame:
    """Rows of the level that say what those of a cell would: of the family's other classes, else of the class."""
    level = rows[rows.level == like.level] if (rows.level == like.level).sum() >= _LEAST else rows
    for key in ("family", "cls"):
        near = level[level[key] == like[key]]
        if len(near) >= _LEAST:
            return near
    return level
