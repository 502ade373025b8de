"""What an operator type is: names of its dims, its exact cost, and how to build one for timing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hetbench.errors import InvalidInputError, nearest

__all__ = ["Dims", "OperatorType", "Size"]

Size = Any
"""An `int` or an int64 array of shape [rows]; formulas are written once for both."""
Dims = Mapping[str, Size]
Build = Callable[[Dims, Any, Any, str], Callable[[], Any]]


@dataclass(frozen=True, slots=True)
class OperatorType:
    """One type of operator.

    `cost_class` groups types that one surrogate serves: gemm, conv, attention, vector, or free (costs nothing
    at inference).
    """

    name: str
    cost_class: str
    dims: tuple[str, ...]
    """Required dims, integers of at least 1 (those of `ZERO_ALLOWED` may be 0)."""
    count_flops: Callable[[Dims], Size]
    count_elements: Callable[[Dims], Size]
    """Elements read plus elements written, each tensor once."""
    make: Build
    """(dims, torch, dtype, device) -> a callable without arguments that runs the operator once."""
    optional: Mapping[str, int] = field(default_factory=dict)
    """Dims that may be left out, with their defaults."""
    index_bytes: Callable[[Dims], Size] | None = None
    """Extra bytes whose width does not follow the dtype, such as int64 indices."""
    class_dims: Callable[[Dims], Dims] | None = None
    """The dims in the terms that its cost class uses for features (gemm: b, m, n, k; conv: as Conv2d with out_h and
    out_w; vector: rows, cols); None where `dims` are those already."""

    def flops(self, dims: Dims) -> Size:
        """Floating-point operations of one call; a multiply-add is two."""
        return self.count_flops({**self.optional, **dims})

    def bytes_moved(self, dims: Dims, itemsize: int) -> Size:
        """Bytes that must move between memory and chip when every tensor is touched once."""
        full = {**self.optional, **dims}
        moved = self.count_elements(full) * itemsize
        return moved if self.index_bytes is None else moved + self.index_bytes(full)

    def build(self, dims: Dims, dtype: Any, device: str = "cpu") -> Callable[[], Any]:
        """A callable without arguments that runs the operator once on `device`; needs torch."""
        import torch

        return self.make({**self.optional, **self.check(dims)}, torch, dtype, device)

    def check(self, dims: Mapping[str, object]) -> dict[str, int]:
        """`dims` as plain integers, or `InvalidInputError` that says which dim is wrong.

        >>> from hetbench.operators import operator_type
        >>> operator_type("Linear").check({"m": 1, "n": 2.0, "k": 3})
        {'m': 1, 'n': 2, 'k': 3}
        """
        known = (*self.dims, *self.optional)
        for name in dims:
            if name not in known:
                near = nearest(str(name), known)
                hint = f" Did you mean {near[0]!r}?" if near else ""
                raise InvalidInputError(f"{self.name} has no dim {name!r}.{hint} Its dims: {', '.join(known)}.")
        missing = [name for name in self.dims if name not in dims]
        if missing:
            raise InvalidInputError(f"{self.name} needs {', '.join(missing)}; given: {', '.join(dims) or 'nothing'}.")
        return {name: self._whole(name, dims[name]) for name in known if name in dims}

    def _whole(self, name: str, value: object) -> int:
        least = 0 if name in ZERO_ALLOWED else 1
        if isinstance(value, int | float) or hasattr(value, "__index__"):
            number = float(value)
            if number.is_integer() and least <= number <= MAX_DIM:
                return int(number)
        raise InvalidInputError(
            f"{self.name}: dim {name}={value!r} must be a whole number from {least} to {MAX_DIM:.0e}."
        )


ZERO_ALLOWED = frozenset({"pad", "causal", "window", "bias", "v_dim", "area", "indices", "real", "extra"})
MAX_DIM = 2**40
