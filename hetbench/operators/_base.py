"""The record of an operator type: names of its dims, formulas of its cost, and how to build one for timing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

from hetbench.errors import InvalidInputError, nearest, shown

__all__ = ["Dims", "OperatorType", "Size"]

Size = Any
"""An `int`, an int64 array [rows], or anything that numpy's functions take in place of one; formulas work on all."""
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

        A dim that is None is not given.

        >>> from hetbench.operators import operator_type
        >>> operator_type("Linear").check({"m": 1, "n": 2.0, "k": 3})
        {'m': 1, 'n': 2, 'k': 3}
        """
        if not isinstance(dims, Mapping):
            raise InvalidInputError(f"dims are a mapping such as {{{self.dims[0]!r}: 128}}; given: {shown(dims)}.")
        dims = {name: value for name, value in dims.items() if value is not None}
        known = (*self.dims, *self.optional)
        for name in dims:
            if name not in known:
                near = nearest(name if isinstance(name, str) else shown(name), known)
                hint = f" Did you mean {near[0]!r}?" if near else ""
                raise InvalidInputError(f"{self.name} has no dim {shown(name)}.{hint} Its dims: {', '.join(known)}.")
        missing = [name for name in self.dims if name not in dims]
        if missing:
            raise InvalidInputError(f"{self.name} needs {', '.join(missing)}; given: {', '.join(dims) or 'nothing'}.")
        return {name: self._whole(name, dims[name]) for name in known if name in dims}

    def _whole(self, name: str, value: object) -> int:
        least, most = 0 if name in ZERO_ALLOWED else 1, 1 if name in FLAGS else MAX_DIM
        truth = type(value).__name__ in ("bool", "bool_")  # Python's and numpy's, old and new
        if name in FLAGS if truth else isinstance(value, Real):
            with suppress(OverflowError, ValueError):  # infinity, NaN
                if least <= value <= most and int(value) == value:  # type: ignore[operator, call-overload]
                    return int(value)  # type: ignore[call-overload, no-any-return]
        allowed = f"a whole number from {least} to {most:.0e}" if most > 1 else "0 or 1"
        raise InvalidInputError(f"{self.name}: dim {name}={shown(value)} must be {allowed}.")


ZERO_ALLOWED = frozenset({"pad", "causal", "window", "bias", "v_dim", "area", "indices", "real", "extra"})
FLAGS = frozenset({"causal", "bias"})
"""Dims that say yes or no: 0, 1, False or True."""
MAX_DIM = 2**40
