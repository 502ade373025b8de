"""Intervals at another confidence, and the interval of a pass that is predicted as a sum over its operators.

A pass differs from the sum of its operators timed alone: cold caches, host delays, allocation. `sums.json` (made by
`python -m surrogates.whole.sums`) holds the quantiles of log(measured pass / predicted sum) on held-out dies.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np

from hetbench.catalog.chips import Chip
from hetbench.predict.figures import larger, smaller
from hetbench.predict.operators import OperatorSurrogate
from hetbench.predict.operators import load as shipped

__all__ = ["pass_factor", "pass_interval", "rescaled_bound", "whole_model_weight"]


def rescaled_bound(value: Any, bound: Any, known: float, wanted: float) -> Any:
    """A bound at confidence `wanted`, given that at `known`: its log distance scales with the normal quantile.

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
    """Lower and upper bound of a pass in ms, at `confidence`, for a predicted sum `value` over its operators.

    `lower` and `upper` bound the sum at the confidence of the surrogate; floats, or arrays [n]. The result is the wider
    of these and of the errors of predicted sums on held-out dies.

    >>> low, high = pass_interval(shipped(), 1.0, 0.99, 1.01, 0.9)
    >>> bool(low <= 0.99 and high > 1.5)
    True
    """
    low, high = (rescaled_bound(value, bound, surrogate.interval_level, confidence) for bound in (lower, upper))
    least, most = _ends(surrogate.folder, confidence)
    return smaller(low, value * least), larger(high, value * most)


def whole_model_weight(surrogate: OperatorSurrogate, networks: int) -> float:
    """Weight of the whole-model surrogate beside the operator sum of an eager pass, in the logarithm.

    `networks` is the number of networks measured on the die under the stack. Weights have the least error on held-out
    rows: `python -m surrogates.whole.sums`.

    >>> 0 <= whole_model_weight(shipped(), 0) <= whole_model_weight(shipped(), 1000) <= 1
    True
    """
    table = _table(surrogate.folder)["blend"]
    return float(next(weight for least, weight in table if networks >= least))


def pass_factor(surrogate: OperatorSurrogate, chip: Chip) -> float:
    """What an eager pass usually takes over the sum of its operators timed alone, by family and kind of chip.

    >>> from hetbench.catalog.chips import chip
    >>> 1 <= pass_factor(shipped(), chip("cuda")) < 2
    True
    """
    table: dict[str, float] = _table(surrogate.folder).get("factor", {})
    return table.get(f"{chip.family}/{chip.kind}", table.get("", 1.0))


@lru_cache(maxsize=4)
def _table(folder: Path) -> dict[str, Any]:
    """`sums.json` of a folder; a folder without it takes the packaged one."""
    path = folder / "sums.json"
    if not path.exists():
        path = shipped().folder / "sums.json"
    return dict(json.loads(path.read_text()))


@lru_cache(maxsize=64)
def _ends(folder: Path, confidence: float) -> tuple[float, float]:
    """Quantiles of measured pass / predicted sum."""
    table = _table(folder)["log_ratio"]  # quantiles at 0, 1/(n-1) ... 1
    tail = (1 - confidence) / 2
    low, high = np.exp(np.interp((tail, 1 - tail), np.linspace(0, 1, len(table)), table))
    return float(low), float(high)
