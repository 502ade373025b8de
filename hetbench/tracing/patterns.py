"""Operators that eager code writes in pieces, found by what the pieces compute: RMSNorm, GELU, rotary embedding.

RMSNorm: x * rsqrt(mean(x^2) + eps), with the casts around it and a weight. GELU: any element-wise function of one
tensor whose values are those of GELU, of its tanh form or of x * sigmoid(1.702 x). RoPE: x * cos + rotate_half(x) *
sin, on q and then k.
"""

from __future__ import annotations

from typing import Any

from hetbench.tracing.flow import Flow, Step
from hetbench.tracing.lowered import Lowered, lowered_type
from hetbench.tracing.recording import Frame, buffer_of

__all__ = ["merge_gelus", "merge_rms_norms", "merge_rotations"]

# ---- RMSNorm ---------------------------------------------------------------------------------------------------------


def merge_rms_norms(flow: Flow) -> None:
    """Put every RMSNorm together that is written as square, mean, reciprocal root and products."""
    for index, step in list(flow.live()):
        if step.lowered.op == "Mean" and flow.steps[index] is step:
            found = _rms_norm(flow, index, step)
            if found is not None:
                flow.merge(*found)


def _rms_norm(flow: Flow, index: int, mean: Step) -> tuple[list[int], Lowered] | None:
    """The steps around one mean and what they are, if it is x * rsqrt(mean(x^2) + eps)."""
    squared = flow.made_by(mean.calls[0].inputs[0])
    if squared is None or not _is_square(squared[1]) or not _is_over_last_axis(mean):
        return None
    x = squared[1].calls[0].inputs[0]
    members = [squared[0], index]
    place, root = _follow(flow, index, members, ("AddScalar", "Add", "Rsqrt", "Sqrt", "PowScalar"))
    scaled = flow.only_reader(place)
    if root is None or scaled is None or scaled[1].lowered.op != ("Div" if root == "Sqrt" else "Mul"):
        return None
    cast = _cast_of(flow, x)
    source = x if cast is None else cast[1].calls[0].inputs[0]
    allowed = {buffer_of(x), buffer_of(source)}
    if not any(buffer_of(tensor) in allowed for tensor in scaled[1].calls[0].inputs) or _is_centred(flow, source):
        return None
    members.append(scaled[0])
    _weighted(flow, scaled[0], members, mean.lowered.dims["cols"])
    if cast is not None:
        readers = {r for b in cast[1].fresh for r in flow.readers.get(b, ())}
        if readers <= set(members):
            members.append(cast[0])
    return members, Lowered("RMSNorm", dict(mean.lowered.dims), lowered_type(source.dtype))


def _is_square(step: Step) -> bool:
    call = step.calls[0]
    if step.lowered.op == "PowScalar":
        return call.name == "square" or (len(call.args) > 1 and call.args[1] == 2) or call.kwargs.get("exponent") == 2
    same = len(call.inputs) == 2 and call.inputs[0] is call.inputs[1]
    return step.lowered.op == "Mul" and (same or (len(call.inputs) == 1 and call.args[0] is call.args[1]))


def _is_over_last_axis(mean: Step) -> bool:
    given, made = mean.calls[0].inputs[0], mean.calls[0].outputs[0]
    return bool(given.dim()) and given.shape[-1] == mean.lowered.dims["cols"] and made.shape != given.shape


def _is_centred(flow: Flow, tensor: Any) -> bool:
    """Whether a tensor is a difference: of its own mean, the norm is a layer norm."""
    made = flow.made_by(tensor)
    return made is not None and made[1].lowered.op == "Sub"


def _cast_of(flow: Flow, tensor: Any) -> tuple[int, Step] | None:
    made = flow.made_by(tensor)
    return made if made is not None and made[1].lowered.op == "Cast" else None


def _follow(flow: Flow, index: int, members: list[int], wanted: tuple[str, ...]) -> tuple[int, str | None]:
    """Along single readers of one row each, up to the reciprocal root; which one it is."""
    place = index
    for _ in range(3):
        reader = flow.only_reader(place)
        if reader is None or reader[1].lowered.op not in wanted:
            return place, None
        place, step = reader
        members.append(place)
        if step.lowered.op in ("Rsqrt", "Sqrt", "PowScalar"):
            return place, step.lowered.op
    return place, None


def _weighted(flow: Flow, place: int, members: list[int], cols: int) -> None:
    """Add what follows the norm and belongs to it: casts, and a product with a weight of the width."""
    for wanted in ("Cast", "Mul", "Cast"):
        reader = flow.only_reader(place)
        if reader is None or reader[1].lowered.op != wanted:
            continue
        index, step = reader
        if wanted == "Mul":
            weight = [tensor for tensor in step.calls[0].inputs if tensor.numel() == cols]
            steps = _weight_steps(flow, weight[-1]) if weight else None
            if steps is None:
                return
            members.extend(steps)
        members.append(index)
        place = index


