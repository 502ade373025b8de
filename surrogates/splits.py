"""What is held out: shapes, chips with their near twins, families, and NeuSight's own protocol.

Shapes fall by a stable hash of (operator, dims), so that one shape never stands on both sides. Chips fall with
their die: H100, H200, H800 and H20 leave together.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from hetbench.chips import chips
from surrogates.corpus import shape_hash

TEST, TUNE = 0, 1
_FOLDS = 10


def shape_fold(frame: pd.DataFrame) -> np.ndarray:
    """Fold 0..9 of each row by its shape: 0 is the test fold, 1 tunes and weighs members, the others train."""
    return (shape_hash(frame) % _FOLDS).astype(np.int64)


def die(frame: pd.DataFrame) -> pd.Series:
    """The group of near twins a row's chip belongs to: the die of its architecture without packaging."""
    return frame.chip.map({name: chip.die for name, chip in chips().items()})
