"""Attention, put together from a fused call or from product, scale and mask, softmax, product.

With it go the layout copies and casts of q, k, v and of the result, the repetition of KV heads, and the append to the
KV cache. Whether it is causal, and how wide its window is, follows from the mask's values where they are known, else
from what the call and its module say.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from hetbench.tracing.aten import argument
from hetbench.tracing.flow import Flow, Step
from hetbench.tracing.lowered import Lowered, lowered_type
from hetbench.tracing.recording import Call, Recording, buffer_of

__all__ = ["attention_call", "is_attention", "merge_attention", "read_mask"]

_SDPA = "scaled_dot_product_attention"
_BETWEEN = frozenset({
    "Add", "AddScalar", "Sub", "Mul", "MulScalar", "Div", "DivScalar", "Where", "Cast", "Clamp", "Maximum", "Copy",
    "Dropout", "Tanh",
})  # fmt: skip


def _heads(tensor: Any) -> int:
    """Heads of [batch, heads, length, width] that have memory of their own: an expanded axis counts once."""
    sizes = zip(tensor.shape[1:-2], tensor.stride()[1:-2], strict=True)
    return prod(size for size, stride in sizes if stride != 0)


def is_attention(call: Call) -> bool:
    """Whether a call is attention as one function."""
    return call.name == _SDPA or call.name.startswith(f"_{_SDPA}")


def attention_call(call: Call, recording: Recording) -> Lowered:
    """Attention as one function, [batch, heads, length, width] or without heads."""
    query, key, value = call.inputs[:3]
    batch, heads = (query.shape[0], query.shape[1]) if query.dim() == 4 else (prod(query.shape[:-2]), 1)
    kv_heads = _heads(key) if key.dim() == 4 else 1
    mask = argument(call, 3, "attn_mask") if call.name == _SDPA else call.kwargs.get("attn_mask")
    stated, pairs = _stated_mask(call), (int(query.shape[-2]), int(key.shape[-2]))
    causal, window = read_mask(stated, mask, recording, pairs)
    return _attention(batch, pairs, heads, kv_heads, (query, value), (causal, window))


def read_mask(stated: tuple[int, int], mask: Any, recording: Recording, pairs: tuple[int, int]) -> tuple[int, int]:
    """(causal, window) of attention over [q_len, kv_len] `pairs`: what is stated, unless a mask's values differ."""
    return _checked(stated, None if mask is None else _allowed(mask, recording, pairs, additive=True), pairs)


def _attention(
    batch: int, pairs: tuple[int, int], heads: int, kv_heads: int, tensors: tuple[Any, Any], mask: tuple[int, int]
) -> Lowered:
    query, value = tensors
    dims = {
        "batch": batch, "q_len": pairs[0], "kv_len": pairs[1], "heads": heads, "kv_heads": kv_heads,
        "head_dim": query.shape[-1], "causal": mask[0], "window": mask[1],
    }  # fmt: skip
    if value.shape[-1] != query.shape[-1]:
        dims["v_dim"] = value.shape[-1]
    return Lowered("Attention", dims, lowered_type(value.dtype))


def _stated_mask(call: Call) -> tuple[int, int]:
    """(causal, window) as the call's own flag and its module say; a mask alone may be padding."""
    module, root = call.frame.module, call.frame
    while root.parent is not None:
        root = root.parent
    config = getattr(module, "config", None) or getattr(root.module, "config", None)
    causal = bool(argument(call, 5 if call.name == _SDPA else 4, "is_causal")) if is_attention(call) else False
    own = getattr(module, "is_causal", None)
    if own is None and not is_attention(call):
        own = _generates(root.module, config)
    one_query = call.name == _SDPA and call.inputs[0].shape[-2] == 1
    masked = call.name != _SDPA or one_query or call.kwargs.get("attn_mask") is not None
    if not (causal or (own and masked)):
        return 0, 0
    return 1, _stated_window(module, config)


