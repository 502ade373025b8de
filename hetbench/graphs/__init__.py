"""The operators of a model at any batch, sequence length, image size, precision and phase, without torch.

`model_graph` evaluates the graphs of the catalogue, `networks` finds those of other measured models, `memory` adds up
bytes, and `coverage` says which share of the operators a chip's PyTorch back end supports.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hetbench.plugins import lazy_exports

if TYPE_CHECKING:
    from hetbench.graphs.coverage import Coverage, operator_coverage
    from hetbench.graphs.memory import MemoryBreakdown, NodeBytes
    from hetbench.graphs.model_graph import FORMAT, ModelGraph, load
    from hetbench.graphs.operator_table import TRACED_AS, GraphNode, OperatorGroup, OperatorTable, resolve_dtype
    from hetbench.graphs.setting import Setting

__all__ = [
    "FORMAT", "TRACED_AS", "Coverage", "GraphNode", "MemoryBreakdown", "ModelGraph", "NodeBytes", "OperatorGroup",
    "OperatorTable", "Setting", "load", "operator_coverage", "resolve_dtype",
]  # fmt: skip

__getattr__ = lazy_exports(
    __name__,
    {
        "coverage": "Coverage operator_coverage",
        "memory": "MemoryBreakdown NodeBytes",
        "model_graph": "FORMAT ModelGraph load",
        "operator_table": "TRACED_AS GraphNode OperatorGroup OperatorTable resolve_dtype",
        "setting": "Setting",
    },
)
