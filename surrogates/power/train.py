"""Fit board power as a share of the TDP, score it on chips left out, and write the artefact that hetbench reads.

    python -m surrogates.power --corpus ../shared/corpus --rows runs/models/rows.parquet \\
        --out hetbench/catalog/surrogates

Held out: a whole die with its near twins (level D), or half of the operators or models of each chip (levels B and C).
Every (source, chip) counts the same in a fit by the root of its rows, and the same in a band.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hetbench.catalog.chips import chip as chip_named
from hetbench.errors import command
from hetbench.predict.power import FORMAT, Law
from surrogates.intervals import INTERVAL_LEVEL
from surrogates.power import rows as power_rows
from surrogates.writing import write_json

DIES = {
    "nvidia-b200-sxm-180gb": "B200+GB200", "nvidia-gb200": "B200+GB200", "nvidia-h200-sxm-141gb": "H200+H100",
    "nvidia-h100-sxm5-80gb": "H200+H100", "nvidia-a100-sxm4-40gb": "A100", "nvidia-a40": "A40", "nvidia-v100": "V100",
}  # fmt: skip
OPERATOR_SOURCES = ("aiconfigurator", "flagperf")
METHODS = ("surrogate", "catboost", "mean share", "TDP")
_START = (0.3, 3.0, 0.8)  # floor, compute, memory
_FACTOR_ROWS = 10.0  # a factor of this many rows counts half
_LOSS_SCALE = 0.3  # log residuals beyond it count linearly: a few rows were read before the board was busy


@command("stopped")
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--rows", type=Path, default=Path("runs/models/rows.parquet"))
    parser.add_argument("--out", type=Path, default=Path("hetbench/catalog/surrogates"))
    given = parser.parse_args()
    frame = power_rows.fractions(power_rows.collect(given.corpus, given.rows))
    artefact = train(frame)
    path = given.out / "power.json"
    write_json(path, artefact, indent=1)
    print(_printed(artefact), f"wrote {path}", sep="\n")


def train(frame: pd.DataFrame) -> dict[str, Any]:
    """The artefact as written: numbers, bands, scores, data."""
    frame = frame.assign(die=frame.chip.map(DIES))
    if frame.die.isna().any():
        raise ValueError(f"chips without a die to hold out: {sorted(frame.chip[frame.die.isna()].unique())}")
    law = fit(frame)
    out, own = leave_die_out(frame), half_of_each_chip(frame)
    level = {chip: "B" if set(part.source) & set(OPERATOR_SOURCES) else "C" for chip, part in frame.groupby("chip")}
    own = own.assign(level=own.chip.map(level))
    bands = _bands(out, own)
    others = {("D", die): _bands(out[out.die != die], own[own.die != die])["D"] for die in frame.die.unique()}
    others |= {
        key: band(own[(own.level == key[0]) & (own.half != key[1])]) for key, _ in own.groupby(["level", "half"])
    }
    return {
        "format": FORMAT, "id": "power-1", "made_by": "python -m surrogates.power", "data_sha256": _sha(frame),
        "law": {name: round(float(getattr(law, name)), 6) for name in Law.__slots__},
        "chips": {
            chip: {"level": level[chip], "factor": round(_factor(law, part), 4), "rows": len(part)}
            for chip, part in frame.groupby("chip")
        },
        "families": sorted({chip_named(chip).family for chip in DIES}),
        "interval_level": INTERVAL_LEVEL, "bands": bands,
        "scores": {
            "die_left_out": _scores(_covered(out.assign(level="D"), "die", others), "die"),
            "half_of_each_chip": _scores(_covered(own, "half", others), "chip"),
        },
    }  # fmt: skip


def weights(frame: pd.DataFrame, power: float = 0.5) -> np.ndarray:
    """1 / (rows of the same source and chip) ** power, [rows]."""
    return (1 / frame.groupby(["source", "chip"]).chip.transform("size") ** power).to_numpy()


def fit(frame: pd.DataFrame) -> Law:
    """Three numbers by robust least squares of log shares."""
    from scipy.optimize import least_squares

    target, root = np.log(frame.fraction.to_numpy()), np.sqrt(weights(frame))
    compute, memory = frame.compute.to_numpy(), frame.memory.to_numpy()
    lowest = float(frame.groupby("chip").fraction.quantile(0.01).min())

    def residual(numbers: np.ndarray) -> np.ndarray:
        return root * (np.log(Law(*numbers, lowest).share(compute, memory)) - target)

    found = least_squares(residual, _START, bounds=(0, [0.9, 20, 20]), loss="soft_l1", f_scale=_LOSS_SCALE)
    return Law(*(float(number) for number in found.x), lowest)


def _factor(law: Law, part: pd.DataFrame) -> float:
    """What a chip draws over the law of all, drawn to 1 where few rows say so; sources count alike."""
    residual = np.log(part.fraction / law.share(part.compute, part.memory))
    middle = float(residual.groupby(part.source).median().mean())
    return float(np.exp(middle * len(part) / (len(part) + _FACTOR_ROWS)))


def leave_die_out(frame: pd.DataFrame) -> pd.DataFrame:
    """Each die predicted from the others."""
    parts = []
    for die, part in frame.groupby("die"):
        others = frame[frame.die != die]
        parts.append(_predicted(part, others, fit(others), {}).assign(catboost=_rival(others, part)))
    return pd.concat(parts)


def _rival(frame: pd.DataFrame, asked: pd.DataFrame) -> np.ndarray:
    """Shares by small trees, monotone in both utilisations: what the law's three numbers must not lose to."""
    from catboost import CatBoostRegressor

    columns = ["compute", "memory"]
    model = CatBoostRegressor(
        iterations=150, depth=3, learning_rate=0.1, monotone_constraints=[1, 1], random_seed=0, thread_count=1,
        allow_writing_files=False, verbose=False,
    )  # fmt: skip
    model.fit(frame[columns].clip(0, 1), np.log(frame.fraction), sample_weight=weights(frame))
    return np.clip(np.exp(model.predict(asked[columns].clip(0, 1))), 0.1, 1)


