"""The edges of the knowledge graph, one relation at a time, as columns of node numbers and attributes.

Some relations are stored in the file; the others follow from the catalogue (of-family, runs, whole-model figures) or
from the sets of chips that measured an instance (measured-on).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hetbench.catalog import evidence
from hetbench.catalog.chips import chips
from hetbench.checks import known_name
from hetbench.errors import UnknownNameError

if TYPE_CHECKING:
    from hetbench.knowledge.store import Store

__all__ = ["RELATIONS", "Block", "Edges"]

RELATIONS = (
    "of-family", "runs", "contains", "has-type", "supports", "sequence", "similarity", "performance", "measured-on",
)  # fmt: skip
_FIGURE_FIELDS = (
    "metric", "value", "unit", "precision", "batch", "seq_len", "image_size", "new_tokens", "phase", "stack",
    "software", "n_chips", "stat", "match", "use", "note",
)  # fmt: skip
Ints = NDArray[np.int64]
Column = tuple[NDArray[Any], Sequence[Any] | None]
"""Values [edges] and None, or codes [edges] and the table they point into; a code below 0 means not known."""


@dataclass(frozen=True, slots=True)
class Block:
    """Edges of one relation: node numbers [edges], and attributes by name."""

    source: Ints
    target: Ints
    attributes: Mapping[str, Column]

    def values(self, row: int) -> dict[str, Any]:
        """The known attributes of one edge."""
        found = {name: _value(column, row) for name, column in self.attributes.items()}
        return {name: value for name, value in found.items() if value is not None}


def _block(pairs: Sequence[tuple[int, int]], attributes: Mapping[str, Column]) -> Block:
    """The block of a list of (source, target) pairs."""
    ends = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return Block(ends[:, 0], ends[:, 1], attributes)


def _value(column: Column, row: int) -> Any:
    values, table = column
    if table is None:
        return values[row].item()
    return table[values[row]] if values[row] >= 0 else None


class Edges:
    """Edges by relation over the nodes of a `Store`, built on first use and kept."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._blocks: dict[str, tuple[Block, ...]] = {}

    def blocks(self, relation: str) -> tuple[Block, ...]:
        """The edges of a relation, in one block or more."""
        if known_name("relation", relation, RELATIONS) not in self._blocks:
            self._blocks[relation] = self._build(relation)
        return self._blocks[relation]

    def _build(self, relation: str) -> tuple[Block, ...]:
        store = self._store
        match relation:
            case "of-family":
                known = [(store.names[f"chip:{chip.name}"], store.names[f"family:{chip.family}"])
                         for chip in chips().values()]  # fmt: skip
                return (_block(known, {}),)
            case "runs":
                return (self._stacks_run(),)
            case "has-type":
                types = [np.full(len(span), store.names[f"type:{op}"]) for op, span in store.spans.items()]
                return (Block(store.first + np.arange(store.instances), np.concatenate(types), {}),)
            case "measured-on":
                return (self._measured_on(),)
            case "performance":
                return (self._stored(relation), self._model_figures())
            case "contains" | "supports" | "sequence" | "similarity":
                return (self._stored(relation),)
        raise UnknownNameError("relation", relation, RELATIONS)

    def _stored(self, relation: str) -> Block:
        """A relation of the file, whose node numbers (names, then instances) are mapped to those of the store."""
        store = self._store
        names = store.meta["names"]
        place = np.concatenate([[store.names[name] for name in names], store.first + np.arange(store.instances)])
        attributes = {
            name: (store.array(f"{relation}/{name}"), table) for name, table in store.meta["tables"][relation].items()
        }
        source, target = (place[store.array(f"{relation}/{end}")] for end in ("source", "target"))
        return Block(source, target, attributes)

    def _model_figures(self) -> Block:
        """Published figures of whole models, model -> chip."""
        store = self._store
        rows = evidence.rows()
        codes = np.arange(len(rows))
        pairs = [(store.names[f"model:{row.model}"], store.names[f"chip:{row.chip}"]) for row in rows]
        tables = {name: [getattr(row, name) for row in rows] for name in _FIGURE_FIELDS}
        tables["refs"] = [[row.ref] for row in rows]
        return _block(pairs, {name: (codes, table) for name, table in tables.items()})

    def _stacks_run(self) -> Block:
        """Chip -> stack, with the number of published figures."""
        store = self._store
        rows = [row for row in evidence.rows() if row.stack is not None]
        counts = Counter((store.names[f"chip:{row.chip}"], store.names[f"stack:{row.stack}"]) for row in rows)
        pairs = sorted(counts)
        return _block(pairs, {"rows": (np.array([counts[pair] for pair in pairs]), None)})

    def _measured_on(self) -> Block:
        """Instance -> chip from the sets of chips, without the pairs that have a performance edge."""
        store = self._store
        start, chip = store.array("sets/start"), store.array("sets/chip")
        owner = np.flatnonzero(store.array("measured") >= 0)
        own = store.array("measured")[owner]
        length = (start[1:] - start[:-1])[own]
        within = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length)
        entry = np.repeat(start[own], length) + within
        source = store.first + np.repeat(owner, length)
        target = store.chip_numbers[chip[entry]]
        timed = self._stored("performance")
        width = store.first
        lone = ~np.isin(source * width + target, timed.source * width + timed.target)
        refs = store.array("sets/refs")[entry][lone]
        return Block(source[lone], target[lone], {"refs": (refs, store.meta["upstreams"])})
