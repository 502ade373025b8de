"""The time of a model split over two chips: some groups of operators run on the target, the rest on the source.

The time is not additive over the groups:

- transfers: a result that an operator on the other chip reads crosses once, through host memory; it costs a copy on
  each chip and its bytes over both links;
- split fusions: an element-wise operator that a compiler fuses into its producer runs unfused, at the cost of its bytes
  and its launch, where the producer is on the other chip;
- call overhead: each chip in use costs the overhead of its stack;
- streaming: weights, cache and activations beyond a chip's memory are read over its host link in every call.

Nothing overlaps. Inputs and outputs of the model are not counted, since they are in host memory either way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetbench.graphs import GraphNode
from hetbench.operators import operator_type
from hetbench.predict.products import product

__all__ = ["PARTS", "Cuts", "Flow", "Fusions", "Placement", "Side", "flow", "placement"]

PARTS = ("operators", "calls", "transfers", "split fusions", "streaming")
_OTHER_EPILOGUES = ("BatchNorm2d",)  # fused into a producer although not element-wise by its dims
_LAYOUT = ("Concat", "Copy", "Fill", "Pad", "Repeat")  # have the dims of element-wise operators, but are not fused
_PRODUCERS = ("gemm", "conv", "vector")

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Flow:
    """The data flow between the operators that do work; operators that do nothing pass their inputs on."""

    nodes: tuple[int, ...]
    """Index of each operator in `ModelGraph.nodes`."""
    sources: tuple[tuple[int, ...], ...]
    """Positions in `nodes` of the operators that each reads from."""
    producer: tuple[int | None, ...]
    """Position of the operator that each can be fused into: for element-wise ones the last that it reads from."""


def flow(nodes: Sequence[GraphNode]) -> Flow:
    """The data flow of a graph's operator instances.

    >>> from hetbench.graphs.model_graph import load
    >>> found = flow(load("resnet-50").nodes())
    >>> found.sources[1], found.producer[:4]  # convolution, batch norm, ReLU, pool
    ((0,), (None, 0, 1, None))
    """
    free = [operator_type(node.op).cost_class == "free" for node in nodes]
    origin: list[tuple[int, ...]] = []  # by node: the nodes with work whose results it passes on
    for index, node in enumerate(nodes):
        given = tuple(sorted({each for source in node.sources for each in origin[source]}))
        origin.append(given if free[index] else (index,))
    working = [index for index, idle in enumerate(free) if not idle]
    place = {index: at for at, index in enumerate(working)}
    sources, producer = [], []
    for index in working:
        read = sorted({place[each] for source in nodes[index].sources for each in origin[source]})
        sources.append(tuple(read))
        fused = read and _elementwise(nodes[index].op)
        fused = fused and operator_type(nodes[working[read[-1]]].op).cost_class in _PRODUCERS
        producer.append(read[-1] if fused else None)
    return Flow(tuple(working), tuple(sources), tuple(producer))


def _elementwise(op: str) -> bool:
    kind = operator_type(op)
    plain = kind.cost_class == "vector" and kind.dims == ("numel",) and op not in _LAYOUT
    return plain or op in _OTHER_EPILOGUES


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two chips, with the time of every operator there, [operators] in the order of a `Flow`."""

    ms: Floats
    """Time in ms within the model, under the stack of the answer."""
    alone_ms: Floats
    """Time in ms unfused: its bytes at the memory bandwidth plus its launch; equal to `ms` under a stack that does not
    fuse."""
    call_ms: float = 0.0
    copy_ms: float = 0.0
    """Fixed cost in ms of sending or receiving one tensor."""
    ms_per_byte: float = 0.0
    """Of a transfer between its memory and the host's."""
    capacity: float = np.inf
    """Memory in bytes; infinite where not known."""
    stream_ms_per_byte: float = 0.0
    """Of bytes beyond `capacity`."""


@dataclass(frozen=True, slots=True)
class Cuts:
    """Results read by other groups; `ms` is due where a reader runs on another chip than the maker."""

    maker: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    """Group that computes the result, [cuts]."""
    readers: NDArray[np.bool_] = field(default_factory=lambda: np.zeros((0, 0), dtype=np.bool_))
    """Mask of the groups that read it, [cuts, groups]; never the maker itself."""
    ms: Floats = field(default_factory=lambda: np.zeros(0))
    number: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    """Number of tensors summed into each, [cuts]."""


@dataclass(frozen=True, slots=True)
class Fusions:
    """Operators fused into operators of another group: extra ms [pairs] on the chip of the follower when split."""

    leader: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    follower: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    source_ms: Floats = field(default_factory=lambda: np.zeros(0))
    target_ms: Floats = field(default_factory=lambda: np.zeros(0))


