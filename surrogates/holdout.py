"""Chips and families never seen: fit the ratio head without them, predict them, and score next to the baselines.

Baselines on the same rows: the roofline with its launch floor, and constant efficiency (the median residual of
each operator, dtype and protocol over the training rows). The floor of a chip that is held out is its family's,
or, where the family is held out, that of all others: nothing of the chip is used.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from surrogates.dataset import Effects, floors, matrix
from surrogates.tabular import Budget, fit_ratio, ratio_columns, sample

_SCORED_ROWS = 10_000  # rows of a held-out group that are scored


def cell_weight(frame: pd.DataFrame) -> np.ndarray:
    """1 / sqrt(rows of the chip, operator and protocol), scaled to mean 1."""
    size = frame.groupby(["chip", "op", "protocol"]).chip.transform("size").to_numpy(float)
    weight = 1 / np.sqrt(size)
    return weight / weight.mean()


def constant_residual(train: pd.DataFrame, target: np.ndarray, test: pd.DataFrame) -> np.ndarray:
    """Median log residual of the training rows of the same (op, dtype, protocol), else op, else all; [test rows]."""
    data = train.assign(target=target)
    out = np.full(len(test), float(np.median(target)))
    for keys in (["op"], ["op", "dtype", "protocol"]):
        median = data.groupby(keys).target.median()
        index = pd.MultiIndex.from_frame(test[keys]) if len(keys) > 1 else pd.Index(test[keys[0]])
        found = median.reindex(index).to_numpy()
        out = np.where(np.isnan(found), out, found)
    return out


def hold_out(
    frame: pd.DataFrame, away: np.ndarray, group: str, budgets: Sequence[Budget], known: list[pd.DataFrame]
) -> pd.DataFrame:
    """Train on the rows not `away`, predict (a sample of) those that are.

    `known` are rows of every class that may set launch floors; those of the chips held out are removed here.
    """
    absent = set(frame.chip[away])
    train = frame[~away].reset_index(drop=True)
    train = train.iloc[sample(train, budgets[0].rows)].reset_index(drop=True)
    test = frame[away].reset_index(drop=True)
    test = test.iloc[sample(test, _SCORED_ROWS)].reset_index(drop=True)
    table = floors([rows[~rows.chip.isin(absent)] for rows in known])
    made, unseen = matrix(train, table), matrix(test, table)
    target = made.target
    effects = Effects.fit(train, target)
    fitted = fit_ratio(ratio_columns(made, train, effects), target, cell_weight(train), budgets)
    log_ratio = fitted.predict(ratio_columns(unseen, test, effects))
    return test.assign(
        group=group, surrogate=unseen.base_ms * np.exp(log_ratio), roofline=unseen.roofline_ms + unseen.floor_ms,
        constant=unseen.base_ms * np.exp(constant_residual(train, target, test)), base_ms=unseen.base_ms,
    )  # fmt: skip


def leave_groups_out(
    frame: pd.DataFrame, groups: pd.Series, budgets: Sequence[Budget], known: list[pd.DataFrame], least: int = 400
) -> pd.DataFrame:
    """Every group with enough rows left out in turn; the predictions of all of them together."""
    size = groups.value_counts()
    names = sorted(size.index[size >= least])
    parts = [hold_out(frame, (groups == name).to_numpy(), name, budgets, known) for name in names]
    return pd.concat(parts, ignore_index=True) if parts else frame.iloc[:0]
