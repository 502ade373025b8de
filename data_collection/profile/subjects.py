"""Build the operator or model of a task as a callable without arguments that can be timed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from data_collection.backends import Backend
from data_collection.extract.build import (
    Point,
    build,
    cache_arguments,
    has_cache,
    inputs,
    last_position_only,
)
from data_collection.profile import stacks, steps
from data_collection.profile.networks import filled, random_network
from data_collection.profile.tasks import Task
from hetbench.catalog.models import model
from hetbench.errors import RefusedError
from hetbench.operators import operator_type
from hetbench.training import TRAINING

__all__ = ["DTYPES", "Subject", "precise", "ready", "rehearse", "through"]

DTYPES = {
    "fp64": "float64", "fp32": "float32", "tf32": "float32", "fp16": "float16", "bf16": "bfloat16", "int64": "int64",
    "int32": "int32", "int16": "int16", "int8": "int8", "uint8": "uint8", "bool": "bool",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Subject:
    """The callable that is timed."""

    call: Callable[[], Any]
    reset: Callable[[], Any] | None = None
    """Restores state that a call changes; runs outside the timed section."""
    library: str | None = None
    """Library that executes it, if the stack determines that."""


@contextmanager
def ready(backend: Backend, task: Task, change: Callable[[Any], Any] | None = None) -> Iterator[Subject]:
    """Context with the built operator or model, freed at the end; `change` may modify a model's network."""
    import torch

    dtype = precise(backend, task)
    if task.kind == "model" and not dtype.is_floating_point:
        raise RefusedError(
            f"PyTorch casts a network and does not quantise it: measure {task.precision} of a whole model on a stack "
            f"that has a quantiser, {' or '.join(stacks.EXPORTED)}."
        )
    if task.phase == TRAINING:
        with steps.training(backend, task, dtype) as call:
            yield Subject(call)
        return
    with torch.no_grad():
        if task.kind == "operator":
            yield Subject(stacks.run(task.stack, _operator(backend, task, dtype)))
        else:
            with _model(backend, task, dtype, change) as subject:
                yield subject


def precise(backend: Backend, task: Task) -> Any:
    """torch dtype of the task's precision; also switches TF32 on or off."""
    import torch

    if task.precision not in DTYPES:
        raise RefusedError(f"PyTorch cannot run {task.precision} here. It can: {', '.join(DTYPES)}.")
    if task.precision == "tf32" and backend.family != "cuda":
        raise RefusedError("tf32 is a mode of NVIDIA's matrix units; measure fp32 on other chips.")
    if task.kind == "model" and task.precision == "int8" and task.stack in stacks.EXPORTED:
        return torch.float32  # the stack quantises it
    torch.set_float32_matmul_precision("high" if task.precision == "tf32" else "highest")
    if backend.family == "cuda":
        torch.backends.cudnn.allow_tf32 = task.precision == "tf32"
    return getattr(torch, DTYPES[task.precision])


def rehearse(task: Task) -> None:
    """Import the model's code by building it on the meta device, so that imports do not count as its memory."""
    if task.kind == "model":
        build(model(task.name))


def _operator(backend: Backend, task: Task, dtype: Any) -> Callable[[], Any]:
    import torch

    kind, dims = operator_type(task.name), json.loads(task.dims or "{}")
    maker: Any = torch
    if task.layout == "channels_last":
        if not {"n", "c", "h", "w"} <= set(kind.dims):
            raise RefusedError(f"{task.name} has no [n, c, h, w] input, so no channels_last layout.")
        maker = _ChannelsLast(torch)
    return kind.make({**kind.optional, **kind.check(dims)}, maker, dtype, backend.device)


class _ChannelsLast:
    """torch, except that four-dimensional tensors are created channels-last."""

    def __init__(self, torch: Any) -> None:
        self._torch = torch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._torch, name)

    def ones(self, *shape: int, **options: Any) -> Any:
        made = self._torch.ones(*shape, **options)
        return made.to(memory_format=self._torch.channels_last) if made.dim() == 4 else made


@contextmanager
def _model(
    backend: Backend, task: Task, dtype: Any, change: Callable[[Any], Any] | None = None
) -> Iterator[Subject]:
    import torch

    record = model(task.name)
    network = random_network(record, backend.device, dtype)
    if task.layout == "channels_last":
        if record.image_size is None:
            raise RefusedError(f"{record.name} takes no image, so no channels_last layout.")
        network.to(memory_format=torch.channels_last)
    network = network if change is None else change(network)
    point = Point(task.batch or 1, task.seq_len, task.image_size)
    with last_position_only(record, network, task.phase):
        with torch.device(backend.device):
            arguments = filled(inputs(record, point, dtype), network, task.layout)
            if has_cache(record):
                arguments.update(cache_arguments(record, network, arguments, task.phase))
        reset = _cache_reset(arguments) if arguments.get("use_cache") else None
        with through(network, arguments, task, reset) as subject:
            yield subject


@contextmanager
def through(network: Any, arguments: Mapping[str, Any], task: Task,
            reset: Callable[[], None] | None = None) -> Iterator[Subject]:
    """A network's call as the task's stack runs it."""
    if task.stack in stacks.EXPORTED:
        with stacks.exported(task.stack, network, arguments, task) as (call, library):
            yield Subject(call, library=library)
    else:
        runner = stacks.run(task.stack, network)
        yield Subject(lambda: runner(**arguments), reset)


def _cache_reset(arguments: Mapping[str, Any]) -> Callable[[], None]:
    """Restores the KV cache, to which every call appends."""
    cache = arguments["past_key_values"]
    parts = [cache.self_attention_cache, cache.cross_attention_cache] if hasattr(cache, "is_updated") else [cache]
    before = [[(layer, dict(vars(layer))) for layer in part.layers] for part in parts]
    updated = dict(cache.is_updated) if hasattr(cache, "is_updated") else {}

    def reset() -> None:
        for part, layers in zip(parts, before, strict=True):
            for layer, state in layers:
                vars(layer).clear()
                vars(layer).update(state)
            part.layers = [layer for layer, _ in layers]
        if updated or hasattr(cache, "is_updated"):
            cache.is_updated = dict(updated)

    return reset
