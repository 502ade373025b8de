"""Observed deployments: offsets of an engine's decode steps and prompts on a chip, beside the fitted effects.

A measured time or rate rests on steps and on prompts; how far it moves with each is found by moving each a little. The
two offsets that rows so identify multiply the steps and the prompts of every deployment of the engine on the chip, so
that all metrics and plans stay consistent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from statistics import NormalDist
from typing import Any

import numpy as np

from hetbench import serving
from hetbench.answers import Answer
from hetbench.catalog.chips import Chip
from hetbench.errors import InvalidInputError
from hetbench.graphs.model_graph import ModelGraph
from hetbench.predict.offsets import OffsetRows, Offsets, load_shares
from hetbench.serving.deployment import Deployment
from hetbench.serving.effects import EXTRA, FLOORS, Effects, Factors
from hetbench.serving.memory import memory
from hetbench.serving.physics import TERMS
from hetbench.serving.settings import Stage
from hetbench.serving.steady import steady_state

__all__ = ["RATES", "ObservedEffects", "deployment_row", "observed_answer"]

RATES = ("throughput", "total_throughput")
_MOVED = ("ttft", "tpot", "latency", *RATES)
_STEP = 0.05  # log units by which steps or prompts are moved to see how a figure follows
_ZERO: Mapping[str, Offsets] = {}


@dataclass(frozen=True)
class ObservedEffects(Effects):
    """Fitted effects with the offsets of chips on which deployments were observed."""

    observed: Mapping[str, Offsets] = field(default_factory=dict)
    """By chip."""
    shares: Mapping[str, list[float]] = field(default_factory=dict)
    step_by: float = 1.0
    prompt_by: float = 1.0

    def factors(self, engine: str, stage: Stage, software: str = "") -> Factors:
        """The factors of a deployment: those of the effects, steps and prompts times what was observed."""
        found = Effects.factors(self, engine, stage, software)
        known, step, prompt = self.observed.get(stage.chip.name), self.step_by, self.prompt_by
        if known is not None:
            moved = known.shift(OffsetRows.concatenated([
                self._row(engine, stage, metric, weights) for metric, weights in _LATENT.items()
            ])).mean  # fmt: skip
            step, prompt = step * float(np.exp(moved[0])), prompt * float(np.exp(moved[1]))
        return replace(
            found, step=found.step * max(step, _least(found, found.step)),
            prompt=found.prompt * max(prompt, _least(found, found.prompt)),
        )  # fmt: skip

    def plain(self, step_by: float = 1.0, prompt_by: float = 1.0) -> ObservedEffects:
        """The fitted effects alone, steps and prompts times constant factors."""
        return replace(self, observed=_ZERO, step_by=step_by, prompt_by=prompt_by)

    def _row(self, engine: str, stage: Stage, metric: str, weights: tuple[float, float]) -> OffsetRows:
        evidence = self.evidence(engine, stage)
        low, high = np.log(self.band(metric, evidence, 0.9, engine))
        sd = float(high - low) / (2 * NormalDist().inv_cdf(0.95))
        return offset_row(engine, stage, weights, sd, _share(self, evidence))


_LATENT = {"tpot": (1.0, 0.0), "ttft": (0.0, 1.0)}


def _least(found: Factors, own: float) -> float:
    """The least factor that keeps a part no faster than the datasheet; 1 where it is faster already."""
    bound = np.array(FLOORS[: len(TERMS)])
    return min(1.0, float(np.max(bound / found.terms)) / own)


def offset_row(engine: str, stage: Stage, weights: tuple[float, float], sd: float, shares: list[float]) -> OffsetRows:
    """One figure of deviation `sd`, in log units, that moves with steps and prompts by `weights`."""
    step, prompt = weights
    model = f"{stage.model.shape} {stage.form.name}"
    labels = ["", engine, f"{engine} step", f"{engine} prompt", f"{engine} step {model}", f"{engine} prompt {model}"]
    chip, stack, setting, same = shares
    variance = np.array([[chip, stack, setting, setting, same, same]]) * sd**2
    weight = np.array([[step + prompt, step + prompt, step, prompt, step, prompt]])
    return OffsetRows(
        np.array([labels], dtype=object), weight, variance, np.array([(1 - sum(shares)) * sd**2])
    )  # fmt: skip


def deployment_row(
    graph: ModelGraph, chip: Chip, metric: str, options: Mapping[str, Any], artifacts: Any
) -> tuple[float, OffsetRows, float, float, float]:
    """Predicted figure, row, middle, deviation and the least figure at the datasheet's peaks, of one deployment."""
    if options.get("request_rate") is not None:
        raise InvalidInputError("a deployment is observed at a concurrency= (requests in flight), not at a rate.")
    deployment = serving.build(serving.language_of(graph), chip, options)
    known = ObservedEffects(serving.load(artifacts).table, shares=load_shares(artifacts))
    found = serving.answer(deployment, metric, known)
    middle, sd = _spread(found)
    return found.value, _asked(deployment, metric, known, sd), middle, sd, _at_peak(deployment, metric)


