"""Score the serving surrogate on held-out rows, beside the roofline and a constant efficiency."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd

from hetbench.serving.effects import BESIDE, LOADS, band_keys, load_kind
from hetbench.serving.neighbours import Kernel
from surrogates.serving import neighbours
from surrogates.serving.fit import METRICS, Effects, answers, fit, measured
from surrogates.serving.rows import Terms
from surrogates.serving.splits import SPLITS, Fold, evidence, folds, same

ENOUGH_OF_A_KIND, FOLDS_OF_A_KIND = 150, 4
CALIBRATING = ("setting", "plan", "version", "model", "source", "chip", "engine")
"""Hold-outs that the exported intervals are made of."""
QUANTILES = (0.02, 0.025, 0.03, 0.04, 0.05, 0.1, 0.15, 0.2, 0.25, 0.5, 0.75, 0.8, 0.85, 0.9, 0.95, 0.96, 0.97, 0.975,
             0.98)  # fmt: skip


def chosen(found: dict[str, np.ndarray], frame: pd.DataFrame) -> np.ndarray:
    """Of the predictions by metric, that of each row's own metric."""
    return np.select([frame.metric == name for name in METRICS], [found[name] for name in METRICS])


def roofline(frame: pd.DataFrame, made: Terms) -> np.ndarray:
    """Seconds at the datasheet's peaks: the slower of memory and compute, and the link."""
    step = np.maximum(made.step[:, [0, 1, 12]].sum(1), made.step[:, 2] + made.step[:, 3]) + made.step[:, 7]
    one = np.maximum(made.prompt[:, [0, 12]].sum(1), made.prompt[:, [10, 11, 14]].sum(1)) + made.prompt[:, 7]
    packed = np.maximum(made.packed[:, [0, 12]].sum(1), made.packed[:, [10, 11, 14]].sum(1)) + made.packed[:, 7]
    steady = np.where(frame.kind == "batch", 0, np.maximum(made.share - 1, 0)) * packed / frame.output_len
    batch = packed * made.share + (frame.output_len - 1) * step
    rate = frame.concurrency * frame.output_len / (one + (frame.output_len - 1) * (step + steady))
    return np.select([frame.metric == name for name in METRICS], [step + steady, one, batch, rate])


def residuals(effects: Effects, frame: pd.DataFrame, made: Terms) -> np.ndarray:
    """Logarithm of measured over predicted by the effects alone, [rows]."""
    return np.log(measured(frame) / chosen(answers(effects, frame, made), frame))


def held_out(frame: pd.DataFrame, made: Terms, kernels: dict[str, Kernel]) -> pd.DataFrame:
    """Every fold of every split: predicted, roofline and constant over measured, [rows of all folds]."""
    parts = [one_fold(fold, frame, made, kernels) for split in SPLITS for fold in folds(frame, split)]
    return pd.concat(parts, ignore_index=True)


def one_fold(fold: Fold, frame: pd.DataFrame, made: Terms, kernels: dict[str, Kernel]) -> pd.DataFrame:
    train, test = frame[fold.train].reset_index(drop=True), frame[fold.test].reset_index(drop=True)
    there = made.take(fold.test)
    effects: Effects = fit(train, made.take(fold.train))
    missed = residuals(effects, train, made.take(fold.train))
    fixes = neighbours.corrected(kernels, train, missed, test)
    truth, plain = measured(test), answers(effects, test, there)
    left = np.where(neighbours.metric_of(test) == "ttft", fixes["ttft"][1], fixes["tpot"][1])
    roof = roofline(test, there)
    return test.assign(
        split=fold.split, fold=fold.name, left=left, fill=there.fill, row=np.flatnonzero(fold.test),
        effects=chosen(plain, test) / truth,
        ratio=chosen(applied(plain, fixes, test), test) / truth,
        roofline=roof / truth, constant=roof / truth * _constant(train, made.take(fold.train), test),
    )  # fmt: skip


