"""A compact convolutional network at image sizes that it was not traced at.

Where every feature map keeps a whole side, all sides grow as the image does, and whatever counts pixels grows with the
square of that: a map is told from a vector of channels by its number of elements, which must be that of a map that
some convolution or pool of the network makes. Networks with attention, and sizes at which a side would be broken,
are refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import gcd, lcm
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetbench.errors import RefusedError
from hetbench.graphs.model_graph import ModelGraph
from hetbench.graphs.operator_table import OperatorGroup, OperatorTable
from hetbench.operators import operator_type
from hetbench.operators.conv import conv_out

__all__ = ["ResizableGraph"]

Ints = NDArray[np.int64]
_SIDES = ("h", "w", "oh", "ow")
_POOLED = ("AdaptiveAvgPool2d",)


class ResizableGraph(ModelGraph):
    """A compact graph; traced sizes are answered from their traces, others by growing the nearest one."""

    def __init__(self, table: Mapping[str, Any]) -> None:
        limits = dict(table["limits"])
        self.traced: tuple[int, ...] = tuple(limits.pop("image_sizes", ()))
        """Sides in pixels that the network was traced at; empty where it takes no image."""
        super().__init__({**table, "limits": limits})

    def operators(
        self, batch: int | None = None, seq_len: int | None = None, image_size: int | None = None,
        precision: str = "fp32", phase: str = "inference",
    ) -> OperatorTable:  # fmt: skip
        """Every operator of one pass; see the module for image sizes that were not traced.

        Raises `RefusedError` where the size cannot be derived from a traced one.
        """
        setting = self.setting(batch, seq_len, image_size, precision, phase)
        size = setting.image_size
        if not self.traced or size is None or size in self.traced:
            return super().operators(batch, seq_len, image_size, precision, phase)
        for known in sorted(self.traced, key=lambda side: abs(side - size)):
            table = super().operators(setting.batch, seq_len, known, precision, phase)
            grown = _grow(table, setting.batch or 1, known, size)
            if grown is not None:
                return grown
        raise RefusedError(self._untraced(size, super().operators(1, seq_len, self.traced[0], precision, phase)))

    def _untraced(self, size: int, table: OperatorTable) -> str:
        sizes = ", ".join(map(str, self.traced))
        step = _step(table, self.traced[0])
        if step is None or size % step == 0:
            return (
                f"{self.name} was traced at image sizes {sizes} only, and what it computes at {size} does not follow "
                "from that: it attends over tokens, or has operators whose size may or may not grow with the image. "
                "Trace the module at that size: api.trace(module, inputs)."
            )
        near = max(round(size / step), 1) * step
        return (
            f"{self.name} was traced at image sizes {sizes}; others are derived where every feature map keeps a whole "
            f"side, at multiples of {step} such as {near}, not at {size}."
        )


def _grow(table: OperatorTable, batch: int, known: int, size: int) -> OperatorTable | None:
    """The operators at another size; None where a side would be broken or a shape is not understood."""
    step = _step(table, known)
    if step is None or size % step:
        return None
    areas = _areas(table)
    shapes = _Shapes(_maps(table, areas, batch), areas, _widths(table), batch)
    groups = []
    for group in table.groups:
        if operator_type(group.op).cost_class == "free":  # they run nothing, and their sizes do not matter
            continue
        try:
            dims = _grown(group, shapes, known, size)
        except _UnclearError:
            return None
        groups.append(OperatorGroup(group.op, group.dtype, dims, group.count))
    return OperatorTable(tuple(groups))


class _UnclearError(Exception):
    """A count of elements may be of a map or not."""


@dataclass(frozen=True, slots=True)
class _Shapes:
    maps: frozenset[int]
    """Elements of every feature map of one sample."""
    areas: frozenset[int]
    """Pixels of every feature map."""
    widths: frozenset[int]
    """Channels of every layer."""
    batch: int

    def pixels(self, counts: Ints) -> NDArray[np.bool_]:
        """Which counts, of the whole batch, are of pixels; the others must be one of each sample."""
        found = np.isin(counts // self.batch, list(self.areas))
        if not (found | (counts == self.batch)).all():
            raise _UnclearError
        return found

    def elements(self, counts: Ints) -> NDArray[np.bool_]:
        """Which counts, of the whole batch, are of maps; the others must be of a vector of channels."""
        each = counts // self.batch
        found = np.isin(each, list(self.maps))
        pixels = np.isin(each, list(self.areas)) | np.isin(counts, list(self.areas))
        unclear = ~found & ((each > _MOST_CHANNELS) | pixels)
        unclear |= found & np.isin(each, list(self.widths))
        if unclear.any():
            raise _UnclearError
        return found


def _grown(group: OperatorGroup, shapes: _Shapes, known: int, size: int) -> dict[str, Ints]:
    """The dims of a group at the new size."""

    def more(values: Ints, which: NDArray[np.bool_]) -> Ints:
        return np.where(which, values * size**2 // known**2, values)

    d = dict(group.dims)
    if "h" in d:
        sides = ("h", "w") if group.op in _POOLED else _SIDES
        return {name: np.where(v > 1, v * size // known, v) if name in sides else v for name, v in d.items()}
    if "numel" in d:
        return {**d, "numel": more(d["numel"], shapes.elements(d["numel"]))}
    if group.op == "Linear":
        return {**d, "m": more(d["m"], shapes.pixels(d["m"]))}
    if group.op in ("LayerNorm", "RMSNorm"):
        return {**d, "rows": more(d["rows"], shapes.pixels(d["rows"]))}
    if group.op == "GroupNorm":
        return {**d, "cols": more(d["cols"], np.ones(len(d["cols"]), dtype=bool))}
    if group.op in ("Mean", "Max") and np.isin(d["cols"], list(shapes.areas)).all():
        if np.isin(d["rows"] // shapes.batch, list(shapes.areas)).any():
            raise _UnclearError
        return {**d, "cols": more(d["cols"], np.ones(len(d["cols"]), dtype=bool))}
    raise _UnclearError


_MOST_HALVED = 64
"""An image is halved six times at most; a larger step means maps with margins of their own."""
_MOST_CHANNELS = 16_384
"""A vector of channels has no more elements."""


def _widths(table: OperatorTable) -> frozenset[int]:
    names = {"Conv2d": ("c", "oc"), "Linear": ("n", "k")}
    return frozenset(
        int(width) for group in table.groups for name in names.get(group.op, ()) for width in group.dims[name]
    )  # fmt: skip


def _areas(table: OperatorTable) -> frozenset[int]:
    found: set[int] = set()
    for group in table.groups:
        if {"h", "w"} <= group.dims.keys():
            found |= set((group.dims["h"] * group.dims["w"])[group.dims["h"] > 1].tolist())
        if group.op == "Conv2d":
            d = group.dims
            high = conv_out(d["h"], d["kh"], d["stride"], d["pad"])
            found |= set((high * conv_out(d["w"], d["kw"], d["stride"], d["pad"]))[high > 1].tolist())
    return frozenset(found)


def _maps(table: OperatorTable, areas: frozenset[int], batch: int) -> frozenset[int]:
    """Elements of every feature map of one sample."""
    found: set[int] = set()
    for group in table.groups:
        d = group.dims
        if group.op == "Conv2d":
            found |= set(_conv_maps(d))
        elif group.op == "Linear":
            made = d["m"] // batch * d["n"]
            found |= set(made[np.isin(d["m"] // batch, list(areas))].tolist())
        elif {"n", "c", "h", "w"} <= d.keys():
            found |= set((d["c"] * d["h"] * d["w"])[d["h"] > 1].tolist())
    return frozenset(found)


def _conv_maps(d: Mapping[str, Ints]) -> Iterator[int]:
    high = conv_out(d["h"], d["kh"], d["stride"], d["pad"])
    wide = conv_out(d["w"], d["kw"], d["stride"], d["pad"])
    yield from (d["c"] * d["h"] * d["w"])[d["h"] > 1].tolist()
    yield from (d["oc"] * high * wide)[high > 1].tolist()


def _step(table: OperatorTable, known: int) -> int | None:
    """The least step of the image's side that keeps every map whole; None where the network attends."""
    step = 1
    for group in table.groups:
        if group.op in ("Attention", "BMM", "Interpolate", "Embedding"):
            return None
        if group.op in _POOLED:
            continue
        for name in ("h", "w"):
            for side in group.dims.get(name, np.empty(0, dtype=np.int64)).tolist():
                if side > 1:
                    step = lcm(step, known // gcd(known, side))
    return step if step <= _MOST_HALVED else None
