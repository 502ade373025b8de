"""One call of `HetBench.query`: lists of metrics or devices become single questions, and each gets its answer."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from hetbench import schema
from hetbench.answers import Answer, Answers
from hetbench.errors import InvalidInputError, RefusedError, shown
from hetbench.mappings import ReadOnly
from hetbench.metrics import METRICS
from hetbench.metrics import metric as metric_named
from hetbench.query.architectures import DERIVED, quality_answer
from hetbench.query.comparison import answer_with_source
from hetbench.query.question import check_options, check_predictor
from hetbench.query.serving_queries import check_phase, serving_answer
from hetbench.query.session import Session
from hetbench.serving.engines import is_serving
from hetbench.spaces import ComposedGraph

__all__ = ["Request", "ask"]


@dataclass(frozen=True, slots=True)
class Request:
    """The arguments of one call of `HetBench.query`, as given."""

    model: Any
    source: str | None
    target: str | None
    metric: Any
    """A name, a list of names, or None for all metrics."""
    device: Any
    """Another word for `target`, or a list of chips."""
    source_value: float | None
    options: Mapping[str, Any]


def ask(request: Request, session: Session, query: Callable[[Request], Any]) -> Any:
    """The answer to a request; `query` answers the single requests that a list of metrics or devices stands for.

    >>> ask(Request("gpt2", None, None, "params", None, None, {}), Session(), print).value
    124439808.0
    """
    if request.target is not None and request.device is not None:
        raise InvalidInputError("target= and device= mean the same; give one of them.")
    if isinstance(request.metric, list | tuple | set | frozenset):
        return _each({name: replace(request, metric=name) for name in _names("metric", request.metric)}, query)
    if isinstance(request.device, list | tuple | set | frozenset):
        return _each({name: replace(request, device=name) for name in _names("device", request.device)}, query)
    check_options(request.options)
    check_phase(request.options, request.metric)
    target = request.target if request.target is not None else request.device
    model = session.model if request.model is None else request.model
    if is_serving(request.options.get("phase")):
        if request.source_value is not None:
            raise InvalidInputError("source_value= is not asked in the serving phase: no correction of it was fitted.")
        return serving_answer(session, model, (request.source, target), request.metric, request.options)
    if isinstance(model, ComposedGraph):
        if isinstance(request.metric, str) and request.metric in model.space.qualities:
            return quality_answer(model, request.metric, request.options)
        if target is None and request.metric not in DERIVED:
            return ask(replace(request, device=list(schema.FAMILIES)), session, query)
    return _answer(replace(request, model=model, target=target), session)


def _each(requests: Mapping[str, Request], query: Callable[[Request], Any]) -> Any:
    """The answer to each request by its name: `Answers` where these are single answers, with those refused.

    Where each is a mapping itself, a request that is refused as a whole gives `Answers` with that reason alone.
    """
    found, refused = {}, {}
    for name, request in requests.items():
        try:
            found[name] = query(request)
        except RefusedError as why:
            refused[name] = str(why)
    if all(isinstance(each, Answer) for each in found.values()):
        return Answers(found, refused)
    empty = {name: Answers({}, dict.fromkeys(METRICS, why)) for name, why in refused.items()}
    return ReadOnly({name: found.get(name, empty.get(name)) for name in requests})


def _names(what: str, given: Collection[object]) -> list[str]:
    """The names in a list of metrics or devices, in their order; those of a set sorted."""
    names = [name for name in given if isinstance(name, str)]
    if len(names) < len(given) or not names:
        raise InvalidInputError(f"{what}= is one name or a list of them; given: {shown(given)}.")
    return sorted(names) if isinstance(given, set | frozenset) else names


def _answer(request: Request, session: Session) -> Any:
    """One metric on one chip, or every metric."""
    metric = None if request.metric is None else metric_named(request.metric).name
    predictor = check_predictor(request.options.get("predictor"))
    graph = session.graph(request.model, request.options)
    pair = session.question_pair(graph, request.source, request.target, metric, request.options)
    if metric is not None:
        return answer_with_source(*pair, graph, metric, predictor, request.source_value)
    if request.source_value is not None:
        raise InvalidInputError("source_value is a figure in the unit of one metric: say metric=.")
    answers, refused = {}, {}
    for name in METRICS:
        try:
            answers[name] = answer_with_source(*pair, graph, name, predictor)
        except RefusedError as why:
            refused[name] = str(why)
    return Answers(answers, refused)
