"""The steady state of an engine that keeps a number of requests in flight.

Continuous batching with chunked prefill: every finished request is replaced, so that while one request generates its
tokens, each of the others of its copy is replaced once and its prompt is worked in between the steps. TTFT and TPOT
depend on how many of the requests decode, and that share on them: a fixed point, found by repetition.

    TPOT = step(batch, context) + interleaved x (requests - 1) x prompt / output_len
    TTFT = fixed + prompt + queued x (requests - 1) ** power x prompt + waited x step
           [+ first_wave x (requests - 1) / 2 x prompt + cold]
    latency = TTFT + (output_len - 1) x TPOT;  throughput = concurrency x output_len / latency  (Little's law)

That TTFT is the median of a run, which a request sees in the steady state. The mean of a run also counts the requests
that all arrive at its start, a tenth where a client sends ten for each in flight, and their cold start: the terms in
brackets.

Requests beyond what the KV cache holds wait: the latency of those that run is multiplied by the excess.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from hetbench.predict.products import product
from hetbench.serving.effects import Factors
from hetbench.serving.memory import Memory
from hetbench.serving.physics import decode_terms, prefill_terms
from hetbench.serving.settings import Floats, Settings, Stage

__all__ = ["Load", "rising", "steady_state"]

_ROUNDS = 4


@dataclass(frozen=True, slots=True)
class Load:
    """What a deployment does; every array [points], times in seconds."""

    ttft: Floats
    tpot: Floats
    latency: Floats
    throughput: Floats
    """Output tokens per second of the whole deployment."""
    total_throughput: Floats
    """Input and output tokens per second."""
    busy_memory: Floats
    """Share of the time that reading weights and cache takes at the datasheet's bandwidth."""
    busy_compute: Floats
    """Share of the time that the products take at the datasheet's peak."""
    step_terms: Floats
    """Seconds of each part of a decode step, [points, terms]."""


def steady_state(
    stage: Stage, s: Settings, factors: Factors, held: Memory | None = None,
    missed: tuple[Floats, Floats] | None = None, mean: bool = False,
) -> Load:  # fmt: skip
    """The steady state of deployments; `held` says how many requests the cache holds, left out, all; `missed` are
    factors on TPOT and TTFT; `mean`: TTFT as the mean of a run, its start included, else as the median."""
    one = np.ones_like(s.concurrency)
    running = s.share if held is None else np.fmin(s.share, held.running)
    excess = s.share / running
    prompt_terms = prefill_terms(stage, s, s.input_len, one, factors.chunk)
    packed_terms = prefill_terms(stage, s, s.input_len, running, factors.chunk) / running[:, None]
    prompt, packed = (factors.prompt * product(terms, factors.terms) for terms in (prompt_terms, packed_terms))
    others = np.maximum(running - 1, 0.0) / s.pp
    extra, busy = factors.extra, one
    ahead = factors.queue * extra["queued"] * others ** (extra["crowd"] / (1 + extra["crowd"])) * packed
    ahead = ahead + (extra["first_wave"] * others / 2 * packed if mean else 0.0)
    for _ in range(_ROUNDS):
        terms = decode_terms(stage, s, np.maximum(running * busy, 1.0), s.input_len + s.output_len / 2)
        step = factors.step * product(terms, factors.terms)
        tpot = step + extra["interleaved"] * others * packed / s.output_len
        ttft = (extra["fixed"] + (extra["cold"] if mean else 0.0)) * 1e-3 + prompt + ahead + extra["waited"] * step
        generating = (s.output_len - 1) * tpot
        busy = generating / (ttft + generating)
    ttft = ttft + (excess - 1) * (ttft + generating)  # of those that wait, too
    if missed is not None:
        tpot, ttft = tpot * missed[0], ttft * missed[1]
    latency = ttft + (s.output_len - 1) * tpot
    rate = s.concurrency * s.output_len / latency
    work = terms + packed_terms * (running / np.maximum(s.output_len, 1) / s.pp)[:, None]
    return Load(
        ttft, tpot, latency, rate, rate * (s.input_len + s.output_len) / s.output_len,
        work[:, [0, 1, 12]].sum(1) / tpot, work[:, [2, 3, 10, 11, 14, 16]].sum(1) / tpot,
        terms * factors.terms * factors.step * (1.0 if missed is None else missed[0][:, None]),
    )  # fmt: skip


def rising(load: Load, s: Settings) -> Load:
    """The load with a TTFT that never falls as more requests of one plan are in flight, and what follows from it.

    Residuals of single published runs may bend the curve; that others arrive as well never serves a request sooner.
    """
    plan = np.stack([s.tp, s.dp, s.pp, s.ep, s.input_len, s.output_len], axis=1)
    order = np.lexsort((s.concurrency, *plan.T))
    ends = np.flatnonzero((plan[order][1:] != plan[order][:-1]).any(axis=1)) + 1
    ttft = load.ttft.copy()
    for part in np.split(order, ends):
        ttft[part] = np.maximum.accumulate(ttft[part])
    latency = ttft + (s.output_len - 1) * load.tpot
    slower = load.latency / latency
    return replace(load, ttft=ttft, latency=latency, throughput=load.throughput * slower,
                   total_throughput=load.total_throughput * slower)  # fmt: skip
