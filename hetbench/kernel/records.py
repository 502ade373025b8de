"""Structures of the kernel as numpy records: the fields that the C source declares, and what their pointers keep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["BLOCK_COLUMNS", "MOST_HIDDEN", "Record", "address", "class_record", "forest_record", "group_records",
           "network_record", "record"]  # fmt: skip

BLOCK_COLUMNS = 128
"""Most columns of a matrix that the kernel takes."""
MOST_HIDDEN = 256
_MOST_MEMBERS = 4
_POINTER, _INT, _REAL = np.uintp, np.int64, np.float64

_FOREST = np.dtype([
    ("columns", _POINTER), ("used", _INT), ("borders", _POINTER), ("cuts", _POINTER), ("column", _POINTER),
    ("rank", _POINTER), ("depth", _INT), ("trees", _INT), ("leaves", _POINTER), ("bias", _REAL),
])  # fmt: skip
_NETWORK = np.dtype([
    ("mean", _POINTER), ("scale", _POINTER), ("columns", _INT), ("hidden", _INT), ("layers", _INT), ("into", _POINTER),
    ("weights", _POINTER), ("biases", _POINTER), ("out", _POINTER), ("clip", _REAL), ("offset", _REAL),
    ("bias", _REAL), ("unknown_is_zero", _INT),
])  # fmt: skip
_CLASS = np.dtype([
    ("members", _INT), ("weight", _REAL, _MOST_MEMBERS), ("forest", _POINTER, _MOST_MEMBERS),
    ("network", _POINTER, _MOST_MEMBERS), ("cells", _POINTER), ("rgat", _POINTER), ("low", _POINTER),
    ("high", _POINTER), ("slow", _INT), ("slow_at", _POINTER), ("slow_times", _POINTER),
])  # fmt: skip
PEER = np.dtype([("effects", _REAL, 5), ("cell", _INT)])
GROUP = np.dtype([
    ("own_peak", _REAL), ("peak", _REAL), ("floor", _REAL),
    ("itemsize", _REAL), ("effects", _REAL, 5), ("protocol", _REAL), ("bias", _REAL),
    ("constant", _REAL), ("rgat", _REAL), ("usual", _REAL), ("asked_floor", _REAL), ("shares", _REAL, 6),
    ("bands", _REAL, 12), ("of_clock", _REAL), ("of_peak", _REAL), ("head", _INT), ("cell", _INT),
    ("same_protocol", _INT), ("widened", _INT), ("peers", _INT), ("peer", _POINTER), ("forest", _POINTER),
    ("rgat_own", _POINTER),
])  # fmt: skip


class Record:
    """One structure or an array of them, its address, and the arrays that its pointers lead to."""

    __slots__ = ("address", "kept", "values")

    def __init__(self, values: NDArray[Any], kept: Sequence[Any] = ()) -> None:
        self.values, self.kept, self.address = values, tuple(kept), address(values)


def address(array: NDArray[Any]) -> int:
    """Where the data of a contiguous array begin."""
    found: int = array.__array_interface__["data"][0]
    return found


def record(kind: np.dtype[Any], fields: dict[str, Any], kept: Sequence[Any] = ()) -> Record:
    """A structure from its fields; an array or `Record` among them becomes its address."""
    made = np.zeros(1, dtype=kind)
    own = list(kept)
    for name, value in fields.items():
        if isinstance(value, Record | np.ndarray) and kind[name].shape == ():
            own.append(value)
            made[name] = value.address if isinstance(value, Record) else address(value)
        else:
            made[name] = value
    return Record(made, own)


def _floats(array: Any) -> NDArray[np.float32]:
    return np.ascontiguousarray(array, dtype=np.float32)


def forest_record(
    columns: NDArray[Any], borders: Sequence[NDArray[Any]], split_column: NDArray[Any], split_rank: NDArray[Any],
    leaves: NDArray[Any], bias: float,
) -> Record | None:  # fmt: skip
    """A tree ensemble, arguments as the fields of `hetbench.predict.trees.Forest`; None without room for it."""
    depth, trees = split_column.shape
    sizes = [len(each) for each in borders]
    if depth > 8 or len(columns) > 256 or max(sizes, default=0) > 255 or int(columns.max(initial=0)) >= BLOCK_COLUMNS:
        return None
    return record(_FOREST, {
        "columns": np.ascontiguousarray(columns, dtype=np.int32), "used": len(columns),
        "borders": _floats(np.concatenate(borders)), "cuts": np.cumsum([0, *sizes], dtype=np.int32),
        "column": np.ascontiguousarray(split_column.T, dtype=np.uint8),
        "rank": np.ascontiguousarray(split_rank.reshape(depth, trees).T, dtype=np.uint8), "depth": depth,
        "trees": trees, "leaves": _floats(leaves).ravel(), "bias": bias,
    })  # fmt: skip


def network_record(
    scale: tuple[Any, Any], into: Any, hidden: Sequence[tuple[Any, Any]], out: tuple[Any, float], *, clip: float,
    offset: float = 0.0, unknown_is_zero: bool = False,
) -> Record | None:  # fmt: skip
    """A residual network: mean and deviation of the features, the first layer, weight and bias of the hidden ones, of
    the output; None where the kernel has no room."""
    mean, deviation = map(_floats, scale)
    columns, width = into.shape
    if width > MOST_HIDDEN or width % 16 or columns > BLOCK_COLUMNS:
        return None
    weights = _floats(np.stack([w for w, _ in hidden])) if hidden else _floats(np.zeros(1))
    biases = _floats(np.stack([b for _, b in hidden])) if hidden else _floats(np.zeros(1))
    return record(_NETWORK, {
        "mean": mean, "scale": deviation, "columns": columns, "hidden": width, "layers": len(hidden),
        "into": _floats(into), "weights": weights, "biases": biases, "out": _floats(out[0]).ravel(), "clip": clip,
        "offset": offset, "bias": out[1], "unknown_is_zero": int(unknown_is_zero),
    })  # fmt: skip


def class_record(
    members: Sequence[tuple[float, Record, bool]], cells: Any, rgat: Record, covered: tuple[Any, Any],
    curve: tuple[Sequence[float], Sequence[float]],
) -> Record | None:  # fmt: skip
    """The full head of a class: (weight, model, whether it is a forest) of each member, what a cell adds to the
    network's first layer, the RGAT, what rows of each cell cover, and the curve that bands grow by; None where the
    kernel has no room."""
    if len(members) > _MOST_MEMBERS:
        return None
    made = np.zeros(1, dtype=_CLASS)
    kept: list[Any] = [*(each for _, each, _ in members), rgat]
    made["members"], made["rgat"] = len(members), rgat.address
    for index, (weight, each, trees) in enumerate(members):
        made["weight"][0, index] = weight
        made["forest" if trees else "network"][0, index] = each.address
    for name, array in (("cells", cells), ("low", covered[0]), ("high", covered[1])):
        if array is not None:
            kept.append(_floats(array))
            made[name] = address(kept[-1])
    made["slow"] = len(curve[0])
    for name, points in zip(("slow_at", "slow_times"), curve, strict=True):
        kept.append(np.array(points, dtype=np.float64))
        made[name] = address(kept[-1])
    return Record(made, kept)


def group_records(groups: Sequence[dict[str, Any]]) -> Record:
    """What the kernel knows of each operator type on a chip, [groups]; see `Group` in source/operators.h."""
    made = np.zeros(len(groups), dtype=GROUP)
    kept = []
    for index, fields in enumerate(groups):
        for name, value in fields.items():
            if isinstance(value, Record) or name in ("rgat_own", "peer"):
                kept.append(value)
                made[name][index] = value.address if isinstance(value, Record) else address(value)
            else:
                made[name][index] = value
    return Record(made, kept)
