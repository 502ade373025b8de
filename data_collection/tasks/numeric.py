"""Differences of a network's outputs from the same network in fp32, run eagerly on the CPU. Runs in the child process.

Weights are the architecture's initialisation from a fixed seed, inputs the standard ones; the reference's weights and
inputs are cast to the task's precision, so that both sides start from the same numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_collection.backends import Backend
from data_collection.extract.build import Point, build, has_cache, inputs
from data_collection.profile.networks import filled
from data_collection.profile.subjects import precise, through
from data_collection.profile.tasks import Task
from hetbench.catalog.models import model

__all__ = ["arrays", "cast", "compare", "differences", "passes"]

Array = NDArray[np.float64]


def compare(backend: Backend, task: Task) -> list[dict[str, Any]]:
    """The differences of each output."""
    import torch

    record = model(task.name)
    torch.manual_seed(0)
    network = build(record, "cpu")
    point = Point(task.batch or 1, task.seq_len, task.image_size)
    given = filled(inputs(record, point, torch.float32), network, task.layout)
    if has_cache(record):
        given["use_cache"] = False
    with torch.no_grad():
        expected = arrays(network(**given))
        network, given = cast(network, given, backend, task)
        with through(network, given, task) as subject:
            found = arrays(subject.call())
    if len(found) != len(expected):
        raise RuntimeError(f"{task.stack} gives {len(found)} outputs, the reference {len(expected)}")
    return [differences(one, other) for one, other in zip(found, expected, strict=True)]


def cast(network: Any, given: Mapping[str, Any], backend: Backend, task: Task) -> tuple[Any, dict[str, Any]]:
    """The network and its arguments in the task's precision, on its device."""
    import torch

    dtype = precise(backend, task)
    moved = {}
    for name, value in given.items():
        if isinstance(value, torch.Tensor):
            value = value.to(backend.device, dtype if value.is_floating_point() else value.dtype)
        moved[name] = value
    return network.to(backend.device, dtype), moved


def arrays(output: Any) -> list[Array]:
    """Every array of a network's output, in order."""
    if hasattr(output, "detach"):
        return [output.detach().cpu().double().numpy()]
    if isinstance(output, np.ndarray):
        return [output.astype(np.float64)]
    if isinstance(output, Mapping):
        return [each for part in output.values() for each in arrays(part)]
    if isinstance(output, list | tuple):
        return [each for part in output for each in arrays(part)]
    return []


def differences(found: Array, expected: Array) -> dict[str, Any]:
    """Differences of one output; `max_rel` is relative to the reference's largest magnitude. None: undefined.

    >>> differences(np.array([1.0, 2.0]), np.array([1.0, 4.0]))["max_rel"]
    0.5
    """
    shape = list(expected.shape)
    if found.shape != expected.shape or not np.isfinite(found).all() or not np.isfinite(expected).all():
        why = "not finite" if found.shape == expected.shape else f"shape {list(found.shape)}"
        return {"shape": shape, "fault": why, **dict.fromkeys(("max_abs", "max_rel", "cosine", "mse"))}
    off = np.abs(found - expected)
    largest, norms = float(np.abs(expected).max(initial=0)), float(np.linalg.norm(found) * np.linalg.norm(expected))
    return {
        "shape": shape, "fault": None, "max_abs": float(off.max(initial=0)),
        "max_rel": float(off.max(initial=0)) / largest if largest else None,
        "cosine": float(np.vdot(found, expected)) / norms if norms else None, "mse": float(np.mean(off**2)),
    }  # fmt: skip


def passes(output: Mapping[str, Any], limits: Mapping[str, float]) -> bool:
    """Whether one output's differences are within the limits; undefined ones fail, except that two zeros are equal.

    >>> passes({"max_abs": 0.1, "max_rel": 0.2, "cosine": 1.0}, {"cosine": 0.99, "max_rel": 0.1})
    False
    """
    if output["max_abs"] == 0:
        return True
    if output["cosine"] is None or output["max_rel"] is None:
        return False
    return bool(output["cosine"] >= limits["cosine"] and output["max_rel"] <= limits["max_rel"])
