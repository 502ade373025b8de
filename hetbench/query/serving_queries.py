"""Questions about deployments of language models: the serving phase of `HetBench.query`, and `serve_plan`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hetbench import serving
from hetbench.answers import Answer, Answers
from hetbench.errors import InvalidInputError, RefusedError, UnknownNameError
from hetbench.query.observed_serving import observed_answer
from hetbench.query.question import check_confidence, check_predictor
from hetbench.query.session import Session
from hetbench.serving.engines import is_serving
from hetbench.serving.published import published
from hetbench.training import is_training

__all__ = ["ServingQueries", "check_phase", "serving_answer"]

_ONLY_SERVING = ("ttft", "tpot", "total_throughput")


def check_phase(options: Mapping[str, Any], metric: str | None) -> None:
    """Raise `InvalidInputError` where an option or metric of one phase is given in another."""
    if is_serving(options.get("phase")):
        for name, instead in (("batch", "concurrency"), ("seq_len", "input_len")):
            if options.get(name) is not None:
                raise InvalidInputError(f"{name}= is not asked in the serving phase; give {instead}= instead.")
        if options.get("image_size") is not None:
            raise InvalidInputError("image_size= is not asked in the serving phase: a deployment takes tokens.")
        if check_predictor(options.get("predictor")) != "auto":
            raise InvalidInputError("predictor= is not asked in the serving phase: it has one predictor alone.")
        return
    training = is_training(options.get("phase"))
    given = [name for name in serving.OPTIONS if options.get(name) is not None and not (training and name == "chips")]
    if options.get("optimizer") is not None and not training:
        raise InvalidInputError('optimizer= belongs to training steps: add phase="training".')
    if isinstance(metric, str) and metric in _ONLY_SERVING:
        raise InvalidInputError(f'{metric} is a metric of deployments: add phase="serving".')
    if given:
        raise InvalidInputError(f'{given[0]}= belongs to deployments: add phase="serving".')


def serving_answer(
    session: Session, model: Any, sides: tuple[str | None, str | None], metric: str | None, options: Mapping[str, Any]
) -> Any:
    """One metric of a deployment, or all of them; `sides` are source and target chip."""
    source, target = sides
    if target is None:
        raise InvalidInputError("no chip to serve on: name one with target= or device=. `hetbench chips` lists them.")
    if not isinstance(metric, str | None):
        raise UnknownNameError("metric of serving", metric, serving.METRICS)
    facts = serving.language_of(session.graph(model))
    if metric is not None:
        here = _deployment(session, facts, target, options)
        if source is None:
            return published(here, metric) or _predicted(session, here, metric, options)
        there = _deployment(session, facts, source, options)
        answer, origin = published(here, metric), published(there, metric)
        if answer is None or origin is None:  # like with like: both published, or both predicted
            answer, origin = (_predicted(session, each, metric, options) for each in (here, there))
        return replace(answer, source=origin, ratio=answer.value / origin.value)
    answers, refused = {}, {}
    for name in serving.METRICS:
        try:
            answers[name] = serving_answer(session, model, sides, name, options)
        except RefusedError as why:
            refused[name] = str(why)
    return Answers(answers, refused)


def _deployment(
    session: Session, facts: serving.LanguageModel, chip: str, options: Mapping[str, Any]
) -> serving.Deployment:
    meant, notes = session.chip(chip)
    made = serving.build(facts, meant, options)
    return replace(made, notes=(*notes, *made.notes))


def _predicted(session: Session, deployment: serving.Deployment, metric: str, options: Mapping[str, Any]) -> Answer:
    confidence = check_confidence(options.get("confidence"))
    return observed_answer(deployment, metric, session.effects, confidence)


class ServingQueries:
    """Part of `HetBench`: choosing a deployment."""

    _session: Session

    def serve_plan(
        self, model: Any = None, target: str | None = None, *, slo: str | Mapping[str, float] | None = None,
        input_len: int | None = None, output_len: int | None = None, chips: int | None = None,
        precision: str | None = None, kv: str | None = None, stack: str | None = None,
    ) -> serving.ServePlan:  # fmt: skip
        """Compare every parallel plan on a node at every load, and find the cheapest deployment within an objective.

        Args:
            model: as in `query`, a language model.
            target: chip or family to serve on.
            slo: objective, such as `"ttft=500ms,tpot=30ms"`, or a mapping of metrics to ms.
            input_len, output_len: tokens of a request; left out, 1024 each.
            chips: most chips of a deployment; left out, those of a node.
            precision, kv, stack: weight format, KV cache format, engine, as in `query`.

        Returns:
            A `ServePlan`: the front of throughput per chip against TPOT, and of the points within the objective the
            one of most throughput per chip.

        Raises:
            As `query`; RefusedError where the model fits on no plan.

        >>> from hetbench import HetBench
        >>> found = HetBench().serve_plan("meta-llama/Llama-3.1-8B", "nvidia-h100-sxm5-80gb", slo="tpot=20ms")
        >>> found.cheapest.meets, found.cheapest.tpot_ms <= 20
        (True, True)
        """
        if target is None:
            raise InvalidInputError("no chip to serve on: name one with target=. `hetbench chips` lists them.")
        facts = serving.language_of(self._session.graph(model))
        options = {"input_len": input_len, "output_len": output_len, "chips": chips, "precision": precision, "kv": kv,
                   "stack": stack}  # fmt: skip
        chip, _ = self._session.chip(target)
        return serving.serve_plan(facts, chip, options, self._session.effects, serving.parse_slo(slo))
