"""Which deployment: every plan at every load, what is not dominated, and the cheapest that meets an objective."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from hetbench.catalog.chips import Chip
from hetbench.checks import whole_number
from hetbench.errors import InvalidInputError, RefusedError, shown
from hetbench.serving.deployment import Deployment, build
from hetbench.serving.effects import Effects
from hetbench.serving.language import LanguageModel
from hetbench.serving.levels import series
from hetbench.serving.links import link_of
from hetbench.serving.memory import Memory, memory
from hetbench.serving.plan import Plan, plans_for
from hetbench.serving.settings import Floats, Settings
from hetbench.serving.steady import Load, rising, steady_state

__all__ = ["Explored", "Point", "ServePlan", "explore", "parse_slo", "serve_plan"]

CONCURRENCIES = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
_SLO = re.compile(r"\s*(ttft|tpot|latency)\s*=\s*([0-9]{1,15}(?:\.[0-9]{0,15})?)\s*(ms|s)?\s*")


@dataclass(frozen=True, slots=True)
class Point:
    """One plan at one load."""

    plan: str
    chips: int
    concurrency: int
    ttft_ms: float
    tpot_ms: float
    latency_ms: float
    throughput: float
    """Output tokens per second of the deployment."""
    throughput_per_chip: float
    memory_gb: float
    """Used on each chip."""
    meets: bool
    """Whether the point predictions are within the objective."""


@dataclass(frozen=True, slots=True)
class ServePlan:
    """Deployments of one model on one chip."""

    model: str
    chip: str
    engine: str
    precision: str
    slo: Mapping[str, float]
    """Objective in ms by metric."""
    points: int
    """Plans x loads that fit in memory."""
    pareto: tuple[Point, ...]
    """Points that no other beats in both throughput per chip and TPOT; fastest tokens first."""
    cheapest: Point | None
    """Of the points within the objective the one of most throughput per chip; None where there is none."""
    evidence: str
    """What the intervals rest on: see `Effects.evidence`."""
    bands: Mapping[str, tuple[float, float]]
    """Ends of the 90 % interval as factors of the value, by metric."""
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    def lines(self) -> list[str]:
        """The same as text: the objective, the cheapest deployment, the front."""
        head = f"{self.model} on {self.chip} under {self.engine} in {self.precision}: {self.points:,} deployments fit"
        asked = ", ".join(f"{name} <= {value:g} ms" for name, value in self.slo.items())
        lines = [head]
        if self.slo and self.cheapest is None:
            lines.append(f"none is predicted to meet {asked}")
        elif self.cheapest is not None:
            c = self.cheapest
            within = f" within {asked}" if asked else ""
            lines.append(f"most tokens a chip{within}: {c.plan}, {c.concurrency} in flight")
        lines.append("plan        chips  in flight  TTFT ms   TPOT ms   tokens/s  tokens/s/chip  GB/chip")
        for p in self.pareto:
            mark = "*" if p == self.cheapest else " "
            lines.append(f"{p.plan:<11}{mark}{p.chips:5d}{p.concurrency:11d}{p.ttft_ms:9.0f}{p.tpot_ms:10.2f}"
                         f"{p.throughput:11,.0f}{p.throughput_per_chip:15,.0f}{p.memory_gb:9.1f}")  # fmt: skip
        return lines + [f"note: {note}" for note in self.notes]


@dataclass(frozen=True, slots=True)
class Explored:
    """Every plan at every load, [points]; those that do not fit in memory too."""

    deployment: Deployment
    pairs: Sequence[tuple[Plan, int]]
    """Plan and requests in flight of each point."""
    held: Memory
    load: Load
    chips: Floats

    @property
    def fits(self) -> np.ndarray[Any, Any]:
        """Numbers of the points that fit."""
        return np.flatnonzero(self.held.fits)

    @property
    def always(self) -> np.ndarray[Any, Any]:
        """True for every point."""
        return np.ones(len(self.pairs), bool)

    @property
    def times(self) -> Mapping[str, Floats]:
        """TTFT, TPOT and latency in ms."""
        return {name: 1e3 * getattr(self.load, name) for name in ("ttft", "tpot", "latency")}

    @property
    def per_chip(self) -> Floats:
        """Output tokens per second and chip."""
        return self.load.throughput / self.chips

    def point(self, at: int, meets: bool = True) -> Point:
        """One of the points as plain numbers."""
        plan, requests = self.pairs[at]
        ttft, tpot, latency = (round(float(values[at]), 3) for values in self.times.values())
        return Point(
            str(plan), plan.chips, requests, ttft, tpot, latency, round(float(self.load.throughput[at]), 1),
            round(float(self.per_chip[at]), 1), round(float(self.held.total[at]) / 1e9, 2), meets,
        )  # fmt: skip


def parse_slo(text: str | Mapping[str, float] | None) -> dict[str, float]:
    """Objective in ms by metric, of a text such as `ttft=500ms,tpot=30ms`.

    >>> parse_slo("ttft=0.5s, tpot=30ms")
    {'ttft': 500.0, 'tpot': 30.0}
    """
    if text is None or (isinstance(text, str | Mapping) and not text):
        return {}
    if isinstance(text, Mapping):
        text = ",".join(f"{name}={value:.15f}" if type(value) in (int, float) else shown(text)
                        for name, value in text.items())  # fmt: skip
    found: dict[str, float] = {}
    for part in text.split(",") if isinstance(text, str) else [shown(text)]:
        match = _SLO.fullmatch(part)
        if match is None or not float(match[2]):
            raise InvalidInputError(f"{shown(part)} is no objective. Objectives are ttft, tpot or latency with a time "
                                    "above 0, such as ttft=500ms,tpot=30ms.")  # fmt: skip
        if match[1] in found:
            raise InvalidInputError(f"{match[1]} is given twice: {shown(text)}.")
        found[match[1]] = float(match[2]) * (1e3 if match[3] == "s" else 1.0)
    return found


def serve_plan(
    model: LanguageModel, chip: Chip, options: Mapping[str, Any], known: Effects, slo: Mapping[str, float],
    plans: Sequence[Plan] = (), concurrencies: Sequence[int] = CONCURRENCIES,
) -> ServePlan:  # fmt: skip
    """Every plan of one node at every load, in one vectorised call.

    Args:
        model, chip: what is served where.
        options: as of a query in the serving phase; `chips` bounds the chips of a plan (left out, a node).
        known: the fitted effects.
        slo: objective in ms by metric.
        plans: plans to compare; left out, all of powers of two.
        concurrencies: requests in flight to compare.

    Raises:
        RefusedError: nothing fits, or the chip lacks facts; see `build` for the options.
    """
    found = explore(model, chip, options, known, plans, concurrencies)
    deployment = found.deployment
    if not len(found.fits):
        largest = max(plan.chips for plan, _ in found.pairs)
        raise RefusedError(
            f"{model.name} in {deployment.stage.form.name} fits on no plan of up to {largest} x {chip.name}. Take a "
            "smaller weight format (precision=)."
        )
    meets = np.all([found.times[name] <= value for name, value in slo.items()], axis=0) if slo else found.always
    evidence, bands = _bands(known, deployment)
    link_notes = () if chip.interconnect_gbs else (f"the catalogue states no link of {chip.name}: one chip alone",)
    inside = found.fits[meets[found.fits]]
    cheapest = found.point(int(inside[np.argmax(found.per_chip[inside])]), True) if len(inside) else None
    front = tuple(found.point(at, bool(meets[at])) for at in _front(found.times["tpot"], found.per_chip, found.fits))
    return ServePlan(
        model.name, chip.name, deployment.engine, deployment.stage.form.name, dict(slo), len(found.fits), front,
        cheapest, evidence, bands,
        (*deployment.notes, *link_notes, _evidence_note(known, deployment, bands["tpot"])),
    )  # fmt: skip


def explore(
    model: LanguageModel, chip: Chip, options: Mapping[str, Any], known: Effects, plans: Sequence[Plan] = (),
    concurrencies: Sequence[int] = CONCURRENCIES,
) -> Explored:  # fmt: skip
    """Every plan at every load in one vectorised call; arguments as of `serve_plan`."""
    most = None if options.get("chips") is None else whole_number("chips", options["chips"], 1)
    asked = {name: value for name, value in options.items() if name not in ("chips", "parallel", "concurrency")}
    deployment = build(model, chip, asked | {"concurrency": 1})
    node = link_of(chip, 1).chips if chip.interconnect_gbs else 1
    plans = tuple(plans) or plans_for(min(most or node, node), bool(model.expert_layers))
    plans = tuple(plan for plan in plans if plan.pp <= model.layers)
    pairs = [(plan, load) for plan in plans for load in concurrencies if load >= plan.dp]
    n = len(pairs)
    s = Settings.of(chip, [plan for plan, _ in pairs], [deployment.input_len] * n, [deployment.output_len] * n,
                    [load for _, load in pairs])  # fmt: skip
    held = memory(deployment.stage, s)
    software = known.version(deployment.engine, deployment.stage, deployment.software)
    deployment = replace(deployment, software=software)
    factors = known.factors(deployment.engine, deployment.stage, software)
    missed = known.missed(deployment.engine, deployment.stage, s, software)
    load = rising(steady_state(deployment.stage, s, factors, held, missed), s)
    return Explored(deployment, pairs, held, load, s.chips)


def _front(tpot: np.ndarray[Any, Any], rate: np.ndarray[Any, Any], among: np.ndarray[Any, Any]) -> list[int]:
    """Row numbers of the points that none beats in both, by TPOT."""
    order = among[np.lexsort((-rate[among], tpot[among]))]
    best, front = -np.inf, []
    for at in order.tolist():
        if rate[at] > best:
            best = rate[at]
            front.append(at)
    return front


def _bands(known: Effects, deployment: Deployment) -> tuple[str, dict[str, tuple[float, float]]]:
    """What the intervals rest on, and their ends as factors by metric."""
    engine = deployment.engine
    evidence = known.evidence(engine, deployment.stage, deployment.software)
    out = {metric: known.band(metric, evidence, 0.9, engine) for metric in ("ttft", "tpot")}
    few, many = known.band("throughput", evidence, 0.9, engine)
    return evidence, out | {"latency": (1 / many, 1 / few)}


def _evidence_note(known: Effects, deployment: Deployment, band: tuple[float, float]) -> str:
    engine, chip, version = deployment.engine, deployment.stage.chip.name, deployment.software
    return (f"point predictions under {version or engine}; TPOT holds within x {band[0]:.2f} to x {band[1]:.2f} in 90 "
            f"% of hold-outs like this one ({known.rows(engine, chip, version)} rows of {series(engine, version)} on "
            f"{chip})")  # fmt: skip
