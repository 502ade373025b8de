"""Networks of the catalogue with random weights, and the inputs they are timed with."""

from __future__ import annotations

from typing import Any

from data_collection import inputs as standard
from data_collection.extract.build import build
from hetbench.catalog.models import Model

__all__ = ["filled", "random_network"]


def random_network(record: Model, device: str, dtype: Any) -> Any:
    """The network with small random weights from a fixed seed; finite values do not affect the time."""
    import torch
    from transformers.initialization import no_init_weights

    default = torch.get_default_dtype()
    torch.set_default_dtype(dtype)  # never hold a weight twice
    try:
        with no_init_weights():
            network = build(record, device)
    finally:
        torch.set_default_dtype(default)
    network.tie_weights()
    network.to(dtype)
    torch.manual_seed(0)
    for weight in network.parameters():
        weight.data.uniform_(-0.02, 0.02)
    return network


def filled(arguments: dict[str, Any], network: Any, layout: str) -> dict[str, Any]:
    """Token ids below the vocabulary size and reals in [-1, 1), generated like the standard inputs."""
    import torch

    for place, (name, value) in enumerate(arguments.items()):
        if not isinstance(value, torch.Tensor):
            continue
        if value.is_floating_point():
            made = standard.reals(value.shape, place)
        else:
            made = standard.tokens(value.shape, network.config.get_text_config().vocab_size, place)
        value = torch.from_numpy(made).to(value.device, value.dtype)
        channels_last = layout == "channels_last" and value.dim() == 4
        arguments[name] = value.to(memory_format=torch.channels_last) if channels_last else value
    return arguments
