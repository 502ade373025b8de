"""Operator graph of a model at any batch, sequence length, image size, precision and phase, without torch.

`data_collection.extract` traces each model at several settings and writes every size as an integer polynomial over
batch, seq_len and (image_size + a) // d. A variant is one structure of the network, chosen by phase, precision and in a
few models by a size (position tables are interpolated only at image sizes other than the trained one). Evaluation is a
product of the coefficient matrix with the monomials; all sizes are exact int64.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Mapping
from copy import copy
from importlib.resources import files
from typing import Any, Self

from hetbench.catalog.models import model, models
from hetbench.errors import ArtifactError, RefusedError
from hetbench.formats import FORMATS, STORED
from hetbench.graphs.memory import MemoryBreakdown, NodeBytes, bytes_by_node, memory_breakdown
from hetbench.graphs.operator_table import (
    TRACED_AS,
    GraphNode,
    OperatorGroup,
    OperatorTable,
    SizedTable,
    resolve_dtype,
    settled,
    settled_dtypes,
    stored_elements,
)
from hetbench.graphs.setting import Setting, checked_setting
from hetbench.graphs.variant import Variant, meets
from hetbench.loading import load_once
from hetbench.schema import PHASES, itemsize, weight_bytes
from hetbench.schema import precision as canonical_precision

__all__ = ["FORMAT", "ModelGraph", "load"]

FORMAT = 1
_PLAIN_SIZES = {int, type(None)}  # True and 1.0 equal 1 as keys, and are no sizes
_MOST_SETTINGS = 64


class ModelGraph:
    """The operator graph of one model, from `load(name)` or `hetbench.tracing.trace(module, inputs)`.

    Methods take batch in samples, seq_len in tokens (phase `decode`: tokens already in the KV cache), image_size in
    pixels of the side, precision and phase; sizes left out take the model's defaults. All raise `InvalidInputError` for
    a size that the model does not take and `RefusedError` for a phase that it does not have.

    >>> graph = load("resnet-50")
    >>> graph.operators(batch=8, precision="fp16").flops == 8 * graph.operators(batch=1, precision="fp16").flops
    True
    """

    def __init__(self, table: Mapping[str, Any]) -> None:
        if table.get("format") != FORMAT:
            raise ArtifactError(
                f"graph {table.get('name')!r} has format {table.get('format')!r}, this hetbench reads {FORMAT}. "
                "Run: python -m data_collection.extract --all"
            )
        self.name: str = table["name"]
        self.params: int = table["params"]
        """Number of parameters, tied weights once."""
        self.compact: bool = table.get("compact", False)
        """Whether it only counts operators, without nodes, buffers and ATen names (see `hetbench.graphs.networks`)."""
        self.phases: tuple[str, ...] = tuple(phase for phase in PHASES if phase in table["phases"])
        self.notes: tuple[str, ...] = ()
        """What a reader of an answer must know of the network: what was dropped from its name, what it leaves out."""
        self.precision: str | None = None
        """The format that its name asks for, `fp8` of a name that ends in -FP8."""
        self.exact = True
        """False where the name means a network with the same layers, whose parameters and memory may differ."""
        self._table = table
        self.longest: int | None = (table["limits"].get("seq_len") or (None, None))[1]
        """The longest sequence that it takes; None where it takes none or any."""
        self._variants: dict[int, Variant] = {}
        self._settings: dict[tuple[Any, ...], Setting] = {}  # those asked for lately, checked

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_variants": {}, "_settings": {}}

    def __eq__(self, other: object) -> bool:
        if self is other or type(self) is not ModelGraph or type(other) is not ModelGraph:
            return self is other
        return self.__getstate__() == other.__getstate__()

    def __hash__(self) -> int:
        return hash((type(self), self.name))

    @property
    def fixed(self) -> bool:
        """Whether its sizes are those of the example inputs of a trace."""
        return bool(self._table["limits"].get("fixed"))

    @property
    def resizable(self) -> bool:
        """Whether other sizes than those of a query cost little to look at."""
        return not self.fixed

    @property
    def has_memory(self) -> bool:
        """Whether its activations are known."""
        return not self.compact

    def read_as(self, precision: str | None, exact: bool, notes: tuple[str, ...]) -> Self:
        """The same graph under a name that says more; see the attributes of these names."""
        if (precision, exact, notes) == (self.precision, self.exact, self.notes):
            return self
        other = copy(self)
        other.precision, other.exact, other.notes = precision, exact, notes
        return other

    def operators(
        self, batch: int | None = None, seq_len: int | None = None, image_size: int | None = None,
        precision: str = "fp32", phase: str = "inference",
    ) -> OperatorTable:
        """The operators of one pass, grouped by type and dtype.

        >>> table = load("gpt2").operators(batch=2, seq_len=100, precision="fp16")
        >>> [int(m) for g in table.groups if g.op == "Linear" for m in g.dims["m"]][:2]
        [200, 200]
        """
        setting = self.setting(batch, seq_len, image_size, precision, phase)
        variant = self.variant(setting)
        if setting.precision not in STORED:
            return SizedTable(variant, setting.precision, variant.values(setting))
        values = variant.values(setting)
        return settled(OperatorTable(tuple(
            OperatorGroup(op, dtype, dict(zip(names, values[sizes], strict=True)), count)
            for op, dtype, names, sizes, count in variant.groups(setting.precision)
        )), setting.precision)  # fmt: skip

    def nodes(
        self, batch: int | None = None, seq_len: int | None = None, image_size: int | None = None,
        precision: str = "fp32", phase: str = "inference",
    ) -> list[GraphNode]:
        """All operator instances in execution order, each with the nodes it reads from.

        >>> load("bert-tiny").nodes(seq_len=8)[5].path
        'embeddings.LayerNorm'
        """
        self._refuse_if_compact("nodes")
        setting = self.setting(batch, seq_len, image_size, precision, phase)
        variant = self.variant(setting)
        values, table = variant.values(setting), variant.table
        made = []
        for op, dtype, dims, *_ in table["templates"]:
            sizes = {name: int(values[size]) for name, size in dims.items()}
            made.append((op, sizes, resolve_dtype(op, dtype, setting.precision)))
        if setting.precision in STORED:
            dtypes = settled_dtypes(made, setting.precision)
            made = [(op, sizes, dtype) for (op, sizes, _), dtype in zip(made, dtypes, strict=True)]
        nodes, paths = table["nodes"], table["paths"]
        return [
            GraphNode(*made[template], paths[path], tuple(index - back for back in reversed(sources)))
            for index, (template, path, sources) in enumerate(
                zip(variant.template, nodes["path"], nodes["sources"], strict=True)
            )
        ]

    def memory(
        self, batch: int | None = None, seq_len: int | None = None, image_size: int | None = None,
        precision: str = "fp32", phase: str = "inference",
    ) -> MemoryBreakdown:
        """Bytes of the weights, of the activations at their peak and of the KV cache.

        >>> load("gpt2").memory(precision="fp16").weights_bytes == 2 * 124_439_808
        True
        """
        self._refuse_if_compact("memory")
        setting = self.setting(batch, seq_len, image_size, precision, phase)
        variant = self.variant(setting)
        activation = TRACED_AS[setting.precision] if setting.precision != "fp64" else "fp64"
        return memory_breakdown(
            variant.table, variant.template, variant.values(setting), weights_bytes=self.weights_bytes(precision),
            data_bytes=itemsize(activation), kept=variant.kept,
        )  # fmt: skip

    def weights_bytes(self, precision: str) -> int:
        """Bytes of all parameters at a precision, tied weights once; of a stored format with what it leaves as it is.

        >>> load("gpt2").weights_bytes("fp16") == 2 * 124_439_808
        True
        """
        precision = canonical_precision(precision)
        if precision not in STORED:
            return self.params * itemsize(precision)
        stored = self.params if FORMATS[precision].everything else self._stored_params(precision)
        return round(stored * weight_bytes(precision)) + (self.params - stored) * itemsize(precision)

    def _stored_params(self, precision: str) -> int:
        """Parameters that a format stores: those of its products, less often used ones counted once at most."""
        table = self.operators(precision=precision, phase=self.phases[0])
        stored = sum(
            int((stored_elements(g.op, g.dims) * g.count).sum()) for g in table.groups if g.dtype == precision
        )
        tables = {(int(vocab), int(dim)) for g in table.groups if g.op == "Embedding"
                  for vocab, dim in zip(g.dims["vocab"], g.dims["dim"], strict=True)}  # fmt: skip
        return min(stored, max(self.params - sum(vocab * dim for vocab, dim in tables), 0))

    def node_bytes(
        self, batch: int | None = None, seq_len: int | None = None, image_size: int | None = None,
        precision: str = "fp32", phase: str = "inference",
    ) -> NodeBytes:
        """Bytes of output, weights and KV cache of each instance of `nodes`.

        >>> made = load("gpt2").node_bytes(seq_len=8, precision="fp16")
        >>> int(made.results[2]), round(made.weights.sum())
        (12288, 248879616)
        """
        nodes = self.nodes(batch, seq_len, image_size, precision, phase)
        setting = self.setting(batch, seq_len, image_size, precision, phase)
        variant, activation = self.variant(setting), TRACED_AS[setting.precision]
        return bytes_by_node(
            variant.table, [(each.op, each.dims, each.sources) for each in nodes], variant.template,
            variant.values(setting), weights_bytes=self.weights_bytes(setting.precision),
            data_bytes=itemsize(activation if setting.precision != "fp64" else "fp64"),
        )  # fmt: skip

    def aten_ops(self, precision: str = "fp32", phase: str = "inference", **sizes: int | None) -> Mapping[str, int]:
        """ATen operator -> calls by eager PyTorch in one pass, those for positions and masks included."""
        setting = self.setting(sizes.get("batch"), sizes.get("seq_len"), sizes.get("image_size"), precision, phase)
        counts: Counter[str] = Counter()
        for _, times, calls in self.aten_calls(precision, phase, **sizes):
            for name, each in calls.items():
                counts[name] += each * times
        counts.update(self.variant(setting).table["bookkeeping"])
        return dict(sorted(counts.items()))

    def aten_calls(
        self, precision: str = "fp32", phase: str = "inference", **sizes: int | None
    ) -> list[tuple[GraphNode, int, Mapping[str, int]]]:
        """Each distinct operator, its number of runs, and the ATen calls by eager PyTorch for one run."""
        self._refuse_if_compact("ATen operators")
        setting = self.setting(sizes.get("batch"), sizes.get("seq_len"), sizes.get("image_size"), precision, phase)
        variant = self.variant(setting)
        values, found = variant.values(setting), []
        for template, times in Counter(variant.template).items():
            op, dtype, dims, _, calls = variant.table["templates"][template]
            made = {name: int(values[size]) for name, size in dims.items()}
            found.append((GraphNode(op, made, resolve_dtype(op, dtype, setting.precision), "", ()), times, calls))
        return found

    def setting(
        self, batch: int | None = None, seq_len: int | None = None, image_size: int | None = None,
        precision: str = "fp32", phase: str = "inference",
    ) -> Setting:
        """Check the setting of a query and fill in the model's defaults."""
        limits, sizes = self._table["limits"], (batch, seq_len, image_size)
        if not {type(size) for size in sizes} <= _PLAIN_SIZES or type(phase) is not str or type(precision) is not str:
            return checked_setting(self.name, self.phases, limits, *sizes, precision, phase)
        known, key = self._settings, (*sizes, precision, phase)
        if key not in known:
            if len(known) >= _MOST_SETTINGS:
                self._settings = known = {}
            known[key] = checked_setting(self.name, self.phases, limits, *sizes, precision, phase)
        return known[key]

    def _refuse_if_compact(self, what: str) -> None:
        if self.compact:
            raise RefusedError(
                f"{self.name} is an auxiliary graph, which only counts operators and has no {what}. "
                "Models of the catalogue (`hetbench models`) and traced modules have them."
            )

    def variant(self, setting: Setting) -> Variant:
        """The structure of the network at a setting."""
        for conditions, index in self._table["phases"][setting.phase][TRACED_AS[setting.precision]]:
            if meets(setting, conditions):
                if index not in self._variants:
                    self._variants[index] = Variant(self._table["variants"][index])
                return self._variants[index]
        raise ArtifactError(f"graph {self.name!r} has no structure for {setting}; extract it again.")


@load_once(maxsize=64)
def _load(name: str) -> ModelGraph:
    path = files("hetbench") / "catalog" / "graphs" / f"{name}.json.gz"
    try:
        packed = path.read_bytes()
    except FileNotFoundError:
        raise ArtifactError(
            f"no operator graph of {name!r} in this installation. Run: python -m data_collection.extract {name}"
        ) from None
    return ModelGraph(json.loads(gzip.decompress(packed)))


def load(name: str) -> ModelGraph:
    """The operator graph of a catalogue model; `name` is any that `hetbench.catalog.models.model` accepts.

    Raises `UnknownNameError` for an unknown model, `ArtifactError` where its graph is not installed.

    >>> load("bert-base-uncased").params
    109482240
    """
    return _load(name if isinstance(name, str) and name in models() else model(name).name)
