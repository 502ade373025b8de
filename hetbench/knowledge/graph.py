"""The model-operator-hardware knowledge graph (MOH-KG): models, operators, chips, and what was measured between them.

`catalog/knowledge.npz` (made by `python -m surrogates.knowledge`) holds the operator instances of the catalogue's
models at their default settings with measured latencies, and of all other measured operators one for every chip and
cell of a log2 grid of dims. Chips, models and whole-model figures come from the catalogue. Nodes have names such as
`chip:nvidia-l4`, `family:cuda`, `type:Linear`, `model:gpt2`, `stack:eager`, `op:Linear(k=768,m=128,n=3072)@fp16`.

    of-family    chip -> family
    runs         chip -> stack           number of published figures
    contains     model -> op             number of calls, by phase and precision
    has-type     op -> type
    supports     family -> type          one edge for each ATen operator called for the type, and platform
    sequence     op -> op                data flow inside one model
    similarity   op -> measured op       cosine
    performance  op or model -> chip     value, setting, references
    measured-on  op -> chip              rows exist, their values are in the data set only
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hetbench.catalog.chips import Chip, chips
from hetbench.catalog.chips import chip as chip_named
from hetbench.catalog.models import Model, models
from hetbench.checks import whole_number
from hetbench.errors import ArtifactError, InvalidInputError, shown
from hetbench.knowledge import export, paths
from hetbench.knowledge.edges import RELATIONS, Block
from hetbench.knowledge.signature import dtype_named, sizes
from hetbench.knowledge.store import Store
from hetbench.loading import load_once
from hetbench.operators import operator_type

if TYPE_CHECKING:
    from hetbench.knowledge.paths import Why

__all__ = ["KINDS", "RELATIONS", "Edge", "KnowledgeGraph", "Measured", "Nearest", "Node", "knowledge_graph"]

KINDS = ("chip", "family", "type", "model", "stack", "op")


@dataclass(frozen=True, slots=True)
class Node:
    """One node and its attributes."""

    id: str
    kind: str
    """chip, family, type, model, stack or op."""
    attributes: Mapping[str, Any] = field(hash=False)


@dataclass(frozen=True, slots=True)
class Edge:
    """One edge, its attributes and its references."""

    source: str
    relation: str
    target: str
    attributes: Mapping[str, Any] = field(hash=False)
    refs: tuple[str, ...] = ()
    """repository@commit, with the path where known."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A chip that measured an operator, with the latency where the graph holds it."""

    chip: str
    value: float | None
    """Median in ms; None where the value is in the data set only."""
    protocol: str | None
    library: str | None
    rows: int | None
    """Number of published rows behind the median."""
    refs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Nearest:
    """A measured operator and its similarity to the one asked for."""

    node: str
    similarity: float
    """Cosine of the normalised features; 1 for the operator itself."""
    chips: tuple[str, ...]
    """Chips that measured it."""