def _generates(network: Any, config: Any) -> bool:
    """Whether a network says that it generates tokens from those before them, without an encoder."""
    says = getattr(network, "can_generate", None)
    return bool(callable(says) and says() and not getattr(config, "is_encoder_decoder", False))


def _stated_window(module: Any, config: Any) -> int:
    if getattr(module, "attention_type", None) == "local":
        return int(getattr(config, "window_size", 0) or 0)
    if hasattr(module, "sliding_window"):
        return int(module.sliding_window or 0)
    used = getattr(config, "use_sliding_window", True)
    return int((getattr(config, "sliding_window", None) or 0) if used else 0)


def _allowed(mask: Any, recording: Recording, pairs: tuple[int, int], *, additive: bool) -> Any:
    """The pairs of query and key that a mask allows for any of its rows, bool [q_len, kv_len]; None where not known.

    A mask of truth values is true where allowed if it is `additive`, an argument of fused attention, and where filled
    otherwise; a mask of numbers is added.
    """
    found = recording.values.array(mask) if mask.dim() > 1 else None
    if found is None or tuple(found.shape[-2:]) != pairs:
        return None
    if found.dtype.kind == "f":
        return (found > -1e4).reshape(-1, *pairs).any(0)
    return (found.astype(bool) == additive).reshape(-1, *pairs).any(0)


def _checked(
    stated: tuple[int, int], allowed: Any, pairs: tuple[int, int], *, complete: bool = True
) -> tuple[int, int]:
    """(causal, window) that the values of a mask bear out; what is stated where they are not known or irregular.

    Where `allowed` is not `complete`, another mask of unknown values may forbid more: a narrower statement stands.
    """
    if allowed is None or pairs[0] == 1:
        return stated
    band = _band(stated, pairs)
    if ((allowed if complete else allowed & band) == band).all():
        return stated
    for found in ((0, 0), (1, 0), (1, int(allowed.sum(1).max()))):
        if (allowed == _band(found, pairs)).all():
            return found
    return stated


def _band(mask: tuple[int, int], pairs: tuple[int, int]) -> Any:
    """Pairs that are attended; the queries are the last of the positions."""
    causal, window = mask
    if not causal:
        return np.ones(pairs, dtype=bool)
    position = np.arange(pairs[1])
    distance = position[-pairs[0] :, None] - position[None, :]
    return (distance >= 0) & (distance < (window or pairs[1]))


def merge_attention(flow: Flow) -> None:
    """Put every attention together, with what belongs to it."""
    for index, step in list(flow.live()):
        if flow.steps[index] is not step:
            continue
        if step.lowered.op == "Attention":
            query, key, value = step.calls[0].inputs[:3]
            _absorb(flow, [index], step.lowered, (query, key, value), index)
        elif step.lowered.op == "Softmax":
            _merge_eager(flow, index, step)


