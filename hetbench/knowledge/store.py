"""The nodes of the knowledge graph by number, over the arrays of its file.

Chips, families, types, models and stacks of the catalogue have the first numbers; the operator instances follow in the
order of the file: by type, dtype and dims.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetbench.catalog import evidence
from hetbench.catalog.chips import chips
from hetbench.catalog.models import models
from hetbench.errors import ArtifactError, UnknownNameError
from hetbench.knowledge.edges import Edges
from hetbench.knowledge.signature import dim_names, identifier, parse, sizes
from hetbench.knowledge.similarity import SimilarityIndex
from hetbench.operators import operator_types

__all__ = ["FORMAT", "Store"]

FORMAT = 1
"""Version of the layout of `knowledge.npz` that this code reads."""
Ints = NDArray[np.int64]


class Store:
    """Nodes by number and name, with their `edges` and the `similarity` of operators.

    `arrays` are those of `knowledge.npz`. Raises `ArtifactError` for another format of the file.
    """

    def __init__(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self.arrays = arrays
        self.meta: dict[str, Any] = json.loads(bytes(arrays["meta"]))
        if self.meta.get("format") != FORMAT:
            raise ArtifactError(
                f"knowledge.npz has format {self.meta.get('format')!r}; this hetbench reads {FORMAT}. "
                "Run: python -m surrogates.knowledge"
            )
        bounds = np.cumsum([0, *(rows for _, rows in self.meta["operators"])]).tolist()
        named = zip(self.meta["operators"], pairwise(bounds), strict=True)
        self.spans = {op: range(*span) for (op, _), span in named}
        """Operator type -> indices of its instances."""
        self.edges = Edges(self)
        self.similarity = SimilarityIndex(self)

    def array(self, name: str) -> NDArray[Any]:
        """An array of the file."""
        return self.arrays[name]

    @cached_property
    def names(self) -> Mapping[str, int]:
        """Node name -> number, operator instances left out."""
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
        """Number of operator instances."""
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
        """The name of a node."""
        return self._ids[number] if number < self.first else identifier(*self.instance(number - self.first))

    def number(self, node: str) -> int:
        """The number of a node; `UnknownNameError` gives the nearest nodes."""
        if not isinstance(node, str):
            raise UnknownNameError("node", node, self.names)
        if node in self.names:
            return self.names[node]
        kind, _, name = node.partition(":")
        if kind != "op":
            alike = [each.partition(":")[2] for each in self.names if each.startswith(f"{kind}:")]
            raise UnknownNameError(kind, name, alike) if alike and name else UnknownNameError("node", node, self.names)
        op, dims, dtype = parse(node)
        found = self.find(op, dims, dtype)
        if found is None:
            near = (self.id(self.first + index) for index, _ in self.similarity.nearest(op, dims, dtype, k=3))
            raise UnknownNameError("node", identifier(op, dims, dtype), near)
        return self.first + found

    @cached_property
    def chip_numbers(self) -> Ints:
        """Node number of each chip that occurs in the measurements."""
        return np.array([self.names[f"chip:{name}"] for name in self.meta["chips"]], dtype=np.int64)

    def measurers(self, index: int) -> dict[str, tuple[str, ...]]:
        """The chips that measured an instance, with the repositories of the measurements."""
        code, found = self.array("measured")[index], dict[str, tuple[str, ...]]()
        span = slice(*self.array("sets/start")[code : code + 2]) if code >= 0 else slice(0)
        for chip, upstream in zip(self.array("sets/chip")[span], self.array("sets/refs")[span], strict=True):
            name = self.meta["chips"][chip]
            found[name] = (*found.get(name, ()), *self.meta["upstreams"][upstream])
        return found

    def measured_by(self, chip: str) -> NDArray[np.bool_]:
        """Mask of the instances that a chip measured, bool [instances]."""
        if chip not in self.meta["chips"]:
            return np.zeros(self.instances, dtype=bool)
        start, code = self.array("sets/start"), self.meta["chips"].index(chip)
        owner = np.repeat(np.arange(len(start) - 1), start[1:] - start[:-1])
        having = np.zeros(len(start), dtype=bool)  # the last entry stands for "no chip", code -1
        having[owner[self.array("sets/chip") == code]] = True
        found: NDArray[np.bool_] = having[self.array("measured")]
        return found

    def measured(self, op: str) -> Ints:
        """Indices of the instances of a type that some chip measured."""
        span = self.spans[op]
        return span.start + np.flatnonzero(self.array("measured")[span.start : span.stop] >= 0)
