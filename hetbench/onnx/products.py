"""Matrix products, recurrent layers and sums of products by index."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from hetbench.onnx.elementwise import each
from hetbench.onnx.file import MOST_NODES
from hetbench.onnx.movement import transposed
from hetbench.onnx.run import Given, Op, Run
from hetbench.onnx.tensors import DTYPES, DType, Tensor, axis_of, broadcast
from hetbench.tracing.lowered import Lowered, lowered_type

__all__ = ["HANDLERS", "kind_of", "linear", "multiplied", "stored"]

_STORED = {"int8": DTYPES[3], "fp8": DTYPES[17]}


def kind_of(dtype: DType) -> str:
    """The quantised format that a type of elements is: int8, fp8, int4 or none."""
    if dtype.name == "float8":
        return "fp8"
    return {1: "int8"}.get(dtype.itemsize, "") if dtype.name in ("int8", "uint8") else (
        "int4" if dtype.name in ("int4", "uint4", "float4", "int2", "uint2") else "")  # fmt: skip


def stored(run: Run, *tensors: Tensor) -> list[Tensor]:
    """The operands of a product, as the integers or fp8 numbers that they are stored as where all of them are."""
    kinds = {tensor.quantised or kind_of(tensor.dtype) for tensor in tensors}
    dtype = _STORED.get(kinds.pop()) if len(kinds) == 1 else None
    if dtype is None:
        return list(tensors)
    return [Tensor(one.shape, dtype, one.storage, one.strides) for one in tensors]


def multiplied(run: Run, a: Tensor, b: Tensor, made: DType | None = None) -> Tensor:
    """The matrix product of numpy's rules."""
    dtype = made or a.dtype
    a, b = stored(run, a, b)
    one = a if a.ndim > 1 else run.view(a, (1, *a.shape), (0, *a.strides))
    other = b if b.ndim > 1 else run.view(b, (*b.shape, 1), (*b.strides, 0))
    if one.shape[-1] != other.shape[-2]:
        raise ValueError(f"matrices of shapes {a.shape} and {b.shape} do not meet")
    shape = [*broadcast(one.shape[:-2], other.shape[:-2]), one.shape[-2], other.shape[-1]]
    if a.ndim == 1:
        shape.pop(-2)
    if b.ndim == 1:
        shape.pop()
    result = run.new(shape, dtype)
    return run.call("matmul", [one, other], result)  # type: ignore[no-any-return]


