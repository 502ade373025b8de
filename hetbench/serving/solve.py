"""Answers about deployments: value, interval, level and what they rest on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from hetbench.answers import Answer
from hetbench.errors import RefusedError, UnknownNameError
from hetbench.serving.deployment import Deployment
from hetbench.serving.effects import Effects, load_kind
from hetbench.serving.levels import series
from hetbench.serving.memory import Memory, check_fits, memory
from hetbench.serving.physics import TERMS
from hetbench.serving.settings import Settings, Stage
from hetbench.serving.steady import Load, rising, steady_state

__all__ = ["METRICS", "UNITS", "answer"]

UNITS = {
    "ttft": "ms", "tpot": "ms", "latency": "ms", "throughput": "1/s", "total_throughput": "1/s", "energy": "J",
    "power": "W", "memory": "MB",
}  # fmt: skip
METRICS = tuple(UNITS)
_LEVELS = {"beside": "C", "model": "C", "known": "C", "engine": "D", "none": "D", "alone": "D"}
_SAID = {
    "beside": "{near} rows of this model under {engine} on {chip}, some of them close to this setting",
    "model": "{near} rows of this model under {engine} on {chip}",
    "known": "{rows} rows of {engine} on {chip}",
    "engine": "no rows, or too few, of {engine} on {chip}: the effects of {engine} on {others}, and the datasheet of "
    "{chip}",
    "none": "nothing of {engine} on chips of {family} was measured: the mean of all engines, and the datasheet",
    "alone": "no deployment on chips like {chip} was measured: the mean of all engines and chips, and the datasheet",
}
_STARTED = ("median of requests in the steady state; the mean of a run of ten requests for each in flight, which "
            "starts with all at once: about {mean:,.0f} ms")  # fmt: skip
_RATES = 64


def answer(deployment: Deployment, metric: str, known: Effects, confidence: float = 0.9) -> Answer:
    """One metric of a deployment.

    Raises `UnknownNameError` for another metric, `RefusedError` where weights do not fit, the load cannot be
    sustained, or nothing supports the metric.
    """
    if metric not in UNITS:
        raise UnknownNameError("metric of serving", metric, METRICS)
    s = deployment.settings()
    held = memory(deployment.stage, s)
    if metric == "memory":
        return _memory(deployment, held)
    check_fits(deployment.stage, held)
    if deployment.request_rate is not None:
        deployment = _loaded(deployment, known)
        s = deployment.settings()
        held = memory(deployment.stage, s)
    deployment = _versioned(deployment, known)
    factors = known.factors(deployment.engine, deployment.stage, deployment.software)
    ladder = _ladder(deployment)
    missed = known.missed(deployment.engine, deployment.stage, ladder, deployment.software)
    load = rising(steady_state(deployment.stage, ladder, factors, memory(deployment.stage, ladder), missed), ladder)
    if metric in ("energy", "power"):
        return _power(deployment, metric, load, known, confidence)
    value = {
        "ttft": 1e3 * load.ttft, "tpot": 1e3 * load.tpot, "latency": 1e3 * load.latency, "throughput": load.throughput,
        "total_throughput": load.total_throughput,
    }[metric]  # fmt: skip
    evidence = _evidence(deployment, metric, known)
    low, high = known.band(_banded(metric), evidence, confidence, deployment.engine, _load_kind(deployment, held))
    if metric == "latency":
        low, high = 1 / high, 1 / low
    notes = _notes(deployment, evidence, held, known)
    if metric == "ttft":
        room = memory(deployment.stage, ladder)
        started = rising(steady_state(deployment.stage, ladder, factors, room, missed, mean=True), ladder)
        notes += (_STARTED.format(mean=1e3 * float(started.ttft[0])),)
    fields = _fields(deployment, metric, notes)
    return Answer(
        float(value[0]), UNITS[metric], float(value[0]) * low, float(value[0]) * high, confidence,
        level=_LEVELS[evidence], support=known.rows(deployment.engine, deployment.stage.chip.name, deployment.software),
        shares=_shares(load), surrogate="serving", **fields,
    )  # fmt: skip


def _ladder(deployment: Deployment) -> Settings:
    """The point of a deployment, and those of fewer requests in flight, by doublings."""
    loads = [deployment.concurrency, *(2**n for n in range(16) if 2**n < deployment.concurrency)]
    n = len(loads)
    return Settings.of(deployment.stage.chip, [deployment.plan] * n, [deployment.input_len] * n,
                       [deployment.output_len] * n, loads)  # fmt: skip


def _versioned(deployment: Deployment, known: Effects) -> Deployment:
    """The deployment with the newest measured version of its engine, where it names none."""
    version = known.version(deployment.engine, deployment.stage, deployment.software)
    if version == deployment.software:
        return deployment
    return replace(deployment, software=version, notes=(
        *deployment.notes, f"no version of {deployment.engine} was named: taken as {version}, the newest measured"
    ))  # fmt: skip


def _evidence(deployment: Deployment, metric: str, known: Effects) -> str:
    """What the interval rests on: `beside` measured rows, else as `Effects.evidence` has it."""
    stage, engine = deployment.stage, deployment.engine
    found = known.evidence(engine, stage, deployment.software)
    if found != "model":
        return found
    close = known.close(engine, stage, deployment.settings(), metric, deployment.software)
    return "beside" if close else found


def _load_kind(deployment: Deployment, held: Memory) -> str:
    return load_kind(deployment.concurrency, float(deployment.settings().share[0] / held.running[0]))


def _banded(metric: str) -> str:
    """Whose interval: that of throughput for all that Little's law binds to it."""
    return metric if metric in ("ttft", "tpot") else "throughput"


