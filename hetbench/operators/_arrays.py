"""Values as numpy arrays in the formulas of operators; apart from `_base`, so that a list of types needs no numpy."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["as_array"]


def as_array(value: Any, dtype: Any = None) -> Any:
    """The value as an array; what only behaves as one, such as a column of a recorded formula, stays as it is."""
    if hasattr(value, "__array_ufunc__") and not isinstance(value, np.ndarray | np.generic):
        return value
    return np.asarray(value, dtype=dtype)
