"""Measure what a group of operators costs by leaving it out: its functions return cached results of an earlier pass.

The network still calls the functions and gets tensors of the right shapes, but their work is skipped. The time saved is
the group's measured share. Complete passes run under the same patch, with the same overhead, in alternation in one
process.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from data_collection.backends import Backend
from data_collection.profile.subjects import ready
from data_collection.profile.tasks import Task

__all__ = ["FUNCTIONS", "Ablation", "saved"]

FUNCTIONS: Mapping[str, str] = MappingProxyType({
    "linear": "Linear", "addmm": "Linear", "conv2d": "Conv2d", "scaled_dot_product_attention": "Attention",
    "layer_norm": "LayerNorm", "batch_norm": "BatchNorm2d", "embedding": "Embedding", "pad": "Pad",
    "gelu": "GELU", "relu": "ReLU", "hardtanh": "ReLU6", "relu6": "ReLU6", "tanh": "Tanh", "silu": "SiLU",
    "add": "Add", "add_": "Add", "__add__": "Add", "__iadd__": "Add", "max_pool2d": "MaxPool2d",
    "adaptive_avg_pool2d": "AdaptiveAvgPool2d",
})  # fmt: skip
"""Function of torch -> operator type of the catalogue's graphs."""
_BLOCK_MS = 20.0  # duration of a block of passes between two switches
_LEAST_PAIRS = 8


class Ablation:
    """Patches a network so that operators of the type `group` are skipped; nothing is skipped while it is None.

    An activation that consists of several functions (`NewGELUActivation`) counts as one operator of its type.
    """

    def __init__(self) -> None:
        self.group: str | None = None
        self._kept: dict[str, list[Any]] = {}
        self._calls = 0
        self._inside = False

    def __call__(self, network: Any) -> Any:
        """Patch the network and return it."""
        for module in network.modules():
            if type(module).__name__.endswith("GELUActivation") and not any(True for _ in module.children()):
                module.forward = self._as_one("GELU", module.forward)
        forward, mode = network.forward, self._mode()

        def run(*args: Any, **kwargs: Any) -> Any:
            self._calls = 0
            with mode:
                return forward(*args, **kwargs)

        network.forward = run
        return network

    def _mode(self) -> Any:
        from torch.overrides import TorchFunctionMode

        ablation = self

        class Mode(TorchFunctionMode):  # type: ignore[misc]
            def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
                name = FUNCTIONS.get(getattr(func, "__name__", ""))
                if ablation._inside or name is None or name != ablation.group:
                    return func(*args, **(kwargs or {}))
                return ablation._once(lambda: func(*args, **(kwargs or {})))

        return Mode()

    def _once(self, call: Callable[[], Any]) -> Any:
        place, self._calls = self._calls, self._calls + 1
        kept = self._kept.setdefault(str(self.group), [])
        if place == len(kept):
            kept.append(call())
        return kept[place]

    def _as_one(self, name: str, forward: Callable[..., Any]) -> Callable[..., Any]:
        def inside(*args: Any, **kwargs: Any) -> Any:
            self._inside = True
            try:
                return forward(*args, **kwargs)
            finally:
                self._inside = False

        def run(*args: Any, **kwargs: Any) -> Any:
            return self._once(lambda: inside(*args, **kwargs)) if name == self.group else inside(*args, **kwargs)

        return run


def saved(
    backend: Backend, task: Task, groups: Sequence[str], seconds: float
) -> tuple[float, dict[str, list[float]]]:
    """Milliseconds of a complete pass, and for each group the time saved without it, in percent of adjacent passes.

    `seconds` is spent on each group, or more if its eight pairs take longer.
    """
    ablation = Ablation()
    with ready(backend, task, ablation) as subject:

        def once(group: str | None) -> float:
            ablation.group = group
            return 1e3 * backend.seconds(subject.call, 1, "wall")

        once(None)
        whole = statistics.median(once(None) for _ in range(3))
        count = max(1, round(_BLOCK_MS / whole))

        def block(group: str | None) -> float:
            once(group)  # discard the first pass: caches still hold data of the other kind
            return statistics.median(once(group) for _ in range(count))

        found: dict[str, list[float]] = {}
        for group in groups:
            pairs, end = [], time.monotonic() + seconds
            once(group)  # fills the cache of results
            while len(pairs) < _LEAST_PAIRS or time.monotonic() < end:
                before = block(None)
                pairs.append(100 * (1 - block(group) / before))
            found[group] = pairs
    return whole, found
