"""Scores of predictions against measurements: the exported artefact through hetbench, never the model in memory.

`python -m surrogates.publish.report` writes the page of all of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import kendalltau

from hetbench.catalog.chips import chips
from hetbench.operators import operator_type
from hetbench.predict.cells import CELL_KEYS
from hetbench.predict.operators import OperatorSurrogate

_TAU_ROWS = 5_000  # Kendall's tau on at most this many rows


def served(frame: pd.DataFrame, surrogate: OperatorSurrogate, predictor: str = "autogluon") -> pd.DataFrame:
    """The rows with what the artefact answers for them: predicted, lower and upper in ms, level.

    An empty library or layout leaves the choice to the evidence, as in a table of `HetBench.query_operators`.
    """
    out = {name: np.full(len(frame), np.nan) for name in ("predicted", "lower", "upper")}
    level = np.full(len(frame), "", dtype=object)
    catalogue = chips()
    for (op, chip, dtype, protocol, library, layout), rows in frame.groupby(
        list(CELL_KEYS), sort=False
    ).indices.items():
        kind, part = operator_type(op), frame.iloc[rows]
        dims = {name: part[name].to_numpy() for name in (*kind.dims, *kind.optional) if name in part}
        answer = surrogate.predict(
            op, dtype, dims, catalogue[chip], protocol=protocol, library=library or None, layout=layout or None,
            predictor=predictor,
        )  # fmt: skip
        out["predicted"][rows], out["lower"][rows], out["upper"][rows] = answer.value, answer.lower, answer.upper
        level[rows] = answer.level
    return frame.assign(level=level, **out)


def score(measured: np.ndarray, predicted: np.ndarray) -> dict[str, Any]:
    """Median and mean absolute percentage error, share within 20 %, Kendall tau and n."""
    error = np.abs(predicted / measured - 1)
    step = max(len(measured) // _TAU_ROWS, 1)
    tau = kendalltau(measured[::step], predicted[::step]).statistic if len(measured) > 2 else float("nan")
    return {
        "n": len(measured), "median_ape": _percent(np.median(error)), "mean_ape": _percent(np.mean(error)),
        "within_20": _percent(np.mean(error <= 0.2)), "tau": None if np.isnan(tau) else round(float(tau), 3),
    }  # fmt: skip


def table(frame: pd.DataFrame, by: list[str], methods: list[str], least: int = 20) -> list[dict[str, Any]]:
    """Scores of several methods (columns of ms) by group; groups of fewer than `least` rows are left out."""
    rows = []
    for key, part in frame.groupby(by, sort=True):
        if len(part) >= least:
            labels = dict(zip(by, key if isinstance(key, tuple) else (key,), strict=True))
            scores = {m: score(part.latency_ms.to_numpy(), part[m].to_numpy()) for m in methods}
            rows.append({**labels, **scores})
    return rows


def coverage(frame: pd.DataFrame) -> dict[str, Any]:
    """Share of the measurements inside their interval, and the median width upper / lower."""
    inside = (frame.latency_ms >= frame.lower) & (frame.latency_ms <= frame.upper)
    return {
        "n": len(frame),
        "inside": _percent(inside.mean()),
        "width": round(float((frame.upper / frame.lower).median()), 2),
    }


def _percent(share: float) -> float:
    return round(100 * float(share), 1)
