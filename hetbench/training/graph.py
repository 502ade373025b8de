"""The graph of one training step: forward, loss, backward and optimizer update of a network, as operators.

It takes the place of the network's own graph wherever a question is about `phase="training"`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from hetbench.errors import InvalidInputError, RefusedError
from hetbench.graphs import GraphNode, MemoryBreakdown, ModelGraph, OperatorGroup, OperatorTable, Setting
from hetbench.graphs.memory import NodeBytes
from hetbench.schema import precision as canonical_precision
from hetbench.training.backward import backward_of, beside_forward
from hetbench.training.memory import IN_FULL, MIXED, memory_without_flow, training_memory
from hetbench.training.optimizers import Optimizer

__all__ = ["TRAINING", "StepTables", "TrainingGraph", "is_training"]

TRAINING = "training"
PRECISIONS = ("fp32", "tf32", *MIXED)
"""What a step can be computed in; fp16 and bf16 mean mixed precision (autocast)."""
Row = tuple[str, str, tuple[tuple[str, int], ...]]
Typed = tuple[str, str, dict[str, int]]
"""Operator type, dtype and dims."""


def is_training(phase: object) -> bool:
    """Whether a phase as a caller gives it is that of training.

    >>> is_training("training"), is_training(None)
    (True, False)
    """
    return isinstance(phase, str) and phase == TRAINING


class StepTables(NamedTuple):
    """The operators of the parts of a step."""

    forward: OperatorTable
    """Of inference."""
    beside: OperatorTable
    """What a forward pass runs beside these in training, and the loss."""
    backward: OperatorTable
    update: OperatorTable
    """Casts of mixed precision, and the update of the parameters."""

    @property
    def all(self) -> OperatorTable:
        """The whole step."""
        return _merged(group for table in self for group in table.groups)


class TrainingGraph(ModelGraph):
    """The step of a network under an optimizer; see `ModelGraph` for the methods.

    >>> from hetbench.graphs import load
    >>> from hetbench.training.optimizers import optimizer
    >>> step = TrainingGraph(load("gpt2"), optimizer("adamw"))
    >>> 2.9 < step.operators(batch=1).flops / load("gpt2").operators(batch=1).flops < 3.1
    True
    """

    def __init__(self, network: ModelGraph, optimizer: Optimizer, chips: int = 1) -> None:
        phase = next((name for name in ("inference", "prefill") if name in network.phases), None)
        if phase is None:
            raise RefusedError(f"{network.name} has no pass over whole inputs, so its training cannot be composed.")
        self.network, self.optimizer, self.chips, self.forward_phase = network, optimizer, chips, phase
        self.name, self.params, self.compact = network.name, network.params, network.compact
        self.phases, self.notes, self.precision = (TRAINING,), network.notes, None
        self.exact, self.longest = network.exact, network.longest
        self._table, self._variants = network._table, {}

    def __eq__(self, other: object) -> bool:
        return type(other) is TrainingGraph and self._key == other._key

    def __hash__(self) -> int:
        return hash((TrainingGraph, self.name, self.optimizer.name, self.chips))

    @property
    def _key(self) -> tuple[Any, ...]:
        return self.network, self.optimizer, self.chips

    @property
    def fixed(self) -> bool:
        """See `ModelGraph`."""
        return self.network.fixed

    @property
    def has_memory(self) -> bool:
        """A step's activations follow from the operators where the data flow is not known."""
        return True

    def setting(
        self, batch: int | None = None, seq_len: int | None = None, image_size: int | None = None,
        precision: str = "fp32", phase: str = TRAINING,
    ) -> Setting:  # fmt: skip
        """Check the setting of a step; `InvalidInputError` for a precision that no step is computed in."""
        if canonical_precision(precision) not in PRECISIONS:
            raise InvalidInputError(
                f"a training step is computed in {', '.join(PRECISIONS)} (the last two mixed with fp32 weights); "
                f"given: {precision}."
            )
        found = self.network.setting(batch, seq_len, image_size, precision, self.forward_phase)
        return replace(found, phase=TRAINING)

    def tables(
        self, batch: int | None = None, seq_len: int | None = None, image_size: int | None = None,
        precision: str = "fp32",
    ) -> StepTables:  # fmt: skip
        """The operators of a step by its parts."""
        self.setting(batch, seq_len, image_size, precision)
        return _tables(self, batch, seq_len, image_size, canonical_precision(precision))

    def operators(
        self, batch: int | None = None, seq_len: int | None = None, image_size: int | None = None,
        precision: str = "fp32", phase: str = TRAINING,
    ) -> OperatorTable:  # fmt: skip
        """All operators of a step."""
        return self.tables(batch, seq_len, image_size, precision).all

    def nodes(
        self, batch: int | None = None, seq_len: int | None = None, image_size: int | None = None,
        precision: str = "fp32", phase: str = TRAINING,
    ) -> list[GraphNode]:  # fmt: skip
        """The forward nodes in order, the backward of each in reverse order, and the update.

        A backward operator reads the forward operator that it belongs to and the one before it.
        """
        self.setting(batch, seq_len, image_size, precision)
        made = list(self.network.nodes(batch, seq_len, image_size, precision, self.forward_phase))
        forward = tuple(enumerate(made))
        table = self.network.operators(batch, seq_len, image_size, precision, self.forward_phase)
        extra = [(op, dtype, dims, "loss", len(forward) - 1) for op, dtype, dims in _loss(table, precision)]
        for index, node in reversed(forward):
            for part in _beside_and_back(node.op, node.dims, node.dtype, canonical_precision(precision)):
                extra += [(op, dtype, dims, node.path, index) for op, dtype, dims in part]
        extra += [(op, "fp32", dims, "optimizer", len(forward) - 1) for op, dims in self._update(precision)]
        for op, dtype, dims, path, index in extra:
            made.append(GraphNode(op, dims, dtype, path, tuple(sorted({index, len(made) - 1}))))
        return made

    def memory(
        self, batch: int | None = None, seq_len: int | None = None, image_size: int | None = None,
        precision: str = "fp32", phase: str = TRAINING,
    ) -> MemoryBreakdown:  # fmt: skip
        """Bytes of a step; see `hetbench.training.memory`.

        >>> from hetbench.graphs import load
        >>> from hetbench.training.optimizers import optimizer
        >>> found = TrainingGraph(load("gpt2"), optimizer("adamw")).memory(precision="fp32")
        >>> found.weights_bytes == 4 * 124_439_808
        True
        """
        setting = self.setting(batch, seq_len, image_size, precision)
        sizes = batch, seq_len, image_size
        if self.compact:
            table = self.network.operators(*sizes, "fp32", self.forward_phase)
            return memory_without_flow(table, self.params, setting.precision, self.optimizer, _scores(table))
        nodes = self.network.nodes(*sizes, "fp32", self.forward_phase)
        found = self.network.node_bytes(*sizes, "fp32", self.forward_phase)
        side = (setting.image_size or 0) ** 2 * 3 * (setting.batch or 1)
        return training_memory(
            nodes, found.results // 4, found.weights / 4, self.params, setting.precision, self.optimizer, side,
            _scores(self.network.operators(*sizes, "fp32", self.forward_phase)),
        )  # fmt: skip

    def weights_bytes(self, precision: str) -> int:
        """Bytes of all parameters, which are fp32 in every precision of a step."""
        return self.network.weights_bytes("fp32")

    def node_bytes(
        self, batch: int | None = None, seq_len: int | None = None, image_size: int | None = None,
        precision: str = "fp32", phase: str = TRAINING,
    ) -> NodeBytes:  # fmt: skip
        """Bytes of each of `nodes`: of a backward operator those of the result whose gradient it makes."""
        known = self.network.node_bytes(batch, seq_len, image_size, precision, self.forward_phase)
        added = self.nodes(batch, seq_len, image_size, precision)[len(known.results) :]
        results = np.array([known.results[min(node.sources)] for node in added], dtype=np.int64)
        none = np.zeros(len(added))
        return NodeBytes(
            np.concatenate((known.results, results)), np.concatenate((known.weights, none)),
            np.concatenate((known.cache, none.astype(np.int64))),
        )  # fmt: skip

    def aten_calls(
        self, precision: str = "fp32", phase: str = TRAINING, **sizes: int | None
    ) -> list[tuple[GraphNode, int, Mapping[str, int]]]:
        """The calls of the forward pass: which calls autograd makes was not traced."""
        return self.network.aten_calls(precision, self.forward_phase, **sizes)

    def aten_ops(self, precision: str = "fp32", phase: str = TRAINING, **sizes: int | None) -> Mapping[str, int]:
        """The calls of the forward pass, see `aten_calls`."""
        return self.network.aten_ops(precision, self.forward_phase, **sizes)

    def _update(self, precision: str) -> list[tuple[str, dict[str, int]]]:
        flat = {"numel": max(self.params, 1)}
        casts = ["Cast", "Cast"] if precision in MIXED else []  # weights to half, gradients back
        casts += ["MulScalar"] if precision == "fp16" else []  # gradients unscaled
        return [(op, flat) for op in (*casts, *self.optimizer.operators)]