class KnowledgeGraph:
    """Nodes and edges, and queries over them; `knowledge_graph()` opens the shipped graph.

    >>> graph = knowledge_graph()
    >>> [edge.target for edge in graph.neighbours("chip:nvidia-l4", "of-family")]
    ['family:cuda']
    """

    def __init__(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self.store = Store(arrays)

    def __reduce__(self) -> tuple[Any, ...]:
        return (knowledge_graph, ()) if self is knowledge_graph() else (KnowledgeGraph, (self.store.arrays,))

    def counts(self) -> dict[str, dict[str, int]]:
        """Number of nodes of each kind and of edges of each relation.

        >>> knowledge_graph().counts()["nodes"]["model"]
        34
        """
        nodes = dict.fromkeys(KINDS, 0)
        for name in self.store.names:
            nodes[name.partition(":")[0]] += 1
        edges = {name: sum(len(block.source) for block in self.store.edges.blocks(name)) for name in RELATIONS}
        return {"nodes": nodes | {"op": self.store.instances}, "edges": edges}

    def node(self, id: str) -> Node:
        """The node of this name; `UnknownNameError` gives the nearest names.

        >>> knowledge_graph().node("chip:nvidia-l4").attributes["mem_gb"]
        24
        """
        return self._node(self.store.number(id))

    def nodes(self) -> Iterator[Node]:
        """Every node."""
        return (self._node(number) for number in range(self.store.first + self.store.instances))

    def edges(self, relation: str | None = None) -> Iterator[Edge]:
        """All edges, or those of one relation (`RELATIONS`); `UnknownNameError` for another relation."""
        for name in RELATIONS if relation is None else (relation,):
            for block in self.store.edges.blocks(name):
                yield from (self._edge(name, block, row) for row in range(len(block.source)))

    def neighbours(self, node: str, relation: str | None = None) -> tuple[Edge, ...]:
        """The edges into and out of a node, of one relation or of all.

        >>> graph = knowledge_graph()
        >>> edge = graph.neighbours("model:bert-tiny", "contains")[0]
        >>> edge.source, edge.attributes["phase"], edge.attributes["count"] >= 1
        ('model:bert-tiny', 'inference', True)
        """
        number = self.store.number(node)
        found = []
        for name in RELATIONS if relation is None else (relation,):
            for block in self.store.edges.blocks(name):
                rows = np.flatnonzero((block.source == number) | (block.target == number))
                found += [self._edge(name, block, int(row)) for row in rows]
        return tuple(found)

    def measured_on(self, op: str, dims: Mapping[str, int], dtype: str) -> tuple[Measured, ...]:
        """The chips that measured exactly this operator, with latencies where the graph holds them.

        Args:
            op: operator type.
            dims: size of each dim.
            dtype: of the operands, by any name of the precision.

        Returns:
            One entry for each published median, then the chips whose values are in the data set only. Empty where the
            graph has no such node; outside the catalogue's models it holds one operator for each grid cell and chip,
            so that the operator may have been measured all the same.

        >>> found = knowledge_graph().measured_on("Linear", {"m": 128, "n": 768, "k": 768}, "fp32")
        >>> all(each.refs for each in found)
        True
        """
        index = self.store.find(op, operator_type(op).check(dims), dtype_named(dtype))
        if index is None:
            return ()
        found = []
        for edge in self.neighbours(self.store.id(self.store.first + index), "performance"):
            chip, known = edge.target.removeprefix("chip:"), edge.attributes
            found.append(
                Measured(chip, known["value"], known["protocol"], known["library"], known["rows"], edge.refs)
            )  # fmt: skip
        timed = {each.chip for each in found}
        rest = ((chip, refs) for chip, refs in self.store.measurers(index).items() if chip not in timed)
        return (*found, *(Measured(chip, None, None, None, None, refs) for chip, refs in rest))

    def nearest(
        self, op: str, dims: Mapping[str, int], dtype: str, chip: str | None = None, k: int = 5
    ) -> tuple[Nearest, ...]:
        """The `k` measured operators most similar to this one, best first.

        Similarity is the cosine of normalised features within the operator class (`hetbench.knowledge.similarity`); the
        operator itself comes first where it was measured.

        Args:
            op, dims, dtype: as in `measured_on`.
            chip: consider only operators that this chip measured.
            k: number of operators.

        Returns:
            At most `k` entries; empty where no operator of the class was measured.

        >>> graph = knowledge_graph()
        >>> found = graph.nearest("Linear", {"m": 130, "n": 3000, "k": 800}, "fp16", chip="huawei-ascend-910b3", k=1)
        >>> found[0].node, "huawei-ascend-910b3" in found[0].chips
        ('op:Linear(k=4096,m=2048,n=4096)@fp16', True)
        """
        checked = operator_type(op).check(dims)
        k = whole_number("k", k, 1)
        name = None if chip is None else chip_named(chip).name
        found = self.store.similarity.nearest(op, sizes(op, checked), dtype_named(dtype), chip=name, k=k)
        return tuple(
            Nearest(self.store.id(self.store.first + index), cosine, tuple(self.store.measurers(index)))
            for index, cosine in found
        )

    def why(
        self, model: str, chip: Chip | str, source: Chip | str | None = None, *,
        operators: Iterable[Mapping[str, Any]] | None = None, shares: Mapping[str, float] | None = None, limit: int = 5,
    ) -> Why:  # fmt: skip
        """The evidence for a model on a chip: published figures, and for each of its heaviest operators the best path.

        Args:
            model: name of a catalogue model; any name where `operators` are given.
            chip: name or record.
            source: a second chip to report on.
            operators: rows of op, dims, dtype and count (`OperatorTable.rows()`); left out, those of the model's first
                phase at its default setting in fp16.
            shares: operator type -> time (`Answer.shares`); then the heaviest operator of each type is taken, in order
                of these times. Left out, operators are ranked by their share of FLOPs and bytes.
            limit: number of operators, and of published figures, at most.

        >>> path = knowledge_graph().why("gpt2", "cann", limit=1)
        >>> path.chip, path.routes[0].operator.split("(")[0]
        ('huawei-ascend-910b3', 'op:Linear')
        """
        return paths.why(self, model, chip, source, operators=operators, shares=shares, limit=limit)

    def export(self, path: str | Path, format: str) -> None:
        """Write the whole graph to a file as `graphml`, `json` (node-link, for networkx) or `cypher` (for Neo4j)."""
        if not isinstance(path, str | Path):
            raise InvalidInputError(f"path is that of a file to write; given: {shown(path)}.")
        export.write(self, Path(path), format)

    def to_networkx(self) -> Any:
        """The graph as a `networkx.MultiDiGraph`; needs networkx."""
        return export.to_networkx(self)

    def _node(self, number: int) -> Node:
        id = self.store.id(number)
        kind, _, name = id.partition(":")
        if kind == "op":
            op, dims, dtype = self.store.instance(number - self.store.first)
            return Node(id, kind, {"op": op, "dtype": dtype, **dims})
        known: Mapping[str, Any] = {}
        if kind == "chip":
            known = _facts(chips()[name], ("name", "aliases", "notes"))
        elif kind == "model":
            known = _facts(models()[name], ("name", "aliases", "config", "note", "phases"))
        elif kind == "type":
            known = {"cost_class": operator_type(name).cost_class}
        return Node(id, kind, known)

    def _edge(self, relation: str, block: Block, row: int) -> Edge:
        known = block.values(row)
        refs = tuple(known.pop("refs", ()))
        ends = (self.store.id(int(end[row])) for end in (block.source, block.target))
        return Edge(next(ends), relation, next(ends), known, refs)


def _facts(record: Chip | Model, left_out: tuple[str, ...]) -> dict[str, Any]:
    """The fields of a catalogue record that are known, without those of `left_out`."""
    known = {each.name: getattr(record, each.name) for each in fields(record) if each.name not in left_out}
    return {name: value for name, value in known.items() if value is not None}


@load_once()
def knowledge_graph() -> KnowledgeGraph:
    """The knowledge graph of the package, opened on first use and kept.

    Raises `ArtifactError` where the file is missing or damaged.

    >>> knowledge_graph().node("op:Linear(k=768,m=128,n=768)@fp16").attributes["k"]
    768
    """
    path = Path(str(files("hetbench") / "catalog" / "knowledge.npz"))
    try:
        with np.load(path, allow_pickle=False) as stored:
            return KnowledgeGraph({name: stored[name] for name in stored.files})
    except (OSError, ValueError, KeyError) as error:
        raise ArtifactError(f"{path.name} cannot be read: {error}. Reinstall hetbench.") from None
