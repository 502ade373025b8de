"""The operator graph of a traced module, traced when a precision or batch is asked for and kept.

The module is copied once, without its weights; later changes of the original change nothing here. A precision that
cannot be traced is refused when it is asked for, and only then. The batch is the first axis of the inputs, where all
have the same; asking for another one traces again with that axis changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hetbench.errors import HetBenchError, InvalidInputError
from hetbench.graphs import FORMAT, TRACED_AS, ModelGraph, Setting
from hetbench.graphs.variant import Variant
from hetbench.operators import operator_type
from hetbench.tracing.document import constant, variant_table
from hetbench.tracing.flow import Trace
from hetbench.tracing.passes import Snapshot

__all__ = ["TracedGraph"]

PRECISIONS = ("fp32", "bf16", "fp16")
"""Tried in this order for the first pass, which shows that the module can be traced at all."""


class TracedGraph(ModelGraph):
    """The graph of one module; `query` takes it for a model."""

    def __init__(self, snapshot: Snapshot, name: str, batch: int | None = None) -> None:
        self._snapshot = snapshot
        self._kept: dict[tuple[str, int | None], Variant] = {}
        self.batch: int | None = batch or snapshot.batch
        """First axis of the example inputs; None where they do not share one."""
        first = self._first(name)
        limits = {"batch": self.batch} if self.batch is not None else {"fixed": True}
        phases: dict[str, Any] = {"inference": {precision: [] for precision in PRECISIONS}}
        super().__init__({
            "format": FORMAT, "name": name, "params": first.parameter_count, "limits": limits, "phases": phases,
            "variants": [],
        })  # fmt: skip

    @property
    def fixed(self) -> bool:
        """True: a query is about the batch of the trace; another one is asked of `at`."""
        return True

    def at(self, batch: int) -> TracedGraph:
        """The same module at another batch.

        Raises `InvalidInputError` where the example inputs do not share their first axis.

        >>> import torch
        >>> from hetbench.tracing import trace
        >>> trace(torch.nn.Linear(8, 4), torch.zeros(2, 8)).at(32).batch
        32
        """
        self.setting(batch=batch)
        return TracedGraph(self._snapshot, self.name, batch)

    def variant(self, setting: Setting) -> Variant:
        """The structure at a precision and batch, traced on first use."""
        return self._traced(TRACED_AS[setting.precision], setting.batch)

    def _first(self, name: str) -> Trace:
        """A pass in the first precision that can be traced; if none can, what the first one said."""
        said: list[HetBenchError] = []
        for precision in PRECISIONS:
            try:
                found = self._snapshot.trace(precision, self.batch)
            except HetBenchError as error:
                said.append(error)
                continue
            _refuse_empty(found, name)
            self._keep(precision, self.batch, found)
            return found
        raise said[0]

    def _traced(self, precision: str, batch: int | None) -> Variant:
        if (precision, batch) not in self._kept:
            self._keep(precision, batch, self._snapshot.trace(precision, batch))
        return self._kept[precision, batch]

    def _keep(self, precision: str, batch: int | None, found: Trace) -> None:
        self._kept[precision, batch] = Variant(variant_table([found], [()], constant, precision))


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
    for name, shape in (shapes or {}).items():
        try:
            kwargs[name] = torch.empty(tuple(shape), device="meta")
        except (TypeError, RuntimeError):
            raise InvalidInputError(f"shapes: {name}={shape!r} must be a tuple of whole numbers.") from None
    return args, kwargs
