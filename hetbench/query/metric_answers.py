"""From one complete question and one metric to one answer: the published row, else the surrogates, else a refusal.

Latency is predicted by `hetbench.query.latency`; throughput follows from latency, power and energy from latency and
the work of the operator graph; the other metrics are exact (`hetbench.query.exact`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

from hetbench.answers import Answer
from hetbench.errors import RefusedError
from hetbench.graphs.model_graph import ModelGraph
from hetbench.metrics import metric as metric_named
from hetbench.predict import power
from hetbench.predict.intervals import at_confidence
from hetbench.query import exact
from hetbench.query.latency import predict_latency, with_usable_stack
from hetbench.query.published import other_stacks, published_answer, unsupported_stack
from hetbench.query.question import Question

__all__ = ["answer_metric", "energy_of", "predict_metric"]


def answer_metric(question: Question, graph: ModelGraph, metric: str, predictor: str = "auto") -> Answer:
    """The answer to one metric; `RefusedError` where nothing supports one."""
    question = _with_usable_stack(question, metric, predictor)
    if predictor == "auto":
        found = published_answer(question, metric)
        if found is not None:
            return found
    return _SOLVERS[metric](question, graph, predictor)


def predict_metric(question: Question, graph: ModelGraph, metric: str, predictor: str) -> Answer:
    """The surrogates' answer, measured rows left aside: for ratios, in which the same biases cancel."""
    return _SOLVERS[metric](_with_usable_stack(question, metric, predictor), graph, predictor)


def _with_usable_stack(question: Question, metric: str, predictor: str) -> Question:
    if question.chip is None or metric not in ("latency", "throughput", "energy", "power"):
        return question
    return with_usable_stack(question, question.chip, predictor)


def _latency(question: Question, graph: ModelGraph, predictor: str) -> Answer:
    """Kept, since throughput, power and energy ask for it too; what observed operators condition is not."""
    return (_cached_latency if question.operators is None else _predict_latency)(question, graph, predictor)


def _predict_latency(question: Question, graph: ModelGraph, predictor: str) -> Answer:
    chip = question.require_chip("latency")
    found = predict_latency(question, chip, graph, predictor)
    if found is None:
        raise RefusedError(unsupported_stack(question))
    question = replace(question, stack=found.stack)
    shortfall, others = exact.memory_shortfall(question, graph, chip), other_stacks(question, "latency")
    notes = (*question.notes, *shortfall, *found.notes, *others)
    return Answer(
        found.value, "ms", found.lower, found.upper, question.confidence, "predicted", found.level, found.support,
        metric="latency", protocol=found.protocol, surrogate=found.surrogate, shares=found.shares,
        **question.answer_fields(notes),
    )  # fmt: skip


_cached_latency = lru_cache(maxsize=1024)(_predict_latency)


def _power(question: Question, graph: ModelGraph, predictor: str) -> Answer:
    return _power_metric("power", power.watts, question, graph, predictor)


def _energy(question: Question, graph: ModelGraph, predictor: str) -> Answer:
    return _power_metric("energy", power.joules, question, graph, predictor)


def _power_metric(
    metric: str, law: Callable[..., power.Estimate], question: Question, graph: ModelGraph, predictor: str
) -> Answer:
    """Board power of the predicted pass, or its energy; the weaker of the two levels."""
    return _from_latency(metric, law, question, graph, _latency(question, graph, predictor))


def energy_of(question: Question, graph: ModelGraph, passed: Answer) -> Answer:
    """Predicted energy of a call whose latency is known better than by the surrogates: corrected by a measurement.

    >>> from hetbench.catalog.chips import chip
    >>> from hetbench.graphs.model_graph import load
    >>> question = Question.build(load("gpt2"), chip("cuda"), {})
    >>> passed = answer_metric(question, load("gpt2"), "latency")
    >>> energy_of(question, load("gpt2"), passed.scaled(2.0)).value > energy_of(question, load("gpt2"), passed).value
    True
    """
    return _from_latency("energy", power.joules, question, graph, passed)


def _from_latency(
    metric: str, law: Callable[..., power.Estimate], question: Question, graph: ModelGraph, passed: Answer
) -> Answer:
    chip, table = question.require_chip(metric), graph.operators(*question.sizes)
    between = None if passed.lower is None or passed.upper is None else (passed.lower, passed.upper)
    known = question.power
    found = law(
        table.flops, table.bytes, passed.value, chip, question.precision, between_ms=between, surrogate=known
    )  # fmt: skip
    lower, upper = (
        at_confidence(found.value, bound, known.interval_level, question.confidence)
        for bound in (found.lower, found.upper)
    )
    notes = (*passed.notes, found.note, *other_stacks(question, metric))
    return replace(
        passed, metric=metric, unit=metric_named(metric).unit, value=found.value, lower=lower, upper=upper,
        level=max(passed.level or "D", found.level), support=found.support, protocol=None, shares={},
        surrogate=f"{known.id} x {passed.surrogate}", notes=notes,
    )  # fmt: skip


def _throughput(question: Question, graph: ModelGraph, predictor: str) -> Answer:
    latency = _latency(question, graph, predictor)
    done, what = question.items_per_call()
    return replace(
        latency, metric="throughput", unit="1/s", value=1e3 * done / latency.value,
        lower=None if latency.upper is None else 1e3 * done / latency.upper,
        upper=None if latency.lower is None else 1e3 * done / latency.lower,
        notes=(*latency.notes, *other_stacks(question, "throughput"), f"{done} {what} a call / latency"),
    )  # fmt: skip


_SOLVERS: dict[str, Callable[[Question, ModelGraph, str], Answer]] = {
    "latency": _latency, "throughput": _throughput, "flops": exact.flops, "params": exact.params,
    "memory": exact.memory, "coverage": exact.coverage, "energy": _energy, "power": _power,
}  # fmt: skip
