"""The arrays behind the knowledge graph: numbered nodes, and the edges of each relation as columns.

Chips, families, types, models and stacks are numbered first, from the catalogue; the operator instances follow, by
type, dtype and dims, as they lie in the file. Everything is read when first asked for, and kept.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetbench.catalog import evidence
from hetbench.catalog.chips import chips
from hetbench.catalog.models import models
from hetbench.errors import ArtifactError, UnknownNameError
from hetbench.knowledge.signature import columns, dim_names, identifier, parsed, sizes
from hetbench.operators import operator_type, operator_types
from hetbench.predict.features import class_of

__all__ = ["FORMAT", "RELATIONS", "Block", "Store"]

FORMAT = 1
RELATIONS = (
    "of-family", "runs", "contains", "has-type", "supports", "sequence", "similarity", "performance", "measured-on",
)  # fmt: skip
_FIGURE = ("metric", "value", "unit", "precision", "batch", "seq_len", "image_size", "new_tokens", "phase", "stack",
           "software", "n_chips", "stat", "match", "use", "note")  # fmt: skip
Ints = NDArray[np.int64]
Column = tuple[NDArray[Any], Sequence[Any] | None]
"""Values, or codes into a table; a code below 0 means not known."""


@dataclass(frozen=True, slots=True)
class Block:
    """Edges of one relation: node numbers [edges] and, by name, the attributes."""

    source: Ints
    target: Ints
    attributes: Mapping[str, Column]

    def values(self, row: int) -> dict[str, Any]:
        """Attributes of one edge; what is not known is left out."""
        found = {name: _value(column, row) for name, column in self.attributes.items()}
        return {name: value for name, value in found.items() if value is not None}


def _between(pairs: Sequence[tuple[int, int]], attributes: Mapping[str, Column]) -> Block:
    """A block of edges that are listed as (source, target)."""
    ends = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return Block(ends[:, 0], ends[:, 1], attributes)


def _value(column: Column, row: int) -> Any:
    values, table = column
    if table is None:
        return values[row].item()
    return table[values[row]] if values[row] >= 0 else None


class Store:
    """Nodes by number and edges by relation, over the arrays of the file."""

    def __init__(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self._arrays, self._kept = arrays, dict[str, NDArray[Any]]()
        self.meta: dict[str, Any] = json.loads(bytes(arrays["meta"]))
        if self.meta.get("format") != FORMAT:
            raise ArtifactError(
                f"knowledge.npz has format {self.meta.get('format')!r}; this hetbench reads {FORMAT}. "
                "Run: python -m surrogates.knowledge"
            )
        self._blocks: dict[str, tuple[Block, ...]] = {}
        self._features: dict[str, tuple[Ints, NDArray[np.float64]]] = {}
        bounds = np.cumsum([0, *(rows for _, rows in self.meta["operators"])]).tolist()
        named = zip(self.meta["operators"], pairwise(bounds), strict=True)
        self.spans = {op: range(*span) for (op, _), span in named}
        """Operator type -> indices of its instances."""

    def array(self, name: str) -> NDArray[Any]:
        """An array of the file, kept."""
        if name not in self._kept:
            self._kept[name] = self._arrays[name]
        return self._kept[name]

    @cached_property
    def names(self) -> Mapping[str, int]:
        """Number of every node but the operator instances."""
        families = dict.fromkeys(chip.family for chip in chips().values())
        stacks = sorted({row.stack for row in evidence.rows() if row.stack is not None})
        listed: dict[str, Any] = {
            "chip": chips(), "family": families, "type": operator_types(), "model": models(), "stack": stacks,
        }  # fmt: skip
        return {name: at for at, name in enumerate(f"{kind}:{name}" for kind, each in listed.items() for name in each)}

    @cached_property
    def _ids(self) -> Sequence[str]:
        return list(self.names)

    @property
    def first(self) -> int:
        """Number of the first operator instance."""
        return len(self.names)

    @property
    def instances(self) -> int:
        """How many operator instances there are."""
        return len(self.array("dtype"))

    def instance(self, index: int) -> tuple[str, dict[str, int], str]:
        """Type, dims and dtype of an operator instance."""
        op = next(name for name, span in self.spans.items() if index in span)
        row = self.array(f"dims/{op}")[index - self.spans[op].start].tolist()
        return op, dict(zip(dim_names(op), row, strict=True)), self.meta["dtypes"][self.array("dtype")[index]]

    def find(self, op: str, dims: Mapping[str, int], dtype: str) -> int | None:
        """Index of the instance with this signature; None where the graph has none."""
        if op not in self.spans or dtype not in self.meta["dtypes"]:
            return None
        span = self.spans[op]
        same = (self.array(f"dims/{op}") == list(sizes(op, dims).values())).all(axis=1)
        same &= self.array("dtype")[span.start : span.stop] == self.meta["dtypes"].index(dtype)
        return span.start + int(same.argmax()) if same.any() else None

    def id(self, number: int) -> str:
        """The node's name."""
        return self._ids[number] if number < self.first else identifier(*self.instance(number - self.first))

    def number(self, node: str) -> int:
        """The node's number; `UnknownNameError` names the nearest nodes."""
        if node in self.names:
            return self.names[node]
        kind, _, name = node.partition(":")
        if kind != "op":
            alike = [each.partition(":")[2] for each in self.names if each.startswith(f"{kind}:")]
            raise UnknownNameError(kind, name, alike) if alike and name else UnknownNameError("node", node, self.names)
        op, dims, dtype = parsed(node)
        found = self.find(op, dims, dtype)
        if found is None:
            near = (self.id(self.first + index) for index, _ in self.nearest(op, dims, dtype, k=3))
            raise UnknownNameError("node", identifier(op, dims, dtype), near)
        return self.first + found

    def blocks(self, relation: str) -> tuple[Block, ...]:
        """The edges of a relation."""
        if relation not in self._blocks:
            self._blocks[relation] = self._made(relation)
        return self._blocks[relation]

    def _made(self, relation: str) -> tuple[Block, ...]:
        match relation:
            case "of-family":
                known = [(self.names[f"chip:{chip.name}"], self.names[f"family:{chip.family}"])
                         for chip in chips().values()]  # fmt: skip
                return (_between(known, {}),)
            case "runs":
                return (self._runs(),)
            case "has-type":
                types = [np.full(len(span), self.names[f"type:{op}"]) for op, span in self.spans.items()]
                return (Block(self.first + np.arange(self.instances), np.concatenate(types), {}),)
            case "measured-on":
                return (self._measured_on(),)
            case "performance":
                return (self._stored(relation), self._figures())
            case "contains" | "supports" | "sequence" | "similarity":
                return (self._stored(relation),)
        raise UnknownNameError("relation", relation, RELATIONS)

    def _stored(self, relation: str) -> Block:
        """A relation of the file, whose node numbers are its own: names first, then the instances."""
        names = self.meta["names"]
        place = np.concatenate([[self.names[name] for name in names], self.first + np.arange(self.instances)])
        attributes = {
            name: (self.array(f"{relation}/{name}"), table) for name, table in self.meta["tables"][relation].items()
        }
        source, target = (place[self.array(f"{relation}/{end}")] for end in ("source", "target"))
        return Block(source, target, attributes)

    def _figures(self) -> Block:
        """The published whole-model figures, model -> chip."""
        rows = evidence.rows()
        codes = np.arange(len(rows))
        pairs = [(self.names[f"model:{row.model}"], self.names[f"chip:{row.chip}"]) for row in rows]
        tables = {name: [getattr(row, name) for row in rows] for name in _FIGURE}
        tables["refs"] = [[row.ref] for row in rows]
        return _between(pairs, {name: (codes, table) for name, table in tables.items()})

    def _runs(self) -> Block:
        """Chip -> stack, with how many figures of it there are."""
        rows = [row for row in evidence.rows() if row.stack is not None]
        counts = Counter((self.names[f"chip:{row.chip}"], self.names[f"stack:{row.stack}"]) for row in rows)
        pairs = sorted(counts)
        return _between(pairs, {"rows": (np.array([counts[pair] for pair in pairs]), None)})

    def _measured_on(self) -> Block:
        """Instance -> chip from the sets of chips; pairs that have a performance edge are left to it."""
        start, chip = self.array("sets/start"), self.array("sets/chip")
        owner = np.flatnonzero(self.array("measured") >= 0)
        own = self.array("measured")[owner]
        length = (start[1:] - start[:-1])[own]
        within = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length)
        entry = np.repeat(start[own], length) + within
        source = self.first + np.repeat(owner, length)
        target = self.chip_numbers[chip[entry]]
        timed = self._stored("performance")
        width = self.first
        lone = ~np.isin(source * width + target, timed.source * width + timed.target)
        refs = self.array("sets/refs")[entry][lone]
        return Block(source[lone], target[lone], {"refs": (refs, self.meta["upstreams"])})

    @cached_property
    def chip_numbers(self) -> Ints:
        """Node number of each chip that the sets name."""
        return np.array([self.names[f"chip:{name}"] for name in self.meta["chips"]], dtype=np.int64)

    def measurers(self, index: int) -> dict[str, tuple[str, ...]]:
        """The chips that measured an instance, with the upstreams that say so."""
        code, found = self.array("measured")[index], dict[str, tuple[str, ...]]()
        span = slice(*self.array("sets/start")[code : code + 2]) if code >= 0 else slice(0)
        for chip, upstream in zip(self.array("sets/chip")[span], self.array("sets/refs")[span], strict=True):
            name = self.meta["chips"][chip]
            found[name] = (*found.get(name, ()), *self.meta["upstreams"][upstream])
        return found

    def measured_by(self, chip: str) -> NDArray[np.bool_]:
        """Which instances the chip measured, [instances]."""
        if chip not in self.meta["chips"]:
            return np.zeros(self.instances, dtype=bool)
        start, code = self.array("sets/start"), self.meta["chips"].index(chip)
        owner = np.repeat(np.arange(len(start) - 1), start[1:] - start[:-1])
        having = np.zeros(len(start), dtype=bool)  # the last stands for no set, code -1
        having[owner[self.array("sets/chip") == code]] = True
        found: NDArray[np.bool_] = having[self.array("measured")]
        return found

    def features(self, cls: str) -> tuple[Ints, NDArray[np.float64]]:
        """Measured instances of a class [instances] and their unit vectors [instances, columns]."""
        if cls not in self._features:
            parts = [(op, *part) for op in self.spans for part in self.raw(cls, op, self.measured(op))]
            self._features[cls] = (
                np.concatenate([index for _, index, _ in parts]),
                np.concatenate([self.unit(cls, op, made) for op, _, made in parts]),
            )
        return self._features[cls]

    def measured(self, op: str) -> Ints:
        """The instances of a type that some chip measured."""
        span = self.spans[op]
        return span.start + np.flatnonzero(self.array("measured")[span.start : span.stop] >= 0)

    def raw(self, cls: str, op: str, rows: Ints) -> list[tuple[Ints, NDArray[np.float64]]]:
        """(instances, their features in log2) of those of one type that are of the class, one entry a dtype."""
        values = self.array(f"dims/{op}")[rows - self.spans[op].start].astype(np.int64)
        dims = dict(zip(dim_names(op), values.T, strict=True))
        cost = operator_type(op).cost_class
        mine = np.full(len(rows), cost == cls)
        if cost == "attention":
            mine = (dims["q_len"] == 1) == (cls == "decode") if cls in ("prefill", "decode") else mine
        out, dtypes = [], self.array("dtype")[rows]
        for code in np.unique(dtypes[mine]):
            pick = mine & (dtypes == code)
            part = {name: value[pick] for name, value in dims.items()}
            out.append((rows[pick], columns(cls, op, part, self.meta["dtypes"][code])))
        return out

    def unit(self, cls: str, op: str, made: NDArray[np.float64]) -> NDArray[np.float64]:
        """Features of operators of one type as unit vectors.

        Zero mean and unit variance over the measured operators of the class. Two columns more weigh as much as all
        those together: a constant, which keeps apart what lies in the same direction from the mean, and the type.
        """
        mean, deviation = (np.array(row) for row in self.meta["scales"][cls])
        types = _types(cls)
        extra = np.zeros((len(made), 1 + len(types)))
        extra[:, [0, 1 + types.index(op)]] = np.sqrt(made.shape[1])
        whole = np.hstack([(made - mean) / deviation, extra])
        out: NDArray[np.float64] = whole / np.linalg.norm(whole, axis=1, keepdims=True)
        return out

    def nearest(
        self, op: str, dims: Mapping[str, int], dtype: str, *, chip: str | None = None, k: int = 5, itself: bool = True
    ) -> list[tuple[int, float]]:
        """(measured instance, cosine) of the k most similar ones of the class, best first.

        Equal cosines, at six decimals, go to the operator itself, then to its type, its dtype and the lower index.
        """
        cls = class_of(op, dims)
        if cls not in self.meta["scales"]:
            return []
        index, vectors = self.features(cls)
        cosine = np.round(vectors @ self.unit(cls, op, columns(cls, op, sizes(op, dims), dtype))[0], 6)
        own = self.find(op, dims, dtype)
        keep = np.ones(len(index), dtype=bool) if chip is None else self.measured_by(chip)[index]
        if own is not None and not itself:
            keep &= index != own
        index, cosine = index[keep], cosine[keep]
        if len(index) > k:
            best = cosine >= np.partition(cosine, -k)[-k]
            index, cosine = index[best], cosine[best]
        span = self.spans.get(op, range(0))
        other_type = (index < span.start) | (index >= span.stop)
        code = self.meta["dtypes"].index(dtype) if dtype in self.meta["dtypes"] else -1
        other = index != (-1 if own is None else own)
        order = np.lexsort((index, self.array("dtype")[index] != code, other_type, other, -cosine))[:k]
        return [(int(index[at]), float(cosine[at])) for at in order]


@lru_cache(maxsize=8)
def _types(cls: str) -> list[str]:
    """The operator types of a class."""
    cost = "attention" if cls in ("prefill", "decode") else cls
    return [name for name, kind in operator_types().items() if kind.cost_class == cost]
