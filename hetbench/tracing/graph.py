"""The operator graph of a traced module, traced when a precision or batch is asked for and kept.

The module is copied once, without its weights; later changes of the original change nothing here. A precision that
cannot be traced is refused when it is asked for, and only then. Asking for another batch, sequence length or image
size traces again with the inputs at that size (see `sizes`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from hetbench.catalog.models import models
from hetbench.errors import HetBenchError, InvalidInputError, shown
from hetbench.graphs import FORMAT, TRACED_AS, ModelGraph, Setting
from hetbench.graphs.setting import MAX_TOKENS
from hetbench.graphs.variant import Variant
from hetbench.operators import operator_type
from hetbench.tracing.document import constant, variant_table
from hetbench.tracing.flow import Trace
from hetbench.tracing.passes import Snapshot
from hetbench.tracing.sizes import InputSizes

__all__ = ["TracedGraph"]

PRECISIONS = ("fp32", "bf16", "fp16")
"""Tried in this order for the first pass, which shows that the module can be traced at all."""


class TracedGraph(ModelGraph):
    """The graph of one module; `query` takes it for a model."""

    def __init__(self, snapshot: Snapshot, name: str, sizes: InputSizes | None = None) -> None:
        name = f"{name} (traced)" if name in models() else name  # published rows are of another network
        self._snapshot = snapshot
        self._kept: dict[tuple[str, InputSizes], Variant] = {}
        self.sizes = sizes or snapshot.sizes
        """Batch, sequence length and image size of the inputs; None of each that is not certain."""
        first = self._first(name)
        limits = {"batch": self.batch} if self.batch is not None else {"fixed": True}
        phases: dict[str, Any] = {"inference": {precision: [] for precision in PRECISIONS}}
        super().__init__({
            "format": FORMAT, "name": name, "params": first.parameter_count, "limits": limits, "phases": phases,
            "variants": [],
        })  # fmt: skip

    @property
    def fixed(self) -> bool:
        """True: a query is about the sizes of the trace; others are asked of `at`."""
        return True

    @property
    def batch(self) -> int | None:
        """First axis of the inputs; None where they do not share one."""
        return self.sizes.batch

    def at(
        self, batch: int | None = None, *, seq_len: int | None = None, image_size: int | None = None
    ) -> TracedGraph:  # fmt: skip
        """The same module at another batch, sequence length or image size, traced again; those left out stay.

        Raises `InvalidInputError` for a size that the example inputs do not have, and where the module cannot run at
        the size.

        >>> import torch
        >>> from hetbench.tracing import trace
        >>> trace(torch.nn.Linear(8, 4), torch.zeros(2, 8)).at(32).batch
        32
        >>> graph = trace(torch.nn.Conv2d(3, 8, 3), torch.zeros(1, 3, 32, 32)).at(image_size=64)
        >>> graph.operators().rows()[0]["dims"]["h"]
        64
        """
        asked = {"batch": batch, "seq_len": seq_len, "image_size": image_size}
        wanted = {name: _checked(name, size) for name, size in asked.items() if size is not None}
        for name in wanted:
            if getattr(self.sizes, name) is None:
                raise InvalidInputError(
                    f"the shapes of the example inputs of {self.name} do not tell its {name}. Trace it again with "
                    "inputs of the size you need."
                )
        return TracedGraph(self._snapshot, self.name, replace(self.sizes, **wanted))

    def variant(self, setting: Setting) -> Variant:
        """The structure at a precision and batch, traced on first use."""
        return self._traced(TRACED_AS[setting.precision], replace(self.sizes, batch=setting.batch))

    def _first(self, name: str) -> Trace:
        """A pass in the first precision that can be traced; if none can, what the first one said."""
        said: list[HetBenchError] = []
        for precision in PRECISIONS:
            try:
                found = self._snapshot.trace(precision, self.sizes)
            except HetBenchError as error:
                said.append(error)
                continue
            _refuse_empty(found, name)
            self._keep(precision, self.sizes, found)
            return found
        raise said[0]

    def _traced(self, precision: str, sizes: InputSizes) -> Variant:
        if (precision, sizes) not in self._kept:
            self._keep(precision, sizes, self._snapshot.trace(precision, sizes))
        return self._kept[precision, sizes]

    def _keep(self, precision: str, sizes: InputSizes, found: Trace) -> None:
        self._kept[precision, sizes] = Variant(variant_table([found], [()], constant, precision))


def _checked(name: str, size: object) -> int:
    if isinstance(size, int) and not isinstance(size, bool) and 1 <= size <= MAX_TOKENS:
        return size
    raise InvalidInputError(f"{name} must be a whole number from 1 to {MAX_TOKENS:,}; given: {shown(size)}.")


def _refuse_empty(found: Trace, name: str) -> None:
    if all(operator_type(node.op).cost_class == "free" for node in found.nodes):
        raise InvalidInputError(
            f"{name} runs no operator that takes time on these inputs (views and identities cost nothing), so there "
            "is nothing to predict."
        )


def arguments(
    example_inputs: Any, shapes: Mapping[str, Sequence[int]] | None
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and keyword arguments from examples, or from shapes by argument name."""
    import torch

    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}
    if isinstance(example_inputs, Mapping):
        kwargs = dict(example_inputs)
    elif isinstance(example_inputs, tuple | list):
        args = tuple(example_inputs)
    elif example_inputs is not None:
        args = (example_inputs,)
    if not isinstance(shapes, Mapping | None):
        raise InvalidInputError(f"shapes must be a mapping of argument names to sizes; given: {shown(shapes)}.")
    for name, shape in (shapes or {}).items():
        try:
            kwargs[name] = torch.empty(tuple(shape), device="meta")
        except (TypeError, ValueError, RuntimeError):
            raise InvalidInputError(f"shapes: {shown(name)}={shown(shape)} must be a tuple of whole numbers.") from None
    return args, kwargs