@lru_cache(maxsize=512)
def _tables(
    step: TrainingGraph, batch: int | None, seq_len: int | None, image_size: int | None, precision: str
) -> StepTables:
    forward = step.network.operators(batch, seq_len, image_size, precision, step.forward_phase)
    beside: Counter[Row] = Counter()
    back: Counter[Row] = Counter()
    for row in forward.rows():
        made = _beside_and_back(row["op"], row["dims"], row["dtype"], precision)
        for part, into in zip(made, (beside, back), strict=True):
            for op, dtype, dims in part:
                into[op, dtype, tuple(dims.items())] += row["count"]
    for op, dtype, dims in _loss(forward, precision):
        (beside if op == "LogSoftmax" else back)[op, dtype, tuple(dims.items())] += 1
    update = Counter((op, "fp32", tuple(dims.items())) for op, dims in step._update(precision))
    return StepTables(forward, *(_table(rows) for rows in (beside, back, update)))


def _beside_and_back(op: str, dims: Mapping[str, int], dtype: str, precision: str) -> tuple[list[Typed], list[Typed]]:
    """What a forward operator runs beside itself in training, and its backward; autocast computes normalisations in
    fp32, and casts their results for the products that follow."""
    full = precision in MIXED and op in IN_FULL and "cols" in dims
    kind = "fp32" if full else dtype
    casts: list[Typed] = [("Cast", "fp32", {"numel": dims["rows"] * dims["cols"]})] if full else []
    beside = [(name, kind, sizes) for name, sizes in beside_forward(op, dims)]
    return beside + casts, [(name, kind, sizes) for name, sizes in backward_of(op, dims)] + casts


