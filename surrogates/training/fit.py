"""The pooled factor of measured steps over composed ones: effects of labels, shrunk, by robust weighted least squares.

A row's labels go from all steps to its die, stack and precision. Every effect is drawn to 0 by `PULL` of a row, so that
a label that few rows have says little. Rows of one source, chip, stack and precision count by the root of their number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from hetbench.catalog.chips import chip as chip_named
from hetbench.training.surrogate import cell_of, labels_of

__all__ = ["PULL", "base", "effects", "held_out", "labelled", "predicted", "weights"]

PULL = 2.0
"""Rows' worth by which every effect is drawn to 0: passes are measured as such, so that a factor without rows is 1."""
_LOSS_SCALE, _ROUNDS = 0.3, 4  # log residuals beyond it count linearly; rounds of reweighting
_FOLDS = 10  # of the networks of a large source


def labelled(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows with `labels`, `cell`, `die`, and `fold`: networks that are left out together."""
    chips = [chip_named(name) for name in frame.chip]
    keys = list(zip(chips, frame["stack"], frame.precision, strict=True))
    updates = frame.optimizer != "none"
    many = frame.groupby("source").graph.transform("nunique") > 3 * _FOLDS
    fold = pd.util.hash_array(frame.graph.to_numpy().astype(object)) % _FOLDS
    return frame.assign(
        labels=[labels_of(*key, each) for key, each in zip(keys, updates, strict=True)],
        cell=[cell_of(*key) for key in keys],
        die=[chip.die or chip.name for chip in chips], fold=np.where(many, fold.astype(str), frame.graph),
    )  # fmt: skip


def base(frame: pd.DataFrame, share: float) -> np.ndarray:
    """The composed step in ms: whole passes by their share, operators by the rest; [rows]."""
    found: np.ndarray = np.exp(share * np.log(frame.passes) + (1 - share) * np.log(frame.sums)).to_numpy()
    return found


def weights(frame: pd.DataFrame) -> np.ndarray:
    """1 / root of the rows of the same source, chip, stack and precision, [rows]."""
    keys = ["source", "chip", "stack", "precision"]
    return (1 / np.sqrt(frame.groupby(keys).ms.transform("size"))).to_numpy()


def effects(frame: pd.DataFrame, share: float) -> dict[str, float]:
    """The log effect of each label."""
    names = list(dict.fromkeys(label for labels in frame.labels for label in labels))
    place = {name: index for index, name in enumerate(names)}
    matrix = np.zeros((len(frame), len(names)))
    for row, labels in enumerate(frame.labels):
        matrix[row, [place[label] for label in labels]] = 1.0
    target, weight, robust = np.log(frame.ms.to_numpy() / base(frame, share)), weights(frame), np.ones(len(frame))
    found = np.zeros(len(names))
    for _ in range(_ROUNDS):
        scaled = matrix * (weight * robust)[:, None]
        found = np.linalg.solve(matrix.T @ scaled + PULL * np.eye(len(names)), scaled.T @ target)
        robust = 1 / np.maximum(1, np.abs(target - matrix @ found) / _LOSS_SCALE)
    return {name: float(value) for name, value in zip(names, found, strict=True)}


def predicted(frame: pd.DataFrame, share: float, known: dict[str, float]) -> np.ndarray:
    """Steps in ms by the factors of `known` labels, [rows]."""
    log = [sum(known.get(label, 0.0) for label in labels) for labels in frame.labels]
    return base(frame, share) * np.exp(log)


def held_out(frame: pd.DataFrame, share: float, by: str) -> pd.DataFrame:
    """Each group of rows (`fold`, `die` or `source`) predicted from the others, as `surrogate` in ms; with `known`,
    the rows of its cell among the others, and `away`, the group."""
    return pd.concat(list(_held(frame, share, by))).sort_index()


def _held(frame: pd.DataFrame, share: float, by: str) -> Iterator[pd.DataFrame]:
    for group, part in frame.groupby(by):
        others = frame[frame[by] != group]
        known = effects(others, share)
        left = others.groupby("cell").size()
        yield part.assign(surrogate=predicted(part, share, known), away=group,
                          known=part.cell.map(left).fillna(0).astype(int))  # fmt: skip


def median_error(frame: pd.DataFrame, column: str = "surrogate") -> float:
    """Median error in percent."""
    return float(100 * (frame[column] / frame.ms - 1).abs().median())


def best_share(frame: pd.DataFrame, grid: Sequence[float]) -> tuple[float, dict[float, float]]:
    """The share of whole passes with the least error on networks and on sources left out: the mean over cells of their
    median log errors."""
    errors = {}
    for share in grid:
        held = pd.concat([held_out(frame, share, by) for by in ("fold", "source")])
        log = np.log(held.ms / held.surrogate).abs()
        errors[share] = float(log.groupby([held.source, held.cell]).median().mean())
    return min(errors, key=lambda share: errors[share]), errors
