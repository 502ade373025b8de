"""What whole passes take over the sum of their operators: the interval of every answer that is such a sum.

    python -m surrogates.whole.sums --rows runs/models/rows.parquet

Sums the operators of every measured eager pass as a query would, and takes the ratio measured / sum. No pass teaches
the operator surrogates, so all of them are held out; dies count the same, and the table is that of one more die
(`surrogates.whole.bands`). Writes sums.json, with what the intervals hold on each die by the table of the others.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hetbench.artifacts import FORMATS
from hetbench.catalog.chips import chips
from hetbench.errors import command
from hetbench.graphs import networks
from hetbench.predict.operators import load
from hetbench.query.latency import PROTOCOL
from surrogates.splits import die
from surrogates.whole.bands import of_one_more, variance_among
from surrogates.whole.rows import add_rows, calls_of, read

FORMAT = FORMATS["sums.json"]
STACKS = ("eager", "eager-amp")
MOST = 150  # passes of one chip, stack and precision


@command("stopped")
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_rows(parser)
    parser.add_argument("--out", type=Path, default=Path("hetbench/catalog/surrogates"))
    options = parser.parse_args()
    frame = pd.concat([rows.frame for name, rows in read(options.rows, options.own).items() if name != "generation"])
    passes = summed(frame[frame["stack"].isin(STACKS)])
    held = coverage(passes)
    card = {
        "format": FORMAT, "made_by": "python -m surrogates.whole.sums", "operators": load().id,
        "rows": len(passes), "dies": held, "log_ratio": of_one_more(passes, "away", variance_among([passes], "away")),
    }  # fmt: skip
    (options.out / "sums.json").write_text(json.dumps(card, separators=(",", ":")))
    print(pd.DataFrame(held).to_string(index=False))
    print(pd.DataFrame(held)[["operators_inside", "inside"]].mean().round(1).to_string())


def summed(frame: pd.DataFrame) -> pd.DataFrame:
    """Passes with `surrogate`, the predicted sum in ms, its bounds `lower` and `upper`, and `away`, their die."""
    keys = ["chip", "stack", "precision"]
    some = frame.assign(away=die(frame)).groupby(keys).sample(frac=1, random_state=0).groupby(keys).head(MOST)
    sums = []
    for row in some.itertuples():
        parts = [
            (calls, load().predict_model(table, chips()[row.chip], protocol=PROTOCOL))
            for calls, table in calls_of(networks.load(row.graph), row)
        ]
        sums.append([sum(calls * getattr(part, name) for calls, part in parts) for name in ("value", "lower", "upper")])
    return some.assign(**dict(zip(("surrogate", "lower", "upper"), np.transpose(sums), strict=True)))


def coverage(passes: pd.DataFrame) -> list[dict[str, Any]]:
    """Of each die: its median measured / sum, and percent inside 90 % intervals, of operators alone and as answered."""
    found = []
    for name, part in passes.groupby("away"):
        others = passes[passes.away != name]
        low, high = np.exp(of_one_more(others, "away", variance_among([others], "away"), (0.05, 0.95)))
        lower, upper = np.minimum(part.lower, part.surrogate * low), np.maximum(part.upper, part.surrogate * high)
        found.append({
            "die": name, "n": len(part), "ratio": round(float((part.ms / part.surrogate).median()), 2),
            "operators_inside": round(100 * float(part.ms.between(part.lower, part.upper).mean()), 1),
            "inside": round(100 * float(part.ms.between(lower, upper).mean()), 1),
            "width": round(float((upper / lower).median()), 2),
        })  # fmt: skip
    return found


if __name__ == "__main__":
    main()