def _loss(table: OperatorTable, precision: str) -> list[Typed]:
    """Cross entropy over a vocabulary, in fp32, and its gradient; that over a few classes takes no time."""
    words = {int(n) for group in table.groups if group.op == "Embedding" for n in group.dims["vocab"]}
    found: list[Typed] = []
    for group in table.groups:
        if group.op == "Linear":
            for m, n in zip(group.dims["m"].tolist(), group.dims["n"].tolist(), strict=True):
                if n in words:
                    found += [("LogSoftmax", "fp32", {"rows": m, "cols": n}), ("Mul", "fp32", {"numel": m * n})]
                    casts = 2 if canonical_precision(precision) in MIXED else 0
                    found += [("Cast", "fp32", {"numel": m * n})] * casts
    return found


def _scores(table: OperatorTable) -> int:
    """Elements of the loss over a vocabulary."""
    return sum(dims["rows"] * dims["cols"] for op, _, dims in _loss(table, "fp32") if op == "LogSoftmax")


def _table(rows: Counter[Row]) -> OperatorTable:
    found: dict[tuple[str, str, tuple[str, ...]], list[tuple[tuple[int, ...], int]]] = {}
    for (op, dtype, dims), count in rows.items():
        names, sizes = zip(*dims, strict=True)
        found.setdefault((op, dtype, names), []).append((sizes, count))
    return OperatorTable(tuple(
        OperatorGroup(op, dtype, dict(zip(names, np.array([s for s, _ in each], dtype=np.int64).T, strict=True)),
                      np.array([count for _, count in each], dtype=np.int64))
        for (op, dtype, names), each in sorted(found.items())
    ))  # fmt: skip


def _merged(groups: Iterable[OperatorGroup]) -> OperatorTable:
    rows: Counter[Row] = Counter()
    for row in OperatorTable(tuple(groups)).rows():
        rows[row["op"], row["dtype"], tuple(sorted(row["dims"].items()))] += row["count"]
    return _table(rows)
