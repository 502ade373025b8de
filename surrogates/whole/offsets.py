"""How much of a prediction's error other predictions on the same chip share: what one observed row says of the others.

    python -m surrogates.whole.offsets --work runs/models --serving runs/serving/held.parquet

Reads the hold-outs of `surrogates.whole` (chips and models never seen) and of `surrogates.serving --held`. Over pairs
of rows of one chip the mean product of their log residuals is the variance of all parts that the pair shares: those of
the chip where the stacks differ, and so on to rows of one model. Differences of these means over the mean square are
the shares; every chip weighs alike, and on it every model. Writes `hetbench/catalog/surrogates/offsets.json`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hetbench.errors import command
from hetbench.predict.offsets import FORMAT, PARTS

OUT = Path(__file__).resolve().parents[2] / "hetbench" / "catalog" / "surrogates" / "offsets.json"
CLIP = 1.5  # log residuals beyond are outliers, and would decide the products alone
_LEAST_PAIRS = 2
_SHRINK = 2.0
_MOST = 0.95  # of the variance that all parts together may have: a row always has some of its own


def labelled(frame: pd.DataFrame, level: str, group: str) -> pd.DataFrame:
    """Rows of whole passes with chip, residual, level, group, and the label of each part."""
    setting = frame["stack"] + " " + frame.precision + " " + frame.phase
    middle = np.sqrt(frame.network * frame.trees)
    return pd.DataFrame({
        "where": frame.chip, "level": level, "group": group, "residual": np.log(frame.ms / middle), "chip": "",
        "stack": frame["stack"], "setting": setting, "model": setting + " " + frame.graph,
    })  # fmt: skip


def passes(work: Path, kind: str, level: str) -> dict[str, pd.DataFrame]:
    """Hold-outs of `surrogates.whole` of a kind, chips or models, by group; no chip of some groups can be left out."""
    held = {path.name.split(".")[0]: pd.read_parquet(path) for path in sorted(work.glob(f"*.{kind}.parquet"))}
    return {name: labelled(frame, level, name) for name, frame in held.items() if len(frame)}


def labelled_serving(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows of deployments in the same columns; times of steps (TPOT, rates) and of prompts (TTFT) are settings."""
    part = np.where(frame.metric == "ttft", " prompt", " step")
    setting = frame.engine + part
    return pd.DataFrame({
        "where": frame.chip, "level": "serving " + frame.evidence, "group": "", "residual": -np.log(frame.ratio)
        * np.where(frame.metric == "throughput", -1, 1), "chip": "", "stack": frame.engine, "setting": setting,
        "model": setting + " " + frame.model + " " + frame.weights,
    })  # fmt: skip


def moments(rows: pd.DataFrame) -> tuple[dict[str, tuple[float, float]], float]:
    """Of one chip: by part the sum of products over pairs that share it and nothing finer, and their number; and the
    mean square. Every model under a setting counts once, whatever its rows."""
    value = rows.residual.clip(-CLIP, CLIP)
    by, square = value.groupby(rows.model), value**2
    total, n = by.sum(), by.size()
    pairs = ((total**2 - square.groupby(rows.model).sum()) / (n**2 - n))[n > 1]
    sums = {"model": (float(pairs.sum()), float(len(pairs)))}
    each = rows.drop_duplicates("model").set_index("model").assign(mean=total / n)
    finer = float((each["mean"] ** 2).sum()), float(len(each))
    for part in ("setting", "stack", "chip"):
        grouped = each["mean"].groupby(each[part])
        both = float((grouped.sum() ** 2).sum()), float((grouped.size() ** 2).sum())
        sums[part] = both[0] - finer[0], both[1] - finer[1]
        finer = both
    return sums, float(square.groupby(rows.model).mean().mean())


def shares(rows: pd.DataFrame) -> dict[str, Any]:
    """The share of each part in the variance, and how many chips and pairs told it."""
    found = [moments(part) for _, part in rows.groupby("where")]
    out, before, pairs = [], 0.0, []
    for part in PARTS:
        known = [(sums[part], square) for sums, square in found if sums[part][1] >= _LEAST_PAIRS]
        pairs.append(round(sum(n for (_, n), _ in known)))
        mean = sum(total / n for (total, n), _ in known) / sum(square for _, square in known) if known else before
        reached = min(max(mean, before), _MOST)
        out.append(round(reached - before, 3))
        before = reached
    return {"shares": out, "chips": len(found), "pairs": pairs}


def shares_of(rows: pd.DataFrame, group: str) -> list[float]:
    """The shares in a group of one level, shrunk to those of all its groups: `_SHRINK` chips count half."""
    own, every = rows[rows.group == group].reset_index(drop=True), shares(rows.reset_index(drop=True))["shares"]
    if own.empty:
        return list(every)
    known = shares(own)
    weight = known["chips"] / (known["chips"] + _SHRINK)
    return [round(weight * a + (1 - weight) * b, 3) for a, b in zip(known["shares"], every, strict=True)]


def fitted(frames: Iterable[pd.DataFrame]) -> dict[str, dict[str, Any]]:
    """Shares by level, and by level and group."""
    every, found = pd.concat(frames, ignore_index=True), {}
    for level, rows in every.groupby("level"):
        found[str(level)] = shares(rows.reset_index(drop=True))
        for group in sorted(set(rows.group) - {""}):
            own = shares(rows[rows.group == group].reset_index(drop=True))
            found[f"{level} {group}"] = own | {"shares": shares_of(rows, group)}
    return found


@command("stopped")
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("runs/models"))
    parser.add_argument("--serving", type=Path, default=Path("runs/serving/held.parquet"))
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    frames = [*passes(options.work, "chips", "D").values(), *passes(options.work, "models", "C").values()]
    found = fitted([*frames, labelled_serving(pd.read_parquet(options.serving))])
    found.setdefault("C", found["D"])
    found["B"] = found["C"]  # of operator sums no whole passes are held out: the shares of other models on known chips
    table = {"format": FORMAT, "made_by": "python -m surrogates.whole.offsets", "parts": list(PARTS),
             "shares": {kind: made["shares"] for kind, made in sorted(found.items())}, "evidence": found}  # fmt: skip
    options.out.write_text(json.dumps(table, indent=1) + "\n")
    print(pd.DataFrame(found).T.to_string())


if __name__ == "__main__":
    main()
