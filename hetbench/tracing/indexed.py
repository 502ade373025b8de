"""Dims of tables, scatters, orderings, transforms and losses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

from hetbench.tracing.aten import argument
from hetbench.tracing.lowered import Lowered, data_dtype, elements, lowered_type
from hetbench.tracing.recording import Call, Recording

__all__ = ["INDEXED"]


def _embedding(call: Call, _: Recording) -> Lowered:
    table, index = sorted(call.inputs[:2], key=lambda tensor: not tensor.is_floating_point())
    dims = {"tokens": index.numel(), "dim": table.shape[1], "vocab": table.shape[0]}
    return Lowered("Embedding", dims, lowered_type(table.dtype))


def _bag(call: Call, _: Recording) -> Lowered:
    table = next(tensor for tensor in call.inputs if tensor.is_floating_point())
    index = next(tensor for tensor in call.inputs if not tensor.is_floating_point())
    dims = {"bags": call.outputs[0].shape[0], "tokens": index.numel(), "dim": table.shape[1], "vocab": table.shape[0]}
    return Lowered("EmbeddingBag", dims, lowered_type(table.dtype))


def _scatter_add(call: Call, _: Recording) -> Lowered:
    """Adds a source to a target: all of the target is read and written where the result is new, else what is met."""
    target, index = call.inputs[0], next((each for each in call.inputs[1:] if not each.is_floating_point()), None)
    source = elements(call.inputs[-1]) if len(call.inputs) > 2 else 1
    numel = source if index is None or call.name.startswith("index") else min(source, index.numel())
    touched = elements(target) if call.fresh else min(elements(target), numel)
    dims = {"numel": max(numel, 1), "touched": max(touched, 1), "indices": 0 if index is None else index.numel()}
    return Lowered("ScatterAdd", dims, data_dtype(call))


def _topk(call: Call, _: Recording) -> Lowered:
    x, dim = call.inputs[0], argument(call, 2, "dim", -1)
    cols = x.shape[dim] if x.dim() else 1
    dims = {"rows": x.numel() // cols, "cols": cols, "k": max(int(argument(call, 1, "k")), 1)}
    return Lowered("TopK", dims, lowered_type(x.dtype))


def _glu(call: Call, _: Recording) -> Lowered:
    x = call.inputs[0]
    cols = x.shape[argument(call, 1, "dim", -1)]
    return Lowered("GLU", {"rows": x.numel() // cols, "cols": cols}, lowered_type(x.dtype))


def _fourier(call: Call, _: Recording) -> Lowered:
    """`cols` is the real side's points over all transformed axes."""
    x, out = call.inputs[0], call.outputs[0]
    name, real = call.name, x.is_complex() != call.outputs[0].is_complex()
    larger = out if real and x.is_complex() else x
    axes = _transformed(call, name, larger.dim())
    cols = prod(larger.shape[axis] for axis in axes)
    padded = prod(out.shape[axis] for axis in axes) if not real else cols
    dims = {"rows": max(larger.numel() // cols, 1), "cols": max(cols, padded)}
    return Lowered("FFT", {**dims, "real": 1} if real else dims, lowered_type(x.dtype))


def _transformed(call: Call, name: str, axes: int) -> Sequence[int]:
    if name.startswith("_fft"):
        return list(call.args[1])
    if name.endswith("n"):
        given = argument(call, 2, "dim")
        return list(given) if given is not None else list(range(axes))
    if name.endswith("2"):
        return list(argument(call, 2, "dim", (-2, -1)))
    return [argument(call, 2, "dim", -1)]


def _loss(call: Call, _: Recording) -> Lowered:
    """Every element of prediction and target is read once."""
    rows = elements(call.outputs[0])
    cols = max(sum(elements(tensor) for tensor in call.inputs[:2]) // max(rows, 1), 1)
    return Lowered("Sum", {"rows": rows, "cols": cols}, data_dtype(call))


def _weight_norm(call: Call, _: Recording) -> Lowered:
    v, g = call.inputs[:2]
    return Lowered("VectorNorm", {"rows": g.numel(), "cols": v.numel() // g.numel()}, lowered_type(v.dtype))


_LOSSES = (
    "nll_loss", "nll_loss_nd", "nll_loss_forward", "nll_loss2d_forward", "mse_loss", "l1_loss", "smooth_l1_loss",
    "huber_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits", "kl_div", "soft_margin_loss",
)  # fmt: skip
_FOURIER = (
    *(f"fft_{way}{kind}" for way in ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft") for kind in ("", "2", "n")),
    "_fft_c2c", "_fft_r2c", "_fft_c2r",
)  # fmt: skip
_ADDS = (
    "scatter_add", "index_add", "scatter_reduce", "index_reduce", "index_put_accumulate", "_index_put_impl",
)  # fmt: skip

INDEXED: dict[str, Callable[[Call, Recording], Lowered]] = {
    **dict.fromkeys(_LOSSES, _loss), **dict.fromkeys(_FOURIER, _fourier), **dict.fromkeys(_ADDS, _scatter_add),
    "embedding": _embedding, **dict.fromkeys(("embedding_bag", "_embedding_bag", "_embedding_bag_forward_only"), _bag),
    "topk": _topk, "glu": _glu, **dict.fromkeys(("_weight_norm", "_weight_norm_interface"), _weight_norm),
}  # fmt: skip
