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
from hetbench.graphs import ModelGraph
from hetbench.metrics import metric as metric_named
from hetbench.predict import power
from hetbench.predict.intervals import rescaled_bound
from hetbench.query import exact
from hetbench.query.latency import LatencyPrediction, predict_latency, with_usable_stack
from hetbench.query.pieces import work_of
from hetbench.query.published import other_stacks, published_answer, unsupported_stack
from hetbench.query.question import Question
from hetbench.query.training import predict_step, step_memory
from hetbench.training import TrainingGraph

__all__ = ["answer_metric", "energy_of", "predict_metric"]


def answer_metric(question: Question, graph: ModelGraph, metric: str, predictor: str = "auto") -> Answer:
    """The answer for one metric: a published row of exactly this setting (predictor `auto`), else a prediction.

    Raises `RefusedError` where nothing supports an answer.

    >>> from hetbench.catalog.chips import chip
    >>> from hetbench.graphs.model_graph import load
    >>> answer_metric(Question.build(load("gpt2"), chip("cuda"), {"batch": 8}), load("gpt2"), "throughput").unit
    '1/s'
    """
    question = _with_usable_stack(question, metric, predictor)
    if predictor == "auto":
        found = published_answer(question, metric)
        if found is not None:
            return found
        measured = published_answer(question, "latency") if metric in _POWER_LAWS else None
        if measured is not None:
            return _from_latency(metric, _POWER_LAWS[metric], question, graph, measured)
    return _SOLVERS[metric](question, graph, predictor)


def predict_metric(question: Question, graph: ModelGraph, metric: str, predictor: str) -> Answer:
    """The answer of the surrogates even where a published row exists: in a ratio of two, common errors cancel."""
    return _SOLVERS[metric](_with_usable_stack(question, metric, predictor), graph, predictor)


def _with_usable_stack(question: Question, metric: str, predictor: str) -> Question:
    if question.chip is None or metric not in ("latency", "throughput", "energy", "power"):
        return question
    return with_usable_stack(question, question.chip, predictor)


def _latency(question: Question, graph: ModelGraph, predictor: str) -> Answer:
    """Cached, since throughput, power and energy need it too; not cached once the caller observed timings."""
    plain = question.operators is None and not question.observed
    return (_cached_latency if plain else _predict_latency)(question, graph, predictor)


def _predict_latency(question: Question, graph: ModelGraph, predictor: str) -> Answer:
    chip = question.require_chip("latency")
    if isinstance(graph, TrainingGraph):
        found: LatencyPrediction | None = predict_step(question, chip, graph, predictor)
    else:
        found = predict_latency(question, chip, graph, predictor)
    if found is None:
        raise RefusedError(unsupported_stack(question, predictor))
    shortfall, others = exact.memory_shortfall(question, graph, chip), other_stacks(question, "latency")
    notes = (*question.notes, *shortfall, *found.notes, *others)
    return Answer(
        found.value, "ms", found.lower, found.upper, question.confidence, "predicted", found.level, found.support,
        metric="latency", protocol=found.protocol, surrogate=found.surrogate, shares=found.shares,
        **question.answer_fields(notes),
    )  # fmt: skip


_cached_latency = lru_cache(maxsize=1024)(_predict_latency)


_POWER_LAWS: dict[str, Callable[..., power.Estimate]] = {"power": power.watts, "energy": power.joules}
"""Metrics that follow from the latency of a pass, be it measured or predicted."""


def _power(question: Question, graph: ModelGraph, predictor: str) -> Answer:
    return _power_metric("power", question, graph, predictor)


def _energy(question: Question, graph: ModelGraph, predictor: str) -> Answer:
    return _power_metric("energy", question, graph, predictor)


def _power_metric(metric: str, question: Question, graph: ModelGraph, predictor: str) -> Answer:
    """Board power of the predicted pass, or its energy."""
    return _from_latency(metric, _POWER_LAWS[metric], question, graph, _latency(question, graph, predictor))


def energy_of(question: Question, graph: ModelGraph, latency: Answer) -> Answer:
    """Predicted energy in J of one call whose latency is given, for example corrected by a measurement.

    `latency` is the answer for its latency in ms; its interval carries over to the energy.

    >>> from hetbench.catalog.chips import chip
    >>> from hetbench.graphs.model_graph import load
    >>> question = Question.build(load("gpt2"), chip("cuda"), {})
    >>> latency = answer_metric(question, load("gpt2"), "latency")
    >>> energy_of(question, load("gpt2"), latency.scaled(2.0)).value > energy_of(question, load("gpt2"), latency).value
    True
    """
    return _from_latency("energy", power.joules, question, graph, latency)


def _from_latency(
    metric: str, law: Callable[..., power.Estimate], question: Question, graph: ModelGraph, latency: Answer
) -> Answer:
    """Board power or energy of a pass of this latency; the level is the weaker of latency and power model."""
    chip, table = question.require_chip(metric), graph.operators(*question.sizes)
    between = None if latency.lower is None or latency.upper is None else (latency.lower, latency.upper)
    known = question.power
    flops, moved = work_of(table, question)
    found = law(
        flops, moved, latency.value, chip, question.precision, between_ms=between, surrogate=known
    )  # fmt: skip
    lower, upper = (
        rescaled_bound(found.value, bound, known.interval_level, question.confidence)
        for bound in (found.lower, found.upper)
    )
    notes = (*latency.notes, found.note, *other_stacks(question, metric))
    return replace(
        latency, metric=metric, unit=metric_named(metric).unit, value=found.value, lower=lower, upper=upper,
        kind="predicted", level=max(latency.level or "D", found.level), support=found.support, protocol=None, shares={},
        surrogate=f"{known.id} x {latency.surrogate or 'measured latency'}", notes=notes,
    )  # fmt: skip


def _throughput(question: Question, graph: ModelGraph, predictor: str) -> Answer:
    latency = _latency(question, graph, predictor)
    done, what = question.items_per_call()
    done *= graph.chips if isinstance(graph, TrainingGraph) else 1
    return replace(
        latency, metric="throughput", unit="1/s", value=1e3 * done / latency.value,
        lower=None if latency.upper is None else 1e3 * done / latency.upper,
        upper=None if latency.lower is None else 1e3 * done / latency.lower,
        notes=(*latency.notes, *other_stacks(question, "throughput"), f"{done} {what} per call / latency"),
    )  # fmt: skip


def _memory(question: Question, graph: ModelGraph, predictor: str) -> Answer:
    if isinstance(graph, TrainingGraph):
        return step_memory(question, graph)
    return exact.memory(question, graph, predictor)


_SOLVERS: dict[str, Callable[[Question, ModelGraph, str], Answer]] = {
    "latency": _latency, "throughput": _throughput, "flops": exact.flops, "params": exact.params,
    "memory": _memory, "coverage": exact.coverage, "energy": _energy, "power": _power,
}  # fmt: skip
