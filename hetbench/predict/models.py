"""Latency of a whole model under a software stack, learned from published measurements of whole models.

A sum over separately timed operators includes neither fusion nor overlap nor framework overhead. Here a small network
gives every operator a factor on its roofline time, fitted on the latency of whole models:
time = call overhead + sum of count x (base + launch) x factor. Boosted trees on a summary of the graph predict the
same, and the two are blended with the weight that validated best for the family. A *cell* is a chip, stack and
precision measured together; a chip without a cell gets the factors of the stack, at level D.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hetbench.artifacts.integrity import FORMATS
from hetbench.artifacts.sets import EMBEDDED
from hetbench.catalog.chips import Chip
from hetbench.errors import ArtifactError
from hetbench.loading import LOCK, load_once
from hetbench.predict.model_features import Composition, composition, summaries
from hetbench.predict.perceptron import silu
from hetbench.predict.trees import Forest

if TYPE_CHECKING:
    from hetbench.graphs import OperatorTable

__all__ = [
    "CALL", "CLIP", "FACTOR", "GENERATION", "LAUNCH", "Network", "WholeModelPrediction", "WholeModelSurrogate",
    "forest_rows", "group_of", "load",
]  # fmt: skip

FORMAT = FORMATS["whole.json"]
GENERATION = ("prefill", "decode", "serving")
CLIP = 5.0  # standard deviations at which standardised features are clipped
FACTOR = 6.0  # limit of |log factor| of an operator
_MARGIN = 0.7  # log 2: up to twice outside the sizes of the training rows an answer keeps level C
LAUNCH, CALL = -5.3, -3.0  # initial log ms of the overhead of a launch and of a call

Array = NDArray[Any]


def group_of(family: str, phase: str) -> str:
    """Name of the surrogate for a chip family and phase: one for generation, else one per family.

    cuda and rocm share one, since rocm has few rows.

    >>> group_of("rocm", "inference"), group_of("cuda", "decode")
    ('pass-gpu', 'generation')
    """
    if phase in GENERATION:
        return "generation"
    return {"cuda": "pass-gpu", "rocm": "pass-gpu"}.get(family, f"pass-{family}")


@dataclass(frozen=True, slots=True)
class Network:
    """The fitted network of one seed; index 0 of stacks, cells and operators is the one for unknown labels."""

    mean: NDArray[np.float32]
    scale: NDArray[np.float32]
    operator: NDArray[np.float32]
    """Embedding of each operator type, added to the first layer, [operators + 1, hidden]."""
    context: tuple[NDArray[np.float32], NDArray[np.float32]]
    """Embeddings of stacks (bias included) and of cells, each [labels + 1, hidden]."""
    weights: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]
    """[columns, hidden], [hidden, hidden], [hidden, 1]."""
    biases: tuple[NDArray[np.float32], NDArray[np.float32]]
    scalars: tuple[NDArray[np.float32], NDArray[np.float32]]
    """Log launch, log call and offset of stacks and of cells, [labels + 1, 3]."""

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array], prefix: str) -> Network:
        """Read the arrays that `to_arrays` wrote under `prefix`."""
        a = {name.removeprefix(f"{prefix}."): value for name, value in arrays.items() if name.startswith(f"{prefix}.")}
        return cls(
            a["mean"], a["scale"], a["operator"], (a["context0"], a["context1"]), (a["w0"], a["w1"], a["w2"]),
            (a["b1"], a["b2"]), (a["scalars0"], a["scalars1"]),
        )  # fmt: skip

    def to_arrays(self, prefix: str) -> dict[str, Array]:
        """Plain float32 arrays."""
        named = {"mean": self.mean, "scale": self.scale, "operator": self.operator}
        for name, values in (("context", self.context), ("w", self.weights), ("scalars", self.scalars)):
            named |= {f"{name}{index}": value for index, value in enumerate(values)}
        named |= {"b1": self.biases[0], "b2": self.biases[1]}
        return {f"{prefix}.{name}": value.astype(np.float32) for name, value in named.items()}

    def operator_ms(
        self, made: Composition, batch: float, operators: NDArray[np.int64], stack: int, cell: int
    ) -> NDArray[np.float64]:
        """Latency of each row of the composition in ms, [rows], without the offset of stack and cell."""
        matrix = np.concatenate((made.matrix, np.full((len(made.count), 1), np.log2(batch), np.float32)), axis=1)
        x = np.clip((matrix - self.mean) / self.scale, -CLIP, CLIP)
        hidden = silu(x @ self.weights[0] + self.operator[operators] + self.context[0][stack] + self.context[1][cell])
        hidden += silu(hidden @ self.weights[1] + self.biases[0])
        factor = np.clip((hidden @ self.weights[2])[:, 0] + self.biases[1], -FACTOR, FACTOR).astype(np.float64)
        launch, *_ = self._scalars(stack, cell)
        out: NDArray[np.float64] = made.count * (made.base_ms + np.exp(LAUNCH + launch)) * np.exp(factor)
        return out

    def log_ms(self, total: Any, stack: int, cell: int) -> Any:
        """log ms of a call whose rows take `total` ms together."""
        _, call, offset = self._scalars(stack, cell)
        return np.log(total + np.exp(CALL + call)) + offset

    def offset(self, stack: int, cell: int) -> float:
        """Factor of stack and cell on the latency of a call."""
        return float(np.exp(self._scalars(stack, cell)[2]))

    def _scalars(self, stack: int, cell: int) -> NDArray[np.float64]:
        """Log launch, log call and offset."""
        out: NDArray[np.float64] = self.scalars[0][stack].astype(np.float64) + self.scalars[1][cell]
        return out


@dataclass(frozen=True, slots=True)
class WholeModelPrediction:
    """Latency of a whole model in ms, with level and support."""

    value: float
    lower: float
    upper: float
    level: str
    """C where the chip has rows of this stack and precision, else D."""
    support: int
    """Number of measured rows of the cell, else of the stack."""
    source: str
    by_operator: Mapping[str, float]
    """Predicted ms of each operator type."""


def forest_rows(summary: Array, batch: Any, effect: Any) -> NDArray[np.float32]:
    """Input of the trees, [rows, columns]: summaries [rows, SUMMARY], log2 batch, typical log ratio of each cell."""
    return np.column_stack((summary, np.log2(batch), effect)).astype(np.float32)


class Group:
    """One whole-model surrogate: networks of several seeds, trees, and the tables of stack and cell labels."""

    def __init__(self, spec: Mapping[str, Any], arrays: Mapping[str, Array], name: str) -> None:
        self.spec = spec
        self.networks = [Network.from_arrays(arrays, f"{name}.network{seed}") for seed in range(spec["seeds"])]
        self.forest = Forest.from_arrays(arrays, f"{name}.forest")

    def labels(self, chip: str, stack: str, precision: str) -> tuple[str, str]:
        """Labels of the stack and of the cell, as keys of the tables in `spec`."""
        return f"{stack}|{precision}", f"{chip}|{stack}|{precision}"

    def operator_ms(self, made: Composition, batch: float, labels: tuple[str, str]) -> NDArray[np.float64]:
        """Latency of each row by each network in ms, [networks, rows], without the offset of stack and cell."""
        stack, cell = self._indices(labels)
        known = self.spec["operators"]
        operators = np.array([known.get(name, 0) for name in made.operators], dtype=np.int64)
        return np.stack([network.operator_ms(made, batch, operators, stack, cell) for network in self.networks])

    def by_network(self, made: Composition, batch: float, labels: tuple[str, str]) -> list[tuple[float, Array]]:
        """For each network, log ms of the call and ms of each row [rows]; the difference is the call overhead."""
        stack, cell = self._indices(labels)
        pieces = zip(self.networks, self.operator_ms(made, batch, labels), strict=True)
        return [(float(net.log_ms(each.sum(), stack, cell)), each * net.offset(stack, cell)) for net, each in pieces]

    def predict(self, made: Composition, batch: float, labels: tuple[str, str]) -> tuple[float, Array]:
        """log ms of one call, and its ms by row, [rows]."""
        stack, cell = self._indices(labels)
        pieces = self.operator_ms(made, batch, labels)
        value = float(self.log_ms(pieces.sum(axis=1)[:, None], made.sums()[None], batch, labels)[0])
        offsets = [network.offset(stack, cell) for network in self.networks]
        each: Array = np.mean(pieces * np.array(offsets)[:, None], axis=0)
        return value, each * np.exp(value) / each.sum()

    def log_ms(self, totals: Array, sums: Array, batch: float, labels: tuple[str, str]) -> Array:
        """log ms of calls, [calls].

        `totals` is the sum of `operator_ms` over the rows of each call, [networks, calls]; `sums` are
        `Composition.sums` of each call, [calls, sums].
        """
        stack, cell = self._indices(labels)
        learned = np.mean(
            [net.log_ms(total, stack, cell) for net, total in zip(self.networks, totals, strict=True)], axis=0
        )
        effects = self.spec["effects"]
        effect = next(effects[name] for name in (*labels[::-1], "") if name in effects)
        many = np.full(len(sums), float(batch))
        rows = forest_rows(summaries(sums), many, np.full(len(sums), effect))
        trees = self.forest(rows) + effect + np.log(sums[:, 1])
        share = self.spec["network_share"]
        out: Array = share * learned + (1 - share) * trees
        return out

    def out_of_range(self, base_ms: Any, label: str) -> Any:
        """Whether calls of `base_ms` roofline time are far smaller or larger than all training rows of the stack."""
        least, most = self.spec["range"][label]
        log_base = np.log(base_ms)
        return (log_base < least - _MARGIN) | (log_base > most + _MARGIN)

    def _indices(self, labels: tuple[str, str]) -> tuple[int, int]:
        return self.spec["stacks"].get(labels[0], [0])[0], self.spec["cells"].get(labels[1], [0])[0]


class WholeModelSurrogate:
    """The whole-model surrogates of one set.

    >>> sorted(load().groups)
    ['generation', 'pass-cann', 'pass-gpu', 'pass-mlu', 'pass-oneapi']
    """

    def __init__(self, folder: Path) -> None:
        index = json.loads((folder / "whole.json").read_text())
        if index["format"] != FORMAT:
            raise ArtifactError(f"{folder} has format {index['format']}; this hetbench reads {FORMAT}")
        self.id: str = index["id"]
        self.groups: dict[str, Any] = index["groups"]
        self._folder = folder
        self._loaded: dict[str, Group] = {}

    def group(self, name: str) -> Group:
        """The surrogate called `name` (see `group_of`), read on first use."""
        with LOCK:
            if name not in self._loaded:
                with np.load(self._folder / f"whole-{name}.npz", allow_pickle=False) as stored:
                    self._loaded[name] = Group(self.groups[name], {key: stored[key] for key in stored.files}, name)
            return self._loaded[name]

    def level(self, chip: Chip, phase: str, stack: str, precision: str) -> str | None:
        """C where the cell was measured, D where only the stack was on other chips, None where neither was."""
        spec = self.groups.get(group_of(chip.family, phase))
        if spec is None or not chip.bandwidth:
            return None
        if f"{chip.name}|{stack}|{precision}" in spec["cells"]:
            return "C"
        return "D" if f"{stack}|{precision}" in spec["stacks"] else None

    def stacks(self, chip: Chip, phase: str) -> tuple[str, ...]:
        """Stacks measured on the chip in this phase, else on its family, sorted."""
        spec = self.groups.get(group_of(chip.family, phase), {"cells": {}, "stacks": {}})
        own = {cell.split("|")[1] for cell in spec["cells"] if cell.startswith(f"{chip.name}|")}
        return tuple(sorted(own or {stack.split("|")[0] for stack in spec["stacks"]}))

    def predict(
        self, calls: Sequence[tuple[float, OperatorTable]], chip: Chip, *, phase: str, stack: str, precision: str,
        batch: int, confidence: float = 0.9,
    ) -> WholeModelPrediction:  # fmt: skip
        """Latency of `calls`, each (how often it runs, operator table), at `batch` samples.

        Raises `ArtifactError` where `level` is None for the setting. The result is at least the compute time at the
        peak of the chip.
        """
        name, level = group_of(chip.family, phase), self.level(chip, phase, stack, precision)
        if level is None:
            raise ArtifactError(f"the surrogate {name} has no training row of stack {stack!r} in {precision}")
        group = self.group(name)
        labels = group.labels(chip.name, stack, precision)
        made = composition(calls, chip)
        log_ms, each = group.predict(made, batch, labels)
        beyond = bool(group.out_of_range(made.base_ms @ made.count, labels[0]))
        value = max(float(np.exp(log_ms)), made.compute_ms)  # nothing is faster than the chip's peak
        level = "D" if beyond else level
        low, high = self.band(group.spec, level, chip.family, phase if name == "generation" else stack, confidence)
        by_operator: dict[str, float] = {}
        for operator, ms in zip(made.operators, each, strict=True):
            by_operator[operator] = by_operator.get(operator, 0.0) + float(ms)
        kind, label = ("cells", labels[1]) if labels[1] in group.spec["cells"] else ("stacks", labels[0])
        return WholeModelPrediction(
            value, value * np.exp(low), value * np.exp(high), level, group.spec[kind][label][1],
            f"whole models under {stack} in {precision}" + (f" on {chip.name}" if kind == "cells" else ", other chips")
            + (", all far smaller or far larger than this one" if beyond else ""),
            by_operator,
        )

    @staticmethod
    def band(spec: Mapping[str, Any], level: str, family: str, kind: str, confidence: float) -> tuple[float, float]:
        """Lower and upper bound of the residual of log latency at `confidence`, from the held-out residuals.

        `kind` is the stack, or for generation the phase. Where the family has too few residuals of this kind, the wider
        of those of other families and those of all kinds in the family is taken. Level D is never narrower than C.
        """
        table, tail = spec["residuals"], (1 - confidence) / 2
        ends = [0.0, 0.0]
        for each in ("C", "D") if level == "D" else ("C",):
            tries = ((f"{each}/{family}/{kind}",), (f"{each}//{kind}", f"{each}/{family}"), (each,))
            known = ([table[name] for name in names if name in table] for names in tries)
            for quantiles in next((found for found in known if found), ()):  # at 0, 1/(n-1) ... 1
                low, high = np.interp((tail, 1 - tail), np.linspace(0, 1, len(quantiles)), quantiles)
                ends = [min(ends[0], float(low)), max(ends[1], float(high))]
        return ends[0], ends[1]


@load_once(maxsize=4)
def load(folder: Path | None = None) -> WholeModelSurrogate:
    """The whole-model surrogates of a folder, by default of the packaged set."""
    path = folder or EMBEDDED
    if not (path / "whole.json").exists():
        raise ArtifactError(f"{path} holds no whole.json; train one with `python -m surrogates.whole --out {path}`")
    return WholeModelSurrogate(path)
