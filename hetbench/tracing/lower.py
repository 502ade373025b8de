"""From a recorded torch call to operator types with their dims.

Views cost nothing. What torch writes in several ways (`x @ W.T`, `addmm`, `F.linear`) becomes one type; a product
with a parameter is `Linear`, one of two activations `MatMul` or `BMM`. Data movement without a type of its own
(gather, roll, an indexed read, a reshape that must copy) is `Copy` over the elements written. A complex number is two
elements of its real dtype.
"""

from __future__ import annotations

from hetbench.tracing.aten import argument
from hetbench.tracing.functions import (
    BINARY,
    CASTS,
    COMPARE,
    COPIES,
    MAYBE_COPY,
    PRODUCTS,
    REDUCE,
    ROWS,
    SCALAR,
    TERNARY,
    UNARY,
    VIEWS,
    WHOLE,
    bare,
)  # fmt: skip
from hetbench.tracing.indexed import INDEXED
from hetbench.tracing.layers import LAYERS
from hetbench.tracing.lowered import Lowered, data_dtype, elements, lowered_type
from hetbench.tracing.products import FACTORS, product
from hetbench.tracing.recording import CREATION, Call, Recording
from hetbench.tracing.recurrent import RECURRENT, recurrent

__all__ = ["UnknownFunctionError", "is_known", "lower"]

_HANDLERS = {**LAYERS, **INDEXED, **FACTORS}
_EVERY = frozenset().union(
    VIEWS, MAYBE_COPY, COPIES, CASTS, UNARY, BINARY, TERNARY, COMPARE, REDUCE, ROWS, PRODUCTS, RECURRENT, _HANDLERS,
    CREATION, WHOLE,
)  # fmt: skip


class UnknownFunctionError(LookupError):
    """A torch function that no operator type covers."""


def is_known(name: str) -> bool:
    """Whether a torch function of this name can be lowered; others are recorded by what they are made of."""
    return name in _EVERY or bare(name) in _EVERY


def lower(call: Call, recording: Recording) -> list[Lowered]:
    """The operators that a call runs, in order; none where it only looks at memory that exists.

    Raises `UnknownFunctionError` for a function that no operator type covers.
    """
    name, plain = call.name, bare(call.name)
    if name in WHOLE or all(tensor.numel() == 0 for tensor in call.outputs):
        return []
    if not call.fresh and name in VIEWS | MAYBE_COPY | CASTS:
        return []
    if plain in RECURRENT:
        return recurrent(call)
    if plain in _HANDLERS:
        return [_HANDLERS[plain](call, recording)]
    if plain in PRODUCTS:
        return product(call, recording)
    found = _by_table(call, plain)
    if found is not None:
        return [found]
    if not call.fresh and not _writes(call):
        return []
    raise UnknownFunctionError(name)


def _writes(call: Call) -> bool:
    """Whether a call that allocates nothing changes what it was given."""
    schema = getattr(call.func, "_schema", None)
    return bare(call.name) != call.name or call.inplace or "out" in call.kwargs or bool(schema and schema.is_mutable)


def _by_table(call: Call, plain: str) -> Lowered | None:
    """Operators whose dims follow from the sizes of the tensors alone."""
    name = call.name
    if name in ("__setitem__", "copy_"):
        return Lowered("Copy", {"numel": max(_value_size(call), 1)}, lowered_type(call.outputs[0].dtype))
    if name in CASTS or plain in CASTS:
        return _cast(call)
    if {name, plain} & (COPIES | MAYBE_COPY | VIEWS):
        return _elementwise("Copy", call)
    if plain in COMPARE:
        return _elementwise("Compare", call)
    if plain in ("max", "min") and len(call.inputs) > 1:
        return _elementwise("Maximum", call)
    if plain in REDUCE:
        return _reduction(call, REDUCE[plain])
    if plain in ROWS:
        return _rows(call, ROWS[plain])
    for table in (UNARY, TERNARY):
        if plain in table:
            return _elementwise(_activation(call, table[plain]), call)
    if plain in BINARY:
        return _elementwise(_with_scalar(call, BINARY[plain]), call)
    return None


def _cast(call: Call) -> Lowered:
    """The wider side moves more."""
    wider = max((call.inputs[0].dtype, call.outputs[0].dtype), key=lambda dtype: dtype.itemsize)
    return Lowered("Cast", {"numel": max(elements(tensor) for tensor in call.outputs)}, lowered_type(wider))


def _elementwise(operator: str, call: Call) -> Lowered:
    largest = max(call.outputs, key=elements)
    if operator == "Mul" and sum(tensor.is_complex() for tensor in call.inputs) > 1:
        return Lowered("ComplexMul", {"numel": largest.numel()}, lowered_type(largest.dtype))
    return Lowered(operator, {"numel": elements(largest)}, data_dtype(call))


def _value_size(call: Call) -> int:
    value = call.args[-1]
    return elements(value) if hasattr(value, "numel") else 1


def _reduction(call: Call, operator: str) -> Lowered:
    given, rows = call.inputs[0], elements(call.outputs[0])
    return Lowered(operator, {"rows": rows, "cols": max(elements(given) // max(rows, 1), 1)}, lowered_type(given.dtype))


def _rows(call: Call, operator: str) -> Lowered:
    """Operators that walk along one axis and keep all elements."""
    given, plain = call.inputs[0], bare(call.name)
    place = {"kthvalue": 2, "quantile": 2, "diff": 2}.get(plain, 1)
    dim = argument(call, place, "dim")
    if not isinstance(dim, int) or isinstance(dim, bool):
        implicit = 0 if given.dim() in (0, 1, 3) else 1  # what torch takes for a softmax without an axis
        dim = implicit if operator in ("Softmax", "LogSoftmax") else -1
    cols = given.shape[dim] if given.dim() else 1
    return Lowered(operator, {"rows": elements(given) // cols, "cols": cols}, data_dtype(call))


def _activation(call: Call, operator: str) -> str:
    if call.name.startswith("hardtanh"):
        bounds = (argument(call, 1, "min_val", -1.0), argument(call, 2, "max_val", 1.0))
        return "ReLU6" if bounds == (0.0, 6.0) else "Clamp"
    return operator


def _with_scalar(call: Call, operator: str) -> str:
    tensors = [tensor for tensor in call.inputs if tensor.dim() > 0 or len(call.inputs) > 2]
    return operator if len(tensors) > 1 or operator not in SCALAR else SCALAR[operator]
