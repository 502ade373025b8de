"""The operators and passes of a portfolio of models, each operator with its share of the predicted time.

What is held out is chosen by a hash of its name and sizes: the same on every machine, and never taught.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from data_collection.profile.tasks import Grid, Task, model_tasks
from hetbench.api import HetBench
from hetbench.graphs.model_graph import load
from hetbench.operators import operator_type

__all__ = ["DEFAULT_MODELS", "Candidate", "candidates", "is_held_out", "passes"]

DEFAULT_MODELS = ("bert-tiny", "bert-mini", "mobilenet-v2", "efficientnet-b0", "resnet-50", "distilbert-base",
                  "regnet-y-4gf", "deit-base", "bert-base", "gpt2")  # fmt: skip
"""Networks that a CPU passes in seconds, of every kind, small ones first."""
_HELD_OUT = 5
"""One operator in five is held out, and one pass in two."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An operator that could be measured."""

    task: Task
    weight: float
    """Its share of the predicted time of the models it is in, summed over the models."""


def candidates(api: HetBench, chip: str, models: Sequence[str], precision: str, protocol: str) -> list[Candidate]:
    """The distinct operators of the models with their weights, heaviest first.

    Operators that are not predicted on the chip are left out.
    """
    weights: dict[tuple[str, str, str], float] = {}
    for name in models:
        for setting in Grid(precision=(precision,)).settings(name):
            rows = [row for row in load(name).operators(**setting).rows()  # type: ignore[arg-type]
                    if operator_type(row["op"]).cost_class != "free"]  # fmt: skip
            keys = [(row["op"], json.dumps(row["dims"], sort_keys=True), row["dtype"]) for row in rows]
            found = api.query_operators({
                "op": [key[0] for key in keys], "dims": [key[1] for key in keys], "dtype": [key[2] for key in keys],
                "phase": ["fwd"] * len(keys), "chip": [chip] * len(keys), "protocol": [protocol] * len(keys),
            })["value"]  # fmt: skip
            spent = {key: float(ms) * row["count"] for key, ms, row in zip(keys, found, rows, strict=True) if ms > 0}
            total = sum(spent.values()) or 1.0
            for key, ms in spent.items():
                weights[key] = weights.get(key, 0.0) + ms / total
    heaviest = sorted(weights, key=lambda key: (-weights[key], key))
    return [
        Candidate(
            Task(kind="operator", name=op, dims=dims, precision=dtype, phase="fwd", stack="eager", layout="contiguous",
                 cache="hot", protocol=protocol, threads=None), weights[op, dims, dtype])
        for op, dims, dtype in heaviest
    ]  # fmt: skip


def passes(models: Sequence[str], precision: str, protocol: str) -> tuple[list[Task], list[Task]]:
    """The passes of the models that are taught, and those that are held out: every second one, in the order given."""
    tasks, _ = model_tasks(models, Grid(precision=(precision,), protocol=protocol))
    return tasks[::2], tasks[1::2]


def is_held_out(task: Task) -> bool:
    """Whether an operator is kept for the comparison.

    >>> from data_collection.profile.tasks import Task
    >>> plain = {"precision": "fp32", "phase": "fwd", "stack": "eager", "layout": "contiguous", "cache": "hot"}
    >>> is_held_out(Task(kind="operator", name="ReLU", dims='{"numel": 64}', protocol="wall", threads=None, **plain))
    True
    """
    text = f"{task.name} {task.dims} {task.precision}"
    return hashlib.sha256(text.encode()).digest()[0] % _HELD_OUT == 0