def _merge_eager(flow: Flow, index: int, softmax: Step) -> None:
    scores = _scores(flow, softmax, softmax.calls[0].inputs[0].numel())
    if scores is None:
        return
    members, place = [*scores, index], index
    while True:
        reader = flow.only_reader(place)
        if reader is None:
            return
        place, step = reader
        members.append(place)
        if step.lowered.op in ("BMM", "MatMul"):
            break
        if step.lowered.op not in _BETWEEN:
            return
    first, last = flow.steps[scores[0]], flow.steps[place]
    assert first is not None
    assert last is not None
    query, key = first.calls[0].inputs[-2:]
    value = last.calls[0].inputs[-1]
    heads = query.shape[1] if query.dim() == 4 else _stated_heads(softmax.frame.module, prod(query.shape[:-2]))
    pairs = (int(query.shape[-2]), int(key.shape[-1]))
    stated = _stated_mask(softmax.calls[0])
    allowed, complete = _eager_mask(flow, scores, pairs)
    mask = _checked(stated, allowed, pairs, complete=complete)
    kv_heads = _heads(key) if key.dim() == 4 else heads
    lowered = _attention(max(prod(query.shape[:-2]) // heads, 1), pairs, heads, kv_heads, (query, value), mask)
    _absorb(flow, members, lowered, (query, key, value), place)


def _eager_mask(flow: Flow, scores: list[int], pairs: tuple[int, int]) -> tuple[Any, bool]:
    """The pairs that the masks between product and softmax allow together; whether the values of all are known."""
    allowed, complete = None, True
    for index in scores[1:]:
        step = flow.steps[index]
        assert step is not None
        call = step.calls[0]
        chosen = call.name == "where"  # true keeps the scores; `masked_fill` fills where true
        for tensor in call.inputs if step.lowered.op in ("Add", "Where") else ():
            found = _allowed(tensor, flow.recording, pairs, additive=chosen)
            if found is not None:
                allowed = found if allowed is None else allowed & found
            elif lowered_type(tensor.dtype) == "bool":
                complete = False
    return allowed, complete


def _stated_heads(module: Any, products: int) -> int:
    """Heads that a module states, where they divide its products: a loop over heads has one each time."""
    for name in ("num_heads", "num_attention_heads", "n_heads", "n_head"):
        stated = getattr(module, name, None)
        if isinstance(stated, int) and stated > 0 and products % stated == 0:
            return stated
    return 1


def _scores(flow: Flow, step: Step, numel: int) -> list[int] | None:
    """Steps from the product of queries and keys to `step`, without it; the product comes first."""
    for tensor in step.calls[0].inputs:
        made = flow.made_by(tensor)
        if made is None or tensor.numel() != numel:
            continue
        index, maker = made
        reader = flow.only_reader(index)
        if reader is None or reader[1] is not step:
            continue
        if maker.lowered.op in ("BMM", "MatMul"):
            return [index]
        if maker.lowered.op in _BETWEEN:
            found = _scores(flow, maker, numel)
            if found is not None:
                return [*found, index]
    return None


def _absorb(flow: Flow, members: list[int], lowered: Lowered, operands: tuple[Any, ...], last: int) -> None:
    """Add to an attention the copies around it, the repetition of KV heads and the append to the cache."""
    members, dims, cached = list(members), dict(lowered.dims), ""
    for place, operand in enumerate(operands):  # query, key, value
        tensor = operand
        while True:
            if place and buffer_of(tensor) in flow.recording.cache:
                cached = "full"
            made = flow.made_by(tensor)
            if made is None or made[1].lowered.op not in ("Copy", "Cast", "Concat") or len(made[1].calls) > 1:
                break
            index, step = made
            if {r for b in step.fresh for r in flow.readers.get(b, ())} - set(members):
                break
            call = step.calls[0]
            if step.lowered.op == "Concat":
                joined = call.args[0] if call.args else call.kwargs["tensors"]
                if not place or len(joined) < 2:
                    break
                past, new = joined[:2]
                if (past.numel() > 0 and buffer_of(past) not in flow.recording.cache):
                    break
                cached = "full"
            else:
                new = call.inputs[0]
                repeated = new.dim() == 5 or (call.name == "repeat_interleave" and new.dim() == 4)
                if place == 1 and repeated:  # from [batch, kv_heads, (repeats,) length, width]
                    dims["kv_heads"] = _heads(new)
            members.append(index)
            tensor = new
    after = flow.only_reader(last)
    if after is not None and after[1].lowered.op == "Copy" and after[1].reads <= _fresh(flow, last):
        members.append(after[0])
    if cached and dims["window"] and hasattr(_config(flow, last), "sliding_window"):
        cached = "window"
    flow.merge(members, Lowered("Attention", dims, lowered.dtype), cached=cached)


def _fresh(flow: Flow, index: int) -> set[int]:
    step = flow.steps[index]
    return set() if step is None else step.fresh


def _config(flow: Flow, index: int) -> Any:
    step = flow.steps[index]
    return getattr(step.frame.module, "config", None) if step is not None else None