def _spread(found: Answer) -> tuple[float, float]:
    """Middle over the value and deviation of an answer's interval, as a time, in log units."""
    low, high = np.log([found.lower or found.value, found.upper or found.value]) - np.log(found.value)
    middle = float(low + high) / 2 * (-1 if found.metric in RATES else 1)
    return middle, float(high - low) / (2 * NormalDist().inv_cdf((1 + found.interval_level) / 2))


def _asked(deployment: Deployment, metric: str, known: ObservedEffects, sd: float) -> OffsetRows:
    """The row of one figure of a deployment."""
    stage, moved = deployment.stage, []
    for by in ((_STEP, 0.0), (0.0, _STEP)):
        ends = [serving.answer(deployment, metric, known.plain(*np.exp(np.multiply(by, side)).tolist())).value
                for side in (0.5, -0.5)]  # fmt: skip
        moved.append(float(np.log(ends[0] / ends[1])) / _STEP * (-1 if metric in RATES else 1))
    evidence = known.evidence(deployment.engine, stage, deployment.software)
    return offset_row(deployment.engine, stage, (moved[0], moved[1]), sd, _share(known, evidence))


def _share(known: ObservedEffects, evidence: str) -> list[float]:
    """Shares of the variance; chips without any deployment are too few to have their own."""
    return known.shares["serving none" if evidence == "alone" else f"serving {evidence}"]


def _at_peak(deployment: Deployment, metric: str) -> float:
    """The figure where weights and keys stream at the bandwidth and prompts run at the peak, and nothing else costs."""
    ideal = Factors(np.array(FLOORS[: len(TERMS)]), dict.fromkeys(EXTRA, 0.0), 1.0, 1.0, 1.0)
    s = deployment.settings()
    load = steady_state(deployment.stage, s, ideal, memory(deployment.stage, s))
    return float(getattr(load, metric)[0]) * (1.0 if metric in RATES else 1e3)


def observed_answer(deployment: Deployment, metric: str, known: Effects, confidence: float) -> Answer:
    """The answer by the effects, its interval after what was observed on the chip."""
    found = serving.answer(deployment, metric, known, confidence)
    seen = known.observed.get(deployment.stage.chip.name) if isinstance(known, ObservedEffects) else None
    if seen is None or not isinstance(known, ObservedEffects) or metric not in _MOVED:
        return found
    before = serving.answer(deployment, metric, known.plain(), confidence)
    middle, sd = _spread(before)
    shift = seen.shift(_asked(deployment, metric, known, sd))
    sign = -1 if metric in RATES else 1
    half = sd * float(shift.width[0]) * NormalDist().inv_cdf((1 + confidence) / 2)
    ends = before.value * np.exp(sign * (middle + float(shift.centre[0])) + np.array([-half, half]))
    under = int((seen.seen.labels[:, 1] == deployment.engine).sum())
    note = (f"corrected by a factor of {found.value / before.value:.3g} by {len(seen.residual)} figures of deployments "
            f"observed on {deployment.stage.chip.name}, {under} of them under {deployment.engine}")  # fmt: skip
    level = "C" if under and found.level == "D" else found.level
    return replace(found, lower=min(float(ends[0]), found.value), upper=max(float(ends[1]), found.value), level=level,
                   notes=(*found.notes, note))  # fmt: skip