@dataclass(frozen=True, slots=True)
class Placement:
    """The cooperative game: maps coalitions, bool [rows, groups] (True: runs on the target), to times in ms [rows].

    >>> game = Placement(np.array([3.0, 1.0]), np.array([1.0, 2.0]), calls_ms=(0.5, 0.25))
    >>> game(np.array([[False, False], [True, False], [True, True]])).tolist()
    [4.5, 2.75, 3.25]
    """

    source_ms: Floats
    """Operators of each group on the source, ms [groups]; zeros without a source."""
    target_ms: Floats
    calls_ms: tuple[float, float] = (0.0, 0.0)
    """Overhead of a call on the source and on the target, ms."""
    cuts: Cuts = field(default_factory=Cuts)
    fusions: Fusions = field(default_factory=Fusions)
    memory: Floats | None = None
    """Weights and cache of each group in bytes, [groups]; None: everything fits."""
    activations: float = 0.0
    """Peak of the activations in bytes, needed on each chip in use."""
    capacity: tuple[float, float] = (np.inf, np.inf)
    stream_ms: tuple[float, float] = (0.0, 0.0)
    """ms per byte beyond the capacity, source and target."""

    def __call__(self, inside: NDArray[np.bool_]) -> Floats:
        total: Floats = np.sum(list(self.parts(inside).values()), axis=0)
        return total

    def parts(self, inside: NDArray[np.bool_]) -> dict[str, Floats]:
        """The time by its parts (`PARTS`), ms [rows] each."""
        outside, ones = ~inside, inside.astype(np.float64)  # [rows, groups]
        zeros = 1.0 - ones
        used = outside.any(axis=1), inside.any(axis=1)
        streamed = np.zeros(len(inside))
        if self.memory is not None:
            for there, runs, most, price in zip((zeros, ones), used, self.capacity, self.stream_ms, strict=True):
                need = product(there, self.memory) + self.activations * runs
                streamed += np.maximum(need - most, 0.0) * price if np.isfinite(most) else 0.0
        operators: Floats = product(zeros, self.source_ms) + product(ones, self.target_ms)
        calls: Floats = product(np.stack(used, axis=1), np.array(self.calls_ms))
        found = (operators, calls, self._crossed(inside, ones), self._unfused(inside), streamed)
        return dict(zip(PARTS, found, strict=True))

    def _crossed(self, inside: NDArray[np.bool_], ones: Floats) -> Floats:
        cuts = self.cuts
        if not len(cuts.ms):
            return np.zeros(len(inside))
        readers = cuts.readers.astype(np.float64)
        there = product(ones, readers.T)  # [rows, cuts]: readers on the target
        apart = np.where(inside[:, cuts.maker], there < readers.sum(axis=1), there > 0)
        return product(apart, cuts.ms)

    def _unfused(self, inside: NDArray[np.bool_]) -> Floats:
        leads, follows = inside[:, self.fusions.leader], inside[:, self.fusions.follower]
        only_first = product(follows & ~leads, self.fusions.target_ms)
        found: Floats = only_first + product(leads & ~follows, self.fusions.source_ms)
        return found


def placement(
    found: Flow, group: NDArray[np.int64], groups: int, source: Side | None, target: Side, *,
    result_bytes: NDArray[np.int64], memory: Floats, activations: float,
) -> Placement:  # fmt: skip
    """The game of a model on two chips.

    Args:
        found: data flow of the model.
        group: group of each operator, [operators].
        groups: number of groups.
        source, target: the two chips; without a source, groups outside a coalition do not run: v(none) = 0.
        result_bytes: size of the result of each operator, [operators].
        memory: weights and cache of each operator in bytes, [operators].
        activations: peak of the activations in bytes.
    """
    def summed(values: Any) -> Floats:
        return np.bincount(group, values, groups).astype(np.float64)

    fusions = _fusions(found, group, source, target)
    if source is None:
        return Placement(
            np.zeros(groups), summed(target.ms), (0.0, target.call_ms), Cuts(), fusions, summed(memory), activations,
            (np.inf, target.capacity), (0.0, target.stream_ms_per_byte),
        )  # fmt: skip
    return Placement(
        summed(source.ms), summed(target.ms), (source.call_ms, target.call_ms),
        _cuts(found, group, groups, source, target, result_bytes), fusions, summed(memory), activations,
        (source.capacity, target.capacity), (source.stream_ms_per_byte, target.stream_ms_per_byte),
    )  # fmt: skip


def _cuts(
    found: Flow, group: NDArray[np.int64], groups: int, source: Side, target: Side, result_bytes: NDArray[np.int64]
) -> Cuts:
    """Results that another group reads; those with the same maker and readers are summed."""
    readers: dict[int, set[int]] = {}
    for at, read in enumerate(found.sources):
        for each in read:
            if group[each] != group[at]:
                readers.setdefault(each, set()).add(int(group[at]))
    fixed, per_byte = source.copy_ms + target.copy_ms, source.ms_per_byte + target.ms_per_byte
    table: dict[tuple[int, tuple[int, ...]], list[float]] = {}
    for each, those in readers.items():
        entry = table.setdefault((int(group[each]), tuple(sorted(those))), [0.0, 0])
        entry[0] += fixed + per_byte * float(result_bytes[each])
        entry[1] += 1
    masks = np.zeros((len(table), groups), dtype=np.bool_)
    for row, (_, others) in enumerate(table):
        masks[row, list(others)] = True
    makers = np.array([maker for maker, _ in table], dtype=np.int64)
    return Cuts(makers, masks, np.array([entry[0] for entry in table.values()]),
                np.array([int(entry[1]) for entry in table.values()], dtype=np.int64))  # fmt: skip


def _fusions(found: Flow, group: NDArray[np.int64], source: Side | None, target: Side) -> Fusions:
    """Pairs of groups with fused operators between them, and the cost of splitting them on either chip."""
    table: dict[tuple[int, int], list[float]] = {}
    for at, lead in enumerate(found.producer):
        if lead is not None and group[lead] != group[at]:
            entry = table.setdefault((int(group[lead]), int(group[at])), [0.0, 0.0])
            for place, side in enumerate((source, target)):
                entry[place] += 0.0 if side is None else max(float(side.alone_ms[at] - side.ms[at]), 0.0)
    pairs = np.array(list(table), dtype=np.int64).reshape(-1, 2)
    extra = np.array(list(table.values())).reshape(-1, 2)
    return Fusions(pairs[:, 0], pairs[:, 1], extra[:, 0], extra[:, 1])
