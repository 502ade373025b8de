"""Latency of a whole model under a software stack, learned from published measurements of whole models.

A sum over separately timed operators knows neither fusion nor overlap nor what a framework adds. Here every operator
of the model gets a factor on its roofline time from a small network that was fitted on the *sums* alone, so that
time = call overhead + sum of count x (base + launch) x factor; boosted trees on the summary of the graph answer
beside it, and the two are blended with the weight that validated best for the family. A *cell* is what was measured
together: chip, stack and precision. What a cell teaches counts by its evidence for the model's operators
(`hetbench.predict.pooling`); the rest is that of its die, then of the stack. A chip without a cell is of level D.
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
from hetbench.predict.network import LAUNCH, Network
from hetbench.predict.pooling import LEVELS, WHOLE_HALF, Pooled, effect_of, label_of, weights_of
from hetbench.predict.trees import Forest
from hetbench.predict.whole_kernel import WholeKernel

if TYPE_CHECKING:
    from hetbench.graphs import OperatorTable

__all__ = [
    "GENERATION", "RICH", "Calls", "Group", "Labels", "WholeModelPrediction", "WholeModelSurrogate", "forest_rows",
    "group_of", "load",
]  # fmt: skip

FORMAT = FORMATS["whole.json"]
GENERATION = ("prefill", "decode", "serving")
COVERED = 0.9  # share of a model's roofline time in operator types that the cell has measured, for level C
RICH = 30  # a cell of so many networks sets the band of its own kind; one of fewer takes that of thin cells
_MARGIN = 0.7  # log of how far beyond the sizes that taught a stack an answer may still be of level C: twice

Labels = tuple[str, str, str]
Array = NDArray[Any]


def group_of(family: str, phase: str) -> str:
    """Which surrogate answers: one for generation, else one a family; AMD's few rows learn beside NVIDIA's.

    >>> group_of("rocm", "inference"), group_of("cuda", "decode")
    ('pass-gpu', 'generation')
    """
    if phase in GENERATION:
        return "generation"
    return {"cuda": "pass-gpu", "rocm": "pass-gpu"}.get(family, f"pass-{family}")


@dataclass(frozen=True, slots=True)
class Calls:
    """Predicted calls, [calls] each."""

    value: NDArray[np.float64]
    """ms."""
    floor: NDArray[np.float64]
    """ms at the chip's peak: no call is faster, where the peak is a stated one."""
    seen: NDArray[np.bool_]
    """Whether the cell has measured the operator types that take most of the roofline time."""
    beyond: NDArray[np.bool_]
    """Whether the call is far smaller or larger than any measured on the die under the stack."""


@dataclass(frozen=True, slots=True)
class WholeModelPrediction:
    """Latency of a whole model in ms, and what it rests on."""

    value: float
    lower: float
    upper: float
    level: str
    """C where the chip was measured under this stack and precision, else D."""
    support: int
    """Measured rows of the cell, or of the stack where the chip has none."""
    source: str
    by_operator: Mapping[str, float]
    """Predicted ms of each operator type."""


def forest_rows(summary: Array, batch: Any, effect: Any) -> NDArray[np.float32]:
    """What the trees see, [rows, columns]: summaries [rows, SUMMARY], log2 batch, and what each cell usually needs."""
    return np.column_stack((summary, np.log2(batch), effect)).astype(np.float32)


