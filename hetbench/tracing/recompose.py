"""Put operators together that eager code writes in pieces, so that types are the field's.

RMSNorm: everything under a module whose class ends in RMSNorm (or is T5LayerNorm). GELU: everything under a module
named after it. RoPE: x * cos + rotate_half(x) * sin, on q and then k, found by data flow. Attention: a fused call, or
product, scale and mask, softmax, product; with it go the layout copies and casts of q, k, v and of the result, the
repetition of KV heads, and the append to the KV cache.
"""

from __future__ import annotations

from collections import Counter
from math import prod
from typing import Any

from hetbench.tracing.flow import Flow, Step, Trace, as_trace
from hetbench.tracing.lower import Lowered, aten_name, dtype_name, lower
from hetbench.tracing.record import Call, Frame, Recording, buffer_of

__all__ = ["recompose"]


def recompose(recording: Recording) -> Trace:
    """Nodes, edges and buffers of a recording."""
    bookkeeping: Counter[str] = Counter()
    steps: list[Step | None] = []
    for call in recording.calls:
        if not call.is_data:
            if call.fresh:
                bookkeeping[aten_name(call)] += 1
            continue
        lowered = _attention_call(call) if call.name == _SDPA else lower(call, recording)
        if lowered is not None:
            steps.append(Step([call], lowered, call.frame, set(call.reads), set(call.writes), set(call.fresh)))
    flow = Flow(steps, recording)
    _merge_modules(flow)
    _merge_rotations(flow)
    _merge_attention(flow)
    return as_trace(flow, dict(sorted(bookkeeping.items())))


# ---- modules ---------------------------------------------------------------------------------------------------------


def _is_rms_norm(module: Any) -> bool:
    name = type(module).__name__
    return name.endswith("RMSNorm") or name == "T5LayerNorm"


def _is_gelu(module: Any) -> bool:
    name = type(module).__name__.lower()
    return "gelu" in name and "glu" not in name.replace("gelu", "") and not any(True for _ in module.children())


def _merge_modules(flow: Flow) -> None:
    for accept, build in ((_is_rms_norm, _rms_norm), (_is_gelu, _gelu)):
        groups: dict[Frame, list[int]] = {}
        for index, step in flow.live():
            frame = step.frame.within(accept)
            if frame is not None:
                groups.setdefault(frame, []).append(index)
        for frame, members in groups.items():
            first, last = flow.steps[members[0]], flow.steps[members[-1]]
            assert first is not None
            assert last is not None
            flow.merge(members, build(first.calls[0].inputs[0], last.calls[-1].outputs[0]))
            merged = flow.steps[members[-1]]
            assert merged is not None
            merged.frame = frame


