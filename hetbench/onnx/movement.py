"""Operators that look at elements in another way, or move them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from hetbench.onnx.run import MOST_PARTS, MOST_VALUES, Given, Op, Run, number
from hetbench.onnx.tensors import DTYPES, Tensor, axis_of, broadcast, viewed

__all__ = ["HANDLERS", "concatenated", "first", "known", "reshaped", "transposed", "whole"]


def whole(tensor: Tensor | None, what: str) -> list[int]:
    """Values of a tensor of integers that the walk needs to know."""
    if tensor is None or tensor.value is None:
        raise ValueError(f"its {what} depends on data that is not in the file")
    return [int(each) for each in np.asarray(tensor.value).reshape(-1)]


def known(run: Run, *tensors: Tensor | None) -> bool:
    """Whether all values are known, small, and no data reaches them."""
    return all(
        each is None or (each.value is not None and not run.is_data(each) and each.numel() <= MOST_VALUES)
        for each in tensors
    )


def reshaped(run: Run, x: Tensor, shape: Sequence[int]) -> Tensor:
    """The elements in another shape: a view where memory allows it, else a copy."""
    if known(run, x):
        return run.new(shape, x.dtype, np.asarray(x.value).reshape(tuple(shape)))
    strides = viewed(x.shape, x.strides, shape)
    if strides is not None:
        return run.view(x, shape, strides)
    made = run.new(shape, x.dtype)
    made.quantised = x.quantised
    run.call("reshape", [x], made)
    return made


def _reshape(run: Run, op: Op, given: Given) -> Tensor:
    x = first(given)
    wanted = list(op.get("shape", ())) or whole(given[1], "new shape")
    if not op.get("allowzero", 0):
        wanted = [x.shape[axis] if size == 0 else size for axis, size in enumerate(wanted)]
    rest = prod(size for size in wanted if size != -1)
    sizes = [(x.numel() // rest if rest else 0) if size == -1 else size for size in wanted]
    if prod(sizes) != x.numel():
        raise ValueError(f"{x.numel():,} elements of shape {x.shape} have no shape {tuple(wanted)}")
    return reshaped(run, x, sizes)


def _flatten(run: Run, op: Op, given: Given) -> Tensor:
    x, axis = first(given), op.get("axis", 1)
    axis += x.ndim if axis < 0 else 0
    return reshaped(run, x, (prod(x.shape[:axis]), prod(x.shape[axis:])))


def _axes(op: Op, given: Given, place: int) -> list[int] | None:
    if len(given) > place and given[place] is not None:
        return whole(given[place], "axes")
    axes = op.get("axes")
    return None if axes is None else list(axes)


def _squeeze(run: Run, op: Op, given: Given) -> Tensor:
    x, axes = first(given), _axes(op, given, 1)
    ones = {axis for axis, size in enumerate(x.shape) if size == 1}
    gone = ones if axes is None else {axis_of(axis, x.ndim) for axis in axes}
    if gone - ones:
        raise ValueError(f"axes {sorted(gone)} of shape {x.shape} are not all 1")
    kept = [axis for axis in range(x.ndim) if axis not in gone]
    return _looked(run, x, [x.shape[a] for a in kept], [x.strides[a] for a in kept])


def _unsqueeze(run: Run, op: Op, given: Given) -> Tensor:
    x, axes = first(given), _axes(op, given, 1) or []
    rank = x.ndim + len(axes)
    new = {axis_of(axis, rank) for axis in axes}
    sizes, strides = iter(x.shape), iter(x.strides)
    shape = [1 if axis in new else next(sizes) for axis in range(rank)]
    return _looked(run, x, shape, [1 if axis in new else next(strides) for axis in range(rank)])


def _looked(run: Run, x: Tensor, shape: Sequence[int], strides: Sequence[int]) -> Tensor:
    value = np.asarray(x.value).reshape(tuple(shape)) if known(run, x) else None
    return run.view(x, shape, strides, value)


def transposed(run: Run, x: Tensor, order: Sequence[int]) -> Tensor:
    """The axes in another order."""
    if sorted(order) != list(range(x.ndim)):
        raise ValueError(f"{tuple(order)} is no order of {x.ndim} axes")
    value = np.asarray(x.value).transpose(tuple(order)) if known(run, x) else None
    return run.view(x, [x.shape[a] for a in order], [x.strides[a] for a in order], value)


def _transpose(run: Run, op: Op, given: Given) -> Tensor:
    x = first(given)
    return transposed(run, x, op.get("perm") or list(reversed(range(x.ndim))))


def _identity(run: Run, op: Op, given: Given) -> Any:
    x = first(given)
    return [x, run.new(x.shape, DTYPES[9])][: op.outputs] if op.kind == "Dropout" else x


def _expand(run: Run, op: Op, given: Given) -> Tensor:
    x = first(given)
    shape = broadcast(x.shape, whole(given[1], "new shape"))
    if known(run, x) and prod(shape) <= MOST_VALUES:
        return run.new(shape, x.dtype, np.broadcast_to(np.asarray(x.value), shape))
    held = (0,) * (len(shape) - x.ndim) + x.strides
    sizes = (1,) * (len(shape) - x.ndim) + x.shape
    return run.view(x, shape, [0 if size != new else step for size, new, step in zip(sizes, shape, held, strict=True)])


def _slice(run: Run, op: Op, given: Given) -> Tensor:
    x = first(given)
    if op.version < 10:
        starts, ends = list(op.get("starts")), list(op.get("ends"))
        axes, steps = list(op.get("axes") or range(len(starts))), [1] * len(starts)
    else:
        starts, ends = whole(given[1], "start"), whole(given[2], "end")
        axes = whole(given[3], "axes") if len(given) > 3 and given[3] is not None else list(range(len(starts)))
        steps = whole(given[4], "steps") if len(given) > 4 and given[4] is not None else [1] * len(starts)
    cuts = [slice(None)] * x.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        least = end < -x.shape[axis] and step < 0
        cuts[axis] = slice(start, None if least else end, step)
    ranges = [range(size)[cut] for size, cut in zip(x.shape, cuts, strict=True)]
    shape, strides = [len(each) for each in ranges], [s * abs(r.step) for s, r in zip(x.strides, ranges, strict=True)]
    value = np.asarray(x.value)[tuple(cuts)] if known(run, x) else None
    if value is None and any(each.step < 0 and len(each) > 1 for each in ranges):
        return run.call("flip", [x], run.new(shape, x.dtype))  # type: ignore[no-any-return]
    return run.view(x, shape, strides, value)


def _split(run: Run, op: Op, given: Given) -> list[Tensor]:
    x = first(given)
    axis = axis_of(op.get("axis", 0), x.ndim)
    sizes = list(op.get("split") or ())
    if len(given) > 1 and given[1] is not None:
        sizes = whole(given[1], "parts")
    elif not sizes:
        parts = op.get("num_outputs", op.outputs)
        if parts > MOST_PARTS:
            raise ValueError(f"it has {parts:,} parts; at most {MOST_PARTS:,} are read")
        each = -(-x.shape[axis] // parts)
        sizes = [min(each, x.shape[axis] - each * part) for part in range(parts)]
    found, start = [], 0
    for size in sizes:
        cut = (*[slice(None)] * axis, slice(start, start + size))
        value = np.asarray(x.value)[cut] if known(run, x) else None
        found.append(run.view(x, (*x.shape[:axis], size, *x.shape[axis + 1 :]), x.strides, value))
        start += size
    return found


def concatenated(run: Run, parts: Sequence[Tensor], axis: int) -> Tensor:
    """Tensors one after the other along an axis."""
    head = parts[0]
    axis = axis_of(axis, head.ndim)
    shape = [*head.shape[:axis], sum(part.shape[axis] for part in parts), *head.shape[axis + 1 :]]
    if known(run, *parts) and prod(shape) <= MOST_VALUES:
        return run.new(shape, head.dtype, np.concatenate([np.asarray(part.value) for part in parts], axis))
    made = run.new(shape, next((part.dtype for part in parts if part.numel()), head.dtype))
    run.call("cat", [tuple(parts), axis], made)
    return made


def _concat(run: Run, op: Op, given: Given) -> Tensor:
    return concatenated(run, [each for each in given if each is not None], op.get("axis", 1))


def _gather(run: Run, op: Op, given: Given) -> Tensor:
    x, index = first(given), given[1]
    assert index is not None
    axis = axis_of(op.get("axis", 0), x.ndim)
    shape = (*x.shape[:axis], *index.shape, *x.shape[axis + 1 :])
    if known(run, x, index):
        return run.new(shape, x.dtype, np.take(np.asarray(x.value), np.asarray(index.value).astype(np.int64), axis))
    if not index.shape and index.value is not None:
        return run.view(x, shape, (*x.strides[:axis], *x.strides[axis + 1 :]))
    made = run.new(shape, x.dtype)
    table = axis == 0 and x.ndim == 2 and run.is_data(x) and x.storage._cdata in run.recording.parameters
    run.call("embedding" if table else "index_select", [x, index] if table else [x, axis, index], made)
    return made


def _moved(name: str, shape: Callable[[Op, Tensor, Given], Sequence[int]]) -> Callable[[Run, Op, Given], Tensor]:
    """A copy by an index: the shape follows from the inputs."""

    def handler(run: Run, op: Op, given: Given) -> Tensor:
        x = first(given)
        value = _VALUES[op.kind](op, *(each.value for each in given if each is not None)) if (
            op.kind in _VALUES and known(run, *given)) else None  # fmt: skip
        made = run.new(shape(op, x, given), x.dtype, value)
        if value is None:
            run.call(name, [each for each in given if each is not None], made)
        return made

    return handler


def _like_index(op: Op, x: Tensor, given: Given) -> Sequence[int]:
    assert given[1] is not None
    return given[1].shape


def _like_input(op: Op, x: Tensor, given: Given) -> Sequence[int]:
    return x.shape


def _gathered(op: Op, x: Tensor, given: Given) -> Sequence[int]:
    index, batch = given[1], op.get("batch_dims", 0)
    assert index is not None
    return (*index.shape[:-1], *x.shape[batch + index.shape[-1] :])


def _gather_nd(op: Op, x: Any, index: Any) -> Any:
    if op.get("batch_dims", 0):
        return None
    return x[tuple(np.moveaxis(index.astype(np.int64), -1, 0))]


def _scatter_nd(op: Op, x: Any, index: Any, updates: Any) -> Any:
    made = np.array(x)
    made[tuple(np.moveaxis(index.astype(np.int64), -1, 0))] = updates
    return made


_VALUES: dict[str, Callable[..., Any]] = {
    "GatherElements": lambda op, x, index: np.take_along_axis(x, index.astype(np.int64), op.get("axis", 0)),
    "GatherND": _gather_nd, "ScatterND": _scatter_nd,
    "Trilu": lambda op, x, *k: (np.triu if op.get("upper", 1) else np.tril)(x, *map(int, k)),
}  # fmt: skip


def _tile(run: Run, op: Op, given: Given) -> Tensor:
    x, times = first(given), whole(given[1], "repeats")
    shape = [size * many for size, many in zip(x.shape, times, strict=True)]
    if known(run, x) and prod(shape) <= MOST_VALUES:
        return run.new(shape, x.dtype, np.tile(np.asarray(x.value), times))
    return run.call("repeat", [x, *times], run.new(shape, x.dtype))  # type: ignore[no-any-return]


def _pad(run: Run, op: Op, given: Given) -> Tensor:
    x = first(given)
    pads = list(op.get("pads") or ()) or whole(given[1], "padding")
    axes = whole(given[3], "axes") if len(given) > 3 and given[3] is not None else list(range(x.ndim))
    shape, many = list(x.shape), len(axes)
    for place, axis in enumerate(axes):
        shape[axis] += pads[place] + pads[place + many]
    if not any(pads):
        return x
    small = known(run, x) and prod(shape) <= MOST_VALUES
    if small and op.get("mode", "constant") == "constant" and many == x.ndim:
        fill = number(given[2]) if len(given) > 2 and given[2] is not None else 0
        widths = list(zip(pads[:many], pads[many:], strict=True))
        return run.new(shape, x.dtype, np.pad(np.asarray(x.value), widths, constant_values=fill))
    return run.call("pad", [x, pads], run.new(shape, x.dtype))  # type: ignore[no-any-return]


def _space(run: Run, op: Op, given: Given) -> Tensor:
    x, side = first(given), op.get("blocksize")
    n, c, h, w = x.shape
    if op.kind == "DepthToSpace":
        return run.call("pixel_shuffle", [x], run.new((n, c // side**2, h * side, w * side), x.dtype))  # type: ignore[no-any-return]
    return run.call("pixel_unshuffle", [x], run.new((n, c * side**2, h // side, w // side), x.dtype))  # type: ignore[no-any-return]


def _scattered(run: Run, op: Op, given: Given) -> Tensor:
    x, added = first(given), op.get("reduction", "none") != "none"
    if not added:
        return _moved("scatter", _like_input)(run, op, given)
    return run.call("scatter_add", list(given), run.new(x.shape, x.dtype))  # type: ignore[no-any-return]


def first(given: Given) -> Tensor:
    """The first input, which may not be missing."""
    if not given or given[0] is None:
        raise ValueError("its first input is missing")
    return given[0]


HANDLERS: dict[str, Callable[[Run, Op, Given], Any]] = {
    "Reshape": _reshape, "Flatten": _flatten, "Squeeze": _squeeze, "Unsqueeze": _unsqueeze, "Transpose": _transpose,
    **dict.fromkeys(("Identity", "Dropout"), _identity), "Expand": _expand, "Slice": _slice, "Split": _split,
    "Concat": _concat, "Gather": _gather, "Tile": _tile, "Pad": _pad, "DepthToSpace": _space, "SpaceToDepth": _space,
    "GatherElements": _moved("gather", _like_index), "GatherND": _moved("index", _gathered),
    "Trilu": _moved("triu", _like_input), "ScatterND": _scattered, "ScatterElements": _scattered, "Scatter": _scattered,
    "ReverseSequence": _moved("flip", _like_input),
}  # fmt: skip
