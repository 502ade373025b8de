"""Watts of a chip that serves: a share of its power limit, linear in how busy its memory and its products are.

Rows: ML.ENERGY 2024 (A100, H100; NVML over the run) and InferenceX (mean per chip during the run). How busy a chip is
comes from the datasheet terms over the measured time per token. A chip with `_OWN` rows has its own law, one with
`_SCALED` scales the law of all.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import nnls
from scipy.stats import t

from hetbench.catalog.chips import chip as chip_named
from surrogates.serving.rows import SETTING, terms
from surrogates.serving.score import QUANTILES, quantiles

_OWN, _SCALED = 30, 4


def busy(frame: pd.DataFrame) -> pd.DataFrame:
    """Power rows that have a time per token of the same setting, with `memory`, `compute` and `share` of the limit."""
    keys = [name for name in SETTING if name != "metric"]
    paired = frame[frame.metric == "power"].merge(
        frame[frame.metric == "tpot"][[*keys, "value"]].rename(columns={"value": "tpot"}), on=keys
    ).reset_index(drop=True)  # fmt: skip
    made = terms(paired)
    packed = made.packed * (made.share / paired.output_len.to_numpy())[:, None]
    seconds, work = paired.tpot.to_numpy() / 1e3, made.step + packed
    limit = np.array([chip_named(name).tdp_w or np.nan for name in paired.chip])
    return paired.assign(
        memory=np.minimum(work[:, [0, 1, 12]].sum(1) / seconds, 1),
        compute=np.minimum(work[:, [2, 3, 10, 11]].sum(1) / seconds, 1), share=paired.value / limit, limit=limit,
    ).dropna(subset=["share"]).reset_index(drop=True)  # fmt: skip


def law(rows: pd.DataFrame) -> dict[str, Any]:
    """Coefficients (idle, memory, compute) of all chips and of each chip with rows enough."""
    every = _solve(rows)
    chips = {}
    for name, part in rows.groupby("chip"):
        if len(part) >= _OWN:
            chips[name] = _solve(part)
        elif len(part) >= _SCALED:
            chips[name] = every * float(np.median(part.share / _share(every, part)))
    return {"every": every, "chips": chips}


def _solve(rows: pd.DataFrame) -> np.ndarray:
    columns = np.column_stack([np.ones(len(rows)), rows.memory, rows.compute]) / rows.share.to_numpy()[:, None]
    return nnls(columns, np.ones(len(rows)))[0]


def _share(coefficients: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    idle, memory, compute = coefficients
    return np.minimum(idle + memory * rows.memory.to_numpy() + compute * rows.compute.to_numpy(), 1.0)


def predicted(fitted: dict[str, Any], rows: pd.DataFrame) -> np.ndarray:
    """Predicted share of the limit, [rows]."""
    out = _share(fitted["every"], rows)
    for name, own in fitted["chips"].items():
        at = (rows.chip == name).to_numpy()
        out[at] = _share(own, rows[at])
    return out


def held_out(rows: pd.DataFrame) -> pd.DataFrame:
    """Predicted over measured with each model, and then each chip, left out: `evidence` known and engine."""
    parts = []
    for column, evidence in (("model", "known"), ("chip", "engine")):
        for name in rows[column].unique():
            test = rows[rows[column] == name]
            fitted = law(rows[rows[column] != name])
            ratio = predicted(fitted, test) / test.share
            constant = rows[rows[column] != name].share.median() / test.share
            parts.append(test.assign(split=column, fold=name, evidence=evidence, ratio=ratio, constant=constant))
    return pd.concat(parts, ignore_index=True)


def bands(held: pd.DataFrame) -> dict[str, list[float]]:
    """Quantiles of log(measured / predicted) by evidence.

    For a chip never seen they are those of the next chip: Student's t of the medians of the few chips left out, beside
    the quantiles of rows within a chip.
    """
    out = {f"power | {name}": quantiles(part) for name, part in held.groupby("evidence")}
    never = held[held.evidence == "engine"]
    middle = (-np.log(never.ratio)).groupby(never.chip).median()
    if len(middle) > 1:
        spread = float(middle.std(ddof=1)) * (1 + 1 / len(middle)) ** 0.5
        within = np.array(quantiles(never.assign(ratio=never.ratio * np.exp(never.chip.map(middle)))))
        away = t.ppf(QUANTILES, len(middle) - 1) * spread
        out["power | engine"] = (float(middle.mean()) + np.sign(away) * np.hypot(away, within)).tolist()
    return out
