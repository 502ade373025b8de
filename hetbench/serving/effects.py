"""How much longer than at the datasheet's peak each part of an iteration takes: fitted on published deployments.

`catalog/surrogates/serving.json`, made by `python -m surrogates.serving`, holds log factors: a global one for every
term, and deviations of engine, chip generation, engine on chip and weight format, each shrunk toward zero; a known
model has one factor for decode and one for prompts. What was never measured deviates by zero, and its interval is that
of hold-outs in which it was never measured either.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from hetbench.catalog.chips import chip as chip_named
from hetbench.errors import ArtifactError
from hetbench.serving.engines import chunk_of
from hetbench.serving.levels import era, kin, level_keys, series
from hetbench.serving.neighbours import CORRECTED, Neighbours, Points
from hetbench.serving.physics import TERMS
from hetbench.serving.settings import CHUNK, Floats, Settings, Stage

__all__ = ["BESIDE", "COLUMNS", "ENOUGH", "EXTRA", "FLOORS", "FORMAT", "LOADS", "NEAR", "SCALES", "Effects", "Factors",
           "band_keys", "load", "load_kind"]  # fmt: skip

FORMAT = 3
SCALES = ("step", "prompt", "queue", "host")
"""What a model and a version of an engine scale: a decode step, a prompt, the wait of prompts for each other, and of
both the parts that launches and the host cost (`HOST`)."""
SCALED = ("model", "release", "version")
HOST = tuple(name in ("layers", "experts", "requests", "iteration", "latent") for name in TERMS)
EXTRA = ("interleaved", "queued", "waited", "fixed", "crowd", "first_wave", "cold")
"""What prompts cost beside their own work.

* interleaved: share of the prompts of other requests that a step waits for
* queued: prompts that a prompt waits for beside one other request
* waited: steps that it waits for
* fixed: ms that every request costs
* crowd: x of the power x / (1 + x) with which the prompts that it waits for grow with the other requests (1: all arrive
  together; 0: at times of their own)
