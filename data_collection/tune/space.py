"""The settings to choose from: threads, layout, precision, mode and batch, as machine and subject support them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

from data_collection.backends import Backend
from data_collection.profile.stacks import EXPORTED, STACKS, missing
from data_collection.profile.tasks import Grid, Task, model_tasks
from data_collection.store.rows import LAYOUTS
from hetbench.catalog.chips import Chip
from hetbench.catalog.models import model
from hetbench.errors import InvalidInputError, RefusedError, UnknownNameError
from hetbench.operators import operator_type
from hetbench.schema import precision

__all__ = ["AXES", "Setting", "Space", "Subject", "space_for"]

AXES = ("threads", "layout", "precision", "stack", "batch")
"""`stack` is the mode: eager, compiled, or another runtime."""
_PRECISIONS = ("fp32", "bf16", "fp16")
_BATCHES = (1, 2, 4, 8)

Setting = Mapping[str, Any]
"""A value for every axis."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The model or operator that is tuned. Sizes that are None are the model's defaults."""

    kind: str
    name: str
    dims: Mapping[str, int] | None = None
    batch_dim: str | None = None
    """The operator's dim that the batch multiplies; None if the batch is not tuned."""
    seq_len: int | None = None
    image_size: int | None = None
    phase: str | None = None

    @property
    def takes_image(self) -> bool:
        """Whether it has a choice of layouts."""
        if self.kind == "model":
            return model(self.name).image_size is not None
        return {"n", "c", "h", "w"} <= set(operator_type(self.name).dims)

    def task(self, setting: Setting, protocol: str) -> Task:
        """The task of a setting; raises if the model does not support it."""
        way = {name: setting[name] for name in ("threads", "layout", "stack")}
        if self.kind == "operator":
            kind, dims = operator_type(self.name), dict(self.dims or {})
            if self.batch_dim:
                dims[self.batch_dim] *= setting["batch"]
            text = json.dumps({**kind.optional, **kind.check(dims)}, sort_keys=True)
            return Task(kind="operator", name=self.name, dims=text, precision=setting["precision"], phase="fwd",
                        cache="hot", protocol=protocol, **way)  # fmt: skip
        grid = Grid(
            precision=[setting["precision"]], batch=[setting["batch"]], seq_len=[self.seq_len],
            image_size=[self.image_size], phase=[self.phase] if self.phase else [], protocol=protocol,
            **{name: [value] for name, value in way.items()},
        )  # fmt: skip
        tasks, refused = model_tasks([self.name], grid)
        if refused:
            raise RefusedError(refused[0])
        return tasks[0]


@dataclass(frozen=True, slots=True)
class Space:
    """The values of each axis; the first is the default."""

    axes: Mapping[str, Sequence[Any]]

    @property
    def size(self) -> int:
        """Number of settings."""
        return prod(len(values) for values in self.axes.values())

    @property
    def default(self) -> Setting:
        """The default setting: the first value of each axis."""
        return {name: values[0] for name, values in self.axes.items()}

    def settings(self) -> Iterator[Setting]:
        """All settings, the default first."""
        for values in product(*self.axes.values()):
            yield dict(zip(self.axes, values, strict=True))


def space_for(subject: Subject, device: Backend, chip: Chip, asked: Mapping[str, Sequence[Any]]) -> Space:
    """The space of a subject on a device; `asked` replaces the values of an axis."""
    for name in asked:
        if name not in AXES:
            raise UnknownNameError("axis", name, AXES)
    stacks = [each for each in STACKS if subject.kind == "model" or each not in EXPORTED]
    cores = os.cpu_count() or 1
    own: dict[str, Sequence[Any]] = {
        "threads": [cores, *(2**power for power in range(cores.bit_length() - 1, -1, -1) if 2**power < cores)],
        "layout": LAYOUTS if subject.takes_image else LAYOUTS[:1],
        "precision": [each for each in _PRECISIONS if each == "fp32" or chip.peak_flops(each)],
        "stack": [each for each in stacks if not missing(each)],
        "batch": _BATCHES if subject.kind == "model" or subject.batch_dim else [1],
    }
    if device.device != "cpu":
        own["threads"] = [None]
        if "threads" in asked:
            raise InvalidInputError(f"--threads is for the CPU; {device.family} runs on {device.device}.")
    if "batch" in asked and len(own["batch"]) == 1:
        raise InvalidInputError(f"--batch of an operator needs --batch-dim, one of {', '.join(subject.dims or {})}.")
    return Space({name: _values(name, asked[name]) if name in asked else own[name] for name in AXES})


def _values(name: str, given: Sequence[Any]) -> list[Any]:
    """Checked values of an axis, each once."""
    known = {"layout": LAYOUTS, "stack": STACKS}.get(name)
    for value in given:
        if known and value not in known:
            raise UnknownNameError(name, value, known)
        reason = missing(value) if name == "stack" else None
        if reason:
            raise RefusedError(f"stack {value}: {reason}")
        if name in ("threads", "batch") and value < 1:
            raise InvalidInputError(f"--{name} {value} must be a whole number from 1.")
    return list(dict.fromkeys(precision(value) if name == "precision" else value for value in given))
