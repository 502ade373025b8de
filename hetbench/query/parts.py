"""What an estimate is computed from: parts of a network's latency, as pieces that add up over the network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hetbench.predict import operators
from hetbench.predict.figures import Figures

__all__ = ["LEVELS", "Part", "Pieces", "covering_level"]

LEVELS = "BCD"
Pieces = Sequence[Figures] | NDArray[Any]
"""Of one call a sequence of floats; of many calls an array [pieces, calls]."""


class Part(NamedTuple):
    """What pieces are of: `whole` (a stack's surrogate), `sum` (eager launches) or `work` (flops and weight bytes)."""

    kind: str
    stack: str
    precision: str
    batch: int | None
    seq_len: int | None
    image_size: int | None = None
    dtype: str | None = None
    """Precision of the operators where rows in another, `precision`, speak for it."""


def covering_level(by_level: Sequence[Figures]) -> Any:
    """The level down to which operators take `COVERED` of the time, from ms at each of `LEVELS`.

    >>> covering_level((8.0, 1.5, 0.5)), covering_level((9.5, 0.0, 0.5))
    ('C', 'B')
    """
    if isinstance(by_level[0], float):
        wanted, covered = operators.COVERED * sum(by_level), 0.0
        for level, ms in zip(LEVELS, by_level, strict=True):
            covered += ms
            if covered >= wanted:
                return level
        return LEVELS[0]
    done = np.cumsum(np.stack(by_level), axis=0) >= operators.COVERED * np.sum(by_level, axis=0)
    return np.array(list(LEVELS))[done.argmax(axis=0)]
