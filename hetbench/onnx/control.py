"""Nodes that hold graphs, and sequences of tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hetbench.onnx.movement import concatenated, whole
from hetbench.onnx.run import MOST_PARTS, Op, Run, number
from hetbench.onnx.tensors import Tensor, axis_of

__all__ = ["HANDLERS"]


def _if(run: Run, op: Op, given: Any) -> Any:
    chosen = given[0]
    if chosen is None or chosen.value is None:
        raise ValueError("which branch it takes depends on data; a flag among the inputs is given by its name in dims")
    assert run.walk is not None
    return run.walk(op.get("then_branch" if number(chosen) else "else_branch"), [])


def _loop(run: Run, op: Op, given: Any) -> Any:
    """Every turn, where how many there are is known."""
    most, going, *state = given
    turns = None if most is None else whole(most, "number of turns")[0]
    if turns is None or turns > MOST_PARTS:
        raise ValueError(f"how often it runs must be known and at most {MOST_PARTS:,}")
    assert run.walk is not None
    collected: list[list[Tensor]] = []
    going = run.constant(True) if going is None else going
    if going.value is not None and not number(going):
        turns = 0
    for turn in range(turns):
        going, *made = run.walk(op.get("body"), [run.constant(turn), going, *state])
        state, each = made[: len(state)], made[len(state) :]
        collected.append(each)
        if going is not None and going.value is not None and not number(going):
            break
    return [*state, *_stacked(run, collected)]


def _stacked(run: Run, collected: list[list[Tensor]]) -> list[Tensor]:
    found = []
    for parts in zip(*collected, strict=True):
        seen = [run.view(part, (1, *part.shape), (0, *part.strides), _lifted(part)) for part in parts]
        found.append(concatenated(run, seen, 0))
    return found


def _lifted(part: Tensor) -> Any:
    return None if part.value is None else part.value[None]


def _scan(run: Run, op: Op, given: Any) -> Any:
    many = op.get("num_scan_inputs")
    state, scanned = list(given[: len(given) - many]), given[len(given) - many :]
    axes = op.get("scan_input_axes") or [0] * many
    turns = scanned[0].shape[axes[0]]
    if turns > MOST_PARTS:
        raise ValueError(f"it runs {turns:,} times; at most {MOST_PARTS:,} are read")
    assert run.walk is not None
    collected: list[list[Tensor]] = []
    for _ in range(turns):
        slices = [
            run.view(one, (*one.shape[:at], *one.shape[at + 1 :]), (*one.strides[:at], *one.strides[at + 1 :]))
            for one, at in zip(scanned, axes, strict=True)
        ]
        made = run.walk(op.get("body"), [*state, *slices])
        state, each = made[: len(state)], made[len(state) :]
        collected.append(each)
    return [*state, *_stacked(run, collected)]


def _split(run: Run, op: Op, given: Any) -> Any:
    x, axis = given[0], axis_of(op.get("axis", 0), given[0].ndim)
    kept = op.get("keepdims", 1) or (len(given) > 1 and given[1] is not None)
    sizes = whole(given[1], "parts") if len(given) > 1 and given[1] is not None else [1]
    if len(given) < 2 or given[1] is None or given[1].ndim == 0:
        starts = range(0, x.shape[axis], sizes[0])
        if len(starts) > MOST_PARTS:
            raise ValueError(f"it has {len(starts):,} parts; at most {MOST_PARTS:,} are read")
        sizes = [min(sizes[0], x.shape[axis] - start) for start in starts]
    found = []
    for size in sizes:
        shape, strides = [*x.shape], [*x.strides]
        shape[axis] = size
        if not kept:
            del shape[axis], strides[axis]
        found.append(run.view(x, shape, strides))
    return [found]


def _at(run: Run, op: Op, given: Any) -> Any:
    return given[0][whole(given[1], "place")[0]]


def _joined(run: Run, op: Op, given: Any) -> Any:
    parts, axis = given[0], op.get("axis", 0)
    if op.get("new_axis", 0):
        rank = parts[0].ndim + 1
        axis %= rank
        parts = [
            run.view(one, (*one.shape[:axis], 1, *one.shape[axis:]), (*one.strides[:axis], 0, *one.strides[axis:]))
            for one in parts
        ]
    return concatenated(run, parts, axis)


def _inserted(run: Run, op: Op, given: Any) -> Any:
    place = whole(given[2], "place")[0] if len(given) > 2 and given[2] is not None else len(given[0])
    return [[*given[0][:place], given[1], *given[0][place:]]]


HANDLERS: dict[str, Callable[[Run, Op, Any], Any]] = {
    "If": _if, "Loop": _loop, "Scan": _scan, "SplitToSequence": _split, "SequenceAt": _at,
    "SequenceConstruct": lambda run, op, given: [list(given)], "SequenceEmpty": lambda run, op, given: [[]],
    "ConcatFromSequence": _joined, "SequenceInsert": _inserted,
    "SequenceLength": lambda run, op, given: run.constant(len(given[0])),
}  # fmt: skip
