"""A network composed from a configuration, as the graph that every query takes for a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hetbench.errors import InvalidInputError, RefusedError
from hetbench.formats import STORED
from hetbench.graphs.blocks import operator_table
from hetbench.graphs.huggingface.decoder import Decoder
from hetbench.graphs.huggingface.tape import Piece
from hetbench.graphs.memory import MemoryBreakdown, NodeBytes
from hetbench.graphs.model_graph import FORMAT, ModelGraph
from hetbench.graphs.operator_table import TRACED_AS, GraphNode, OperatorTable, settled, settled_dtypes
from hetbench.graphs.setting import Setting
from hetbench.schema import itemsize

__all__ = ["ConfigGraph", "Network"]

_KEPT = 32
_MOST_PARAMS, _MOST_CALLS = 10**14, 200_000  # of one network


@dataclass(frozen=True)
class Network:
    """A network of one model type: what it takes, and its blocks at any setting."""

    phases: tuple[str, ...]
    limits: Mapping[str, Any]
    """Defaults and bounds of the sizes, as `ModelGraph` reads them."""
    pieces: Callable[[Setting], Sequence[Piece]] = field(repr=False)
    inputs: Callable[[Setting], Sequence[tuple[int, str]]] = field(repr=False)
    """Elements and dtype of what a call is given; `data` means the precision asked for."""
    decoder: Decoder | None = field(default=None, repr=False)
    """Of a language model: the layers that the blocks are made of."""
    note: str = ""
    """What of the checkpoint the network is, where it is not all of it."""


class ConfigGraph(ModelGraph):
    """Composed by arithmetic, without torch; knows operators, parameters, memory and single operators, but no names
    of ATen calls.

    >>> from hetbench.graphs.huggingface import compose
    >>> graph = compose({"model_type": "gpt2"})
    >>> graph.params, graph.operators(1, 8, phase="decode").launches < graph.operators(1, 8).launches + 1
    (124439808, True)
    """

    def __init__(self, name: str, network: Network, *, ref: str = "", notes: tuple[str, ...] = ()) -> None:
        super().__init__({
            "format": FORMAT, "name": name, "params": 0, "limits": dict(network.limits), "compact": True,
            "phases": {phase: {} for phase in network.phases}, "variants": [],
        })  # fmt: skip
        self.network, self.ref = network, ref
        self.notes = (*notes, *((network.note,) if network.note else ()))
        self._pieces: dict[Setting, tuple[Piece, ...]] = {}
        self._tables: dict[Setting, OperatorTable] = {}
        usual = self.pieces(self.setting())
        self.params = sum(piece.times * piece.block.params for piece in usual)
        self.active_params = sum(piece.times * piece.active for piece in usual)
        """Parameters that one token uses: fewer than `params` where experts take turns."""
        calls = sum(piece.times * len(piece.block.steps) for piece in usual)
        if self.params > _MOST_PARAMS or calls > _MOST_CALLS:
            raise InvalidInputError(
                f"{name}: a network of {self.params:.3g} parameters and {calls:.3g} operator calls is beyond any that "
                f"exists (at most {_MOST_PARAMS:.0e} and {_MOST_CALLS:.0e}): check the sizes in its configuration."
            )

    @property
    def has_memory(self) -> bool:
        """Its activations are known, unlike those of auxiliary graphs."""
        return True

    def pieces(self, setting: Setting) -> tuple[Piece, ...]:
        """The blocks of one pass and how often each runs; kept for the last settings."""
        sizes = Setting(setting.batch, setting.seq_len, setting.image_size, "", setting.phase)
        found = self._pieces.get(sizes)
        if found is None:
            found = tuple(self.network.pieces(setting))
            if len(self._pieces) >= _KEPT:
                self._pieces.clear()
            self._pieces[sizes] = found
        return found

    def operators(
        self, batch: int | None = None, seq_len: int | None = None, image_size: int | None = None,
        precision: str = "fp32", phase: str = "inference",
    ) -> OperatorTable:  # fmt: skip
        """Every operator of one pass but those that cost nothing, grouped by type and dtype."""
        setting = self.setting(batch, seq_len, image_size, precision, phase)
        found = self._tables.get(setting)
        if found is None:
            steps = ((step, piece.times) for piece in self.pieces(setting) for step in piece.block.steps)
            found = settled(operator_table(steps, setting.precision), setting.precision)
            if len(self._tables) >= _KEPT:
                self._tables.clear()
            self._tables[setting] = found
        return found

    def nodes(
        self, batch: int | None = None, seq_len: int | None = None, image_size: int | None = None,
        precision: str = "fp32", phase: str = "inference",
    ) -> list[GraphNode]:
        """Every operator instance in order; layers of one kind stand together, their paths are block numbers."""
        setting = self.setting(batch, seq_len, image_size, precision, phase)
        found: list[GraphNode] = []
        before = -1
        dtypes = self._dtypes(setting)
        for place, piece in enumerate(self.pieces(setting)):
            for turn in range(piece.times):
                start = len(found)
                for step, dtype in zip(piece.block.steps, dtypes[place], strict=True):
                    sources = tuple(sorted({start + at if at >= 0 else before for at in step.reads} - {-1}))
                    found.append(GraphNode(step.op, step.dims, dtype, f"{place}.{turn}", sources))
                before = len(found) - 1 if piece.block.steps else before
        return found

    def _dtypes(self, setting: Setting) -> list[list[str]]:
        """The dtype of every step, by piece."""
        pieces, precision = self.pieces(setting), setting.precision
        steps = [step for piece in pieces for step in piece.block.steps]
        dtypes = [step.dtype_in(precision) for step in steps]
        if precision in STORED:
            dtypes = settled_dtypes([(step.op, step.dims, dtype) for step, dtype in zip(steps, dtypes, strict=True)],
                                    precision)  # fmt: skip
        left = iter(dtypes)
        return [[next(left) for _ in piece.block.steps] for piece in pieces]

    def _stored_params(self, precision: str) -> int:
        setting = self.setting(precision=precision, phase=self.phases[0])
        return sum(
            piece.times * (step.weights - step.dims.get("bias", 0) * step.dims["n"])
            for piece, dtypes in zip(self.pieces(setting), self._dtypes(setting), strict=True)
            for step, dtype in zip(piece.block.steps, dtypes, strict=True)
            if dtype == precision and step.weights
        )

    def node_bytes(
        self, batch: int | None = None, seq_len: int | None = None, image_size: int | None = None,
        precision: str = "fp32", phase: str = "inference",
    ) -> NodeBytes:
        """Bytes of output, weights and KV cache of each instance of `nodes`."""
        setting = self.setting(batch, seq_len, image_size, precision, phase)
        width = itemsize(TRACED_AS[setting.precision] if setting.precision != "fp64" else "fp64")
        results, weights, cached = [], [], []
        for piece in self.pieces(setting):
            steps = piece.block.steps
            attend = sum(step.op == "Attention" for step in steps) or 1
            kept = piece.cached * width // attend if setting.phase != "inference" else 0
            each = [step.out * (width if step.dtype == "data" else itemsize(step.dtype)) for step in steps]
            results += each * piece.times
            weights += [step.weights for step in steps] * piece.times
            cached += [kept if step.op == "Attention" else 0 for step in steps] * piece.times
        share = self.weights_bytes(setting.precision) / (sum(weights) or 1)
        return NodeBytes(np.array(results, dtype=np.int64), np.array(weights) * share, np.array(cached, dtype=np.int64))

    def memory(
        self, batch: int | None = None, seq_len: int | None = None, image_size: int | None = None,
        precision: str = "fp32", phase: str = "inference",
    ) -> MemoryBreakdown:
        """Bytes of the weights, of the activations alive at the peak, and of the cached keys and values."""
        setting = self.setting(batch, seq_len, image_size, precision, phase)
        width = itemsize(TRACED_AS[setting.precision] if setting.precision != "fp64" else "fp64")
        pieces = self.pieces(setting)
        given = sum(size * (width if kind == "data" else itemsize(kind)) for size, kind in self.network.inputs(setting))
        peak = max(piece.block.peak() for piece in pieces)
        cached = sum(piece.cached * piece.times for piece in pieces) if setting.phase != "inference" else 0
        return MemoryBreakdown(self.weights_bytes(setting.precision), given + width * peak, cached * width)

    def _refuse_if_compact(self, what: str) -> None:
        raise RefusedError(
            f"{self.name} is composed from its configuration and has no {what}; trace the module to have them: "
            "api.trace(module, inputs)."
        )
