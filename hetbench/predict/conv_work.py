"""Work of convolutions beyond the formula: Winograd needs fewer products, cube units compute whole blocks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["block_padding", "uses_winograd", "winograd_savings"]

Dims = Mapping[str, NDArray[Any]]
_SAVINGS = 2.25
"""Products of a direct 3 x 3 convolution over those of Winograd's F(2 x 2, 3 x 3): 36 / 16 (Lavin and Gray, 2015)."""


def uses_winograd(dims: Dims) -> Any:
    """Whether Winograd's algorithm applies: 3 x 3 kernels, stride 1, one group, [rows]."""
    return (dims["kh"] == 3) & (dims["kw"] == 3) & (dims["stride"] == 1) & (dims["groups"] == 1)


def winograd_savings(dims: Dims) -> Any:
    """How many times fewer products Winograd needs, 1 where it does not apply, [rows]."""
    return np.where(uses_winograd(dims), _SAVINGS, 1.0)


def block_padding(dims: Dims, side: Any) -> Any:
    """Computed over useful work of a unit that multiplies blocks of `side` in n and k of the matrix product, [rows].

    A depthwise convolution has one output column a group, so a cube of side 16 does 16 times its work in n alone.

    >>> depthwise = {"oc": 64, "c": 64, "groups": 64, "kh": 3, "kw": 3}
    >>> depthwise = {name: np.array([size]) for name, size in depthwise.items()}
    >>> float(block_padding(depthwise, 16)[0]) == 16 * 16 / 9
    True
    """
    n, k = dims["oc"] // dims["groups"], dims["c"] // dims["groups"] * dims["kh"] * dims["kw"]
    return -(-n // side) * side / n * (-(-k // side) * side / k)
