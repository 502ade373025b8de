"""From one complete setting and one metric to one answer: the measured row, else the surrogates, else a refusal.

Latency is the sum over the operator graph; throughput follows from it; flops, params, memory and coverage are exact
arithmetic on the graph; energy and power are answered where somebody measured them and refused elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from hetbench import predictors
from hetbench.answers import Answer
from hetbench.chips import Chip
from hetbench.errors import RefusedError
from hetbench.graph import ModelGraph
from hetbench.metrics import metric as metric_named
from hetbench.question import DEFAULT_STACK, Question

__all__ = ["predict", "solve"]

_PROTOCOL = "event"  # an eager model launches its operators one by one
_LAUNCH_BOUND = 2.0  # below so many times its launch floors, a model's latency hardly depends on the batch


def solve(question: Question, graph: ModelGraph, metric: str, predictor: str = "auto") -> Answer:
    """The answer to one metric; `RefusedError` where nothing supports one."""
    if predictor == "auto":
        found = _measured(question, metric)
        if found is not None:
            return found
    return _SOLVERS[metric](question, graph, predictor)


def predict(question: Question, graph: ModelGraph, metric: str, predictor: str) -> Answer:
    """The surrogates' answer, measured rows left aside: for ratios, in which the same biases cancel."""
    return _SOLVERS[metric](question, graph, predictor)


def _latency(question: Question, graph: ModelGraph, predictor: str) -> Answer:
    chip = _chip_of(question, "latency")
    if question.stack != DEFAULT_STACK:
        raise RefusedError(_no_stack(question))
    surrogate = predictors.load()
    table = graph.operators(*question.sizes)
    found = surrogate.predict_model(table, chip, protocol=_PROTOCOL, predictor=predictor)
    notes = (*question.notes, *_fits(question, graph, chip), _levels(found.by_level))
    if (question.batch or 1) > 1 and found.value < _LAUNCH_BOUND * found.launch_ms:
        alone = surrogate.predict_model(
            graph.operators(1, *question.sizes[1:]), chip, protocol=_PROTOCOL, predictor=predictor
        )
        if alone.value > found.value:
            found, notes = alone, (*notes, "the launches take the time: as slow as batch 1")
    return Answer(
        found.value, "ms", found.lower, found.upper, surrogate.interval_level, "predicted", found.level, found.support,
        metric="latency", protocol=_PROTOCOL, surrogate=f"{surrogate.id}/{predictor}", shares=dict(found.by_operator),
        **_fields(question, notes),
    )  # fmt: skip


def _throughput(question: Question, graph: ModelGraph, predictor: str) -> Answer:
    latency = solve(question, graph, "latency", predictor)
    per_call = (question.batch or 1) * ((question.seq_len or 1) if question.phase == "prefill" else 1)
    what = ("samples" if question.phase == "inference" else "tokens") if question.batch else "run of the example inputs"
    return replace(
        latency, metric="throughput", unit="1/s", value=1e3 * per_call / latency.value,
        lower=None if latency.upper is None else 1e3 * per_call / latency.upper,
        upper=None if latency.lower is None else 1e3 * per_call / latency.lower,
        notes=(*latency.notes, f"{per_call} {what} a call / latency"),
    )  # fmt: skip


def _flops(question: Question, graph: ModelGraph, predictor: str) -> Answer:
    return _derived("flops", float(graph.operators(*question.sizes).flops), question)


def _params(question: Question, graph: ModelGraph, predictor: str) -> Answer:
    return _derived("params", float(graph.params), question)


def _memory(question: Question, graph: ModelGraph, predictor: str) -> Answer:
    parts = graph.memory(*question.sizes)
    sizes = parts.weights_bytes, parts.activations_peak_bytes, parts.kv_cache_bytes
    named = zip(("weights", "activations", "KV cache"), sizes, strict=True)
    notes = (", ".join(f"{name} {size / 1e6:,.1f} MB" for name, size in named),)
    return _derived("memory", parts.total_bytes / 1e6, question, (*notes, *_fits(question, graph, question.chip)))


def _coverage(question: Question, graph: ModelGraph, predictor: str) -> Answer:
    chip = _chip_of(question, "coverage")
    raise RefusedError(f"no operator registrations of {chip.family} are known.")


def _only_measured(metric: str) -> Callable[[Question, ModelGraph, str], Answer]:
    def refuse(question: Question, graph: ModelGraph, predictor: str) -> Answer:
        raise RefusedError(
            f"{metric} is answered only where somebody measured it, and no row has {question.model} on "
            f"{_chip_of(question, metric).name} at this setting. `hetbench sources` lists what was measured."
        )

    return refuse


_SOLVERS: dict[str, Callable[[Question, ModelGraph, str], Answer]] = {
    "latency": _latency, "throughput": _throughput, "flops": _flops, "params": _params, "memory": _memory,
    "coverage": _coverage, "energy": _only_measured("energy"), "power": _only_measured("power"),
}  # fmt: skip


def _levels(by_level: Mapping[str, float]) -> str:
    total = sum(by_level.values()) or 1.0
    parts = ", ".join(f"{ms / total:.0%} level {level}" for level, ms in sorted(by_level.items()))
    return f"sum over the operators, each launched eagerly; of the time {parts}"


def _derived(
    metric: str, value: float, question: Question, notes: tuple[str, ...] = (), refs: tuple[str, ...] = ()
) -> Answer:
    return Answer(
        value, metric_named(metric).unit, kind="derived", refs=refs, metric=metric,
        **_fields(question, (*question.notes, *notes)),
    )  # fmt: skip


def _fields(question: Question, notes: tuple[str, ...]) -> dict[str, Any]:
    chip = question.chip
    return {
        "model": question.model, "chip": chip.name if chip else None, "family": chip.family if chip else None,
        "precision": question.precision, "batch": question.batch, "seq_len": question.seq_len,
        "image_size": question.image_size, "phase": question.phase, "stack": question.stack, "notes": notes,
    }  # fmt: skip


def _measured(question: Question, metric: str) -> Answer | None:
    """The published row of exactly this question, if there is one."""
    return None


def _no_stack(question: Question) -> str:
    return f"stack {question.stack!r} is answered only where somebody measured it"


def _chip_of(question: Question, metric: str) -> Chip:
    if question.chip is None:
        raise RefusedError(f"{metric} is that of a chip: name one with device=, a chip or a family such as cuda.")
    return question.chip


def _fits(question: Question, graph: ModelGraph, chip: Chip | None) -> tuple[str, ...]:
    """A note where the model needs more memory than the chip has."""
    if chip is None or chip.memory_bytes is None:
        return ()
    needed = memory_bytes(graph, question.sizes)
    if needed <= chip.memory_bytes:
        return ()
    return (f"does not fit: needs {needed / 1e9:.1f} GB of {chip.memory_bytes / 1e9:g} GB",)


@lru_cache(maxsize=4096)
def memory_bytes(graph: ModelGraph, key: tuple[Any, ...]) -> int:
    """Bytes that a model needs at one setting; the same for every chip, hence kept."""
    return int(graph.memory(*key).total_bytes)
