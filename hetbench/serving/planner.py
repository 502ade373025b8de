"""Which deployment: every plan at every load, what is not dominated, and the cheapest that meets an objective."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hetbench.catalog.chips import Chip
from hetbench.checks import whole_number
from hetbench.errors import InvalidInputError, RefusedError, shown
from hetbench.serving.deployment import build
from hetbench.serving.effects import Effects
from hetbench.serving.language import LanguageModel
from hetbench.serving.links import link_of
from hetbench.serving.memory import memory
from hetbench.serving.plan import Plan, plans_for
from hetbench.serving.settings import Settings, Stage
from hetbench.serving.steady import steady_state

__all__ = ["Point", "ServePlan", "parse_slo", "serve_plan"]

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
    factors = known.factors(deployment.engine, deployment.stage, deployment.software)
    load = steady_state(deployment.stage, s, factors, held)
    fits = np.flatnonzero(held.fits)
    if not len(fits):
        raise RefusedError(
            f"{model.name} in {deployment.stage.form.name} fits on no plan of up to {max(p.chips for p in plans)} x "
            f"{chip.name}. Take a smaller weight format (precision=)."
        )
    times = {"ttft": 1e3 * load.ttft, "tpot": 1e3 * load.tpot, "latency": 1e3 * load.latency}
    meets = np.all([times[name] <= value for name, value in slo.items()], axis=0) if slo else np.ones(n, bool)
    per_chip = load.throughput / s.chips

    def point(at: int) -> Point:
        plan, requests = pairs[at]
        return Point(
            str(plan), plan.chips, requests, round(float(times["ttft"][at]), 3), round(float(times["tpot"][at]), 3),
            round(float(times["latency"][at]), 3), round(float(load.throughput[at]), 1), round(float(per_chip[at]), 1),
            round(float(held.total[at]) / 1e9, 2), bool(meets[at]),
        )  # fmt: skip

    inside = fits[meets[fits]]
    cheapest = point(int(inside[np.argmax(per_chip[inside])])) if len(inside) else None
    front = tuple(point(at) for at in _front(times["tpot"], per_chip, fits))
    return ServePlan(
        model.name, chip.name, deployment.engine, deployment.stage.form.name, dict(slo), len(fits), front, cheapest,
        (*deployment.notes, _evidence_note(known, deployment.engine, deployment.stage)),
    )  # fmt: skip


def _front(tpot: np.ndarray[Any, Any], rate: np.ndarray[Any, Any], among: np.ndarray[Any, Any]) -> list[int]:
    """Row numbers of the points that none beats in both, by TPOT."""
    order = among[np.lexsort((-rate[among], tpot[among]))]
    best, front = -np.inf, []
    for at in order.tolist():
        if rate[at] > best:
            best = rate[at]
            front.append(at)
    return front


def _evidence_note(known: Effects, engine: str, stage: Stage) -> str:
    evidence, chip = known.evidence(engine, stage.chip, stage), stage.chip
    low, high = known.band("tpot", evidence, 0.9)
    return (f"point predictions; TPOT holds within x {low:.2f} to x {high:.2f} in 90 % of hold-outs like this one "
            f"({known.rows(engine, chip.name)} rows of {engine} on {chip.name})")  # fmt: skip
