"""Changes of a model on a CPU that are no fields of a task: autocast, eager attention, int8 weights of Linear."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from data_collection.backends import Backend
from data_collection.profile.measure import Outcome, measure
from data_collection.profile.tasks import Task
from data_collection.profile.timing import Budget
from data_collection.profile.worker import Worker
from hetbench.errors import UnknownNameError

__all__ = ["CHANGES", "ChangedWorker"]


def _autocast(network: Any) -> Any:
    import torch

    network.forward = torch.autocast("cpu", dtype=torch.bfloat16)(network.forward)
    return network


def _eager_attention(network: Any) -> Any:
    network.set_attn_implementation("eager")
    return network


def _int8(network: Any) -> Any:
    """Dynamic quantisation: int8 weights of every Linear, inputs quantised at run time."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch deprecates it in favour of torchao
        return torch.ao.quantization.quantize_dynamic(network, {torch.nn.Linear}, dtype=torch.qint8)


CHANGES: Mapping[str, Callable[[Any], Any]] = MappingProxyType(
    {"autocast": _autocast, "eager-attention": _eager_attention, "int8": _int8}
)


class ChangedWorker(Worker):
    """A worker that applies a change to every network before timing it; `change` is a name of `CHANGES`, or None."""

    change: str | None = None

    def measure(self, task: Task, budget: Budget, timeout: float, *, fresh: bool = False) -> Outcome:
        """The outcome of one task, measured in a new child process."""
        if self.change is not None and self.change not in CHANGES:
            raise UnknownNameError("change", self.change, CHANGES)
        if self._used:
            self.close()
        outcome = self.ask(_changed, (task, budget, self.llc_bytes, self.change), timeout)
        self.close()
        return outcome if isinstance(outcome, Outcome) else Outcome("error", str(outcome))


def _changed(backend: Backend, task: Task, budget: Budget, llc_bytes: float, change: str | None) -> Outcome:
    how = None if change is None else CHANGES[change]
    return measure(backend, task, budget, llc_bytes=llc_bytes, fresh=True, change=how)