def _weight_steps(flow: Flow, weight: Any) -> list[int] | None:
    """The steps that make a weight out of a parameter (1 + w, a cast); None where it is no parameter."""
    found: list[int] = []
    tensor = weight
    while buffer_of(tensor) not in flow.recording.parameters:
        made = flow.made_by(tensor)
        if made is None or made[1].lowered.op not in ("AddScalar", "Cast") or flow.only_reader(made[0]) is None:
            return None
        found.append(made[0])
        tensor = made[1].calls[0].inputs[0]
    return found


# ---- GELU ------------------------------------------------------------------------------------------------------------

_PIECES = frozenset({"Add", "AddScalar", "Sub", "Mul", "MulScalar", "Div", "DivScalar", "Pow", "PowScalar", "Tanh",
                     "Sigmoid"})  # fmt: skip
_LONGEST = 12
"""Most pieces that a GELU is written in."""


def merge_gelus(flow: Flow) -> None:
    """Put every function together that is written in pieces and whose values are those of a GELU."""
    for index, step in list(flow.live()):
        if flow.steps[index] is step and step.lowered.op in ("Tanh", "Sigmoid"):
            found = _gelu(flow, index)
            if found is not None:
                flow.merge(*found)


def _gelu(flow: Flow, anchor: int) -> tuple[list[int], Lowered] | None:
    """The pieces from the input to the last one that together are a GELU."""
    place = anchor
    best = None
    for _ in range(4):
        reader = flow.only_reader(place)
        if reader is None or reader[1].lowered.op not in _PIECES:
            break
        place, step = reader
        if step.lowered.op not in ("Mul", "MulScalar"):
            continue
        for source in _sources(flow, place):
            members = _between(flow, source, place)
            if members is not None and anchor in members and _is_gelu(flow, members, source):
                made = step.calls[0].outputs[0]
                best = members, Lowered("GELU", {"numel": int(made.numel())}, lowered_type(source.dtype))
    return best


def _sources(flow: Flow, last: int) -> list[Any]:
    """Tensors that the pieces before `last` could all be computed from, nearest first."""
    found: list[Any] = []
    pending, seen = [last], set[int]()
    while pending and len(seen) < _LONGEST:
        index = pending.pop(0)
        step = flow.steps[index]
        if index in seen or step is None or not step.calls:
            continue
        seen.add(index)
        for tensor in step.calls[0].inputs:
            if not any(tensor is each for each in found):
                found.append(tensor)
            made = flow.made_by(tensor)
            if made is not None and made[1].lowered.op in _PIECES:
                pending.append(made[0])
    return found


def _between(flow: Flow, source: Any, last: int) -> list[int] | None:
    """The pieces from `source` to `last`, in order; None where another tensor comes in or an inner result goes out."""
    members: set[int] = set()
    pending = [last]
    while pending:
        index = pending.pop()
        step = flow.steps[index]
        if index in members:
            continue
        if step is None or len(step.calls) != 1 or step.lowered.op not in _PIECES or len(members) == _LONGEST:
            return None
        members.add(index)
        for tensor in step.calls[0].inputs:
            if buffer_of(tensor) == buffer_of(source):
                continue
            made = flow.made_by(tensor)
            if made is None:
                return None
            pending.append(made[0])
    inner = members - {last}
    buffers = {b for index in inner if (step := flow.steps[index]) is not None for b in step.fresh}
    leaves = any(set(flow.readers.get(b, ())) - members for b in buffers) or buffers & flow.recording.outputs
    return None if leaves else sorted(members)


def _is_gelu(flow: Flow, members: list[int], source: Any) -> bool:
    """Whether the pieces compute a GELU: they are run on numbers."""
    import torch
    from torch.utils._pytree import tree_map_only

    x = torch.linspace(-6, 6, 97, dtype=torch.float64, device="cpu")
    results: dict[int, Any] = {buffer_of(source): x}

    def value(tensor: Any) -> Any:
        return results[buffer_of(tensor)]

    calls = [step.calls[0] for index in members if (step := flow.steps[index]) is not None]
    for call in calls:
        if call.func is None or not call.fresh or call.inplace:
            return False
        try:
            args, kwargs = tree_map_only(torch.Tensor, value, (call.args, dict(call.kwargs)))
            results[buffer_of(call.outputs[0])] = call.func(*args, **kwargs)
        except (KeyError, RuntimeError, TypeError):
            return False
    made, gelu = results[buffer_of(calls[-1].outputs[0])], torch.nn.functional.gelu
    forms = (gelu(x), gelu(x, approximate="tanh"), x * torch.sigmoid(1.702 * x))
    return any(bool(torch.allclose(made, form, rtol=1e-3, atol=2e-3)) for form in forms)


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
    return Lowered("RoPE", dims, lowered_type(rotated.dtype))


def merge_rotations(flow: Flow) -> None:
    """Put every rotation together, those of q and k as one."""
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


