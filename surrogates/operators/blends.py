"""Shares of learned head, constant efficiency and roofline, and interval bands, by level and family.

Both are set on rows whose source, software version, die or family the heads had not seen. A group is what left
together. A blend is the geometric mean with the least error, the mean over groups of their median: where the learned
head is worse than physics it yields. Bands are those of `surrogates.operators.bands`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hetbench.predict.cells import engine_of, version_of
from surrogates.evaluate import score
from surrogates.operators import bands

METHODS = ("learned", "constant", "roofline")
SHARES = tuple(
    (a / 4, b / 4, 1 - (a + b) / 4) for a in range(4, -1, -1) for b in range(4 - a, -1, -1)
)  # learned alone first, so that ties go to it
_PHYSICS = ((0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
_MANY = 200
_LEAST = 30  # rows of a level and family that set a band of their own, or a score
_LEAST_BLEND = 20  # rows of a level and family that set a blend of their own
_GAIN = 0.97  # a blend must err less than this share of the head's error to take its place
LEVELS = ("B", "X", "C", "D")


def gathered(left_out: pd.DataFrame, chips_out: pd.DataFrame, families_out: pd.DataFrame) -> pd.DataFrame:
    """All hold-out rows of a class in the same columns: level, family, group, split, latency_ms, METHODS, sizes.

    Rows of older software than what answers are left out: see `surrogates.operators.sources.superseded`. Nothing of a
    die or family left out answers: of an engine its newest version on the chip counts.
    """
    left_out = left_out[~left_out.older]
    columns = ["family", "level", "group", "split", "latency_ms", *METHODS, "base_ms", "roofline_ms", "source", "op"]
    by_version = left_out.source + " · " + left_out.version
    sources = left_out.assign(group=np.where(left_out.split == "version", by_version, left_out.source))
    parts = [sources[columns]]
    for kind, rows in (("die", chips_out), ("family", families_out)):
        rows = rows[is_newest(rows)].assign(split=kind, level="D").rename(columns={"surrogate": "learned"})
        if kind == "family":
            rows = rows[~rows.family.isin(chips_out.family)]
        parts.append(rows[columns])
    return pd.concat(parts, ignore_index=True)


def is_newest(rows: pd.DataFrame) -> np.ndarray:
    """Which rows are of the newest version of their engine on their chip, [rows]."""
    labels = rows.library.drop_duplicates()
    engine = rows.library.map({name: engine_of(name) for name in labels})
    version = rows.library.map({name: version_of(name) for name in labels})
    newest = version.groupby([rows.chip, engine]).transform("max")
    return (version == newest).to_numpy()


def read(work: Path, name: str) -> pd.DataFrame:
    """`gathered` of a class whose rows left out stand in the work folder."""
    return gathered(*(pd.read_parquet(work / f"{name}.{kind}.parquet") for kind in ("sources", "chips", "families")))


def calibrated(rows: Mapping[str, pd.DataFrame]) -> dict[str, dict[str, Any]]:
    """What operators.json says of each class: `blend` and `intervals` by "LEVEL/family" and "LEVEL/", and `slowness`.

    `rows` are what `gathered` says of each class.
    """
    blend = {name: blends_of(part) for name, part in rows.items()}
    everything = told_by(rows, blend)
    curves = {name: bands.slowness(part) for name, part in everything.groupby("cls")}
    everything = in_units(everything, curves)
    groups = bands.medians(everything)
    specs: dict[str, dict[str, Any]] = {}
    for name in rows:
        found: dict[str, bands.Band] = {}
        for family in ("", *sorted(set(everything.family[everything.cls == name]))):
            found |= bands.by_level(everything, name, family, groups)
        specs[name] = {"blend": blend[name], "intervals": found, "slowness": curves[name]}
    return specs


def blends_of(rows: pd.DataFrame) -> dict[str, Sequence[float]]:
    """Shares by "LEVEL/family" of a class; level C learns from rows of level D too where it has few."""
    blend: dict[str, Sequence[float]] = {}
    for level in LEVELS:
        own = rows[rows.level == level] if level != "C" else rows[rows.level.isin(("C", "D"))]
        for family, part in own.groupby("family"):
            near = part[part.level == level] if (part.level == level).sum() >= _LEAST_BLEND else part
            if len(near) >= _LEAST_BLEND:
                blend[f"{level}/{family}"] = best_blend(near, only_if_worse=level == "B")
    return blend


def told_by(rows: Mapping[str, pd.DataFrame], blend: Mapping[str, Mapping[str, Sequence[float]]]) -> pd.DataFrame:
    """The rows of all classes as `bands.prepared`, told by the blend of their level and family."""
    parts = []
    for name, part in rows.items():
        told = np.empty(len(part))
        for (level, family), places in part.groupby(["level", "family"]).indices.items():
            told[places] = blended(part.iloc[places], shares_of(blend[name], level, family))
        parts.append(bands.prepared(part.assign(cls=name), told))
    return pd.concat(parts, ignore_index=True)


def in_units(rows: pd.DataFrame, curves: Mapping[str, Mapping[str, Sequence[float]]]) -> pd.DataFrame:
    """The rows of all classes in units of the slowness of their class."""
    parts = (bands.scaled(part, curves[str(name)]) for name, part in rows.groupby("cls", sort=False))
    return pd.concat(parts, ignore_index=True)


def shares_of(blend: Mapping[str, Sequence[float]], level: str, family: str) -> Sequence[float]:
    """The shares of a level and family as in a query: outside shapes without their own take those of level B."""
    served = blend.get(f"B/{family}", SHARES[0]) if level == "X" else SHARES[0]
    return blend.get(f"{level}/{family}", served)


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

    Sources left out count as much as all that was left out otherwise: versions, dies and families. With
    `only_if_worse` the head keeps the whole answer unless a baseline errs less on many rows: at level B it also knows
    sources that nobody left out, whose errors a blend would raise.
    """
    if only_if_worse and len(rows) < _MANY:
        return SHARES[0]
    groups = list(rows.groupby("group").indices.values())
    weight = np.sqrt([len(places) for places in groups])
    of_source = (rows.split.to_numpy() == "source")[[places[0] for places in groups]]
    for kind in (of_source, ~of_source):
        weight[kind] /= weight[kind].sum() or 1.0
    measured = rows.latency_ms.to_numpy()
    errors = []
    for shares in SHARES:
        error = np.abs(blended(rows, shares) / measured - 1)
        errors.append(np.average([np.median(error[places]) for places in groups], weights=weight))
    best = int(np.argmin(errors))
    if only_if_worse and errors[0] <= min(errors[SHARES.index(alone)] for alone in _PHYSICS):
        return SHARES[0]
    return SHARES[best] if errors[best] < _GAIN * errors[0] else SHARES[0]