def with_evidence(held: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """The held-out rows with what the training rows of their folds say of them."""
    found = {}
    for split in held.split.unique():
        for fold in folds(frame, split):
            known = zip(evidence(frame, fold.train, fold.test), same(frame, fold.train, fold.test), strict=True)
            found |= {(split, fold.name, row): each for row, each in zip(np.flatnonzero(fold.test), known, strict=True)}
    known, alike = zip(*(found[key] for key in zip(held.split, held.fold, held.row, strict=True)), strict=True)
    beside = (np.array(known) == "model") & np.array(alike) & (held.left < BESIDE)
    return held.assign(evidence=np.where(beside, "beside", known))


def applied(
    found: dict[str, np.ndarray], fixes: dict[str, tuple[np.ndarray, np.ndarray]], frame: pd.DataFrame
) -> dict[str, np.ndarray]:
    """The predictions with the corrections of measured neighbours."""
    step, first = np.exp(fixes["tpot"][0]), np.exp(fixes["ttft"][0])
    ttft, tpot, length = found["ttft"] * first, found["tpot"] * step, frame.output_len.to_numpy()
    rate = frame.concurrency.to_numpy() * length / (ttft + (length - 1) * tpot)
    return {"tpot": tpot, "ttft": ttft, "latency": found["latency"] * step, "throughput": rate}


def _constant(train: pd.DataFrame, made: Terms, test: pd.DataFrame) -> np.ndarray:
    """Measured over roofline, the median of engine, chip and metric in training, else of the metric."""
    off = measured(train) / roofline(train, made)
    table = train.assign(off=off)
    own, every = table.groupby(["engine", "chip", "metric"]).off.median(), table.groupby("metric").off.median()
    keys = zip(test.engine, test.chip, test.metric, strict=True)
    return np.array([own.get(key, every.get(key[2], np.nan)) for key in keys])


def bands(frame: pd.DataFrame) -> dict[str, list[float]]:
    """Quantiles of log(measured / predicted) by metric and evidence, every group of rows weighing alike.

    There are bands of single loads where `ENOUGH_OF_A_KIND` rows of several folds have them, and of single engines
    where the very model was measured; where it was not, the folds of one engine are too few to tell. Rates elsewhere
    are those of few sources, and take what times per token say instead.
    """
    frame = frame if "key_0" in frame else keyed(frame)
    out = {}
    for level, least in ((2, 1), (1, ENOUGH_OF_A_KIND), (0, ENOUGH_OF_A_KIND)):
        for key, part in frame.groupby(f"key_{level}"):
            if len(part) >= least and (level == 2 or _particular(part, level)):
                out[str(key)] = quantiles(part)
    for level in ("known", "engine", "none", "alone"):
        rate, step = (out.get(f"{metric} | {level}") for metric in ("throughput", "tpot"))
        if rate and step:
            out[f"throughput | {level}"] = _outer(rate, [-each for each in reversed(step)])
    return out


def _particular(part: pd.DataFrame, level: int) -> bool:
    """Whether rows of one load (level 1) or one engine (level 0) may have a band of their own."""
    if part.evidence.iloc[0] in ("beside", "model"):
        return True
    folds_of = (part.split + part.fold).nunique()
    return level == 1 and part.metric.iloc[0] != "throughput" and folds_of >= FOLDS_OF_A_KIND


def _outer(one: list[float], other: list[float]) -> list[float]:
    """Quantiles that hold both: fewer sources state rates than times per token, which rates are the reciprocal of."""
    middle = QUANTILES.index(0.5)
    pairs = list(zip(one, other, strict=True))
    return [*map(min, pairs[:middle]), one[middle], *map(max, pairs[middle + 1 :])]


def _keys(frame: pd.DataFrame) -> list[tuple[str, str, str]]:
    loads = [load_kind(c, f) for c, f in zip(frame.concurrency, frame.fill, strict=True)]
    return [band_keys(*row) for row in zip(frame.metric, frame.evidence, frame.engine, loads, strict=True)]


def keyed(frame: pd.DataFrame) -> pd.DataFrame:
    """With the keys of the intervals of each row, and the number of the group that it weighs with."""
    keys = pd.DataFrame(_keys(frame), columns=["key_0", "key_1", "key_2"], index=frame.index)
    groups = frame.source + frame.chip + frame.engine + frame.model
    return frame.assign(**{name: keys[name] for name in keys}, group=pd.factorize(groups)[0])


def nested(made: dict[str, list[float]]) -> dict[str, list[float]]:
    """The bands of every metric and evidence, at every load, none narrower than where more is known."""
    out = {key: band for key, band in made.items() if key.count(" | ") > 2}
    middle = QUANTILES.index(0.5)
    for metric, load in product(METRICS, ("", *LOADS)):
        before = [0.0] * len(QUANTILES)
        for level in ("beside", "model", "known", "engine", "none", "alone"):
            key = f"{metric} | {level}" + (f" | {load}" if load else "")
            if load and key not in made:
                continue
            own = made.get(key, before)
            low = [min(pair) for pair in zip(own[:middle], before[:middle], strict=True)]
            high = [max(pair) for pair in zip(own[middle + 1 :], before[middle + 1 :], strict=True)]
            before = out[key] = [*low, own[middle], *high]
    return out


def quantiles(part: pd.DataFrame) -> list[float]:
    logs = -np.log(part.ratio.to_numpy())
    group = part.group if "group" in part else pd.factorize(part.source + part.chip + part.engine + part.model)[0]
    weight = np.bincount(group)[group] ** -0.5
    order = np.argsort(logs)
    cumulated = (np.cumsum(weight[order]) - weight[order] / 2) / weight.sum()
    return [float(np.interp(q, cumulated, logs[order])) for q in QUANTILES]


def _band(made: dict[str, list[float]], keys: tuple[str, ...]) -> list[float]:
    """The most particular quantiles that there are; where too few rows gave any, those of TPOT."""
    found = next((made[key] for key in keys if key in made), None) or made.get(keys[-1].split(" | ")[0] + " | known")
    return found or [-v for v in reversed(made["tpot | " + keys[-1].split(" | ")[1]])]


def with_bands(frame: pd.DataFrame) -> pd.DataFrame:
    """With `low` and `high` of the 90 % interval over predicted; the rows of a fold never make its own interval."""
    low, high = QUANTILES.index(0.05), QUANTILES.index(0.95)
    parts, frame = [], keyed(frame)
    for _, part in frame.groupby(["split", "fold"]):
        made = bands(frame.drop(part.index))  # folds of a split share no rows
        found = [_band(made, keys) for keys in _keys(part)]
        parts.append(part.assign(low=np.exp([f[low] for f in found]), high=np.exp([f[high] for f in found])))
    return pd.concat(parts).sort_index()


def table(frame: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Rows, median APE in % of the surrogate, of its effects without the correction of neighbours, of the constant and
    the roofline, share inside, median upper/lower."""
    truth = 1 / frame.ratio
    frame = frame.assign(
        ape=100 * abs(frame.ratio - 1), alone=100 * abs(frame.effects - 1), roof=100 * abs(frame.roofline - 1),
        const=100 * abs(frame.constant - 1), inside=100.0 * ((truth >= frame.low) & (truth <= frame.high)),
        width=frame.high / frame.low,
    )  # fmt: skip
    return frame.groupby(by).agg(
        rows=("ape", "size"), median_ape=("ape", "median"), mean_ape=("ape", "mean"), effects=("alone", "median"),
        constant=("const", "median"), roofline=("roof", "median"), inside=("inside", "mean"), width=("width", "median"),
    ).round(1)  # fmt: skip
