"""The model-operator-hardware knowledge graph (MOH-KG): what was measured where, and the evidence of an answer.

`graph` is the public door; `store`, `edges` and `similarity` hold the arrays behind it, `paths` finds the evidence for
a model on a chip, `explain` that of an answer, `export` writes files for other tools.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hetbench.plugins import lazy_exports

if TYPE_CHECKING:
    from hetbench.knowledge.edges import RELATIONS
    from hetbench.knowledge.explain import explain_answer
    from hetbench.knowledge.export import FORMATS
    from hetbench.knowledge.graph import Edge, KnowledgeGraph, Measured, Nearest, Node, knowledge_graph
    from hetbench.knowledge.paths import Hop, Route, Why

__all__ = ["FORMATS", "RELATIONS", "Edge", "Hop", "KnowledgeGraph", "Measured", "Nearest", "Node", "Route", "Why",
           "explain_answer", "knowledge_graph"]

__getattr__ = lazy_exports(
    __name__,
    {
        "edges": "RELATIONS",
        "explain": "explain_answer",
        "export": "FORMATS",
        "graph": "Edge KnowledgeGraph Measured Nearest Node knowledge_graph",
        "paths": "Hop Route Why",
    },
)
