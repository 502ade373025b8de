"""Products whose weights are stored in a narrower format than they are computed in.

No kernel of such a format was measured on enough chips to learn from. The surrogate of the precision that the
products are computed in says how far a product of this shape is from its roofline; the roofline itself is that of the
bytes the format moves and, where the chip has units for the format, of their peak. Weights that must be widened before
they are multiplied gain less than they spare bytes: `REALISED` of it on a log scale. Evidence is of level C at best.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetbench.catalog.chips import Chip
from hetbench.errors import RefusedError
from hetbench.formats import STORED
from hetbench.graphs.operator_table import stored_elements
from hetbench.operators import operator_type
from hetbench.predict.canonical import canonical_dims
from hetbench.predict.cells import Choice
from hetbench.predict.features import Facts, Features, features
from hetbench.schema import itemsize, weight_bytes

__all__ = ["REALISED", "SIZES", "as_stored", "base_of", "computed_as", "dims_of", "dims_of_all", "features_of",
           "widened"]

Array = NDArray[Any]
REALISED = 0.70
"""Share of the gain, on a log scale, that kernels which widen weights reach: 8-bit weights on an A100, products of few
rows with at least 32 million weights (`python -m tests.benchmarks.stored_formats`)."""
SIZES = (8_000_000, 32_000_000)
"""Numbers of weights of a product that divide the bands below."""
_RESIDUALS = np.array([(0.08, 1.26), (0.03, 0.78), (-0.12, 0.61)])
"""Quantiles 0.05 and 0.95 of log(measured / predicted) of the same rows, by size."""


def computed_as(dtype: str, chip: Chip) -> str:
    """The precision whose surrogate answers for a dtype; that of fp4 units is fp8, else bf16.

    >>> from hetbench.catalog.chips import chip
    >>> computed_as("w4a16", chip("nvidia-l40s")), computed_as("nvfp4", chip("nvidia-b200-sxm-180gb"))
    ('bf16', 'fp8')
    """
    units = chip.computed_in(dtype)
    return units if units != "fp4" else "fp8" if chip.peak_flops("fp8") else "bf16"


def dims_of(op: str, dims: Mapping[str, Any], dtype: str, chip: Chip, beside: bool = False) -> dict[str, Array]:
    """Canonical dims; of stored weights, and of any dtype `beside` such ones, with `saved` and `faster` [rows]: bytes
    that the format spares, and how much higher the peak of its units is than that of the surrogate's precision."""
    known = computed_as(dtype, chip)
    shared = canonical_dims(op, dims, itemsize(known))
    rows = len(shared["flops"])
    if dtype not in STORED:
        return {**shared, "saved": np.zeros(rows), "faster": np.ones(rows)} if beside else shared
    if operator_type(op).cost_class != "gemm":
        raise RefusedError(
            f"{op} has no weights in {dtype}, which is a format of the weights of matrix products: name the precision "
            f"that it computes in, such as {known}."
        )
    less = max(itemsize(known) - weight_bytes(dtype), 0.0)
    peaks = chip.peak_flops(dtype), chip.peak_flops(known)
    faster = peaks[0] / peaks[1] if peaks[0] and peaks[1] else 1.0
    saved = np.broadcast_to(stored_elements(op, dims) * less, rows)
    return {**shared, "saved": saved, "faster": np.full(rows, max(faster, 1.0))}


def dims_of_all(operators: Sequence[tuple[str, Mapping[str, Any], str]], chip: Chip) -> dict[str, Array]:
    """The dims that all operators of a class, each (op, dims [rows], dtype), have; one after another."""
    beside = any(dtype in STORED for *_, dtype in operators)
    blocks = [dims_of(op, dims, dtype, chip, beside) for op, dims, dtype in operators]
    names = [name for name in blocks[0] if all(name in block for block in blocks)]
    return {name: np.concatenate([block[name] for block in blocks]) for name in names}


def features_of(cls: str, shared: Mapping[str, Array], facts: Facts) -> tuple[Features, Features]:
    """Features that the surrogate knows, and those of what is really moved and computed; one and the same where
    nothing is stored otherwise."""
    plain = features(cls, shared, facts)
    if "saved" not in shared or not (shared["saved"].any() or (shared["faster"] != 1).any()):
        return plain, plain
    moved, flops = shared["bytes"] - shared["saved"], shared["flops"] / shared["faster"]
    return plain, features(cls, {**shared, "bytes": moved, "flops": flops}, facts)


def base_of(plain: Features, real: Features, shared: Mapping[str, Array]) -> Array:
    """ms that the surrogate's ratio multiplies, [rows]: roofline and launch floor of what is stored.

    Products on units of the format reach all that the format gains, others `REALISED` of it.
    """
    share = np.where(shared["faster"] > 1, 1.0, REALISED)
    return np.asarray(plain.base_ms ** (1 - share) * real.base_ms**share)


def widened(bounds: Array, shared: Mapping[str, Array]) -> Array:
    """Value, lower and upper [3, rows], as wide as the residuals of weights that are widened require."""
    weights = shared["n"] * shared["k"]
    low, high = _RESIDUALS[np.searchsorted(SIZES, weights, side="right")].T
    own = (shared["saved"] > 0) & (shared["faster"] <= 1)
    value, lower, upper = bounds
    return np.stack((
        value, np.where(own, np.minimum(lower, value * np.exp(low)), lower),
        np.where(own, np.maximum(upper, value * np.exp(high)), upper),
    ))  # fmt: skip


def as_stored(choice: Choice, dtype: str) -> Choice:
    """The choice as evidence for a dtype: of another format, whose kernels were not measured."""
    if dtype not in STORED:
        return choice
    level = max(choice.level, "C")
    return replace(choice, level=level, source=f"{choice.source}; weights in {dtype} by the bytes they take")