class Group:
    """One surrogate: the networks of several seeds, the trees, and the tables of its labels."""

    def __init__(self, spec: Mapping[str, Any], arrays: Mapping[str, Array], name: str) -> None:
        self.spec = spec
        self.networks = [Network.from_arrays(arrays, f"{name}.network{seed}") for seed in range(spec["seeds"])]
        self.forest = Forest.from_arrays(arrays, f"{name}.forest")
        self.whole_kernel = WholeKernel(self.networks, self.forest)

    def thin(self, labels: Labels, level: str = "cells") -> bool:
        """Whether fewer than `RICH` networks were measured under the label of a level."""
        label = labels[tuple(LEVELS).index(level)]
        return bool(self.spec["evidence"][level].get(label, {}).get("", 0) < RICH)

    def pooled(self, operators: Sequence[str], labels: Labels) -> Pooled:
        """How far each operator type is known, by itself and under the labels."""
        known, evidence = self.spec["operators"], self.spec["evidence"]
        weights = [
            weights_of(evidence[level], label, operators, half)
            for (level, half), label in zip(LEVELS.items(), labels, strict=True)
        ]
        found = np.array([known.get(name, (0, 0)) for name in operators], dtype=np.int64).reshape(-1, 2)
        return Pooled.of(found[:, 0], found[:, 1], np.stack(weights))

    def believed(self, labels: Labels) -> tuple[float, ...]:
        """Weight of each level's label on calls as a whole, by its networks."""
        evidence = self.spec["evidence"]
        many = (evidence[level].get(label, {}).get("", 0) for level, label in zip(LEVELS, labels, strict=True))
        return tuple(n / (n + WHOLE_HALF * half) for n, half in zip(many, LEVELS.values(), strict=True))

    def pieces(
        self, made: Composition, batch: float, labels: Labels
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What adds up over parts of a model: ms by each network, roofline ms of known types, `Composition.sums`; and
        the share of each row of the composition in the networks' time."""
        pooled, index = self.pooled(made.operators, labels), self.indices(labels)
        each = np.stack([network.operator_ms(made, batch, pooled, index) for network in self.networks])
        seen = made.base_ms * made.count @ (pooled.weights[-1] > 0)
        mean = each.mean(axis=0)
        return np.concatenate((each.sum(axis=1), [seen], made.sums())), mean / mean.sum()

    def calls(self, pieces: Array, batch: float, labels: Labels) -> Calls:
        """Predicted calls from their pieces, [calls, pieces]."""
        totals, sums = pieces[:, : len(self.networks)].T, pieces[:, len(self.networks) + 1 :]
        base, index, believed = sums[:, 1], self.indices(labels), self.believed(labels)
        learned = np.mean(
            [net.log_ms(total, index, believed) for net, total in zip(self.networks, totals, strict=True)], axis=0
        )
        effect = effect_of(self.spec["effects"], labels, believed)
        columns = np.full(len(sums), float(batch)), np.full(len(sums), effect)
        trees = self.whole_kernel.forest(forest_rows(summaries(sums), *columns)) + effect + np.log(base)
        rich, thin = self.spec["network_share"]
        outside = self.outside(base, labels)
        fades = 0.0 if self.thin(labels, "dies") else np.exp(-outside)  # trees do not extrapolate
        share = thin + (rich - thin) * fades
        log_ms = share * learned + (1 - share) * trees
        least, most = self.spec["ratio"].get(labels[0], (-np.inf, np.inf))
        known = np.log(base + sums[:, 2] * np.exp(LAUNCH))
        value = np.exp(known + np.clip(log_ms - known, least, most))
        seen = pieces[:, len(self.networks)] / base
        return Calls(value, sums[:, 0], seen >= COVERED, outside > _MARGIN)

    def by_network(self, made: Composition, batch: float, labels: Labels) -> list[tuple[float, Array]]:
        """Of each network log ms of the call, and ms of each row; the call's own overhead is the rest."""
        pooled, index, believed = self.pooled(made.operators, labels), self.indices(labels), self.believed(labels)
        found = []
        for net in self.networks:
            each = net.operator_ms(made, batch, pooled, index)
            found.append((float(net.log_ms(each.sum(), index, believed)), each * net.offset(index, believed)))
        return found

    def predict(self, made: Composition, batch: float, labels: Labels) -> tuple[Calls, Array]:
        """One call, and the share of each row in ms."""
        pieces, shares = self.pieces(made, batch, labels)
        found = self.calls(pieces[None], batch, labels)
        return found, shares * found.value[0]

    def outside(self, base_ms: Any, labels: Labels) -> Any:
        """How far calls of `base_ms` roofline time lie outside all training rows of the die under the stack, in log ms;
        0 inside, and of the stack where the die has no rows."""
        ranges = self.spec["range"]
        least, most = ranges.get(labels[1]) or ranges.get(labels[0], (-np.inf, np.inf))
        log_base = np.log(base_ms)
        return np.maximum(np.maximum(least - log_base, log_base - most), 0.0)

    def rows_of(self, labels: Labels) -> tuple[str, int]:
        """Where the rows behind the labels come from, and how many of the narrowest known label there are."""
        stack, die, cell = labels
        if cell in self.spec["cells"]:
            return f"{self.spec['cells'][cell][1]} rows of {cell.split('|')[0]}", int(self.spec["cells"][cell][1])
        if die in self.spec["dies"]:
            rows = int(self.spec["dies"][die][1])
            return f"{rows} rows of other chips with the die {die.split('|')[0]}", rows
        rows = int(self.spec["stacks"].get(stack, (0, 0))[1])
        return f"{rows} rows of other chips", rows

    def indices(self, labels: Labels) -> tuple[int, ...]:
        return tuple(self.spec[level].get(label, [0])[0] for level, label in zip(LEVELS, labels, strict=True))


class WholeModelSurrogate:
    """The whole-model surrogates of one artefact folder.

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
        """One group, its arrays read on first use."""
        with LOCK:
            if name not in self._loaded:
                with np.load(self._folder / f"whole-{name}.npz", allow_pickle=False) as stored:
                    self._loaded[name] = Group(self.groups[name], {key: stored[key] for key in stored.files}, name)
            return self._loaded[name]

    def level(self, chip: Chip, phase: str, stack: str, precision: str) -> str | None:
        """C where the cell was measured, D where only the stack was, None where neither."""
        spec = self.groups.get(group_of(chip.family, phase))
        if spec is None or not chip.bandwidth:
            return None
        if f"{chip.name}|{stack}|{precision}" in spec["cells"]:
            return "C"
        return "D" if f"{stack}|{precision}" in spec["stacks"] else None

    def stacks(self, chip: Chip, phase: str) -> tuple[str, ...]:
        """Stacks that were measured on the chip in this phase, else on its family."""
        spec = self.groups.get(group_of(chip.family, phase), {"cells": {}, "stacks": {}})
        own = {cell.split("|")[1] for cell in spec["cells"] if cell.startswith(f"{chip.name}|")}
        return tuple(sorted(own or {stack.split("|")[0] for stack in spec["stacks"]}))

    def predict(
        self, calls: Sequence[tuple[float, OperatorTable]], chip: Chip, *, phase: str, stack: str, precision: str,
        batch: int, confidence: float = 0.9,
    ) -> WholeModelPrediction:  # fmt: skip
        """Latency of the calls, each a table and how often it runs; `level` must not be None for the setting."""
        name, level = group_of(chip.family, phase), self.level(chip, phase, stack, precision)
        if level is None:
            raise ArtifactError(f"no row of stack {stack!r} in {precision} teaches {name}")
        group, labels = self.group(name), label_of(chip.name, chip.die, stack, precision)
        made = composition(calls, chip)
        found, each = group.predict(made, batch, labels)
        known = self.levels(level, found)[0]
        low, high = self.band(group.spec, known, chip.family, phase if name == "generation" else stack, confidence,
                              thin=group.thin(labels))  # fmt: skip
        by_operator: dict[str, float] = {}
        for operator, ms in zip(made.operators, each, strict=True):
            by_operator[operator] = by_operator.get(operator, 0.0) + float(ms)
        floor = float(found.floor[0]) if chip.peak_flops(precision) else 0.0
        value = max(float(found.value[0]), floor)
        where, support = group.rows_of(labels)
        why = f", {where}"
        if found.beyond[0]:
            why += ": far smaller or larger than any of them"
        elif level == "C" and known == "D":
            why += ": few of its operators among them"
        return WholeModelPrediction(
            value, max(value * np.exp(low), floor), max(value * np.exp(high), floor), known, support,
            f"whole models under {stack} in {precision}{why}", by_operator,
        )  # fmt: skip

    @staticmethod
    def levels(level: str, found: Calls) -> NDArray[np.str_]:
        """Level of each call, [calls]: the setting's, D where its cell never saw such work."""
        return np.where(found.beyond | ~found.seen, "D", level)

    @staticmethod
    def band(
        spec: Mapping[str, Any], level: str, family: str, kind: str, confidence: float, *, thin: bool = False
    ) -> tuple[float, float]:
        """Lower and upper residual of log latency, from the held-out residuals of the stack or, generating, the phase.

        Where the family has too few of them, the wider of those of other families and all of the family. A thin cell's
        band is never narrower than a rich one's, that of level D never narrower than that of C.
        """
        table, tail = spec["residuals"], (1 - confidence) / 2
        ends = [0.0, 0.0]
        names = {"D": ("C", "T", "D"), "C": ("C", "T") if thin else ("C",)}[level]
        for each in names:
            tries = ((f"{each}/{family}/{kind}",), (f"{each}//{kind}", f"{each}/{family}"), (each,))
            known = ([table[name] for name in names if name in table] for names in tries)
            for quantiles in next((found for found in known if found), ()):  # at 0, 1/(n-1) ... 1
                low, high = np.interp((tail, 1 - tail), np.linspace(0, 1, len(quantiles)), quantiles)
                ends = [min(ends[0], float(low)), max(ends[1], float(high))]
        return ends[0], ends[1]


@load_once(maxsize=4)
def load(folder: Path | None = None) -> WholeModelSurrogate:
    """The surrogates of a folder, by default those shipped with hetbench."""
    path = folder or EMBEDDED
    if not (path / "whole.json").exists():
        raise ArtifactError(f"{path} holds no whole.json; train one with `python -m surrogates.whole --out {path}`")
    return WholeModelSurrogate(path)
