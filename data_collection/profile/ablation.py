"""A network without one group of its operators: their functions return what they returned the first time.

The functions of a group are called by the network as ever, and their results have the right shapes; only their work is
gone. What a pass then saves is the group's measured part of it. The plain run to compare with is `without(None)`, which
looks at every function too and skips none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

__all__ = ["FUNCTIONS", "without"]

FUNCTIONS: Mapping[str, str] = MappingProxyType({
    "linear": "Linear", "addmm": "Linear", "conv2d": "Conv2d", "scaled_dot_product_attention": "Attention",
    "layer_norm": "LayerNorm", "batch_norm": "BatchNorm2d", "embedding": "Embedding", "pad": "Pad",
    "gelu": "GELU", "relu": "ReLU", "hardtanh": "ReLU6", "relu6": "ReLU6", "tanh": "Tanh", "silu": "SiLU",
    "add": "Add", "add_": "Add", "__add__": "Add", "__iadd__": "Add", "max_pool2d": "MaxPool2d",
    "adaptive_avg_pool2d": "AdaptiveAvgPool2d",
})  # fmt: skip
"""Function of torch -> operator type, as `hetbench.graph` has them."""


def without(group: str | None) -> Callable[[Any], Any]:
    """A change of a network: without the operators of a type; None: with all of them, at the same overhead.

    An activation that is written in several functions (`NewGELUActivation`) counts as its type, whole.
    """

    def changed(network: Any) -> Any:
        mode = _mode(group)
        for module in network.modules():
            kind = type(module).__name__
            if kind.endswith("GELUActivation") and not any(True for _ in module.children()):
                module.forward = mode.whole("GELU", module.forward)
        forward = network.forward

        def run(*args: Any, **kwargs: Any) -> Any:
            mode.calls = 0
            with mode:
                return forward(*args, **kwargs)

        network.forward = run
        return network

    return changed


def _mode(group: str | None) -> Any:
    from torch.overrides import TorchFunctionMode

    class Mode(TorchFunctionMode):  # type: ignore[misc]
        calls = 0
        """Calls of the group in this pass so far."""

        def __init__(self) -> None:
            super().__init__()
            self.kept: list[Any] = []
            self.inside = False

        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if self.inside or FUNCTIONS.get(getattr(func, "__name__", "")) != group or group is None:
                return func(*args, **(kwargs or {}))
            return self.once(lambda: func(*args, **(kwargs or {})))

        def once(self, call: Callable[[], Any]) -> Any:
            place, self.calls = self.calls, self.calls + 1
            if place == len(self.kept):
                self.kept.append(call())
            return self.kept[place]

        def whole(self, name: str, forward: Callable[..., Any]) -> Callable[..., Any]:
            """A module's call as one operator of the type `name`."""

            def inside(*args: Any, **kwargs: Any) -> Any:
                self.inside = True
                try:
                    return forward(*args, **kwargs)
                finally:
                    self.inside = False

            def run(*args: Any, **kwargs: Any) -> Any:
                return self.once(lambda: inside(*args, **kwargs)) if name == group else inside(*args, **kwargs)

            return run

    return Mode()
