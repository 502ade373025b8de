"""Fused operators: attention, norms with residuals, embeddings, activations with a bias; most of com.microsoft.

Each is written as the operators that PyTorch runs for the same work, so that a graph that ONNX Runtime has optimised
equals the trace of the network that it was made from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import prod
from typing import Any

from hetbench.onnx.elementwise import each
from hetbench.onnx.layers import convolved
from hetbench.onnx.movement import concatenated, reshaped, transposed
from hetbench.onnx.products import linear, multiplied
from hetbench.onnx.run import Given, Op, Run
from hetbench.onnx.tensors import Tensor
from hetbench.tracing.attention import read_mask
from hetbench.tracing.lowered import Lowered, lowered_type

__all__ = ["HANDLERS"]

_Mask = tuple[int, int]


def _by_head(run: Run, x: Tensor, heads: int) -> Tensor:
    """[batch, length, heads x width] as [batch, heads, length, width]; four axes stay."""
    if x.ndim == 4:
        return x
    batch, length, wide = x.shape
    if heads < 1 or wide % heads:
        raise ValueError(f"{wide} channels do not go into {heads} heads")
    return transposed(run, reshaped(run, x, (batch, length, heads, wide // heads)), (0, 2, 1, 3))


def _attend(
    run: Run, tensors: Sequence[Tensor], heads: int, kv_heads: int, mask: _Mask, *, flat: bool = True,
    extra: Sequence[Tensor] = (),
) -> Tensor:  # fmt: skip
    """Attention of q, k and v, each of three or four axes; the result of three, or of four where not `flat`."""
    q, k, v = (_by_head(run, one, many) for one, many in zip(tensors, (heads, kv_heads, kv_heads), strict=True))
    batch, _, length, width = q.shape
    dims = {"batch": batch, "q_len": length, "kv_len": k.shape[2], "heads": heads, "kv_heads": kv_heads,
            "head_dim": width, "causal": mask[0], "window": mask[1]}  # fmt: skip
    if v.shape[-1] != width:
        dims["v_dim"] = v.shape[-1]
    shape = (batch, length, heads * v.shape[-1]) if flat else (batch, heads, length, v.shape[-1])
    work = (Lowered("Attention", dims, lowered_type(q.dtype)),)
    return run.call("scaled_dot_product_attention", [q, k, v, *extra], run.new(shape, q.dtype), operators=work)  # type: ignore[no-any-return]


def _appended(run: Run, past: Tensor | None, new: Tensor, heads: int) -> Tensor:
    """Keys or values behind those of a cache."""
    split = _by_head(run, new, heads)
    return split if past is None or not past.numel() else concatenated(run, [past, split], 2)


def _standard(run: Run, op: Op, given: Given) -> list[Tensor]:
    """Attention of the standard, from operator set 23."""
    q, k, v = (_at(given, place) for place in range(3))
    heads = op.get("q_num_heads") or q.shape[1]
    kv_heads = op.get("kv_num_heads") or k.shape[1]
    keys, values = (_appended(run, _maybe(given, at), one, kv_heads) for at, one in ((4, k), (5, v)))
    mask, pairs = _maybe(given, 3), (q.shape[-2], keys.shape[-2])
    chosen = read_mask((int(op.get("is_causal", 0)), 0), mask, run.recording, pairs)
    made = _attend(run, (q, keys, values), heads, kv_heads, chosen, flat=q.ndim == 3)
    scores = run.new((q.shape[0], heads, *pairs), q.dtype)
    return [made, keys, values, scores][: op.outputs]


def _packed(run: Run, op: Op, given: Given) -> list[Tensor]:
    """com.microsoft Attention: the projection to q, k and v, then attention."""
    x, weight, bias = _at(given, 0), _at(given, 1), _maybe(given, 2)
    heads = op.get("num_heads")
    made = linear(run, x, weight, bias)
    third = weight.shape[-1] // 3
    sizes = op.get("qkv_hidden_sizes") or [third] * 3
    parts, start = [], 0
    for size in sizes:
        parts.append(run.view(made, (*x.shape[:-1], size), made.strides))
        start += size
    return _with_cache(run, op, parts, (heads, heads), _halves(run, _maybe(given, 4)), _maybe(given, 5))


def _halves(run: Run, past: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
    """Keys and values of a cache [2, batch, heads, length, width]."""
    if past is None:
        return None, None
    key, value = (run.view(past, past.shape[1:], past.strides[1:]) for _ in range(2))
    return key, value


def _with_cache(
    run: Run, op: Op, parts: Sequence[Tensor], heads: tuple[int, int], past: tuple[Tensor | None, Tensor | None],
    mask: Tensor | None = None,
) -> list[Tensor]:  # fmt: skip
    q, k, v = parts
    keys, values = (_appended(run, one, new, heads[1]) for one, new in zip(past, (k, v), strict=True))
    pairs = (q.shape[-2] if q.ndim == 4 else q.shape[1], keys.shape[2])
    chosen = read_mask((int(op.get("unidirectional", 0)), 0), mask, run.recording, pairs)
    made = _attend(run, (q, keys, values), *heads, chosen)
    return [made, keys, values][: op.outputs]


def _multi_head(run: Run, op: Op, given: Given) -> list[Tensor]:
    q, k, v, bias = (_maybe(given, place) for place in range(4))
    heads = op.get("num_heads")
    assert q is not None
    if k is None:  # [batch, length, heads, 3, width]
        batch, length, _, _, width = q.shape
        shape, strides = (batch, heads, length, width), (q.strides[0], q.strides[2], q.strides[1], q.strides[4])
        parts = [run.view(q, shape, strides) for _ in range(3)]
    elif v is None:  # key and value [batch, length, heads, 2, width]
        batch, length, _, _, width = k.shape
        shape, strides = (batch, heads, length, width), (k.strides[0], k.strides[2], k.strides[1], k.strides[4])
        parts = [q, *(run.view(k, shape, strides) for _ in range(2))]
    else:
        parts = [q, k, v]
    if bias is not None:
        parts = [each(run, "add", [one, _row(run, bias, one)]) if one.ndim == 3 else one for one in parts]
    return _with_cache(run, op, parts, (heads, heads), (_maybe(given, 6), _maybe(given, 7)), _maybe(given, 5))


def _row(run: Run, bias: Tensor, like: Tensor) -> Tensor:
    """The part of a bias that is as wide as a tensor."""
    return run.view(bias, (like.shape[-1],), (1,))


def _grouped_query(run: Run, op: Op, given: Given) -> list[Tensor]:
    """GroupQueryAttention: always causal; rotates q and k where it is told to."""
    q, k, v = _at(given, 0), _maybe(given, 1), _maybe(given, 2)
    heads, kv_heads = op.get("num_heads"), op.get("kv_num_heads")
    if k is None or v is None:
        width = q.shape[-1] // (heads + 2 * kv_heads)
        q, k, v = (run.view(q, (*q.shape[:2], many * width), q.strides) for many in (heads, kv_heads, kv_heads))
    width = q.shape[-1] // heads
    if op.get("do_rotary", 0):
        dims = {"tokens": prod(q.shape[:2]), "heads": heads, "kv_heads": kv_heads, "head_dim": width}
        tables = [one for one in (_maybe(given, 7), _maybe(given, 8)) if one is not None]
        turned = [run.new(one.shape, one.dtype) for one in (q, k)]
        run.call("rope", [q, k, *tables], turned, operators=(Lowered("RoPE", dims, lowered_type(q.dtype)),))
        q, k = turned
    past = _maybe(given, 3), _maybe(given, 4)
    keys, values = (_appended(run, one, new, kv_heads) for one, new in zip(past, (k, v), strict=True))
    window = max(int(op.get("local_window_size", -1)), 0)
    made = _attend(run, (q, keys, values), heads, kv_heads, (1, window if window < keys.shape[2] else 0))
    return [made, keys, values][: op.outputs]


def _rotary(run: Run, op: Op, given: Given) -> Tensor:
    x = _at(given, 0)
    heads = x.shape[1] if x.ndim == 4 else (op.get("num_heads", 0) or 1)
    tables = [one for one in given[1:] if one is not None and one.dtype.is_floating_point]
    width = op.get("rotary_embedding_dim", 0) or (x.shape[-1] if x.ndim == 4 else x.shape[-1] // heads)
    rows = x.numel() // (x.shape[-1] if x.ndim == 4 else x.shape[-1] // heads) // heads
    return run.run("RoPE", {"tokens": rows, "heads": heads, "kv_heads": 0, "head_dim": width}, [x, *tables],
                   run.new(x.shape, x.dtype))  # fmt: skip


def _norm(name: str, run: Run, x: Tensor, weights: Sequence[Tensor | None]) -> Tensor:
    return run.call(name, [x, x.shape[-1:], *weights], run.new(x.shape, x.dtype))  # type: ignore[no-any-return]


def _skip_norm(name: str, run: Run, op: Op, given: Given) -> list[Tensor | None]:
    """A residual, then a norm; the sum is an output too."""
    plain = name == "rms_norm"
    made, bias = _at(given, 0), _maybe(given, 3 if plain else 4)
    if bias is not None:
        made = each(run, "add", [made, bias])
    total = each(run, "add", [made, _at(given, 1)])
    out = _norm(name, run, total, [_maybe(given, 2)] if plain else [_maybe(given, 2), _maybe(given, 3)])
    return [out, None, None, total][: max(op.outputs, 1)]


def _embed_norm(run: Run, op: Op, given: Given) -> list[Tensor | None]:
    ids, segments, words, positions, kinds = (_maybe(given, place) for place in range(5))
    assert ids is not None
    assert words is not None
    made: Tensor | None = None
    for index, table in ((ids, words), (segments, kinds), (ids, positions)):
        if index is None or table is None:
            continue
        found = run.call("embedding", [table, index], run.new((*ids.shape, table.shape[-1]), table.dtype))
        made = found if made is None else each(run, "add", [made, found])
    assert made is not None
    out = _norm("layer_norm", run, made, [_maybe(given, 5), _maybe(given, 6)])
    return [out, None, made][: op.outputs]


def _biased(name: str, run: Run, op: Op, given: Given) -> Tensor:
    x, bias = _at(given, 0), _maybe(given, 1)
    return each(run, name, [x if bias is None else each(run, "add", [x, bias])])


def _bias_add(run: Run, op: Op, given: Given) -> Tensor:
    made = each(run, "add", [_at(given, 0), _at(given, 1)])
    skip = _maybe(given, 2)
    return made if skip is None else each(run, "add", [made, skip])


def _split_gelu(run: Run, op: Op, given: Given) -> Tensor:
    x = each(run, "add", [_at(given, 0), _at(given, 1)])
    half = x.shape[-1] // 2
    gate, up = (run.view(x, (*x.shape[:-1], half), x.strides) for _ in range(2))
    return each(run, "mul", [up, each(run, "gelu", [gate])])


def _group_norm(run: Run, op: Op, given: Given) -> Tensor:
    """Channels last, with a SiLU behind it where it is told to."""
    x = _at(given, 0)
    made = run.call("group_norm", [x, op.get("groups", 32), *given[1:3]], run.new(x.shape, x.dtype))
    rows = x.shape[0] * op.get("groups", 32)
    run.recording.calls[-1].operators = (
        Lowered("GroupNorm", {"rows": rows, "cols": x.numel() // rows}, lowered_type(x.dtype)),
    )
    return each(run, "silu", [made]) if op.get("activation", 0) else made


def _channels_last(run: Run, op: Op, given: Given) -> Tensor:
    x, weight = _at(given, 0), _at(given, 1)
    n, h, w, c = x.shape
    seen = run.view(x, (n, c, h, w), (x.strides[0], x.strides[3], x.strides[1], x.strides[2]))
    turned = run.view(weight, (weight.shape[0], weight.shape[3], *weight.shape[1:3]), weight.strides)
    made = convolved(run, op, seen, turned, _maybe(given, 2))
    n, c, h, w = made.shape
    return run.view(made, (n, h, w, c), (h * w * c, w * c, c, 1))


def _experts(run: Run, op: Op, given: Given) -> Tensor:
    """A mixture of experts: rows by the experts that they chose, up, (gate,) and down."""
    x, router, up, down, gate = _at(given, 0), _at(given, 1), _at(given, 2), _at(given, 4), _maybe(given, 6)
    chosen, many = op.get("k", 1), up.shape[0]
    rows, wide = x.numel() // x.shape[-1] * chosen, up.numel() // many // x.shape[-1]
    kind = lowered_type(x.dtype)
    first = Lowered("GroupedMatMul", {"groups": many, "m": rows, "n": wide, "k": x.shape[-1]}, kind)
    inner = down.numel() // many // x.shape[-1]
    second = Lowered("GroupedMatMul", {"groups": many, "m": rows, "n": x.shape[-1], "k": inner}, kind)
    work = [Lowered("Softmax", {"rows": rows // chosen, "cols": router.shape[-1]}, kind),
            Lowered("TopK", {"rows": rows // chosen, "cols": router.shape[-1], "k": chosen}, kind), first,
            *([first] if gate is not None else []), Lowered("SiLU", {"numel": rows * inner}, kind), second]  # fmt: skip
    return run.call("moe", [one for one in given if one is not None], run.new(x.shape, x.dtype), operators=tuple(work))  # type: ignore[no-any-return]


def _quantised_attention(run: Run, op: Op, given: Given) -> list[Tensor]:
    """QAttention: the projection in int8, attention in real numbers."""
    x, weight, bias = _at(given, 0), _at(given, 1), _maybe(given, 2)
    made = multiplied(run, x, weight, run.data_dtype)
    made = made if bias is None else each(run, "add", [made, bias])
    third, heads = weight.shape[-1] // 3, op.get("num_heads")
    parts = [run.view(made, (*x.shape[:-1], third), made.strides) for _ in range(3)]
    return _with_cache(run, op, parts, (heads, heads), _halves(run, _maybe(given, 8)))


def _at(given: Given, place: int) -> Tensor:
    found = _maybe(given, place)
    if found is None:
        raise ValueError(f"its input {place} is missing")
    return found


def _maybe(given: Given, place: int) -> Tensor | None:
    return given[place] if place < len(given) else None


_MS = "com.microsoft::"
HANDLERS: dict[str, Callable[[Run, Op, Given], Any]] = {
    "Attention": _standard, f"{_MS}Attention": _packed, f"{_MS}MultiHeadAttention": _multi_head,
    f"{_MS}GroupQueryAttention": _grouped_query, f"{_MS}QAttention": _quantised_attention,
    **dict.fromkeys(("RotaryEmbedding", f"{_MS}RotaryEmbedding"), _rotary),
    f"{_MS}SkipLayerNormalization": partial(_skip_norm, "layer_norm"),
    f"{_MS}SkipSimplifiedLayerNormalization": partial(_skip_norm, "rms_norm"),
    f"{_MS}EmbedLayerNormalization": _embed_norm,
    **dict.fromkeys((f"{_MS}BiasGelu", f"{_MS}FastGelu"), partial(_biased, "gelu")),
    f"{_MS}BiasSoftmax": partial(_biased, "softmax"), f"{_MS}BiasAdd": _bias_add, f"{_MS}BiasSplitGelu": _split_gelu,
    f"{_MS}GroupNorm": _group_norm, f"{_MS}NhwcConv": _channels_last, f"{_MS}MoE": _experts,
}  # fmt: skip
