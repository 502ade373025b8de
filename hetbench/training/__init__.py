"""Training steps: the backward pass and the optimizer update of a network as operators, and the memory of a step.

`backward` the operators behind each operator, `optimizers` what each keeps and reads, `graph` the step in place of a
network's graph, `memory` what autograd keeps, `surrogate` what measured steps take over their sums.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hetbench.plugins import lazy_exports

if TYPE_CHECKING:
    from hetbench.training.graph import TRAINING, StepTables, TrainingGraph, is_training
    from hetbench.training.memory import TrainingMemory
    from hetbench.training.optimizers import OPTIMIZERS, Optimizer, optimizer

__all__ = ["OPTIMIZERS", "TRAINING", "Optimizer", "StepTables", "TrainingGraph", "TrainingMemory", "is_training",
           "optimizer"]

__getattr__ = lazy_exports(
    __name__,
    {
        "graph": "TRAINING StepTables TrainingGraph is_training",
        "memory": "TrainingMemory",
        "optimizers": "OPTIMIZERS Optimizer optimizer",
    },
)
