"""Tensors of an ONNX graph, for the tracer: shape, strides, dtype and memory, and values where they are known.

They have the part of torch's interface that `hetbench.tracing` reads. Views share their storage, so that a
transposition costs nothing and a reshape copies exactly where torch would copy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from math import prod
from typing import Any

__all__ = ["DTYPES", "DType", "Storage", "Tensor", "axis_of", "broadcast", "contiguous", "viewed"]

_NEXT = count(1)


@dataclass(frozen=True, slots=True)
class DType:
    """A type of elements, under torch's name for it."""

    name: str
    itemsize: int
    is_floating_point: bool = False
    is_complex: bool = False

    def __str__(self) -> str:
        return self.name


_FLOATS = {1: ("float32", 4), 10: ("float16", 2), 11: ("float64", 8), 16: ("bfloat16", 2)}
_WHOLE = {2: ("uint8", 1), 3: ("int8", 1), 4: ("uint16", 2), 5: ("int16", 2), 6: ("int32", 4), 7: ("int64", 8),
          9: ("bool", 1), 12: ("uint32", 4), 13: ("uint64", 8), 21: ("uint4", 1), 22: ("int4", 1), 23: ("float4", 1),
          24: ("uint8", 1), 25: ("uint2", 1), 26: ("int2", 1)}  # fmt: skip
DTYPES: dict[int, DType] = {
    **{code: DType(name, size, True) for code, (name, size) in _FLOATS.items()},
    **{code: DType(name, size) for code, (name, size) in _WHOLE.items()},
    **{code: DType("float8", 1, True) for code in (17, 18, 19, 20)},
    14: DType("complex64", 8, False, True), 15: DType("complex128", 16, False, True),
}  # fmt: skip
"""Number of a type in `TensorProto.DataType` -> the type; text has none."""


class Storage:
    """Memory that one or more tensors look into."""

    __slots__ = ("_bytes", "_cdata")

    def __init__(self, size: int) -> None:
        self._cdata, self._bytes = next(_NEXT), size

    def nbytes(self) -> int:
        """Its size."""
        return self._bytes


@dataclass(eq=False, slots=True)
class Tensor:
    """One value of the graph."""

    shape: tuple[int, ...]
    dtype: DType
    storage: Storage
    strides: tuple[int, ...]
    load: Callable[[], Any] | None = None
    """Reads its values, as an array; None where they are not known."""
    quantised: str = ""
    """int8, fp8 or int4 where it stands for elements that are stored so."""
    _value: Any = field(default=None, repr=False)

    @property
    def value(self) -> Any:
        """Its values as an array, or None."""
        if self._value is None and self.load is not None:
            self._value = self.load()
        return self._value

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def dim(self) -> int:
        """Number of axes, as torch says it."""
        return len(self.shape)

    def numel(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    def stride(self) -> tuple[int, ...]:
        """Elements between neighbours along each axis."""
        return self.strides

    def is_floating_point(self) -> bool:
        """Whether its elements are real numbers."""
        return self.dtype.is_floating_point

    def is_complex(self) -> bool:
        """Whether its elements are complex numbers."""
        return self.dtype.is_complex

    def untyped_storage(self) -> Storage:
        """The memory that it looks into."""
        return self.storage


def contiguous(shape: Sequence[int]) -> tuple[int, ...]:
    """Strides of a tensor without gaps, last axis fastest.

    >>> contiguous((2, 3, 4))
    (12, 4, 1)
    """
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= max(size, 1)
    return tuple(reversed(strides))


def viewed(shape: Sequence[int], strides: Sequence[int], wanted: Sequence[int]) -> tuple[int, ...] | None:
    """Strides of the same memory seen as the shape `wanted`; None where that takes a copy.

    >>> viewed((2, 3, 4), (12, 4, 1), (6, 4)), viewed((3, 2), (1, 3), (6,))
    ((4, 1), None)
    """
    if not prod(wanted):
        return contiguous(wanted)
    found: list[int] = []
    place = len(wanted) - 1
    chunk, held = strides[-1] if strides else 1, 1
    for axis in range(len(shape) - 1, -1, -1):
        held *= shape[axis]
        ends = axis == 0 or (shape[axis - 1] != 1 and strides[axis - 1] != held * chunk)
        if not ends:
            continue
        seen = 1
        while place >= 0 and (seen < held or wanted[place] == 1):
            found.append(seen * chunk)
            seen *= wanted[place]
            place -= 1
        if seen != held:
            return None
        if axis:
            chunk, held = strides[axis - 1], 1
    found += [1] * (place + 1)
    return tuple(reversed(found)) if place < 0 or all(size == 1 for size in wanted[: place + 1]) else None


def axis_of(axis: int, rank: int) -> int:
    """An axis counted from the front; `ValueError` where a tensor of so many axes has none such.

    >>> axis_of(-1, 4)
    3
    """
    if not -rank <= axis < rank:
        raise ValueError(f"a tensor of {rank} axes has no axis {axis}")
    return axis % rank


def broadcast(*shapes: Sequence[int]) -> tuple[int, ...]:
    """The shape that all shapes take together; `ValueError` where they do not agree.

    >>> broadcast((2, 1, 4), (3, 1))
    (2, 3, 4)
    """
    made: list[int] = []
    for axis in range(1, max(map(len, shapes), default=0) + 1):
        sizes = {shape[-axis] for shape in shapes if len(shape) >= axis} - {1}
        if len(sizes) > 1:
            raise ValueError(f"shapes {', '.join(str(tuple(shape)) for shape in shapes)} do not agree")
        made.append(sizes.pop() if sizes else 1)
    return tuple(reversed(made))
