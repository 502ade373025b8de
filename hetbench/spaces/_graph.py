"""The operator graph of one architecture of a search space, accepted by every query in place of a model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from hetbench.errors import RefusedError
from hetbench.formats import STORED
from hetbench.graphs import FORMAT, TRACED_AS, ModelGraph, OperatorTable, Setting
from hetbench.graphs.blocks import operator_table
from hetbench.graphs.memory import MemoryBreakdown
from hetbench.schema import itemsize
from hetbench.spaces._blocks import BlockSpace

__all__ = ["ComposedGraph"]

_SIZES = ("batch", "seq_len", "image_size", "precision", "phase")


class ComposedGraph(ModelGraph):
    """The graph of an architecture, composed of the blocks of its space: operators, parameters and memory, no nodes.

    >>> from hetbench.spaces import space
    >>> s = space("vit")
    >>> ComposedGraph(s, s.sample(seed=0)).params > 10_000_000
    True
    """

    def __init__(self, space: BlockSpace, arch: Any) -> None:
        codes = space.codes(arch if isinstance(arch, np.ndarray) else [arch])
        self.space, self.arch = space, space.archs(codes)[0]
        slots = space.slots(codes)[0]
        self._blocks = Counter(slots[slots >= 0].tolist())
        phases: dict[str, Any] = {phase: {} for phase in space.phases}
        super().__init__({
            "format": FORMAT, "name": space.text(self.arch), "params": 0, "phases": phases, "limits": space.limits,
            "compact": True, "variants": [],
        })  # fmt: skip
        usual = self.setting()
        self.params = sum(space.block(index, usual).params * times for index, times in self._blocks.items())

    def __eq__(self, other: object) -> bool:
        return type(other) is ComposedGraph and self.name == other.name

    __hash__ = ModelGraph.__hash__

    def setting(
        self, batch: int | None = None, seq_len: int | None = None, image_size: int | None = None,
        precision: str = "fp32", phase: str = "inference",
    ) -> Setting:  # fmt: skip
        """Check the setting of a query; `RefusedError` for weights that are stored in a format of their own."""
        found = super().setting(batch, seq_len, image_size, precision, phase)
        if found.precision in STORED:
            raise RefusedError(
                f"architectures of {self.space.name} are answered in a precision of elements, not with weights in "
                f"{found.precision}: which of them stay plain is known for whole networks only."
            )
        return found

    def setting_of(self, options: Mapping[str, Any]) -> Setting:
        """The setting of a query without a chip, in fp16 by default."""
        chosen = {name: options[name] for name in _SIZES if options.get(name) is not None}
        return self.setting(**{"precision": "fp16", **chosen})

    def operators(
        self, batch: int | None = None, seq_len: int | None = None, image_size: int | None = None,
        precision: str = "fp32", phase: str = "inference",
    ) -> OperatorTable:  # fmt: skip
        """The operators of one pass without free ones, grouped by type and dtype."""
        setting = self.setting(batch, seq_len, image_size, precision, phase)
        steps = ((step, times) for index, times in self._blocks.items()
                 for step in self.space.block(index, setting).steps)  # fmt: skip
        return operator_table(steps, setting.precision)

    def memory(
        self, batch: int | None = None, seq_len: int | None = None, image_size: int | None = None,
        precision: str = "fp32", phase: str = "inference",
    ) -> MemoryBreakdown:  # fmt: skip
        """Bytes of the weights, and of inputs and intermediate results at their peak."""
        setting = self.setting(batch, seq_len, image_size, precision, phase)
        width = itemsize(TRACED_AS[setting.precision] if setting.precision != "fp64" else "fp64")
        given = sum(size * (width if kind == "data" else itemsize(kind)) for size, kind in self.space.inputs(setting))
        peak = max(self.space.block(index, setting).peak() for index in self._blocks)
        return MemoryBreakdown(self.params * itemsize(setting.precision), given + width * int(np.int64(peak)), 0)

    def _refuse_if_compact(self, what: str) -> None:
        raise RefusedError(f"an architecture of {self.space.name} only counts operators and has no {what}.")
