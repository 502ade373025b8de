"""A training step as a callable: forward, loss, backward, update, gradients dropped.

In fp16 and bf16 the step is mixed: weights, gradients and update in fp32, products under autocast; fp16 with a gradient
scaler. The loss is cross entropy against random classes where the network scores classes or words, else the mean square
of its first result.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from data_collection.backends import Backend
from data_collection.extract.build import Point, has_cache, inputs
from data_collection.profile.networks import filled, random_network
from data_collection.profile.tasks import Task
from hetbench.catalog.models import model
from hetbench.errors import RefusedError
from hetbench.training.memory import MIXED

__all__ = ["training"]

_RATE = 1e-4


@contextmanager
def training(backend: Backend, task: Task, dtype: Any) -> Iterator[Callable[[], Any]]:
    """The step of a task; `dtype` is that of the products. Raises `RefusedError` for another stack than eager."""
    import torch

    if task.stack != "eager":
        raise RefusedError(f"training steps are measured under eager PyTorch, not {task.stack}.")
    if dtype not in (torch.float32, torch.float16, torch.bfloat16):
        raise RefusedError(f"training steps are measured in fp32, tf32, fp16 or bf16, not {task.precision}.")
    record = model(task.name)
    network = random_network(record, backend.device, torch.float32).train().requires_grad_(True)
    if task.layout == "channels_last":
        network.to(memory_format=torch.channels_last)
    with torch.device(backend.device):
        point = Point(task.batch or 1, task.seq_len, task.image_size)
        arguments = filled(inputs(record, point, torch.float32), network, task.layout)
    if has_cache(record):
        arguments["use_cache"] = False
    mixed = task.precision in MIXED
    kind = torch.device(backend.device).type
    scaler = torch.amp.GradScaler(kind) if task.precision == "fp16" and kind != "cpu" else None
    update = _optimizer(torch, network, json.loads(task.dims or "{}").get("optimizer", "adamw"))

    def step() -> None:
        with torch.autocast(kind, dtype, enabled=mixed):
            loss = _loss(torch, network(**arguments))
        (loss if scaler is None else scaler.scale(loss)).backward()
        if update is not None and scaler is not None:
            scaler.step(update)
            scaler.update()
        elif update is not None:
            update.step()
        network.zero_grad(set_to_none=True)

    yield step


def _optimizer(torch: Any, network: Any, name: str) -> Any:
    """The optimizer in PyTorch's default form, which runs over all tensors at once where the device can."""
    weights = network.parameters()
    if name == "adamw":
        return torch.optim.AdamW(weights, lr=_RATE)
    if name == "none":
        return None
    return torch.optim.SGD(weights, lr=_RATE, momentum=0.9 if name == "sgd-momentum" else 0.0)


def _loss(torch: Any, result: Any) -> Any:
    scores = getattr(result, "logits", None)
    if scores is None:
        return result[0].float().square().mean()
    scores = scores.reshape(-1, scores.shape[-1]).float()
    classes = torch.arange(scores.shape[0], device=scores.device) % scores.shape[-1]
    return torch.nn.functional.cross_entropy(scores, classes)
