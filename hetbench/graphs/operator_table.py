"""The operators of one pass: single instances, and tables by type and dtype with a count for each distinct shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hetbench.operators import operator_type
from hetbench.schema import itemsize

__all__ = ["TRACED_AS", "GraphNode", "OperatorGroup", "OperatorTable", "SizedTable", "resolve_dtype"]

Ints = NDArray[np.int64]
TRACED_AS = {
    "fp32": "fp32", "fp64": "fp32", "tf32": "fp32", "fp16": "fp16", "int8": "fp16", "bf16": "bf16", "fp8": "bf16",
}  # fmt: skip
"""Precision -> precision whose traced structure is used; structures differ in their casts."""


def resolve_dtype(op: str, dtype: str, precision: str) -> str:
    """Precision in which an operator runs when the model runs in `precision`.

    `dtype` is that of the operator in the traced graph: `data` follows the model, any other is fixed (an intended
    upcast, integer indices). tf32, fp8 and int8 apply to matrix products and convolutions only; other operators run in
    the full or half precision of the trace.

    >>> resolve_dtype("Linear", "data", "int8"), resolve_dtype("LayerNorm", "data", "int8")
    ('int8', 'fp16')
    >>> resolve_dtype("Cos", "fp32", "fp16")
    'fp32'
    """
    if dtype != "data":
        return dtype
    if precision in ("tf32", "fp8", "int8") and operator_type(op).cost_class not in ("gemm", "conv"):
        return TRACED_AS[precision]
    return precision


class Structure(Protocol):
    """One structure of a network, at any sizes."""

    kept: dict[Any, Any]
    """What callers derive from the structure alone, by keys of their own."""

    @property
    def fixed(self) -> NDArray[np.bool_]:
        """Sizes that are the same at every setting, [sizes]."""

    def groups(self, precision: str) -> Sequence[tuple[str, str, tuple[str, ...], Ints, Ints]]:
        """See `SizedTable`."""


@dataclass(frozen=True, slots=True)
class OperatorGroup:
    """Operators of one type and dtype, one row for each distinct shape."""

    op: str
    dtype: str
    dims: Mapping[str, Ints]
    """Dim name -> sizes, int64 [rows]."""
    count: Ints
    """Calls of each row in one pass, int64 [rows]."""


@dataclass(frozen=True)
class OperatorTable:
    """The operators of one forward pass."""

    groups: tuple[OperatorGroup, ...]

    @cached_property
    def flops(self) -> int:
        """Floating-point operations of one pass; a multiply-add is two."""
        return sum(int((operator_type(g.op).flops(g.dims) * g.count).sum()) for g in self.groups)

    @cached_property
    def bytes(self) -> int:
        """Bytes moved when every operator reads and writes each of its tensors once."""
        moved = ((operator_type(g.op).bytes_moved(g.dims, itemsize(g.dtype)) * g.count).sum() for g in self.groups)
        return sum(int(each) for each in moved)

    @cached_property
    def launches(self) -> int:
        """Number of operator launches: all but those of cost class `free`."""
        return sum(int(g.count.sum()) for g in self.groups if operator_type(g.op).cost_class != "free")

    def rows(self) -> list[dict[str, Any]]:
        """One mapping per row with op, dims, dtype and count."""
        return [
            {"op": g.op, "dims": {k: int(v[i]) for k, v in g.dims.items()}, "dtype": g.dtype, "count": int(g.count[i])}
            for g in self.groups
            for i in range(len(g.count))
        ]


class SizedTable(OperatorTable):
    """The operators of one structure of a network at one setting; their groups are made when asked for.

    `structure` says which groups there are: `groups(precision)` gives (op, dtype, dim names, indices into `values`
    [dims, rows], count [rows]) of each, and is the same for all settings that share the structure.
    """

    def __init__(self, structure: Structure, precision: str, values: Ints) -> None:
        vars(self).update(structure=structure, precision=precision, values=values)

    structure: Structure
    precision: str
    values: Ints
    """All sizes at the setting, int64 [sizes]."""

    @cached_property
    def groups(self) -> tuple[OperatorGroup, ...]:
        """The operators by type and dtype."""
        return tuple(
            OperatorGroup(op, dtype, dict(zip(names, self.values[sizes], strict=True)), count)
            for op, dtype, names, sizes, count in self.structure.groups(self.precision)
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return OperatorTable, (self.groups,)


@dataclass(frozen=True, slots=True)
class GraphNode:
    """One operator instance of a graph."""

    op: str
    dims: Mapping[str, int]
    dtype: str
    path: str
    """Path of the module that calls it."""
    sources: tuple[int, ...]
    """Indices of the nodes whose outputs it reads."""
