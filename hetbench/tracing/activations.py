"""Activations that are written in pieces, found by what the pieces compute.

A GELU is any element-wise function of one tensor whose values are those of GELU, of its tanh form or of
x * sigmoid(1.702 x). Formats without operators of their names also write SiLU, Hardswish and Mish in pieces.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hetbench.tracing.flow import Flow
from hetbench.tracing.lowered import Lowered, lowered_type
from hetbench.tracing.recording import buffer_of

__all__ = ["merge_activations", "merge_gelus"]

_PIECES = frozenset({"Add", "AddScalar", "Sub", "Mul", "MulScalar", "Div", "DivScalar", "Pow", "PowScalar", "Tanh",
                     "Sigmoid", "Hardsigmoid", "Clamp", "ReLU6", "GELU"})  # fmt: skip
_LONGEST = 12
"""Most pieces that an activation is written in."""
_X = np.linspace(-6, 6, 97)
Form = tuple[str, Any]
"""An operator type, and its values at `_X`."""
_GELUS: tuple[Form, ...] = (
    ("GELU", _X * (1 + np.vectorize(math.erf)(_X / math.sqrt(2))) / 2), ("GELU", _X / (1 + np.exp(-1.702 * _X))),
    ("GELU", _X * (1 + np.tanh(math.sqrt(2 / math.pi) * (_X + 0.044715 * _X**3))) / 2),
)  # fmt: skip
_ACTIVATIONS: tuple[Form, ...] = (
    *_GELUS, ("SiLU", _X / (1 + np.exp(-_X))), ("Hardswish", _X * np.clip(_X + 3, 0, 6) / 6),
    ("GELU", _X * np.tanh(np.log1p(np.exp(_X)))),  # Mish, which counts as GELU
)  # fmt: skip


def merge_gelus(flow: Flow) -> None:
    """Put every function together that is written in pieces and whose values are those of a GELU."""
    _merge_forms(flow, ("Tanh", "Sigmoid"), _GELUS)


def merge_activations(flow: Flow) -> None:
    """The same of GELU, SiLU, Hardswish and Mish, for formats without operators of these names."""
    _merge_forms(flow, ("Tanh", "Sigmoid", "Hardsigmoid", "Clamp", "ReLU6"), _ACTIVATIONS)


def _merge_forms(flow: Flow, anchors: tuple[str, ...], forms: tuple[Form, ...]) -> None:
    for index, step in list(flow.live()):
        if flow.steps[index] is step and step.lowered.op in anchors:
            found = _activation(flow, index, forms)
            if found is not None:
                flow.merge(*found)


def _activation(flow: Flow, anchor: int, forms: tuple[Form, ...]) -> tuple[list[int], Lowered] | None:
    """The pieces from the input to the last one that together are one of the functions."""
    place = anchor
    best = None
    for _ in range(4):
        reader = flow.only_reader(place)
        if reader is None or reader[1].lowered.op not in _PIECES:
            break
        place, step = reader
        if step.lowered.op not in ("Mul", "MulScalar", "Div", "DivScalar"):
            continue
        for source in _sources(flow, place):
            members = _between(flow, source, place)
            operator = _form(flow, members, source, forms) if members is not None and anchor in members else None
            if members is not None and operator is not None:
                made = step.calls[0].outputs[0]
                best = members, Lowered(operator, {"numel": int(made.numel())}, lowered_type(source.dtype))
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


def _form(flow: Flow, members: list[int], source: Any, forms: tuple[Form, ...]) -> str | None:
    """The operator type whose values the pieces compute."""
    made = _computed(flow, members, source)
    if made is None:
        return None
    return next((name for name, form in forms if np.allclose(made, form, rtol=1e-3, atol=2e-3)), None)


def _computed(flow: Flow, members: list[int], source: Any) -> Any:
    """What pieces compute from one tensor, run on the numbers `_X`; None where they cannot be run."""
    results: dict[int, Any] = {buffer_of(source): _X}

    def value(tensor: Any) -> Any:
        return results[buffer_of(tensor)]

    calls = [step.calls[0] for index in members if (step := flow.steps[index]) is not None]
    for call in calls:
        if call.func is None or not call.fresh or call.inplace:
            return None
        try:
            made = flow.recording.values.computed(call.func, call.args, dict(call.kwargs), value)
        except (KeyError, RuntimeError, TypeError):
            return None
        results[buffer_of(call.outputs[0])] = made
    return results[buffer_of(calls[-1].outputs[0])]
