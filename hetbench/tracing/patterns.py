"""Operators that eager code writes in pieces, found by what the pieces compute: RMSNorm, rotary embedding.

RMSNorm: x * rsqrt(mean(x^2) + eps), with the casts around it and a weight. RoPE: x * cos + rotate_half(x) * sin, on q
and then k. Activations are in `activations`.
"""

from __future__ import annotations

from typing import Any

from hetbench.tracing.flow import Flow, Step
from hetbench.tracing.lowered import Lowered, lowered_type
from hetbench.tracing.recording import Frame, buffer_of

__all__ = ["merge_rms_norms", "merge_rotations"]

# ---- RMSNorm ---------------------------------------------------------------------------------------------------------


def merge_rms_norms(flow: Flow) -> None:
    """Put every RMSNorm together that is written as square, mean, reciprocal root and products."""
    flow.merge_each("Mean", _rms_norm)


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
