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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hetbench.artifacts.integrity import FORMATS
from hetbench.artifacts.sets import EMBEDDED
from hetbench.catalog.chips import Chip
from hetbench.catalog.estimates import peak_flops
from hetbench.errors import ArtifactError
from hetbench.loading import LOCK, load_once
from hetbench.predict.model_features import composition
from hetbench.predict.pooling import label_of
from hetbench.predict.speakers import equal_datasheets, speaker
from hetbench.predict.whole_group import RICH, Calls, Group, Labels, forest_rows

if TYPE_CHECKING:
    from hetbench.graphs import OperatorTable

__all__ = [
    "GENERATION", "RICH", "Calls", "Group", "WholeModelPrediction", "WholeModelSurrogate", "forest_rows", "group_of",
    "load",
]  # fmt: skip

FORMAT = FORMATS["whole.json"]
_MOST_REMEMBERED = 32_768
GENERATION = ("prefill", "decode", "serving")


def group_of(family: str, phase: str) -> str:
    """Which surrogate answers: one for generation, else one a family; AMD's few rows learn beside NVIDIA's.

    >>> group_of("rocm", "inference"), group_of("cuda", "decode")
    ('pass-gpu', 'generation')
    """
    if phase in GENERATION:
        return "generation"
    return {"cuda": "pass-gpu", "rocm": "pass-gpu"}.get(family, f"pass-{family}")


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
        self._speakers: dict[tuple[str, str, Chip], Chip] = {}
        self._networks: dict[tuple[str, str], dict[str, int]] = {}
        self._remembered: dict[tuple[Any, ...], Any] = {}

    def remembered(self, key: tuple[Any, ...], make: Callable[[], Any]) -> Any:
        """What `make` gives, made once for a key: what names alone decide is asked in every question."""
        found = self._remembered.get(key, self)  # the surrogate itself stands for what is not known yet
        if found is self:
            found = make()
            with LOCK:
                if len(self._remembered) >= _MOST_REMEMBERED:
                    self._remembered.clear()
                self._remembered[key] = found
        return found

    def group(self, name: str) -> Group:
        """One group, its arrays read on first use."""
        with LOCK:
            if name not in self._loaded:
                with np.load(self._folder / f"whole-{name}.npz", allow_pickle=False) as stored:
                    self._loaded[name] = Group(self.groups[name], {key: stored[key] for key in stored.files}, name)
            return self._loaded[name]

    def level(self, chip: Chip, phase: str, stack: str, precision: str) -> str | None:
        """C where the cell was measured, also on a chip of equal datasheet; D where only the stack was, None where
        neither."""
        known: str | None = self.remembered(
            ("level", chip, phase, stack, precision), lambda: self._level(chip, phase, stack, precision)
        )
        return known

    def _level(self, chip: Chip, phase: str, stack: str, precision: str) -> str | None:
        spec = self.groups.get(group_of(chip.family, phase))
        label = f"{stack}|{precision}"
        if spec is None or label not in spec["stacks"] or not chip.bandwidth or peak_flops(chip, precision) is None:
            return None
        on = self.speaker(chip, phase, stack, precision)
        measured = f"{on.name}|{label}" in spec["cells"]
        return "C" if measured and (on.name == chip.name or equal_datasheets(on, chip)) else "D"

    def on_die(self, chip: Chip, phase: str, stack: str, precision: str) -> bool:
        """Whether the stack was measured on the die of the chip."""
        spec = self.groups.get(group_of(chip.family, phase))
        return spec is not None and bool(chip.bandwidth) and f"{chip.die}|{stack}|{precision}" in spec["dies"]

    def speaker(self, chip: Chip, phase: str, stack: str, precision: str) -> Chip:
        """The chip of the die whose measurements speak for a chip (`hetbench.predict.speakers`)."""
        group, label = group_of(chip.family, phase), f"{stack}|{precision}"
        key = group, label, chip
        if key not in self._speakers:
            if (group, label) not in self._networks:
                cells = self.groups[group]["evidence"]["cells"]
                each = ((*cell.partition("|")[::2], known[""]) for cell, known in cells.items())
                self._networks[group, label] = {name: networks for name, of, networks in each if of == label}
            self._speakers[key] = speaker(chip, self._networks[group, label])
        return self._speakers[key]

    def labels(self, chip: Chip, phase: str, stack: str, precision: str) -> Labels:
        """The labels under which a chip is answered: those of the chip that speaks for it."""
        return label_of(self.speaker(chip, phase, stack, precision).name, chip.die, stack, precision)

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
        group, labels = self.group(name), self.labels(chip, phase, stack, precision)
        made = composition(calls, chip, self.speaker(chip, phase, stack, precision))
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
    def levels(level: str, found: Calls) -> Any:
        """Level of a call, or of each [calls]: the setting's, D where its cell never saw such work."""
        if isinstance(found.seen, bool):
            return "D" if found.beyond or not found.seen else level
        return np.where(found.beyond | ~found.seen, "D", level)

    @staticmethod
    def band(
        spec: Mapping[str, Any], level: str, family: str, kind: str, confidence: float, *, thin: bool = False
    ) -> tuple[float, float]:
        """Lower and upper residual of log latency, from the held-out residuals of the stack or, generating, the phase.

        Where the family has too few of them, the wider of those of other families and all of the family. A thin cell's
        band is never narrower than a rich one's nor than that of the family's thin cells, that of level D never
        narrower than that of C.
        """
        table, tail = spec["residuals"], (1 - confidence) / 2
        ends = [0.0, 0.0]
        names = {"D": ("C", "T", "D"), "C": ("C", "T") if thin else ("C",)}[level]
        for each in names:
            tries = ((f"{each}/{family}/{kind}",), (f"{each}//{kind}", f"{each}/{family}"), (each,))
            known = ([table[name] for name in names if name in table] for names in tries)
            found = next((found for found in known if found), [])
            if each == "T" and f"T/{family}" in table:  # few networks of a stack tell little of how far the next is off
                found = [*found, table[f"T/{family}"]]
            for quantiles in found:  # at 0, 1/(n-1) ... 1
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
