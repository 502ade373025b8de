"""Hold-outs of serving rows: what a fold tests on, and what it may train on."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from hetbench.catalog.chips import chip as chip_named
from hetbench.serving.effects import ENOUGH, NEAR
from hetbench.serving.levels import kin, series
from hetbench.serving.names import named

SPLITS = ("setting", "plan", "version", "model", "source", "chip", "engine")
_MODEL_FOLDS, _SETTING_FOLDS = 8, 5
_LEAST = 50  # rows of a fold: fewer score nothing


@dataclass(frozen=True)
class Fold:
    """Rows of one hold-out."""

    split: str
    name: str
    train: np.ndarray
    """[rows] of bool."""
    test: np.ndarray


def folds(frame: pd.DataFrame, split: str) -> Iterator[Fold]:
    """The folds of a split.

    setting: five folds of settings, those of the same plan and lengths at other loads may be in training. model:
    networks that share a size go together, in eight folds. chip: near twins (one die) go together, so that a
    chip never seen has no twin in training. version: of each engine on each chip with several versions, the one with
    most rows. plan: tensor parallel over 1, 2, 4 and 8 chips, and
    every other plan. engine: every row of an engine.
    """
    if split == "model":
        shapes = pd.Series([named(name).shape for name in frame.model])
        order = {shape: n % _MODEL_FOLDS for n, shape in enumerate(shapes.value_counts().index)}
        groups = shapes.map(order).astype(str)
    elif split == "chip":
        groups = pd.Series([chip_named(name).die for name in frame.chip])
    elif split == "setting":
        keys = frame[["model", "chip", "engine", "weights", "tp", "dp", "ep", "pp", "input_len", "output_len",
                      "concurrency"]].astype(str).agg(" ".join, axis=1)  # fmt: skip
        groups = keys.map(lambda key: str(zlib.crc32(key.encode()) % _SETTING_FOLDS))
    elif split == "plan":
        groups = _plan(frame)
    elif split == "version":
        yield from _versions(frame)
        return
    else:
        groups = frame[split]
    for name in sorted(groups.unique()):
        test = (groups == name).to_numpy()
        if min(_LEAST, len(frame) // 4) < test.sum() < len(frame):
            yield Fold(split, str(name), ~test, test)


def _plan(frame: pd.DataFrame) -> pd.Series:
    other = (frame.pp > 1) | (frame.ep > 1) | (frame.dp > 1)
    return ("tp" + frame.tp.astype(int).astype(str)).where(~other, "experts or copies spread, or stages")


def _versions(frame: pd.DataFrame) -> Iterator[Fold]:
    """One fold a rank: the n-th most frequent version of every engine on every chip that has at least n + 1."""
    pair = frame.engine + " | " + frame.chip
    for rank in range(3):
        test = np.zeros(len(frame), bool)
        for _, part in frame.groupby(pair):
            counts = part.version.value_counts()
            if len(counts) > max(rank, 1):
                test[part.index[part.version == counts.index[rank]]] = True
        if test.any():
            yield Fold("version", f"version of rank {rank + 1}", ~test, test)


def evidence(frame: pd.DataFrame, train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """What the training rows say of each test row, as `hetbench.serving.effects.Effects.evidence` has it; [tested]."""
    own_series, family = series_of(frame), pd.Series([chip_named(name).family for name in frame.chip])
    pair, near, own = own_series + " | " + frame.chip, own_series + " | " + family, nearest(frame)
    counts, nears, owns = pair[train].value_counts(), set(near[train]), own[train].value_counts()
    made = pd.Series([kin(e, chip_named(name)) for e, name in zip(frame.engine, frame.chip, strict=True)])
    known = set(made[train])
    tested = zip(own[test], pair[test], near[test], made[test], strict=True)
    return np.array([
        "model" if owns.get(o, 0) >= NEAR else "known" if counts.get(p, 0) >= ENOUGH else "engine" if n in nears
        else "none" if g in known else "alone" for o, p, n, g in tested
    ])  # fmt: skip


def same(frame: pd.DataFrame, train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Which test rows share network, chip, plan, weight format and version with a training row, [tested]."""
    columns = ["engine", "chip", "version", "weights", "tp", "dp", "pp", "ep"]
    shapes = pd.Series([named(name).shape for name in frame.model], index=frame.index)
    own = shapes + frame[columns].astype(str).agg(" | ".join, axis=1)
    return own[test].isin(set(own[train])).to_numpy()


def series_of(frame: pd.DataFrame) -> pd.Series:
    """The engine of each row, old versions apart."""
    pairs = zip(frame.engine, frame.version, strict=True)
    return pd.Series([series(engine, version) for engine, version in pairs], index=frame.index)


def nearest(frame: pd.DataFrame) -> pd.Series:
    """Engine, chip, network and weight format of each row: the key of `Effects.measured`."""
    shapes = pd.Series([named(name).shape for name in frame.model], index=frame.index)
    return series_of(frame) + " | " + frame.chip + " | " + shapes + " | " + frame.weights