def _fields(deployment: Deployment, metric: str, notes: tuple[str, ...]) -> dict[str, Any]:
    stage = deployment.stage
    return {
        "metric": metric, "model": stage.model.name, "chip": stage.chip.name, "family": stage.chip.family,
        "precision": stage.form.name, "batch": deployment.concurrency, "seq_len": deployment.input_len,
        "phase": "serving", "stack": deployment.engine, "notes": notes,
    }  # fmt: skip


def _notes(deployment: Deployment, evidence: str, held: Memory, known: Effects) -> tuple[str, ...]:
    stage, engine = deployment.stage, deployment.engine
    setting = (
        f"{deployment.plan} on {deployment.plan.chips} x {stage.chip.name}, {deployment.concurrency} requests in "
        f"flight, {deployment.input_len} tokens in, {deployment.output_len} out, weights {stage.form.name}, KV cache "
        f"{stage.kv}"
    )
    said = _SAID[evidence].format(
        rows=known.rows(engine, stage.chip.name, deployment.software),
        near=known.near(engine, stage, deployment.software), engine=series(engine, deployment.software),
        chip=stage.chip.name, family=stage.chip.family,
        others=", ".join(name for name in known.measured_on(engine)[:3] if name != stage.chip.name) or "other chips",
    )  # fmt: skip
    notes = (setting, *deployment.notes, said)
    if not known.knows_model(stage):
        notes += (f"{stage.model.name} was never measured: its configuration alone",)
    if not known.knows_format(stage):
        notes += (f"{stage.form.name} was never measured on {stage.chip.family}: its bytes and the datasheet's peak",)
    version = deployment.software
    if known.rows(engine, stage.chip.name, version) and not known.knows_version(engine, stage, version):
        notes += (f"{version} was not measured here: the mean of the measured versions of {engine}",)
    share = float(deployment.settings().share[0])
    if held.running[0] < share:
        notes += (f"the KV cache holds {held.running[0]:,.0f} of {share:,.0f} requests of a copy: the others wait",)
    return notes


def _shares(load: Load) -> dict[str, float]:
    """ms of each part of a decode step, those below 1 % left out."""
    terms = load.step_terms[0]
    return {name: 1e3 * float(part) for name, part in zip(TERMS, terms, strict=True) if part > 0.01 * terms.sum()}


