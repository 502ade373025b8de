"""What each fit of the RGAT must not see: folds of dies, a family, operator types, or nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd

FOLDS = 6
FAMILIES = ("cuda", "rocm")  # those with several dies: the only die of a family is left out with its fold
UNSEEN_TYPES = ("LayerNorm", "Softmax", "GELU", "BMM")
FITS = (
    *(f"fold{index}" for index in range(FOLDS)), *(f"no-{name}" for name in FAMILIES), "no-types", "flat-types", "all",
)  # fmt: skip
"""`flat-types` is `no-types` without attention over the graph."""


def die_fold(frame: pd.DataFrame) -> np.ndarray:
    """Fold of each row by its die; the dies of a family are dealt round, so that neighbours fall apart."""
    fold: dict[str, int] = {}
    for _, part in frame.groupby("family"):
        fold |= {name: index % FOLDS for index, name in enumerate(sorted(part.die.unique()))}
    return frame.die.map(fold).to_numpy(np.int64)


def held_out(name: str, frame: pd.DataFrame) -> np.ndarray:
    """The rows that a fit must not see, bool [rows]."""
    if name.startswith("fold"):
        return die_fold(frame) == int(name.removeprefix("fold"))
    if name.endswith("-types"):
        return frame.op.isin(UNSEEN_TYPES).to_numpy()
    return (frame.family == name.removeprefix("no-")).to_numpy()
