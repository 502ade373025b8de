"""How far two sources differ that timed the same operator on the same chip: no surrogate can err less between them."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from surrogates.corpus import DIMS

_LEAST = 20  # operators that both of a pair timed


def pairs(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """By chip and pair of sources or versions: n operators timed by both, and their latency ratio.

    `difference` is the median |log ratio|, `ratio` the median latency of the second over the first; both protocols are
    named where they differ, since a ratio then holds the launch as well.
    """
    rows = frame.assign(
        key=pd.util.hash_pandas_object(frame[["op", "dtype", *DIMS]], index=False).to_numpy(),
        who=frame.source + np.where(frame.version == "", "", " · ") + frame.version,
    )
    table = []
    for chip, part in rows.groupby("chip", sort=True):
        timed = {who: own.groupby("key").latency_ms.median() for who, own in part.groupby("who", sort=True)}
        protocol = part.groupby("who").protocol.agg(lambda values: "/".join(sorted(set(values))))
        for one, other in combinations(timed, 2):
            both = timed[one].index.intersection(timed[other].index)
            if len(both) >= _LEAST:
                log_ratio = np.log(timed[other][both] / timed[one][both])
                table.append({
                    "chip": chip, "one": one, "other": other, "n": len(both),
                    "protocols": " and ".join(dict.fromkeys((protocol[one], protocol[other]))),
                    "difference": round(float(log_ratio.abs().median()), 3),
                    "ratio": round(float(np.exp(log_ratio.median())), 3),
                    "tenth": round(float(np.exp(np.quantile(log_ratio, 0.1))), 3),
                    "ninetieth": round(float(np.exp(np.quantile(log_ratio, 0.9))), 3),
                })  # fmt: skip
    return table
