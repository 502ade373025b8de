"""What observing a few whole passes or deployments of a chip gives for its others: error and coverage on held-out rows.

    python -m tests.benchmarks.observing --work runs/models --serving runs/serving/held.parquet

Every row is of a chip that the surrogates of its prediction never saw (hold-outs of `surrogates.whole` and
`surrogates.serving`). Of each stack on each such chip n rows are drawn and observed, the other rows are asked; other
models and other settings of the observed models are scored apart. Shares of variance and interval are those that the
other chips tell.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from hetbench.predict.offsets import PARTS, OffsetRows, Offsets
from surrogates.whole.offsets import CLIP, labelled_serving, passes, shares_of

OBSERVED = (0, 1, 2, 5)
DRAWS = 8
_LEAST = 8  # rows of a stack on a chip


def rows_of(frame: pd.DataFrame, told: list[float], sd: float) -> OffsetRows:
    """Rows of the covariance: every prediction with the same deviation."""
    variance = np.tile(np.array(told) * sd**2, (len(frame), 1))
    return OffsetRows(
        frame[list(PARTS)].to_numpy(object), np.ones_like(variance), variance,
        np.full(len(frame), (1 - sum(told)) * sd**2),
    )  # fmt: skip


def score(rows: pd.DataFrame, pool: pd.DataFrame) -> pd.DataFrame:
    """One line per asked row and number of observed rows: residual left, and whether the 90 % interval holds it.

    `pool` are the rows whose other chips tell the shares and the interval.
    """
    random, lines = np.random.default_rng(0), []
    for chip in rows["where"].unique():
        others = pool[pool["where"] != chip]
        told = shares_of(others, rows.group.iloc[0])
        low, high = np.quantile(others.residual.clip(-CLIP, CLIP), (0.05, 0.95))
        middle, sd = (low + high) / 2, (high - low) / 3.29
        for stack, part in rows[rows["where"] == chip].groupby("stack"):
            if len(part) < _LEAST:
                continue
            for n in OBSERVED:
                for _ in range(DRAWS if n else 1):
                    seen = part.iloc[random.choice(len(part), n, replace=False)]
                    same = part.model.isin(seen.model) & ~part.index.isin(seen.index)
                    for whose, asked in (("other models", part[~part.model.isin(seen.model)]), ("same", part[same])):
                        found = _asked(seen, asked, told, middle, sd)
                        lines.append(found.assign(n=n, chip=chip, stack=stack, whose=whose))
    return pd.concat(lines, ignore_index=True)


def _asked(seen: pd.DataFrame, asked: pd.DataFrame, told: list[float], middle: float, sd: float) -> pd.DataFrame:
    mean, centre, width = 0.0, 0.0, 1.0
    if len(seen) and len(asked):
        known = Offsets(rows_of(seen, told, sd), seen.residual.to_numpy(), np.full(len(seen), middle))
        shift = known.shift(rows_of(asked, told, sd))
        mean, centre, width = shift.mean, shift.centre, shift.width
    half = 1.645 * sd * width
    left = asked.residual - mean
    inside = (asked.residual - middle - centre).abs() <= half
    return pd.DataFrame({"left": left, "inside": inside, "wide": np.exp(2 * half) * np.ones(len(asked))})


def table(found: pd.DataFrame) -> pd.DataFrame:
    """Median error in %, share inside in %, and upper over lower, by number of observed rows; stacks weigh alike."""
    each = found.assign(ape=100 * np.abs(np.expm1(-found.left))).groupby(["whose", "n", "chip", "stack"]).agg(
        ape=("ape", "median"), inside=("inside", "mean"), wide=("wide", "median")
    )  # fmt: skip
    return each.groupby(["whose", "n"]).agg(
        stacks=("ape", "size"), median_ape=("ape", "mean"), inside=("inside", "mean"), width=("wide", "median")
    ).assign(inside=lambda made: 100 * made.inside).round(1)  # fmt: skip


def main() -> None:
    """Print a table for each group of predictions."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("runs/models"))
    parser.add_argument("--serving", type=Path, default=Path("runs/serving/held.parquet"))
    options = parser.parse_args()
    left_out = passes(options.work, "chips", "D")
    pool = pd.concat(left_out.values(), ignore_index=True) if left_out else pd.DataFrame()
    groups = {name: (rows, pool) for name, rows in left_out.items()}
    if options.serving.is_file():
        held = pd.read_parquet(options.serving)
        held = labelled_serving(held[held.split == "chip"])
        groups |= {f"serving, {name}s": (part, part) for name, part in held.groupby(held.setting.str.split().str[-1])}
    for name, (rows, others) in groups.items():
        found = score(rows.reset_index(drop=True), others)
        print(f"{name}\n{table(found).to_string()}\n", flush=True)


if __name__ == "__main__":
    main()
