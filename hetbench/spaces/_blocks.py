"""Spaces of networks that are composed of blocks: a stem, layers and a head, each a fixed list of operators.

Whatever adds up over operators adds up over blocks, so thousands of architectures cost one matrix product: the count of
each block in each architecture times the cost of each block.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetbench.graphs import OperatorGroup, OperatorTable, Setting, resolve_dtype
from hetbench.operators import operator_type
from hetbench.spaces._space import Space

__all__ = ["Block", "BlockSpace", "Step", "operator_table"]

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Step:
    """One operator of a block."""

    op: str
    dims: Mapping[str, int]
    out: int
    """Number of elements of its output."""
    reads: tuple[int, ...]
    """Indices of the steps whose outputs it reads; -1 is the output of the previous block."""


@dataclass(frozen=True, slots=True)
class Block:
    """A part of a network with one input and one output tensor."""

    steps: tuple[Step, ...]
    params: int
    input_elements: int
    """Number of elements of its input; 0 for the first block, which reads the inputs of the network."""

    def peak(self) -> int:
        """Peak of the number of elements of intermediate results that are live at the same time.

        >>> steps = Step("ReLU", {"numel": 8}, 8, (-1,)), Step("ReLU", {"numel": 8}, 8, (0,))
        >>> Block(steps, params=0, input_elements=8).peak()
        16
        """
        last = {index: index for index in range(-1, len(self.steps))}
        for place, step in enumerate(self.steps):
            last |= dict.fromkeys(step.reads, place)
        sizes = {-1: self.input_elements, **{index: step.out for index, step in enumerate(self.steps)}}
        return max(
            sum(size for made, size in sizes.items() if made <= place <= last[made]) for place in range(len(self.steps))
        )


class BlockSpace(Space):
    """A space of networks composed of blocks."""

    phases = ("inference",)
    vocabulary: int
    """Number of different blocks."""

    @property
    @abstractmethod
    def limits(self) -> dict[str, Any]:
        """Defaults and bounds of the sizes, as `hetbench.graphs.setting.checked_setting` takes them."""

    @abstractmethod
    def slots(self, codes: Ints) -> Ints:
        """Indices of the blocks of each architecture in order, [n, places]; -1 where there is none."""

    @abstractmethod
    def build(self, index: int, setting: Setting) -> Block:
        """The block with this index at a setting."""

    @abstractmethod
    def inputs(self, setting: Setting) -> tuple[tuple[int, str], ...]:
        """(elements, dtype) of each input of a call; `data` means the precision of the query."""

    @lru_cache(maxsize=4096)  # noqa: B019 - spaces live as long as the process
    def block(self, index: int, setting: Setting) -> Block:
        """`build` with a cache."""
        return self.build(index, setting)

    def counts(self, codes: Ints) -> NDArray[np.float64]:
        """Number of times each architecture has each block, [n, vocabulary]."""
        slots = self.slots(codes)
        rows = np.broadcast_to(np.arange(len(slots))[:, None], slots.shape)
        used = slots >= 0
        flat = rows[used] * self.vocabulary + slots[used]
        found = np.bincount(flat, minlength=len(slots) * self.vocabulary).reshape(len(slots), self.vocabulary)
        return found.astype(np.float64)


def operator_table(steps: Iterable[tuple[Step, int]], precision: str) -> OperatorTable:
    """The operator table of steps, each with the number of times it runs; free operators are left out."""
    rows: dict[tuple[str, str, tuple[str, ...]], Counter[tuple[int, ...]]] = {}
    for step, times in steps:
        if operator_type(step.op).cost_class != "free":
            key = step.op, resolve_dtype(step.op, "data", precision), tuple(step.dims)
            rows.setdefault(key, Counter())[tuple(step.dims.values())] += times
    groups = []
    for (op, dtype, names), found in sorted(rows.items()):
        sizes = np.array(list(found), dtype=np.int64).T.copy()
        count = np.array(list(found.values()), dtype=np.int64)
        groups.append(OperatorGroup(op, dtype, dict(zip(names, sizes, strict=True)), count))
    return OperatorTable(tuple(groups))
