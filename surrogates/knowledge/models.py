"""Read the operator instances of the catalogue's models, and the data flow between them, from their operator graphs."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from hetbench.graphs import model_graph
from hetbench.knowledge.signature import sizes

PRECISIONS = ("fp32", "fp16")
Signature = tuple[str, str, tuple[int, ...]]
"""Operator type, dtype, dims in the order of `dim_names`."""


@dataclass
class Catalogue:
    """Operator calls and data flow of the models' graphs."""

    contains: Counter[tuple[str, str, str, Signature]] = field(default_factory=Counter)
    """(model, phase, precision, instance) -> number of calls."""
    sequence: Counter[tuple[str, str, str, Signature, Signature]] = field(default_factory=Counter)
    """(model, phase, precision, instance, instance that reads its result) -> number of times."""
    aten: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Operator type -> ATen operators that the graphs call for it."""

    @property
    def instances(self) -> set[Signature]:
        return {signature for *_, signature in self.contains}


def catalogue(names: Iterable[str]) -> Catalogue:
    """The operator instances of models at their default settings, in each phase and in full and half precision."""
    found = Catalogue()
    for name in names:
        model = model_graph.load(name)
        for phase in model.phases:
            for precision in PRECISIONS:
                nodes = model.nodes(precision=precision, phase=phase)
                own = [(n.op, n.dtype, tuple(sizes(n.op, n.dims).values())) for n in nodes]
                found.contains.update((name, phase, precision, signature) for signature in own)
                for node, signature in zip(nodes, own, strict=True):
                    found.sequence.update((name, phase, precision, own[at], signature) for at in node.sources)
                variant = model.variant(model.setting(precision=precision, phase=phase))
                for op, _, _, _, aten in variant.table["templates"]:
                    found.aten[op].update(aten)
    return found
