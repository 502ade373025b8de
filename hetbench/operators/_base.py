"""The record of an operator type: names of its dims, formulas of its cost, and how to build one for timing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hetbench.errors import InvalidInputError, nearest

__all__ = ["Dims", "OperatorType", "Size"]

Size = Any
"""An `int` or an int64 array [rows]; formulas work on both."""
Dims = Mapping[str, Size]
Build = Callable[[Dims, Any, Any, str], Callable[[], Any]]


@dataclass(frozen=True, slots=True)
class OperatorType:
    """One type of operator.

    `cost_class` is the class of its surrogate: gemm, conv, attention, vector, or free (no cost at inference).
    """

    name: str
    cost_class: str
    dims: tuple[str, ...]
    """Required dims, integers of at least 1 (those of `ZERO_ALLOWED` may be 0)."""
    count_flops: Callable[[Dims], Size]
    count_elements: Callable[[Dims], Size]
    """Elements read plus elements written, counting each tensor once."""
    make: Build
    """(dims, torch, dtype, device) -> function without arguments that runs the operator once."""
    optional: Mapping[str, int] = field(default_factory=dict)
    """Optional dims with their defaults."""
    index_bytes: Callable[[Dims], Size] | None = None
    """Bytes of tensors whose width is independent of the dtype, such as int64 indices."""
    class_dims: Callable[[Dims], Dims] | None = None
    """The dims in the terms that its cost class uses for features (gemm: b, m, n, k; conv: as Conv2d with out_h and
    out_w; vector: rows, cols); None where `dims` are those already."""

    def flops(self, dims: Dims) -> Size:
        """Floating-point operations of one call; a multiply-add is two."""
        return self.count_flops({**self.optional, **dims})

    def bytes_moved(self, dims: Dims, itemsize: int) -> Size:
        """Bytes moved between memory and chip when every tensor is read or written once."""
        full = {**self.optional, **dims}
        moved = self.count_elements(full) * itemsize
        return moved if self.index_bytes is None else moved + self.index_bytes(full)

    def build(self, dims: Dims, dtype: Any, device: str = "cpu") -> Callable[[], Any]:
        """A function without arguments that runs the operator once on `device`; needs torch."""
        import torch

        return self.make({**self.optional, **self.check(dims)}, torch, dtype, device)

    def check(self, dims: Mapping[str, object]) -> dict[str, int]:
        """Check `dims` and return them as integers; raises `InvalidInputError` for an unknown, missing or invalid dim.

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