def _memory(deployment: Deployment, held: Memory) -> Answer:
    stage = deployment.stage
    parts = {"weights": held.weights[0], "KV cache": held.cache[0], "activations": held.activations[0]}
    made = ", ".join(f"{name} {value / 1e9:,.2f} GB" for name, value in parts.items())
    notes: tuple[str, ...] = (f"{made} on each chip",)
    if np.isnan(held.capacity):
        notes += (f"the memory of {stage.chip.name} is not known",)
    elif bool(held.fits[0]):
        notes += (f"fits: an engine may use {held.capacity / 1e9:,.0f} GB of a chip; at most {held.most[0]:,.0f} "
                  "requests of this length fit",)  # fmt: skip
    else:
        notes += (f"does not fit: an engine may use {held.capacity / 1e9:,.0f} GB of a chip; at most "
                  f"{held.most[0]:,.0f} requests of this length fit",)  # fmt: skip
    fields = _fields(deployment, "memory", (*deployment.notes, *notes))
    return Answer(float(held.total[0]) / 1e6, "MB", kind="derived", **fields)


def _loaded(deployment: Deployment, known: Effects) -> Deployment:
    """The deployment with the requests in flight that its arrival rate leads to (Little's law)."""
    rate = deployment.request_rate or 0.0
    stage, plan = deployment.stage, deployment.plan
    most = max(float(memory(stage, deployment.settings()).most[0]), 1.0)
    loads = np.unique(np.geomspace(1, max(most, 2) if most == most else 1024, _RATES).round())
    n = len(loads)
    s = Settings.of(stage.chip, [plan] * n, [deployment.input_len] * n, [deployment.output_len] * n, list(loads))
    software = known.version(deployment.engine, stage, deployment.software)
    factors = known.factors(deployment.engine, stage, software)
    missed = known.missed(deployment.engine, stage, s, software)
    done = steady_state(stage, s, factors, None, missed).throughput / deployment.output_len
    if rate > done.max():
        raise RefusedError(f"{rate:g} requests a second are more than this deployment completes: about "
                           f"{done.max():.3g} with {loads[done.argmax()]:,.0f} in flight, all that its KV cache "
                           "holds. Add chips or copies (parallel=).")  # fmt: skip
    found = int(max(1, round(float(np.interp(rate, done, loads)))))
    return replace(deployment, concurrency=found, notes=(*deployment.notes, f"{rate:g} requests a second keep about "
                                                         f"{found} in flight"))  # fmt: skip


def _power(deployment: Deployment, metric: str, load: Load, known: Effects, confidence: float) -> Answer:
    stage = deployment.stage
    watts, level, said = watts_of(stage, load, known)
    low, high = known.band("power", level, confidence)
    value = watts if metric == "power" else watts * deployment.plan.chips / float(load.throughput[0])
    unit, evidence = UNITS[metric], _evidence(deployment, "throughput", known)
    held = memory(stage, deployment.settings())
    if metric == "power":
        high = max(min(high, (stage.chip.tdp_w or np.inf) / watts), 1.0)
    else:
        few, many = known.band("throughput", evidence, confidence, deployment.engine, _load_kind(deployment, held))
        low, high = min(low, 1 / many), max(high, 1 / few)
    what = "of one chip" if metric == "power" else "per output token, all chips, host left out"
    notes = (*_notes(deployment, evidence, held, known), f"{unit} {what}; {said}")
    return Answer(
        value, unit, value * low, value * high, confidence, level="C" if level == "known" else "D",
        support=int(known.table["power"]["rows"].get(stage.chip.name, 0)), surrogate="serving",
        **_fields(deployment, metric, notes),
    )  # fmt: skip


def watts_of(stage: Stage, load: Load, known: Effects) -> tuple[float, str, str]:
    """Watts of one chip, `known` or `engine` by whether this chip's watts were fitted, and what they rest on."""
    chip, law = stage.chip, known.table["power"]
    if not chip.tdp_w:
        raise RefusedError(f"the catalogue states no power limit of {chip.name}, which watts are a share of.")
    idle, memory_share, compute_share = law["chips"].get(chip.name, law["every"])
    used = min(float(load.busy_memory[0]), 1.0), min(float(load.busy_compute[0]), 1.0)
    share = min(idle + memory_share * used[0] + compute_share * used[1], 1.0)
    if chip.name in law["chips"]:
        return share * chip.tdp_w, "known", f"{law['rows'][chip.name]} rows of watts of this chip"
    return share * chip.tdp_w, "engine", f"no watts of {chip.name} were measured: the law of {', '.join(law['chips'])}"
