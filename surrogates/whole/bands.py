"""Intervals of the whole-model surrogates: tables of log(measured / predicted) from hold-outs, and what they hold.

A chip never seen differs from the others by an offset that all its models share, and a handful of dies left out says
little of how large offsets get. So a level D table is Student's law for the next die's offset, its variance that of the
dies of the group and of `_PRIOR` more dies of the variance found in all groups, joined with the spread within dies.
The same holds of models, where a family or its thin cells have few of them: the table is then that of the next model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t as student

from hetbench.predict.models import RICH, WholeModelSurrogate

_ROWS = 30  # a table of its own takes at least this many held-out rows
_DIES = 3  # and, of unseen chips, this many dies
_MODELS = 30  # with fewer, their offsets follow Student's law
_PRIOR = 2.0
_GRID = tuple(np.linspace(0, 1, 81))


def _log_ratio(frame: pd.DataFrame) -> pd.Series:
    return np.log(frame.ms / frame.surrogate)


def quantiles(frame: pd.DataFrame, at: Sequence[float] = _GRID) -> list[float]:
    """Quantiles of log(measured / predicted); every chip left out counts the same, whatever its rows."""
    values = _log_ratio(frame).to_numpy()
    share = 1 / frame.groupby("away").ms.transform("size").to_numpy() if "away" in frame else np.ones(len(frame))
    order = np.argsort(values)
    reached = (np.cumsum(share[order]) - share[order] / 2) / share.sum()
    return np.interp(at, reached, values[order]).round(4).tolist()


def offsets(frame: pd.DataFrame, by: str) -> pd.Series:
    """The median log(measured / predicted) of each die left out (`away`) or each model (`graph`)."""
    return _log_ratio(frame).groupby(frame[by]).median()


def variance_among(groups: Iterable[pd.DataFrame], by: str) -> float:
    """The variance of offsets within a group, over all groups."""
    found = [offsets(frame, by) for frame in groups if len(frame)]
    freedom = sum(len(each) - 1 for each in found)
    return float(sum(((each - each.mean()) ** 2).sum() for each in found) / freedom) if freedom else 0.0


def of_one_more(frame: pd.DataFrame, by: str, prior: float, at: Sequence[float] = _GRID) -> list[float]:
    """Quantiles of log(measured / predicted) on one more die or model; `prior` is `variance_among` groups."""
    offset = offsets(frame, by)
    known, freedom = len(offset), _PRIOR + len(offset) - 1
    variance = (_PRIOR * prior + ((offset - offset.mean()) ** 2).sum()) / freedom
    step = 0.5 / (len(_GRID) - 1)
    between = student.ppf(np.clip(at, step, 1 - step), freedom) * np.sqrt(variance * (1 + 1 / known))
    within = np.array(quantiles(frame.assign(surrogate=frame.surrogate * np.exp(frame[by].map(offset))), at))
    side = np.sign(between)
    return (offset.mean() + side * np.hypot(between, np.maximum(side * within, 0))).round(4).tolist()


def residual_tables(models: pd.DataFrame, chips: pd.DataFrame, kind: str, prior: float = 0.0) -> dict[str, list[float]]:
    """Residuals by level, family and `kind` (stack or phase): of unseen models in rich cells (C) and in thin ones (T),
    of unseen chips (D) if any.

    A cell is rich that taught the fit by `RICH` networks. A whole generation tells little of a prefill alone, hence
    generation goes by phase. `prior` is `variance_among` the dies of all groups.
    """
    rich = models.networks >= RICH
    of_models = variance_among((part for _, part in models.groupby("family")), "graph")

    def table(level: str, part: pd.DataFrame) -> list[float]:
        if level == "D":
            return of_one_more(part, "away", prior)
        if level == "C" and part.graph.nunique() >= _MODELS:
            return quantiles(part)
        return of_one_more(part, "graph", of_models)

    tables: dict[str, list[float]] = {}
    for level, frame in (("C", models[rich]), ("T", models[~rich]), ("D", chips)):
        if not len(frame):
            continue
        parts = {f"{level}/{family}": part for family, part in frame.groupby("family")}
        finer = {f"{level}//{name}": part for name, part in frame.groupby(kind)}
        finer |= {f"{level}/{family}/{name}": part for (family, name), part in frame.groupby(["family", kind])}
        parts |= {name: part for name, part in finer.items() if len(part) >= _ROWS}
        if level == "D":
            parts = {name: part for name, part in parts.items() if part.away.nunique() >= _DIES}
        tables |= {name: table(level, part) for name, part in ({level: frame} | parts).items()}
    return tables


def coverage(models: pd.DataFrame, kind: str, by: Sequence[str] = ("family",)) -> list[dict[str, Any]]:
    """Share of measurements inside 90 % bands as a query takes them: each half of the models by bands of the other.

    Of a family with few models each is checked by bands of all the others.
    """
    few = (models.groupby("family").graph.transform("nunique") < _MODELS).to_numpy()
    half = calibration_half(models.graph)
    sets = [(side & ~few, side) for side in (half, ~half)]  # what is checked, and what sets no bands
    sets += [(out & few, out) for out in ((models.graph == name).to_numpy() for name in models.graph[few].unique())]
    parts = [
        _inside(residual_tables(models[~out], models.iloc[:0], kind), "C", models[checked], kind)
        for checked, out in sets if checked.any()
    ]  # fmt: skip
    found = pd.concat(parts).groupby(list(by))
    return [{**dict(zip(by, names, strict=True)), **_summary(part)} for names, part in found]


def coverage_of_chips(
    models: pd.DataFrame, chips: pd.DataFrame, others: Iterable[pd.DataFrame], kind: str
) -> list[dict[str, Any]]:
    """The same for each die left out, by the bands that the other dies give; `others` are the other groups' chips."""
    out, elsewhere = [], list(others)
    for name, part in chips.groupby("away") if len(chips) else ():
        kept = chips[chips.away != name]
        prior = variance_among([kept, *(each[each.away != name] for each in elsewhere if len(each))], "away")
        tables = residual_tables(models, kept, kind, prior)
        out.append({"family": part.family.iloc[0], "away": name, **_summary(_inside(tables, "D", part, kind))})
    return out


def calibration_half(names: pd.Series) -> np.ndarray:
    """Halves of the graphs: each sets the bands that the other is checked by."""
    return names.map(lambda name: hashlib.sha256(name.encode()).digest()[0] % 2 == 0).to_numpy(bool)


def _inside(tables: dict[str, list[float]], level: str, frame: pd.DataFrame, kind: str) -> pd.DataFrame:
    """Of each row whether a query's 90 % band holds it, and the band's upper end over its lower end."""
    keys = list(zip(frame.family, frame[kind], frame.networks < RICH, strict=True))
    band, spec = WholeModelSurrogate.band, {"residuals": tables}
    ends = {key: band(spec, level, *key[:2], 0.9, thin=key[2]) for key in set(keys)}
    low, high = np.array([ends[key] for key in keys]).T
    inside = _log_ratio(frame).between(low, high)
    return frame[["family", "chip", "stack", "precision", "phase", "file"]].assign(
        inside=inside, width=np.exp(high - low)
    )


def _summary(part: pd.DataFrame) -> dict[str, Any]:
    return {"n": len(part), "inside": round(100 * float(part.inside.mean()), 1),
            "width": round(float(part.width.median()), 2)}  # fmt: skip
