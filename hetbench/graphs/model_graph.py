"""Operator graph of a model at any batch, sequence length, image size, precision and phase, without torch.

`data_collection.extract` traced each model at several settings and wrote every size as an integer polynomial over
batch, seq_len and (image_size + a) // d. A variant is one network structure: phase and precision choose it, and
seldom a setting (position tables are interpolated only away from the trained number of patches). Evaluation is one
product of a coefficient matrix with the monomials; all sizes are exact int64.

Sizes mean: batch samples, seq_len tokens (decode: tokens already in the KV cache), image_size pixels of the side.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetbench.catalog.models import model, models
from hetbench.errors import ArtifactError, InvalidInputError, RefusedError
from hetbench.graphs.memory import MemoryBreakdown, NodeBytes, breakdown, by_node
from hetbench.operators import operator_type
from hetbench.schema import PHASES, itemsize
from hetbench.schema import precision as canonical_precision

__all__ = [
    "GraphNode", "ModelGraph", "OperatorGroup", "OperatorTable", "Setting", "load", "resolve_dtype",
]  # fmt: skip

Ints = NDArray[np.int64]
FORMAT = 1
TRACED_AS = {
    "fp32": "fp32", "fp64": "fp32", "tf32": "fp32", "fp16": "fp16", "int8": "fp16", "bf16": "bf16", "fp8": "bf16",
}  # fmt: skip
"""Which traced structure answers for each precision: casts differ between full and half precision."""
MAX_BATCH, MAX_TOKENS = 2**16, 2**28  # beyond, totals of the largest models leave int64


def resolve_dtype(op: str, dtype: str, precision: str) -> str:
    """Precision in which an operator runs when the model is asked for in `precision`.

    tf32, fp8 and int8 are formats of matrix units: products and convolutions use them, all else runs in the traced
    full or half precision. Operators that upcast on purpose keep their fixed dtype.

    >>> resolve_dtype("Linear", "data", "int8"), resolve_dtype("LayerNorm", "data", "int8")
    ('int8', 'fp16')
    >>> resolve_dtype("Cos", "fp32", "fp16")
    'fp32'
    """
    if dtype != "data":
        return dtype
    if precision in ("tf32", "fp8", "int8") and operator_type(op).cost_class not in ("gemm", "conv"):
        return TRACED_AS[precision]
    return precision


@dataclass(frozen=True, slots=True)
class Setting:
    """Sizes and choices of one query, checked; None where the model has no such input."""

    batch: int | None
    """None only for a traced module, whose sizes are those of its example inputs."""
    seq_len: int | None
    image_size: int | None
    precision: str
    phase: str


@dataclass(frozen=True, slots=True)
class OperatorGroup:
    """Operators of one type and dtype; one row for each distinct shape the structure can have."""

    op: str
    dtype: str
    dims: Mapping[str, Ints]
    """Name -> sizes, int64 [rows]."""
    count: Ints
    """How often the network calls each row, int64 [rows]."""


@dataclass(frozen=True)
class OperatorTable:
    """What one forward pass runs."""

    groups: tuple[OperatorGroup, ...]

    @cached_property
    def flops(self) -> int:
        """Floating-point operations of one pass; a multiply-add is two."""
        return sum(int((operator_type(g.op).flops(g.dims) * g.count).sum()) for g in self.groups)

    @cached_property
    def bytes(self) -> int:
        """Bytes that must move when every operator reads and writes each of its tensors once."""
        moved = ((operator_type(g.op).bytes_moved(g.dims, itemsize(g.dtype)) * g.count).sum() for g in self.groups)
        return sum(int(each) for each in moved)

    @cached_property
    def launches(self) -> int:
        """Operators that run something: all but the free ones."""
        return sum(int(g.count.sum()) for g in self.groups if operator_type(g.op).cost_class != "free")

    def rows(self) -> list[dict[str, Any]]:
        """One mapping for each row: op, dims, dtype, count."""
        return [
            {"op": g.op, "dims": {k: int(v[i]) for k, v in g.dims.items()}, "dtype": g.dtype, "count": int(g.count[i])}
            for g in self.groups
            for i in range(len(g.count))
        ]


@dataclass(frozen=True, slots=True)
class GraphNode:
    """One operator instance."""

    op: str
    dims: Mapping[str, int]
    dtype: str
    path: str
    """Module that calls it."""
    sources: tuple[int, ...]
    """Indices of the nodes whose results it reads."""


class Variant:
    """One structure of a network: templates, and sizes as polynomials. Built once, evaluated often."""

    def __init__(self, table: Mapping[str, Any]) -> None:
        self.table = table
        self.monomials: list[list[Any]] = table["monomials"]
        self.coefficients = np.zeros((len(table["sizes"]), len(self.monomials)), dtype=np.int64)  # [sizes, monomials]
        for row, terms in enumerate(table["sizes"]):
            for place, factor in terms:
                self.coefficients[row, place] = factor
        self.template: list[int] = table["nodes"]["template"] if "nodes" in table else []
        times = Counter(self.template)
        self.counts: list[int] = table.get("counts") or [times[index] for index in range(len(table["templates"]))]
        """How often the network runs each template."""
        self._groups: dict[str, list[tuple[str, str, tuple[str, ...], Ints, Ints]]] = {}

    def values(self, setting: Setting) -> Ints:
        """All sizes at a setting, [sizes]."""
        symbols = {"b": setting.batch or 0, "s": setting.seq_len or 0}
        image = setting.image_size or 0
        powers = []
        for factors in self.monomials:
            value = 1
            for factor in factors:
                value *= symbols[factor] if isinstance(factor, str) else (image + factor[0]) // factor[1]
            powers.append(value)
        return self.coefficients @ np.array(powers, dtype=np.int64)

    def groups(self, precision: str) -> list[tuple[str, str, tuple[str, ...], Ints, Ints]]:
        """(op, dtype, dim names, size indices [dims, rows], count [rows]) of each group."""
        if precision not in self._groups:
            found: dict[tuple[str, str, tuple[str, ...]], Counter[tuple[int, ...]]] = {}
            for index, (op, dtype, dims, *_) in enumerate(self.table["templates"]):
                key = (op, resolve_dtype(op, dtype, precision), tuple(dims))
                found.setdefault(key, Counter())[tuple(dims.values())] += self.counts[index]
            self._groups[precision] = [
                (*key, np.array(list(rows), dtype=np.int64).T.copy(), np.array(list(rows.values()), dtype=np.int64))
                for key, rows in sorted(found.items())
            ]
        return self._groups[precision]


class ModelGraph:
    """The operator graph of one model. Get one by `load(name)` or `hetbench.tracing.trace(module, inputs)`.

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
        """Parameters, tied weights once."""
        self.compact: bool = table.get("compact", False)
        """Whether it counts operators only (see `hetbench.graphs.networks`): no nodes, buffers or ATen names."""
        self.phases: tuple[str, ...] = tuple(phase for phase in PHASES if phase in table["phases"])
        self._table = table
        self.longest: int | None = (table["limits"].get("seq_len") or (None, None))[1]
        """The longest sequence that it takes; None where it takes none or any."""
        self._variants: dict[int, Variant] = {}

    def operators(
        self, batch: int | None = None, seq_len: int | None = None, image_size: int | None = None,
        precision: str = "fp32", phase: str = "inference",
    ) -> OperatorTable:
        """Every operator of one pass, grouped by type and dtype; sizes left out take the model's defaults.

        Raises `InvalidInputError` for a size that the model does not take, `RefusedError` for a phase it does not have.

        >>> table = load("gpt2").operators(batch=2, seq_len=100, precision="fp16")
        >>> [int(m) for g in table.groups if g.op == "Linear" for m in g.dims["m"]][:2]
        [200, 200]
        """
        setting = self.setting(batch, seq_len, image_size, precision, phase)
        variant = self.variant(setting)
        values = variant.values(setting)
        return OperatorTable(tuple(
            OperatorGroup(op, dtype, dict(zip(names, values[sizes], strict=True)), count)
            for op, dtype, names, sizes, count in variant.groups(setting.precision)
        ))  # fmt: skip

    def nodes(
        self, batch: int | None = None, seq_len: int | None = None, image_size: int | None = None,
        precision: str = "fp32", phase: str = "inference",
    ) -> list[GraphNode]:
        """Every operator instance in execution order, with the nodes it reads from.

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
        """Bytes that the weights, the activations at their peak and the KV cache take.

        >>> load("gpt2").memory(precision="fp16").weights_bytes == 2 * 124_439_808
        True
        """
        self._refuse_if_compact("memory")
        setting = self.setting(batch, seq_len, image_size, precision, phase)
        variant = self.variant(setting)
        activation = TRACED_AS[setting.precision] if setting.precision != "fp64" else "fp64"
        return breakdown(
            variant.table, variant.template, variant.values(setting), params=self.params,
            weight_bytes=itemsize(setting.precision), data_bytes=itemsize(activation),
        )  # fmt: skip

    def node_bytes(
        self, batch: int | None = None, seq_len: int | None = None, image_size: int | None = None,
        precision: str = "fp32", phase: str = "inference",
    ) -> NodeBytes:
        """Bytes that each instance of `nodes` hands on, of its weights and of its cached keys and values.

        >>> made = load("gpt2").node_bytes(seq_len=8, precision="fp16")
        >>> int(made.results[2]), round(made.weights.sum())
        (12288, 248879616)
        """
        nodes = self.nodes(batch, seq_len, image_size, precision, phase)
        setting = self.setting(batch, seq_len, image_size, precision, phase)
        variant, activation = self.variant(setting), TRACED_AS[setting.precision]
        return by_node(
            variant.table, [(each.op, each.dims, each.sources) for each in nodes], variant.template,
            variant.values(setting), weights_bytes=self.params * itemsize(setting.precision),
            data_bytes=itemsize(activation if setting.precision != "fp64" else "fp64"),
        )  # fmt: skip

    def aten_ops(self, precision: str = "fp32", phase: str = "inference", **sizes: int | None) -> Mapping[str, int]:
        """ATen operators that eager PyTorch calls in one pass, name -> calls, positions and masks included."""
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
        """Each distinct operator, how often it runs, and the ATen operators that eager PyTorch calls for one run."""
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
        """The sizes of a query with defaults filled in, or the error that says what would be accepted."""
        limits, known = self._table["limits"], self.phases
        precision = canonical_precision(precision)
        if phase not in known:
            if phase not in PHASES:
                raise InvalidInputError(f"unknown phase {phase!r}. {self.name} has: {', '.join(known)}.")
            raise RefusedError(
                f"{self.name} has no {phase}: it does not generate token by token. It has: {', '.join(known)}."
            )
        if limits.get("fixed"):
            if (batch, seq_len, image_size) != (None, None, None):
                raise InvalidInputError(
                    f"{self.name} was traced at one setting: its sizes are those of the example inputs. "
                    "Trace again with inputs of the size you mean."
                )
            return Setting(None, None, None, precision, phase)
        batch = _size("batch", limits["batch"] if batch is None else batch, 1, MAX_BATCH, self.name)
        sizes = {"seq_len": seq_len, "image_size": image_size}
        for name, given in sizes.items():
            bounds = limits.get(name)
            if bounds is None:
                if given is not None:
                    raise InvalidInputError(f"{self.name} takes no {name}; leave it out.")
                continue
            low, high, multiple, default = bounds
            sizes[name] = _size(name, default if given is None else given, low, high, self.name, multiple)
        traced, image = limits.get("image_sizes"), sizes["image_size"]
        if traced and image not in traced:
            raise RefusedError(
                f"{self.name} was traced at image sizes {', '.join(map(str, traced))} only, not at {image}."
            )
        if batch * max(sizes["seq_len"] or 1, 1) > MAX_TOKENS:
            raise InvalidInputError(f"{self.name}: batch x seq_len above {MAX_TOKENS:,} tokens cannot be meant.")
        return Setting(batch, sizes["seq_len"], sizes["image_size"], precision, phase)

    def _refuse_if_compact(self, what: str) -> None:
        if self.compact:
            raise RefusedError(
                f"{self.name} is an auxiliary graph, which counts operators and has no {what}: it answers operators, "
                "flops and params. Graphs of the catalogue (`hetbench models`) and of `hetbench.tracing` have all."
            )

    def variant(self, setting: Setting) -> Variant:
        """The structure that the network has at a setting."""
        for conditions, index in self._table["phases"][setting.phase][TRACED_AS[setting.precision]]:
            if all((_measured(setting, what) == value) == equal for what, value, equal in conditions):
                if index not in self._variants:
                    self._variants[index] = Variant(self._table["variants"][index])
                return self._variants[index]
        raise ArtifactError(f"graph {self.name!r} has no structure for {setting}; extract it again.")


def _measured(setting: Setting, what: str | Sequence[int]) -> int | None:
    """What a condition looks at: a size by its name, or [a, d]: the patches (image_size + a) // d along one side."""
    if isinstance(what, str):
        return {"batch": setting.batch, "seq_len": setting.seq_len, "image_size": setting.image_size}[what]
    return ((setting.image_size or 0) + what[0]) // what[1]


def _size(name: str, given: object, low: int, high: int, owner: str, multiple: int = 1) -> int:
    """`given` as a whole number within bounds."""
    whole = isinstance(given, int | np.integer) and not isinstance(given, bool)
    if whole and low <= int(given) <= high and int(given) % multiple == 0:  # type: ignore[call-overload]
        return int(given)  # type: ignore[call-overload, no-any-return]
    steps = f", a multiple of {multiple}" if multiple > 1 else ""
    raise InvalidInputError(f"{owner}: {name}={given!r} must be a whole number from {low} to {high}{steps}.")


@lru_cache(maxsize=64)
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
    """The operator graph of a catalogue model; names resolve as in `hetbench.catalog.models.model`.

    >>> load("bert-base-uncased").params
    109482240
    """
    return _load(name if name in models() else model(name).name)
