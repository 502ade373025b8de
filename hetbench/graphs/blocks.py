"""Parts of a network as lists of operators: what architecture spaces and Hugging Face configurations compose.

A block is a fixed list of operators at one setting, with its parameters; a network is a multiset of blocks, so that
whatever adds up over operators adds up over blocks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from hetbench.graphs.operator_table import TRACED_AS, OperatorGroup, OperatorTable, resolve_dtype
from hetbench.operators import operator_type

__all__ = ["Block", "Step", "operator_table"]


@dataclass(frozen=True, slots=True)
class Step:
    """One operator of a block."""

    op: str
    dims: Mapping[str, int]
    out: int
    """Number of elements of its output."""
    reads: tuple[int, ...]
    """Indices of the steps whose outputs it reads; -1 is the output of the previous block."""
    dtype: str = "data"
    """`data` is the precision of the query; another name is fixed, such as fp32 of rotary tables."""
    weights: int = 0
    """Parameters that it owns, where the composer says so."""
    stored: bool = False
    """Whether a `BMM` multiplies by weights, as those of experts do."""

    def dtype_in(self, precision: str) -> str:
        """The dtype that it runs in when the network runs in `precision`."""
        return resolve_dtype("GroupedMatMul" if self.stored else self.op, self.dtype, precision)


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


def operator_table(steps: Iterable[tuple[Step, int]], precision: str) -> OperatorTable:
    """The operator table of steps, each with the number of times it runs; free operators are left out.

    In full precision a cast to fp32 does nothing, so it is left out there.

    >>> operator_table([(Step("ReLU", {"numel": 8}, 8, (-1,)), 3)], "fp16").rows()
    [{'op': 'ReLU', 'dims': {'numel': 8}, 'dtype': 'fp16', 'count': 3}]
    """
    rows: dict[tuple[str, str, tuple[str, ...]], Counter[tuple[int, ...]]] = {}
    for step, times in steps:
        idle = step.op == "Cast" and step.dtype == TRACED_AS[precision] == "fp32"
        if not idle and operator_type(step.op).cost_class != "free":
            key = step.op, step.dtype_in(precision), tuple(step.dims)
            rows.setdefault(key, Counter())[tuple(step.dims.values())] += times
    groups = []
    for (op, dtype, names), found in sorted(rows.items()):
        sizes = np.array(list(found), dtype=np.int64).T.copy()
        count = np.array(list(found.values()), dtype=np.int64)
        groups.append(OperatorGroup(op, dtype, dict(zip(names, sizes, strict=True)), count))
    return OperatorTable(tuple(groups))