def _rms_norm(given: Any, _: Any) -> Lowered:
    cols = int(given.shape[-1])
    return Lowered("RMSNorm", {"rows": given.numel() // cols, "cols": cols}, dtype_name(given.dtype))


def _gelu(given: Any, made: Any) -> Lowered:
    return Lowered("GELU", {"numel": made.numel()}, dtype_name(given.dtype))


# ---- rotary position embedding ---------------------------------------------------------------------------------------


def _rotation(flow: Flow, neg: int) -> tuple[list[int], Lowered] | None:
    """The five steps around one negation, if it is x * cos + cat(-x2, x1) * sin."""
    members, place = [neg], neg
    for wanted in ("Concat", "Mul", "Add"):
        reader = flow.only_reader(place)
        if reader is None or reader[1].lowered.op != wanted:
            return None
        place = reader[0]
        members.append(place)
    add = flow.steps[place]
    assert add is not None
    for tensor in add.calls[0].inputs:
        made = flow.made_by(tensor)
        if made and made[0] not in members and made[1].lowered.op == "Mul":
            rotated, table = made[1].calls[0].inputs[:2]
            return [made[0], *members], _rope(rotated, table)
    return None


def _rope(rotated: Any, table: Any) -> Lowered:
    """One rotation; the axis of heads is where the cosine table, [1, 1, tokens, width], broadcasts."""
    axis = 2 if table.dim() == 4 and table.shape[1] != 1 else 1
    width = int(rotated.shape[-1])
    heads = int(rotated.shape[axis]) if rotated.dim() == 4 else 1
    dims = {"tokens": rotated.numel() // (heads * width), "heads": heads, "kv_heads": 0, "head_dim": width}
    return Lowered("RoPE", dims, dtype_name(rotated.dtype))


def _merge_rotations(flow: Flow) -> None:
    pending: tuple[Frame, list[int], Lowered] | None = None
    for index, step in list(flow.live()):
        if step.lowered.op != "Neg" or flow.steps[index] is not step:
            continue
        found = _rotation(flow, index)
        if found is None:
            continue
        members, lowered = found
        if pending is not None and pending[0] is step.frame and pending[2].dims["tokens"] == lowered.dims["tokens"]:
            dims = {**pending[2].dims, "kv_heads": lowered.dims["heads"]}
            flow.merge([*pending[1], *members], Lowered("RoPE", dims, lowered.dtype))
            pending = None
        else:
            pending = (step.frame, members, lowered)


# ---- attention -------------------------------------------------------------------------------------------------------

_SDPA = "scaled_dot_product_attention"
_BETWEEN = frozenset({
    "Add", "AddScalar", "Sub", "Mul", "MulScalar", "Div", "DivScalar", "Where", "Cast", "Clamp", "Maximum", "Copy",
    "Dropout", "Tanh",
})  # fmt: skip


def _heads(tensor: Any) -> int:
    """Heads of [batch, heads, length, width] that have memory of their own: an expanded axis counts once."""
    sizes = zip(tensor.shape[1:-2], tensor.stride()[1:-2], strict=True)
    return prod(size for size, stride in sizes if stride != 0)


def _attention_call(call: Call) -> Lowered:
    query, key = call.inputs[:2]
    batch, heads = (query.shape[0], query.shape[1]) if query.dim() == 4 else (prod(query.shape[:-2]), 1)
    causal, window = _mask(call)
    dims = {
        "batch": batch, "q_len": query.shape[-2], "kv_len": key.shape[-2], "heads": heads,
        "kv_heads": _heads(key) if key.dim() == 4 else 1, "head_dim": query.shape[-1], "causal": causal,
        "window": window,
    }  # fmt: skip
    return Lowered("Attention", dims, dtype_name(query.dtype))


def _mask(call: Call, frame: Frame | None = None) -> tuple[int, int]:
    """(causal, window) of the attention that a call belongs to.

    The call's own flag, else what its module says of itself; a mask alone may be padding. An eager module that says
    nothing is causal inside a causal language model.
    """
    module, root = call.frame.module, call.frame
    while root.parent is not None:
        root = root.parent
    config = getattr(module, "config", None) or getattr(root.module, "config", None)
    causal = bool(call.kwargs.get("is_causal")) or (len(call.args) > 5 and bool(call.args[5]))
    own = getattr(module, "is_causal", None)
    if own is None:
        own = call.name != _SDPA and type(root.module).__name__.endswith(("ForCausalLM", "LMHeadModel"))
    one_query = call.name == _SDPA and call.inputs[0].shape[-2] == 1
    masked = call.name != _SDPA or one_query or call.kwargs.get("attn_mask") is not None
    causal = causal or (bool(own) and masked)
    if not causal:
        return 0, 0
    if getattr(module, "attention_type", None) == "local":
        return 1, int(getattr(config, "window_size", 0) or 0)
    if hasattr(module, "sliding_window"):
        return 1, int(module.sliding_window or 0)
    used = getattr(config, "use_sliding_window", True)
    return 1, int((getattr(config, "sliding_window", None) or 0) if used else 0)


def _merge_attention(flow: Flow) -> None:
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
    module = softmax.frame.module
    heads = query.shape[1] if query.dim() == 4 else _stated_heads(module)
    causal, window = _mask(softmax.calls[0])
    dims = {
        "batch": prod(query.shape[:-2]) // heads, "q_len": query.shape[-2], "kv_len": key.shape[-1], "heads": heads,
        "kv_heads": _heads(key) if key.dim() == 4 else heads, "head_dim": query.shape[-1], "causal": causal,
        "window": window,
    }  # fmt: skip
    _absorb(flow, members, Lowered("Attention", dims, dtype_name(value.dtype)), (query, key, value), place)


def _stated_heads(module: Any) -> int:
    for name in ("num_heads", "num_attention_heads", "n_heads", "n_head"):
        if isinstance(getattr(module, name, None), int):
            return int(getattr(module, name))
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
                past, new = (call.args[0] if call.args else call.kwargs["tensors"])[:2]
                if not place or (past.numel() > 0 and buffer_of(past) not in flow.recording.cache):
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