def scores(
    rows: pd.DataFrame, everything: pd.DataFrame, spec: Mapping[str, Any], splits: Sequence[str]
) -> list[dict[str, Any]]:
    """By family and level on rows of a class left out by some splits: every method, the blend, coverage and width.

    A group is told by the blend of all groups, but held by the band that other sources set. `everything` are the rows
    of all classes as `in_units` says, of which those of the class are `rows`, in their order.
    """
    table, own = [], everything[everything.cls == rows.cls.iloc[0]].reset_index(drop=True)
    for (family, level), places in rows.groupby(["family", "level"], sort=True).indices.items():
        chosen = places[rows.split.iloc[places].isin(splits).to_numpy()]
        if len(chosen) < _LEAST:
            continue
        part, prepared = rows.iloc[chosen], own.iloc[chosen]
        inside, width = bands.held(prepared, everything)
        measured = part.latency_ms.to_numpy()
        each = {name: score(measured, part[name].to_numpy()) for name in METHODS}
        told = measured / np.exp(prepared.residual.to_numpy())
        table.append({
            "family": family, "level": level, "groups": part.group.nunique(), "served": score(measured, told), **each,
            "inside": round(100 * float(inside.mean()), 1), "width": round(float(np.exp(np.median(width))), 2),
        })  # fmt: skip
    return table


def each_group(rows: pd.DataFrame, spec: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Median APE of every group left out beside physics, the worst first."""
    table = []
    for (group, family, level), part in rows.groupby(["group", "family", "level"], sort=True):
        measured = part.latency_ms.to_numpy()
        told = blended(part, shares_of(spec["blend"], str(level), str(family)))
        table.append({
            "source": group, "family": family, "level": level, "n": len(part),
            "ratio": round(float(np.median(measured / told)), 3), "served": _median(measured, told),
            **{name: _median(measured, part[name].to_numpy()) for name in METHODS},
        })  # fmt: skip
    return sorted(table, key=lambda row: -row["served"])


def _median(measured: np.ndarray, told: np.ndarray) -> float:
    return round(100 * float(np.median(np.abs(told / measured - 1))), 1)