def half_of_each_chip(frame: pd.DataFrame) -> pd.DataFrame:
    """Half of the operator shapes and of the models of each chip, predicted from the other half."""
    keys = np.where(frame.source.isin(OPERATOR_SOURCES), frame.flops.astype(str) + frame.bytes.astype(str), frame.what)
    halves = frame.assign(half=pd.util.hash_array(keys.astype(object)) % 2)
    parts = []
    for half, part in halves.groupby("half"):
        others = halves[halves.half != half]
        law = fit(others)
        parts.append(_predicted(part, others, law, {chip: _factor(law, own) for chip, own in others.groupby("chip")}))
    return pd.concat(parts)


def _predicted(part: pd.DataFrame, others: pd.DataFrame, law: Law, factors: dict[str, float]) -> pd.DataFrame:
    """`part` with what the surrogate and the two constants say of it, as shares of the TDP."""
    factor = part.chip.map(factors).fillna(1.0).to_numpy()
    mean = float(np.average(others.fraction, weights=weights(others, 1.0)))
    shares = law.share(part.compute, part.memory, factor)
    return part.assign(**{"surrogate": shares, "mean share": mean, "TDP": 1.0})


def band(part: pd.DataFrame) -> list[float]:
    """Split-conformal [low, high] of log(measured / predicted); every (source, chip) has the same say."""
    residual = np.log(part.fraction / part.surrogate).to_numpy()
    order = np.argsort(residual)
    below = np.cumsum(weights(part, 1.0)[order])
    below /= below[-1]
    cells = part.groupby(["source", "chip"]).size()
    tail = (1 - INTERVAL_LEVEL) / 2
    outer = min(1 - 1e-9, (1 - tail) * (1 + 1 / cells.min()))  # the finite-sample correction, of the smallest cell
    low, high = np.interp((1 - outer, outer), below, residual[order])
    return [round(min(float(low), 0.0), 4), round(max(float(high), 0.0), 4)]


def _bands(out: pd.DataFrame, own: pd.DataFrame) -> dict[str, list[float]]:
    """The band of each level; a chip without rows is never surer than one with them, hence the widest ends for D."""
    bands = {str(level): band(part) for level, part in own.groupby("level")}
    low, high = zip(band(out), *bands.values(), strict=True)
    return bands | {"D": [min(low), max(high)]}


def _covered(held: pd.DataFrame, key: str, bands: dict[tuple[str, Any], list[float]]) -> pd.DataFrame:
    """Whether each row lies in the band of its level that rows not held out with it set."""
    low, high = np.array([bands[pair] for pair in zip(held.level, held[key], strict=True)]).T
    residual = np.log(held.fraction / held.surrogate)
    return held.assign(covered=(residual >= low) & (residual <= high))


def _scores(held: pd.DataFrame, group: str) -> list[dict[str, Any]]:
    """Errors of each method and coverage, a row for each (group, source)."""
    return [
        {
            group: name, "source": source, "rows": len(part),
            **{
                f"mape {method}": round(float((part[method] / part.fraction - 1).abs().mean()), 3)
                for method in METHODS if method in part
            },
            "median measured / predicted": round(float((part.fraction / part.surrogate).median()), 3),
            "coverage": round(float(part.covered.mean()), 3),
        }
        for (name, source), part in held.groupby([group, "source"])
    ]  # fmt: skip


def _sha(frame: pd.DataFrame) -> str:
    """sha256 over the fitted table."""
    rows = pd.util.hash_pandas_object(frame[list(power_rows.COLUMNS)], index=False).to_numpy()
    return hashlib.sha256(rows.tobytes()).hexdigest()


def _printed(artefact: dict[str, Any]) -> str:
    tables = [f"{name}\n{pd.DataFrame(rows).to_string(index=False)}" for name, rows in artefact["scores"].items()]
    mean = pd.DataFrame(artefact["scores"]["die_left_out"]).filter(like="mape").mean().round(3).to_dict()
    facts = [f"{name}: {artefact[name]}" for name in ("law", "chips", "bands")]
    return "\n\n".join([*tables, f"mean over dies and sources, die left out: {mean}", *facts])


if __name__ == "__main__":
    main()
