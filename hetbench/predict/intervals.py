"""Intervals at another confidence, and that of a sum over operators taken for a whole pass.

A pass is not its operators timed alone: caches are cold, the host lags, the allocator works. What whole passes took
over the sums predicted for them, on dies never seen, is a table of sums.json (`python -m surrogates.whole.sums`).
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np

from hetbench.predict.operators import OperatorSurrogate
from hetbench.predict.operators import load as shipped

__all__ = ["pass_interval", "rescaled_bound"]


def rescaled_bound(value: Any, bound: Any, known: float, wanted: float) -> Any:
    """A bound at another confidence: its log distance grows as that of a normal law would.

    >>> rescaled_bound(2.0, 4.0, 0.9, 0.9), round(rescaled_bound(2.0, 4.0, 0.9, 0.5), 2)
    (4.0, 2.66)
    """
    if wanted == known:
        return bound
    scale = NormalDist().inv_cdf((1 + wanted) / 2) / NormalDist().inv_cdf((1 + known) / 2)
    return value * (bound / value) ** scale


def pass_interval(
    surrogate: OperatorSurrogate, value: Any, lower: Any, upper: Any, confidence: float
) -> tuple[Any, Any]:
    """Bounds of a pass, ms: those of its operators' sum, or where wider what passes took over sums elsewhere.

    `lower` and `upper` bound the sum at the surrogate's own confidence; floats, or arrays [n].

    >>> low, high = pass_interval(shipped(), 1.0, 0.99, 1.01, 0.9)
    >>> bool(low < 0.8 and high > 1.5)
    True
    """
    low, high = (rescaled_bound(value, bound, surrogate.interval_level, confidence) for bound in (lower, upper))
    least, most = _ends(surrogate.folder, confidence)
    return np.minimum(low, value * least), np.maximum(high, value * most)


@lru_cache(maxsize=64)
def _ends(folder: Path, confidence: float) -> tuple[float, float]:
    """Measured pass over predicted sum, at both ends; a folder of operator surrogates alone takes the shipped table."""
    path = folder / "sums.json"
    if not path.exists():
        path = shipped().folder / "sums.json"
    table = json.loads(path.read_text())["log_ratio"]  # quantiles at 0, 1/(n-1) ... 1
    tail = (1 - confidence) / 2
    low, high = np.exp(np.interp((tail, 1 - tail), np.linspace(0, 1, len(table)), table))
    return float(low), float(high)
