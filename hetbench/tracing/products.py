"""Matrix products: of activations with weights (Linear), of activations (MatMul, BMM), of experts (GroupedMatMul).

A product of complex matrices is one of real matrices twice as wide: [m, 2k] by [2k, 2n].
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod
from typing import Any

from hetbench.tracing.aten import argument
from hetbench.tracing.functions import bare
from hetbench.tracing.lowered import Lowered, lowered_type
from hetbench.tracing.recording import Call, Recording, buffer_of

__all__ = ["FACTORS", "product"]

_GROUPED = ("grouped_mm", "_grouped_mm", "grouped_mm_fallback")
_VECTORS = ("dot", "vdot", "inner")


def product(call: Call, recording: Recording) -> list[Lowered]:
    """A product as torch writes it in many ways; what `baddbmm` and `addmm` add comes first among the inputs."""
    name = bare(call.name)
    if name == "ger":
        return [Lowered("Mul", {"numel": call.outputs[0].numel()}, lowered_type(call.inputs[0].dtype))]
    if name in _GROUPED:
        return [_grouped(call)]
    a, b = call.inputs[:2] if name in ("_scaled_mm", "_int_mm") else call.inputs[-2:]
    if name in _VECTORS:
        b = b.transpose(-1, -2) if b.dim() > 1 else b
    return [_complex(_matrices(call, a, b, recording), a)]


def _matrices(call: Call, a: Any, b: Any, recording: Recording) -> Lowered:
    k, n = a.shape[-1], b.shape[-1] if b.dim() > 1 else 1
    weights = buffer_of(b) in recording.parameters
    added = len(call.inputs) > 2 and call.name.startswith("add")
    dtype = lowered_type(a.dtype)
    different = _distinct(b)  # matrices of weights that are not the same memory
    if b.dim() <= 2 or (weights and different == 1):
        dims = {"m": a.numel() // k, "n": n, "k": k}
        return Lowered("Linear", {**dims, "bias": int(added)}, dtype) if weights else Lowered("MatMul", dims, dtype)
    m = a.shape[-2] if a.dim() > 1 else 1
    return Lowered("BMM", {"b": max(call.outputs[0].numel() // (m * n), 1), "m": m, "n": n, "k": k}, dtype)


def _distinct(tensor: Any) -> int:
    """Matrices of a stack that have memory of their own: an expanded axis counts once."""
    sizes = zip(tensor.shape[:-2], tensor.stride()[:-2], strict=True)
    return prod(size for size, stride in sizes if stride != 0)


def _complex(found: Lowered, tensor: Any) -> Lowered:
    if not tensor.is_complex():
        return found
    return replace(found, dims={**found.dims, "n": 2 * found.dims["n"], "k": 2 * found.dims["k"]})


def _grouped(call: Call) -> Lowered:
    """Rows sorted by expert: [m, k] by [experts, k, n]."""
    a, b = call.inputs[:2]
    if b.dim() == 2:  # groups along the inner axis: [m, k] by [k, n] in parts
        groups = call.outputs[0].shape[0]
        return Lowered("BMM", {"b": groups, "m": a.shape[0], "n": b.shape[1], "k": -(-a.shape[1] // groups)},
                       lowered_type(a.dtype))  # fmt: skip
    dims = {"groups": b.shape[0], "m": a.numel() // a.shape[-1], "n": b.shape[-1], "k": a.shape[-1]}
    return Lowered("GroupedMatMul", dims, lowered_type(a.dtype))


def _linear(call: Call, _: Recording) -> Lowered:
    """`F.linear`: whatever the weight is computed from, it is a matrix that all rows meet."""
    x, weight = call.inputs[:2]
    n, k = weight.shape if weight.dim() == 2 else (1, weight.shape[0])
    dims = {"m": x.numel() // k, "n": n, "k": k, "bias": int(len(call.inputs) > 2)}
    return _complex(Lowered("Linear", dims, lowered_type(x.dtype)), x)


def _bilinear(call: Call, _: Recording) -> Lowered:
    """Every product of an element of x1 with one of x2 meets `n` weights."""
    one, other, weight = call.inputs[:3]
    n, k = weight.shape[0], weight.shape[1] * weight.shape[2]
    dims = {"m": one.numel() // one.shape[-1], "n": n, "k": k, "bias": int(len(call.inputs) > 3)}
    return Lowered("Linear", dims, lowered_type(other.dtype))


def _distances(call: Call, _: Recording) -> Lowered:
    """Distances of all pairs of [b, m, k] and [b, n, k]: torch computes them by a product."""
    one, other = call.inputs[:2]
    m, n = one.shape[-2], other.shape[-2]
    dims = {"b": max(call.outputs[0].numel() // (m * n), 1), "m": m, "n": n, "k": one.shape[-1]}
    return Lowered("BMM", dims, lowered_type(one.dtype))


def _solved(call: Call, _: Recording) -> Lowered:
    """Elimination of a matrix of size n takes 2/3 n^3, each right side 2 n^2 more: products with n/3 + r columns.

    An inverse has 4/3 n^3 more, as 2/3 n right sides; a Cholesky factor half of the elimination and none.
    """
    a, name = call.inputs[0], call.name
    size = a.shape[-1]
    if "cholesky" in name and "solve" not in name:
        columns = -(-size // 6)
    elif "inv" in name:
        columns = size
    else:
        columns = -(-size // 3) + (call.inputs[1].shape[-1] if call.inputs[1].dim() > 1 else 1)
    dims = {"b": max(a.numel() // size**2, 1), "m": size, "n": columns, "k": size}
    return Lowered("BMM", dims, lowered_type(a.dtype))


def _affine_grid(call: Call, _: Recording) -> Lowered:
    """Every position of the output, with a 1 after it, meets an affine matrix."""
    theta, grid = call.inputs[0], call.outputs[0]
    dims = {"b": theta.shape[0], "m": prod(grid.shape[1:-1]), "n": theta.shape[1], "k": theta.shape[2]}
    return Lowered("BMM", dims, lowered_type(theta.dtype))


def _powers(call: Call, _: Recording) -> Lowered:
    """A matrix to a whole power by repeated squaring; one product of the size for each."""
    a, power = call.inputs[0], abs(int(argument(call, 1, "n", 1)))
    size, times = a.shape[-1], max(power.bit_length() - 1 + power.bit_count() - 1, 1)
    return Lowered(
        "BMM", {"b": max(a.numel() // size**2, 1) * times, "m": size, "n": size, "k": size}, lowered_type(a.dtype)
    )  # fmt: skip


_SOLVERS = (
    "inverse", "linalg_inv", "linalg_inv_ex", "linalg_solve", "linalg_solve_ex", "_linalg_solve_ex", "linalg_cholesky",
    "linalg_cholesky_ex", "cholesky",
)  # fmt: skip

FACTORS: dict[str, Callable[[Call, Recording], Lowered]] = {
    "linear": _linear, "bilinear": _bilinear,
    **dict.fromkeys(("cdist", "_cdist_forward", "_euclidean_dist"), _distances),
    "affine_grid": _affine_grid, "affine_grid_generator": _affine_grid, **dict.fromkeys(_SOLVERS, _solved),
    "matrix_power": _powers, "linalg_matrix_power": _powers,
}  # fmt: skip
