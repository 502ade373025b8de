"""The operators of one pass: single instances, and tables by type and dtype with a count for each distinct shape."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hetbench.formats import FORMATS, STORED
from hetbench.operators import operator_type
from hetbench.schema import itemsize, weight_bytes

__all__ = ["TRACED_AS", "GraphNode", "OperatorGroup", "OperatorTable", "SizedTable", "plain_products",
           "resolve_dtype", "settled", "settled_dtypes", "stored_elements"]

Ints = NDArray[np.int64]
_STORABLE = ("Linear", "GroupedMatMul")
"""Operators whose second operand is weights, as which a `BMM` of experts counts too."""
TRACED_AS = {
    "fp32": "fp32", "fp64": "fp32", "tf32": "fp32", "fp16": "fp16", "int8": "fp16", "bf16": "bf16", "fp8": "bf16",
    **{name: FORMATS[name].activation for name in STORED},
}  # fmt: skip
"""Precision -> precision whose traced structure is used; structures differ in their casts."""


def resolve_dtype(op: str, dtype: str, precision: str) -> str:
    """Precision in which an operator runs when the model runs in `precision`.

    `dtype` is that of the operator in the traced graph: `data` follows the model, any other is fixed (an intended
    upcast, integer indices). tf32, fp8 and int8 apply to matrix products and convolutions only; other operators run in
    the full or half precision of the trace. So do all but products with weights where those are stored in a format of
    `hetbench.formats`; such products have that as their dtype.

    >>> resolve_dtype("Linear", "data", "int8"), resolve_dtype("LayerNorm", "data", "int8")
    ('int8', 'fp16')
    >>> resolve_dtype("Cos", "fp32", "fp16"), resolve_dtype("Linear", "data", "w4a16")
    ('fp32', 'w4a16')
    """
    if dtype != "data":
        return dtype
    if precision in STORED:
        return precision if op in _STORABLE else TRACED_AS[precision]
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


def stored_elements(op: str, dims: Mapping[str, Any]) -> Any:
    """Weights that a product with stored weights reads, float64 like `dims`.

    >>> float(stored_elements("Linear", {"m": 1, "n": 3, "k": 4}))
    12.0
    """
    many = {"GroupedMatMul": "groups", "BMM": "b"}.get(op)
    each = np.asarray(dims["n"], dtype=np.float64) * dims["k"]
    return each * dims[many] if many else each


@dataclass(frozen=True, slots=True)
class OperatorGroup:
    """Operators of one type and dtype, one row for each distinct shape."""

    op: str
    dtype: str
    dims: Mapping[str, Ints]
    """Dim name -> sizes, int64 [rows]."""
    count: Ints
    """Calls of each row in one pass, int64 [rows]."""

    @property
    def saved_bytes(self) -> float:
        """Bytes of one pass less than with weights in the precision of the activations."""
        if self.dtype not in STORED:
            return 0.0
        less = itemsize(self.dtype) - weight_bytes(self.dtype)
        return float((stored_elements(self.op, self.dims) * self.count).sum()) * less


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
        return sum(int(each) for each in moved) - round(sum(g.saved_bytes for g in self.groups))

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


def settled(table: OperatorTable, precision: str) -> OperatorTable:
    """The table with the activations' precision for products whose weights a stored format leaves as they are.

    That is the output layer, told by the vocabulary of an embedding, and beside experts everything but the experts.
    GGUF files leave nothing.
    """
    if precision not in STORED or FORMATS[precision].everything:
        return table
    keep = plain_products(precision, ((g.op, g.dtype, g.dims) for g in table.groups))
    found: dict[tuple[str, str, tuple[str, ...]], list[OperatorGroup]] = {}
    for group in table.groups:
        for plain, rows in _divided(group, keep(group.op, group.dtype, group.dims)):
            dtype = TRACED_AS[precision] if plain else group.dtype
            dims = {name: sizes[rows] for name, sizes in group.dims.items()}
            found.setdefault((group.op, dtype, tuple(dims)), []).append(
                OperatorGroup(group.op, dtype, dims, group.count[rows])
            )
    return OperatorTable(tuple(_joined(groups) for _, groups in sorted(found.items())))


def plain_products(
    precision: str, operators: Iterable[tuple[str, str, Mapping[str, Any]]]
) -> Callable[[str, str, Mapping[str, Any]], Any]:
    """Of a network's operators (op, dtype, dims): which products keep plain weights, a function of those three."""
    known = list(operators)
    vocabularies = np.unique(np.concatenate([
        np.atleast_1d(dims["vocab"]) for op, _, dims in known if op == "Embedding"
    ] or [np.zeros(0, dtype=np.int64)]))  # fmt: skip
    experts = FORMATS[precision].experts_only and any(
        dtype == precision and op in ("BMM", "GroupedMatMul") for op, dtype, _ in known
    )

    def keep(op: str, dtype: str, dims: Mapping[str, Any]) -> Any:
        if dtype != precision or op != "Linear":
            return np.zeros_like(next(iter(dims.values())), dtype=bool)
        return np.isin(dims["n"], vocabularies) | experts

    return keep


def settled_dtypes(operators: Sequence[tuple[str, Mapping[str, Any], str]], precision: str) -> list[str]:
    """The dtypes of single operators (op, dims, dtype) as `settled` gives them to the rows of a table."""
    if FORMATS[precision].everything:
        return [dtype for *_, dtype in operators]
    keep = plain_products(precision, ((op, dtype, dims) for op, dims, dtype in operators))
    return [TRACED_AS[precision] if keep(op, dtype, dims) else dtype for op, dims, dtype in operators]


def _divided(group: OperatorGroup, plain: NDArray[np.bool_]) -> Iterator[tuple[bool, NDArray[np.bool_]]]:
    for which in (False, True):
        rows = plain == which
        if rows.any():
            yield which, rows


def _joined(groups: Sequence[OperatorGroup]) -> OperatorGroup:
    first = groups[0]
    if len(groups) == 1:
        return first
    dims = {name: np.concatenate([each.dims[name] for each in groups]) for name in first.dims}
    return OperatorGroup(first.op, first.dtype, dims, np.concatenate([each.count for each in groups]))