* first_wave: share of the requests of a run that all arrive at its start, which a mean counts and a median does not
* cold: ms that the first requests add to the mean of a run, while kernels are compiled
"""
COLUMNS = (*TERMS, *EXTRA)
FLOORS = tuple(float(name in ("weights", "expert_weights", "kv", "prompt_flops", "prompt_experts")) for name in COLUMNS)
"""Least factor of each column: no weight or key is read faster than the datasheet's bandwidth, and no prompt is worked
faster than its peak; what a step computes meanwhile may overlap, and may cost nothing. The fitted logarithms are those
of the factor above this."""
NEAR = 4
"""Rows of a model under an engine on a chip in a weight format from which that setting counts as measured."""
ENOUGH = 20
"""Rows of an engine on a chip from which the pair counts as known: with fewer its intervals are those of a new chip."""

TIGHT = 0.35
"""Share of the room for requests from which a prediction of waiting rests on how much memory an engine leaves."""
LOADS = ("light", "medium", "heavy", "tight")
"""What `load_kind` tells apart."""
BESIDE = 0.4
"""Share of the variance of residuals below which measured neighbours leave little open."""


@dataclass(frozen=True, slots=True)
class Factors:
    """What multiplies the terms of one model, engine, chip and format."""

    terms: Floats
    """[terms]"""
    extra: Mapping[str, float]
    step: float
    """Of the model, and of the version of the engine, in decode; 1 where they were never measured."""
    prompt: float
    queue: float
    """Of prompts for each other; `step`, `prompt` and `queue` multiply times that hold `terms` already."""
    chunk: int = CHUNK
    """Tokens of prompts that one iteration takes at most."""


@dataclass(frozen=True, slots=True)
class Effects:
    """The fitted effects."""

    table: Mapping[str, Any]

    @property
    def engines(self) -> tuple[str, ...]:
        """Engines with rows."""
        return tuple(sorted(self.table["levels"]["engine"]))

    def rows(self, engine: str, chip: str, version: str = "") -> int:
        """Rows of an engine on a chip, of versions as old or as new as this one."""
        return int(self.table["rows"].get(f"{series(engine, version)} | {chip}", 0))

    def near(self, engine: str, stage: Stage, version: str = "") -> int:
        """Rows of this model under this engine on this chip in this weight format, of such versions."""
        key = f"{series(engine, version)} | {stage.chip.name} | {stage.model.shape} | {stage.form.name}"
        return int(self.table["near"].get(key, 0))

    def evidence(self, engine: str, stage: Stage, version: str = "") -> str:
        """`model`: this model was measured under the engine on this chip; `known`: other models were; `engine`: the
        engine was on another chip of the family; `none`: others of its `kin` were on this generation; `alone`: no
        deployment was. (`beside` is decided by `close`.)"""
        if self.near(engine, stage, version):
            return "model"
        if self.rows(engine, stage.chip.name, version) >= ENOUGH:
            return "known"
        own = series(engine, version)
        if any(self._is_of(key, own, stage.chip.family) for key in self.table["rows"]):
            return "engine"
        return "none" if kin(engine, stage.chip) in self.table["levels"]["generation"] else "alone"

    def beside(self, engine: str, stage: Stage, metric: str) -> Neighbours | None:
        """The measured rows of this model under this engine on this chip that correct a metric, or None."""
        return _neighbours(self, f"{engine} | {stage.chip.name} | {stage.model.shape}", metric)

    def version(self, engine: str, stage: Stage, software: str) -> str:
        """The version of the engine that a deployment is taken to run: the one named; where none was, the newest that
        was measured with this model on this chip, or, where that one is old, the newest of the engine on any chip."""
        if any(letter.isdigit() for letter in software) or self.knows_version(engine, stage, software):
            return software
        newest = self.table["newest"]
        found = [newest.get(key) for key in (f"{engine} | {stage.chip.name} | {stage.model.shape}", engine)]
        measured = [each for each in found if each]
        return str(next((each for each in measured if not era(engine, each)), measured[0] if measured else software))

    def missed(self, engine: str, stage: Stage, s: Settings, version: str = "") -> tuple[Floats, Floats]:
        """Factors on TPOT and TTFT of what the physics misses beside measured rows, each [points]."""
        there, out = Points.of(s, stage.form.name, version), []
        for metric in CORRECTED:
            near = self.beside(engine, stage, metric)
            out.append(np.ones(len(there.at)) if near is None else np.exp(near.correction(there)))
        return out[0], out[1]

    def close(self, engine: str, stage: Stage, s: Settings, metric: str, version: str = "") -> bool:
        """Whether measured rows of this plan and version leave little open of the variance beside the physics."""
        near = self.beside(engine, stage, "ttft" if metric == "ttft" else "tpot")
        if near is None:
            return False
        there = Points.of(s, stage.form.name, version)
        return near.same(there) and float(near.unknown(there)[0]) < BESIDE

    def _is_of(self, key: str, engine: str, family: str) -> bool:
        own, _, name = key.partition(" | ")
        return own == engine and chip_named(name).family == family

    def measured_on(self, engine: str) -> tuple[str, ...]:
        """Chips that an engine was measured on, most rows first."""
        counts = {key.partition(" | ")[2]: n for key, n in self.table["rows"].items() if key.startswith(f"{engine} | ")}
        return tuple(sorted(counts, key=lambda name: -counts[name]))

    def knows_format(self, stage: Stage) -> bool:
        """Whether the weight format was measured on chips of this family."""
        return f"{stage.form.name} | {stage.chip.family}" in self.table["levels"]["format"]

    def knows_model(self, stage: Stage) -> bool:
        """Whether a model of these layers was measured."""
        return stage.model.shape in self.table["levels"]["model"]

    def knows_version(self, engine: str, stage: Stage, software: str) -> bool:
        """Whether this very version of an engine was measured on this chip."""
        return f"{engine} | {stage.chip.name} | {software}" in self.table["levels"]["version"]

    def factors(self, engine: str, stage: Stage, software: str = "") -> Factors:
        """The factors of a deployment; `software` is the engine with its version as published, where it is known."""
        levels, logs = self.table["levels"], np.array(self.table["base"], float)
        own = np.zeros(len(SCALES))
        for level, key in level_keys(engine, stage.chip, stage.form.name, stage.model.shape, software).items():
            if key in levels[level]:
                part = np.array(levels[level][key], float)
                if level in SCALED:
                    own += part
                else:
                    logs += part
        found, n = np.exp(logs) + np.array(FLOORS), len(TERMS)
        step, prompt, queue, host = np.exp(own).tolist()
        terms = found[:n] * np.where(HOST, host, 1.0)
        return Factors(terms, dict(zip(EXTRA, found[n:].tolist(), strict=True)), step, prompt, queue, chunk_of(engine))

    def band(
        self, metric: str, evidence: str, confidence: float, engine: str = "", load: str = ""
    ) -> tuple[float, float]:
        """Lower and upper end of the interval as factors of the prediction: of hold-outs under this engine at such a
        `load_kind` where there were enough, else of all."""
        at = (1 - confidence) / 2
        bands = self.table["bands"]
        found = next(bands[key] for key in band_keys(metric, evidence, engine, load) if key in bands)
        low, high = np.interp([at, 1 - at], self.table["quantiles"], found)
        return float(min(np.exp(low), 1.0)), float(max(np.exp(high), 1.0))


def _neighbours(effects: Effects, key: str, metric: str) -> Neighbours | None:
    """The rows of one engine, chip and network, read once for every table of effects."""
    table = effects.table["beside"]
    read = table.setdefault("read", {})
    if (key, metric) not in read:
        kept = table["rows"].get(metric, {}).get(key)
        read[key, metric] = None if kept is None else Neighbours.read(table["kernels"][metric], kept)
    found: Neighbours | None = read[key, metric]
    return found


def load_kind(concurrency: float, fill: float) -> str:
    """Which loads miss alike: `tight` where the cache of the requests fills over a third of what there is room for,
    since a little less room makes requests wait; else by the requests in flight.

    >>> load_kind(8, 0.01), load_kind(64, 0.2), load_kind(64, 0.5)
    ('light', 'medium', 'tight')
    """
    if fill > TIGHT:
        return "tight"
    return "light" if concurrency <= 16 else "medium" if concurrency <= 64 else "heavy"


def band_keys(metric: str, evidence: str, engine: str, load: str) -> tuple[str, str, str]:
    """Keys of the quantiles of residuals, the most particular first.

    >>> band_keys("ttft", "model", "vllm", "light")
    ('ttft | model | light | vllm', 'ttft | model | light', 'ttft | model')
    """
    own = f"{metric} | {evidence}"
    return f"{own} | {load} | {engine}", f"{own} | {load}", own


def load(folder: Path | None = None) -> Effects:
    """The effects of a set of surrogates; left out, those in the package."""
    return _load(folder)


@lru_cache(maxsize=8)
def _load(folder: Path | None) -> Effects:
    packaged = Path(str(files("hetbench") / "catalog" / "surrogates" / "serving.json"))
    path = packaged if folder is None or not (folder / "serving.json").is_file() else folder / "serving.json"
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path.name} cannot be read: {error}. Reinstall hetbench.") from None
    if table.get("format") != FORMAT or tuple(table["columns"]) != COLUMNS:
        raise ArtifactError(f"{path.name} has format {table.get('format')!r}; this hetbench reads {FORMAT}.")
    return Effects(table)