def linear(run: Run, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Rows [.., k] by a weight [k, n], with a bias."""
    if not x.shape or x.shape[-1] != weight.shape[0]:
        raise ValueError(f"matrices of shapes {x.shape} and {weight.shape} do not meet")
    made = run.new((*x.shape[:-1], weight.shape[-1]), x.dtype)
    x, weight = stored(run, x, weight)
    turned = run.view(weight, weight.shape[::-1], weight.strides[::-1])
    return run.call("linear", [x, turned, bias], made)  # type: ignore[no-any-return]


def _matmul(run: Run, op: Op, given: Given) -> Tensor:
    return multiplied(run, *_two(given))


def _gemm(run: Run, op: Op, given: Given) -> Tensor:
    a, b = _two(given)
    a = transposed(run, a, (1, 0)) if op.get("transA", 0) else a
    b = transposed(run, b, (1, 0)) if op.get("transB", 0) else b
    bias = given[2] if len(given) > 2 else None
    small = bias is None or bias.numel() in (1, b.shape[-1])
    parameters = run.recording.parameters
    if b.storage._cdata in parameters and small:
        return _activated(run, op, linear(run, a, b, bias))
    made = multiplied(run, a, b)
    return _activated(run, op, made if bias is None else each(run, "add", [made, bias]))


def _activated(run: Run, op: Op, made: Tensor) -> Tensor:
    kind = op.get("activation")
    if op.kind == "com.microsoft::GemmFastGelu":
        return each(run, "gelu", [made])
    names = {"Relu": "relu", "Sigmoid": "sigmoid", "Tanh": "tanh"}
    return each(run, names.get(kind, "relu"), [made]) if kind else made


def _fused(run: Run, op: Op, given: Given) -> Tensor:
    """MatMul with transposed operands and a factor, which costs nothing beside the product."""
    a, b = _two(given)
    if op.get("transA", 0):
        a = transposed(run, a, [*range(a.ndim - 2), a.ndim - 1, a.ndim - 2])
    if op.get("transB", 0):
        b = transposed(run, b, [*range(b.ndim - 2), b.ndim - 1, b.ndim - 2])
    return multiplied(run, a, b)


def _einsum(run: Run, op: Op, given: Given) -> Tensor:
    """Products of two tensors as one batched product; more tensors go one after the other."""
    left, _, right = op.get("equation", "").replace(" ", "").partition("->")
    terms, tensors = left.split(","), [one for one in given if one is not None]
    if "." in left or len(terms) != len(tensors):
        raise ValueError(f"its equation {op.get('equation')!r} is not one of named axes")
    pairs = zip(terms, tensors, strict=True)
    sizes = {name: size for term, one in pairs for name, size in zip(term, one.shape, strict=True)}
    made, named = tensors[0], terms[0]
    for place in range(1, len(tensors)):
        last = place == len(tensors) - 1
        later = set("".join(terms[place + 1 :])) | set(right)
        kept = right if last else "".join(dict.fromkeys(c for c in named + terms[place] if c in later))
        made, named = _contracted(run, (made, named), (tensors[place], terms[place]), kept, sizes), kept
    if len(tensors) == 1 and set(named) - set(right):
        return run.call("sum", [made], run.new([sizes[c] for c in right], made.dtype))  # type: ignore[no-any-return]
    return made if len(tensors) > 1 else transposed(run, made, [named.index(c) for c in right])


def _contracted(
    run: Run, one: tuple[Tensor, str], other: tuple[Tensor, str], kept: str, sizes: dict[str, int]
) -> Tensor:  # fmt: skip
    (a, left), (b, right) = one, other
    made = run.new([sizes[c] for c in kept], a.dtype)
    both = set(left) & set(right)
    batch, inner = (prod(sizes[c] for c in both if (c in kept) == k) for k in (True, False))
    m, n = (prod(sizes[c] for c in names if c not in both) for names in (left, right))
    if inner == 1 and not both - set(kept):
        return run.call("mul", [a, b], made)  # type: ignore[no-any-return]
    if batch > 1:
        return run.run("BMM", {"b": batch, "m": m, "n": n, "k": inner}, [a, b], made)
    weights = b.storage._cdata in run.recording.parameters
    dims = {"m": m, "n": n, "k": inner}
    return run.run("Linear" if weights else "MatMul", {**dims, "bias": 0} if weights else dims, [a, b], made)


_GATES = {"LSTM": ("LSTMGates", 4), "GRU": ("GRUGates", 3), "RNN": ("RNNGates", 1)}


def _recurrent(run: Run, op: Op, given: Given) -> list[Tensor]:
    """All directions: the projection of the inputs at once, then each step's projection and gates."""
    x, weight, state = given[:3]
    assert x is not None
    assert weight is not None
    assert state is not None
    gates, many = _GATES[op.kind]
    both, hidden = weight.shape[0], state.shape[-1]
    steps, batch = x.shape[:2] if not op.get("layout", 0) else x.shape[1::-1]
    if steps * both > MOST_NODES:
        raise ValueError(f"it runs {steps:,} steps; at most {MOST_NODES // both:,} are read")
    bias, dtype = int(len(given) > 3 and given[3] is not None), lowered_type(x.dtype)
    found: list[Lowered] = []
    for _ in range(both):
        wide = many * hidden
        found.append(Lowered("Linear", {"m": steps * batch, "n": wide, "k": weight.shape[-1], "bias": bias}, dtype))
        step = [Lowered("Linear", {"m": batch, "n": wide, "k": hidden, "bias": bias}, dtype),
                Lowered(gates, {"rows": batch, "cols": hidden}, dtype)]  # fmt: skip
        found += step * steps
    made = [run.new((steps, both, batch, hidden), x.dtype), run.new((both, batch, hidden), x.dtype),
            run.new((both, batch, hidden), x.dtype)][: max(op.outputs, 1)]  # fmt: skip
    run.call(op.kind.lower(), [one for one in given if one is not None], made, operators=tuple(found))
    return made


def _fourier(run: Run, op: Op, given: Given) -> Tensor:
    x = given[0]
    assert x is not None
    axis = axis_of(op.get("axis", 1 if op.version < 20 else -2), x.ndim)
    real, points = x.shape[-1] == 1, x.shape[axis]
    shape = [*x.shape[:-1], 2]
    if op.get("onesided", 0):
        shape[axis] = points // 2 + 1
    dims = {"rows": max(prod(x.shape[:-1]) // points, 1), "cols": points, **({"real": 1} if real else {})}
    return run.run("FFT", dims, [x], run.new(shape, x.dtype))


def _determinant(run: Run, op: Op, given: Given) -> Tensor:
    x = given[0]
    assert x is not None
    if op.kind == "com.microsoft::Inverse":
        return run.call("inverse", [x], run.new(x.shape, x.dtype))  # type: ignore[no-any-return]
    dims = {"b": max(prod(x.shape[:-2]), 1), "m": x.shape[-1], "n": -(-x.shape[-1] // 3), "k": x.shape[-1]}
    return run.run("BMM", dims, [x], run.new(x.shape[:-2], x.dtype))


def _two(given: Given) -> tuple[Tensor, Tensor]:
    if len(given) < 2 or given[0] is None or given[1] is None:
        raise ValueError("a product has two operands")
    return given[0], given[1]


HANDLERS: dict[str, Callable[[Run, Op, Given], Any]] = {
    "MatMul": _matmul, "Gemm": _gemm, "com.microsoft::FusedGemm": _gemm, "com.microsoft::GemmFastGelu": _gemm,
    **dict.fromkeys(("com.microsoft::FusedMatMul", "com.microsoft::TransposeMatMul"), _fused), "Einsum": _einsum,
    **dict.fromkeys(_GATES, _recurrent), "DFT": _fourier,
    **dict.fromkeys(("Det", "com.microsoft::Inverse"), _determinant),
}  # fmt: skip
