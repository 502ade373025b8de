"""Spaces of networks that are composed of blocks: a stem, layers and a head, each a fixed list of operators.

Whatever adds up over operators adds up over blocks, so thousands of architectures cost one matrix product: the count of
each block in each architecture times the cost of each block.
"""

from __future__ import annotations

from abc import abstractmethod
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetbench.graphs import Setting
from hetbench.graphs.blocks import Block
from hetbench.spaces._space import Space

__all__ = ["BlockSpace"]

Ints = NDArray[np.int64]


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
