"""The metrics that hetbench answers, in one table: adding a metric means adding an entry.

The `kind` of a metric is where its values come from: `surrogate` metrics are measured or predicted, `derived` metrics
are exact arithmetic on the operator graph.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hetbench.errors import UnknownNameError
from hetbench.mappings import ReadOnly

__all__ = ["METRICS", "Metric", "MetricName", "metric", "metrics"]

MetricName = Literal["latency", "throughput", "energy", "power", "memory", "coverage", "flops", "params"]
"""The keys of `METRICS`, so that editors complete them and type checkers know them."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: unit, direction that is better, and where its values come from."""

    name: str
    unit: str
    better: str
    """`lower`, `higher` or `neither`."""
    kind: str
    """`surrogate` or `derived`."""
    meaning: str


METRICS = ReadOnly({m.name: m for m in (
    Metric("latency", "ms", "lower", "surrogate", "wall time of one call on the whole batch"),
    Metric("throughput", "1/s", "higher", "surrogate",
           "samples per second (tokens per second in the prefill and decode phases): batch / latency"),
    Metric("energy", "J", "lower", "surrogate", "energy that the chip's board draws for one call on the whole batch"),
    Metric("power", "W", "lower", "surrogate", "mean power of the chip's board while the call runs"),
    Metric("memory", "MB", "lower", "derived",
           "weights + peak of live activations + KV cache, in MB of 10^6 bytes, without allocator or runtime"),
    Metric("coverage", "%", "higher", "derived",
           "share of the model's eager operator calls that run on the chip: registered by the backend or composed of "
           "registered operators; CPU fallback, missing and unknown operators do not count"),
    Metric("flops", "FLOP", "lower", "derived", "floating-point operations of one call (a multiply-add is 2)"),
    Metric("params", "1", "neither", "derived", "parameters, tied weights counted once"),
)})


def metrics() -> ReadOnly[str, Metric]:
    """All metrics by name, read-only.

    >>> metrics()["latency"].unit
    'ms'
    """
    return METRICS


def metric(name: str) -> Metric:
    """The metric called `name`; raises `UnknownNameError` with the nearest name for any other.

    >>> metric("memory").kind
    'derived'
    """
    try:
        return METRICS[name]
    except (KeyError, TypeError):
        raise UnknownNameError("metric", name, METRICS) from None
