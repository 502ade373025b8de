"""Chips and families never seen: fit the ratio head without them, predict them, and score next to the baselines.

Baselines on the same rows: the roofline with its launch floor, and constant efficiency (the median residual of
each operator and dtype over the training rows). The floor of a chip that is held out is its family's,
or, where the family is held out, that of all others: nothing of the chip is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd

from hetbench.predict.class_surrogate import median_of_three
from hetbench.predict.protocols import convert_protocol, measured_protocol
from surrogates.operators.dataset import Effects, floors, matrix, tells_floor
from surrogates.operators.tabular import Budget, fit_ratio, ratio_columns, sample
from surrogates.splits import die

DENSE_ROWS = 200  # a chip with fewer rows of a class gives a bias, not training rows of the ratio head
_SCORED_ROWS = 4_000  # rows of a held-out group that are scored
_OWN_DIES = 4  # a family with rows of this many dies has a ratio head of its own


def cell_weight(frame: pd.DataFrame) -> np.ndarray:
    """1 / sqrt(rows of the chip, operator and protocol), scaled to mean 1."""
    size = frame.groupby(["chip", "op", "protocol"]).chip.transform("size").to_numpy(float)
    weight = 1 / np.sqrt(size)
    return weight / weight.mean()


def constants(train: pd.DataFrame, target: np.ndarray) -> dict[str, float]:
    """Constant efficiency: the median log residual by "op/dtype", by "op" and, under "", of all training rows."""
    by_op = pd.Series(target).groupby(train.op.to_numpy()).median()
    by_both = pd.Series(target).groupby((train.op + "/" + train.dtype).to_numpy()).median()
    return {"": float(np.median(target)), **by_op.to_dict(), **by_both.to_dict()}


def constants_by_family(train: pd.DataFrame, target: np.ndarray) -> dict[str, float]:
    """`constants` of all rows, and under "FAMILY|op/dtype" likewise those of each family with rows."""
    table = constants(train, target)
    for family, rows in train.groupby("family").indices.items():
        own = constants(train.iloc[rows], target[rows])
        table |= {f"{family}|{name}": value for name, value in own.items()}
    return table


def constant_residual(train: pd.DataFrame, target: np.ndarray, test: pd.DataFrame) -> np.ndarray:
    """What `constants` of the training rows say of each test row, [test rows]."""
    table = constants(train, target)
    both = (test.op + "/" + test.dtype).map(table)
    return both.fillna(test.op.map(table)).fillna(table[""]).to_numpy(np.float64)


def ratio_group(train: pd.DataFrame, family: str) -> str:
    """Whose rows the ratio head of a family learns from: its own where they are of enough dies, else everybody's."""
    own = train[train.family == family]
    dense = die(own)[own.groupby("chip").chip.transform("size") >= DENSE_ROWS]
    return family if dense.nunique() >= _OWN_DIES else "any"


def rows_of_group(train: pd.DataFrame, group: str) -> np.ndarray:
    """Which rows a ratio head of this group learns from, bool [rows]."""
    return np.ones(len(train), dtype=bool) if group == "any" else (train.family == group).to_numpy()


def measured_protocols(train: pd.DataFrame) -> dict[str, list[str]]:
    """By dtype the protocols that enough rows were timed under, most rows first."""
    size = train.groupby(["dtype", "protocol"]).size().sort_values(ascending=False, kind="stable")
    found: dict[str, list[str]] = {}
    for dtype, protocol in size.index[size >= DENSE_ROWS]:
        found.setdefault(dtype, []).append(protocol)
    return found


def hold_out(
    frame: pd.DataFrame, away: np.ndarray, group: str, budgets: Sequence[Budget], known: list[pd.DataFrame]
) -> pd.DataFrame:
    """Train on the rows not `away`, predict (a sample of) those that are.

    `known` are rows of every class that may set launch floors; those of the chips held out are removed here.
    """
    absent = set(frame.chip[away])
    train = frame[~away]
    family = frame.family[away].iloc[0]
    train = train[rows_of_group(train, ratio_group(train, family))].reset_index(drop=True)
    measured = measured_protocols(train)
    train = train.iloc[sample(train, budgets[0].rows)].reset_index(drop=True)
    test = frame[away].reset_index(drop=True)
    test = test.iloc[sample(test, _SCORED_ROWS)].reset_index(drop=True)
    table = floors([rows[~rows.chip.isin(absent)] for rows in known])
    native = test.assign(protocol=list(map(partial(measured_protocol, measured), test.dtype, test.protocol)))
    made, unseen, asked = (matrix(rows, table) for rows in (train, native, test))
    target = made.target
    effects = Effects.fit(train, target)
    fitted = fit_ratio(ratio_columns(made, train, effects), target, cell_weight(train), budgets)
    log_ratio = fitted.predict(ratio_columns(unseen, native, effects))
    constant = constant_residual(train, target, test)
    if family not in set(train.family):
        log_ratio = median_of_three(log_ratio, constant, unseen)
    ms = unseen.base_ms * np.exp(log_ratio)
    same = (native.protocol == test.protocol).to_numpy()
    return test.assign(
        group=group, surrogate=np.where(same, ms, convert_protocol(ms, unseen.floor_ms, asked.floor_ms)),
        roofline=asked.roofline_ms + asked.floor_ms, constant=asked.base_ms * np.exp(constant), base_ms=asked.base_ms,
    )  # fmt: skip


def leave_groups_out(
    frame: pd.DataFrame, groups: pd.Series, budgets: Sequence[Budget], known: list[pd.DataFrame], least: int = 400
) -> pd.DataFrame:
    """Every group with enough rows left out in turn; the predictions of all of them together."""
    size = groups.value_counts()
    names = sorted(size.index[size >= least])
    known = [tells_floor(rows) for rows in known]
    parts = [hold_out(frame, (groups == name).to_numpy(), name, budgets, known) for name in names]
    return pd.concat(parts, ignore_index=True) if parts else frame.iloc[:0]
