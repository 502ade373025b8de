"""Operators that exporters write in pieces: a bias behind a product, layer norms, the two factors of attention."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hetbench.tracing.flow import Flow, Step
from hetbench.tracing.lowered import Lowered, lowered_type
from hetbench.tracing.recording import buffer_of

__all__ = ["merge_biases", "merge_layer_norms", "merge_roots", "merge_scales", "merge_softmaxes"]


def merge_biases(flow: Flow) -> None:
    """A product with weights and the row of parameters that is added to it."""
    for index, step in list(flow.live()):
        if flow.steps[index] is not step or step.lowered.op != "Linear" or step.lowered.dims.get("bias"):
            continue
        reader = flow.only_reader(index)
        if reader is not None and reader[1].lowered.op == "Add" and _adds_row(flow, reader[1], step.lowered.dims["n"]):
            dims = {**step.lowered.dims, "bias": 1}
            flow.merge([index, reader[0]], Lowered("Linear", dims, step.lowered.dtype))


def _adds_row(flow: Flow, add: Step, width: int) -> bool:
    rows = [one for one in add.calls[0].inputs if buffer_of(one) in flow.recording.parameters]
    return len(rows) == 1 and rows[0].numel() == width and len(add.calls) == 1


def merge_roots(flow: Flow) -> None:
    """1 / sqrt(x)."""
    for index, step in list(flow.live()):
        reader = flow.only_reader(index) if step.lowered.op == "Sqrt" and flow.steps[index] is step else None
        if reader is None or len(reader[1].calls) != 1:
            continue
        inverse, call = reader[1].lowered.op, reader[1].calls[0]
        if inverse == "Reciprocal" or (inverse == "DivScalar" and call.args[0] == 1):
            flow.merge([index, reader[0]], Lowered("Rsqrt", dict(step.lowered.dims), step.lowered.dtype))


def merge_layer_norms(flow: Flow) -> None:
    """(x - mean) / sqrt(mean of squares + eps), its weight and its bias."""
    flow.merge_each("Mean", _layer_norm)


def _layer_norm(flow: Flow, index: int, mean: Step) -> tuple[list[int], Lowered] | None:
    x = mean.calls[0].inputs[0]
    centred = flow.only_reader(index)
    if centred is None or centred[1].lowered.op != "Sub" or not x.dim() or x.shape[-1] != mean.lowered.dims["cols"]:
        return None
    if not any(one is x for one in centred[1].calls[0].inputs):
        return None
    members = [index, centred[0]]
    readers = {r for b in centred[1].fresh for r in flow.readers.get(b, ())}
    square = [r for r in readers if (step := flow.steps[r]) is not None and step.lowered.op in ("PowScalar", "Mul")]
    divided = [r for r in readers if (step := flow.steps[r]) is not None and step.lowered.op in ("Div", "Mul")]
    place = square[0] if square else -1
    for wanted in ("square", "Mean", "AddScalar", "Sqrt"):
        if place < 0:
            return None
        members.append(place)
        reader = flow.only_reader(place)
        if wanted == "Sqrt":
            break
        place = reader[0] if reader is not None else -1
    last = flow.only_reader(members[-1])
    if last is None or last[0] not in divided or len(readers) > 3:
        return None
    members.append(last[0])
    place = last[0]
    for wanted in ("Mul", "Add"):
        reader = flow.only_reader(place)
        if reader is None or reader[1].lowered.op != wanted or not _adds_row(flow, reader[1], x.shape[-1]):
            break
        members.append(reader[0])
        place = reader[0]
    return members, Lowered("LayerNorm", dict(mean.lowered.dims), lowered_type(x.dtype))


def merge_scales(flow: Flow) -> None:
    """Queries and keys that are both multiplied by a number before their product: attention in one function."""
    for index, step in list(flow.live()):
        if step.lowered.op not in ("BMM", "MatMul") or len(step.calls) != 1:
            continue
        made = [flow.made_by(one) for one in step.calls[0].inputs[-2:]]
        if any(each is None or each[1].lowered.op not in ("MulScalar", "DivScalar") for each in made):
            continue
        scales = [each for each in made if each is not None]
        if any((reader := flow.only_reader(place)) is None or reader[0] != index for place, _ in scales):
            continue
        sources = [_behind(scale.calls[0].inputs[0], seen) for (_, scale), seen in
                   zip(scales, step.calls[0].inputs[-2:], strict=True)]  # fmt: skip
        call = replace(step.calls[0], inputs=sources)
        flow.merge([*(place for place, _ in scales), index], step.lowered)
        merged = flow.steps[index]
        assert merged is not None
        merged.calls = [call]


def _behind(source: Any, seen: Any) -> Any:
    """What was scaled, with the axes in the order in which the product sees them."""
    if source.shape == seen.shape:
        return source
    return replace(source, shape=(*source.shape[:-2], source.shape[-1], source.shape[-2]))


def merge_softmaxes(flow: Flow) -> None:
    """A softmax, and the zeros that take the place of rows without any key."""
    for index, step in list(flow.live()):
        if flow.steps[index] is not step or step.lowered.op != "Softmax":
            continue
        readers = [r for b in step.fresh for r in flow.readers.get(b, ())]
        check = [r for r in readers if (one := flow.steps[r]) is not None and one.calls[0].name == "isnan"]
        if len(check) != 1:
            continue
        chosen = flow.only_reader(check[0])
        if chosen is not None and chosen[1].lowered.op == "Where" and set(readers) <= {check[0], chosen[0]}:
            flow.merge([index, check[0], chosen[0]], step.lowered)
