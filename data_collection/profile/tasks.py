"""What to measure: one task per row, from the catalogue's graphs, in a fixed order."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product, zip_longest

from hetbench.catalog.models import model
from hetbench.errors import HetBenchError
from hetbench.graphs.model_graph import load
from hetbench.operators import operator_type
from hetbench.schema import itemsize
from hetbench.training import TRAINING, TrainingGraph, optimizer

__all__ = ["Grid", "Task", "model_tasks", "operator_tasks"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One measurement to make; the fields mean the same as in a row of the store."""

    kind: str
    name: str
    dims: str | None = None
    batch: int | None = None
    seq_len: int | None = None
    image_size: int | None = None
    precision: str
    phase: str
    stack: str
    layout: str
    cache: str
    protocol: str
    threads: int | None

    def label(self) -> str:
        """One line to print: `Linear k=768 m=128 n=3072 fp32`."""
        sizes = {name: getattr(self, name) for name in ("batch", "seq_len", "image_size") if getattr(self, name)}
        sizes |= json.loads(self.dims or "{}")
        words = [self.name, *(f"{name}={size}" for name, size in sizes.items()), self.precision]
        usual = {"phase": ("fwd", "inference"), "stack": ("eager",), "layout": ("contiguous",), "cache": ("hot",)}
        return " ".join([*words, *(getattr(self, name) for name, plain in usual.items()
                                   if getattr(self, name) not in plain)])  # fmt: skip

    def bytes_moved(self) -> int:
        """Bytes of an operator's tensors; 0 for a model."""
        if self.kind == "model":
            return 0
        return int(operator_type(self.name).bytes_moved(json.loads(self.dims or "{}"), itemsize(self.precision)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Settings to combine. None in `seq_len` or `image_size`, or an empty `phase`, is the model's default."""

    precision: Sequence[str] = ("fp32",)
    batch: Sequence[int] = (1,)
    seq_len: Sequence[int | None] = (None,)
    image_size: Sequence[int | None] = (None,)
    phase: Sequence[str] = ()
    stack: Sequence[str] = ("eager",)
    layout: Sequence[str] = ("contiguous",)
    cache: Sequence[str] = ("hot",)
    protocol: str = "wall"
    threads: Sequence[int | None] = (None,)
    optimizer: str = "adamw"
    """Of steps, in phase training."""

    def ways(self) -> Iterator[dict[str, object]]:
        """How it is executed: stack, layout, cache, threads."""
        for stack, layout, cache, threads in product(self.stack, self.layout, self.cache, self.threads):
            yield {"stack": stack, "layout": layout, "cache": cache, "threads": threads, "protocol": self.protocol}

    def settings(self, name: str) -> Iterator[dict[str, object]]:
        """Sizes, precision and phase of a model, without sizes that it does not have."""
        record = model(name)
        lengths = self.seq_len if record.seq_len is not None else (None,)
        images = self.image_size if record.image_size is not None else (None,)
        for precision, batch, length, image, phase in product(
            self.precision, self.batch, lengths, images, self.phase or record.phases[:1]
        ):
            yield {"precision": precision, "batch": batch, "seq_len": length or record.seq_len,
                   "image_size": image or record.image_size, "phase": phase}  # fmt: skip


def operator_tasks(
    models: Iterable[str], grid: Grid, *, types: Sequence[str] = (), limit: int | None = None
) -> tuple[list[Task], list[str]]:
    """Distinct operators of the models at all settings, and the settings that a model does not support.

    `limit` takes equally many of each type, chosen by a hash of the dims: the same ones on every machine.
    """
    chosen = {operator_type(name).name for name in types}
    found: dict[tuple[str, str, str], str] = {}  # task -> sort key
    refused = []
    for name in models:
        for setting in grid.settings(name):
            try:
                rows = load(name).operators(**setting).rows()  # type: ignore[arg-type]
            except HetBenchError as error:
                refused.append(str(error))
                continue
            for row in rows:
                if operator_type(row["op"]).cost_class != "free" and (not chosen or row["op"] in chosen):
                    entry = (row["op"], json.dumps(row["dims"], sort_keys=True), row["dtype"])
                    found[entry] = hashlib.sha256(" ".join(entry).encode()).hexdigest()
    by_type: dict[str, list[tuple[str, str, str]]] = {}
    for entry in sorted(found, key=found.__getitem__):
        by_type.setdefault(entry[0], []).append(entry)
    order = [entry for turn in zip_longest(*(by_type[op] for op in sorted(by_type))) for entry in turn if entry]
    return [
        Task(kind="operator", name=op, dims=dims, precision=dtype, phase="fwd", **way)  # type: ignore[arg-type]
        for op, dims, dtype in order[:limit] for way in grid.ways()
    ], sorted(set(refused))  # fmt: skip


def model_tasks(models: Iterable[str], grid: Grid, *, limit: int | None = None) -> tuple[list[Task], list[str]]:
    """Every model at every setting, and the settings that a model does not support."""
    tasks, refused = [], []
    for name in models:
        for setting in grid.settings(name):
            try:
                dims = _checked(name, setting, grid.optimizer)
            except HetBenchError as error:
                refused.append(str(error))
                continue
            tasks += [Task(kind="model", name=name, dims=dims, **setting, **way)  # type: ignore[arg-type]
                      for way in grid.ways()]  # fmt: skip
    return tasks[:limit], sorted(set(refused))


def _checked(name: str, setting: dict[str, object], updates: str) -> str | None:
    """Check a setting of a model; in phase training the optimizer as JSON."""
    graph = load(name)
    if setting["phase"] != TRAINING:
        graph.setting(**setting)  # type: ignore[arg-type]
        return None
    step = TrainingGraph(graph, optimizer(updates))
    step.setting(**setting)  # type: ignore[arg-type]
    return json.dumps({"optimizer": step.optimizer.name})
