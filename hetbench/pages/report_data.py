"""The data of a report page as plain JSON: every number on the page is an answer of `HetBench` found here.

An answer keeps its value, interval, level, setting, notes and references. The matrix compares the source, the default
chip of each family and the chips that were named; the ranking covers every chip that `targets` selects. The interval of
a ratio runs from target lower / source upper to target upper / source lower. If each side's interval contains the true
value with probability p, it contains the true ratio with probability 2 p - 1 or more, whatever the correlation of the
two errors (Bonferroni's inequality).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any

from hetbench.answers import LEVEL_TEXTS, Answer
from hetbench.api import HetBench
from hetbench.catalog import evidence
from hetbench.catalog.chips import Chip
from hetbench.catalog.models import models
from hetbench.catalog.sources import sources
from hetbench.errors import RefusedError
from hetbench.migration import Migration
from hetbench.schema import FAMILIES
from hetbench.version import __version__

__all__ = ["ReportRequest", "answer_facts", "chip_facts", "cited_sources", "coverage_facts", "model_facts",
           "published_latencies", "ratio_interval", "report_data"]  # fmt: skip

_ANSWER = ("value", "unit", "lower", "upper", "interval_level", "kind", "level", "support", "chip", "precision",
           "stack", "protocol", "surrogate")  # fmt: skip
_MODEL = ("name", "title", "category", "task", "architecture", "params", "params_source", "config_source", "licence",
          "batch", "seq_len", "image_size", "phases", "note")  # fmt: skip
_ROW = ("chip", "family", "precision", "batch", "seq_len", "image_size", "phase", "stack", "software", "value", "unit",
        "stat", "match", "use", "ref", "note")  # fmt: skip


@dataclass(frozen=True, slots=True)
class ReportRequest:
    """The models, chips and options of a report."""

    models: Sequence[Any]
    source: str = "cuda"
    targets: str = "all"
    """`all`, or families and chips separated by commas."""
    source_value: float | None = None
    """Latency in ms that the caller measured on the source."""
    slo_ms: float | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of `HetBench.query`."""
    slo: str | None = None
    """Objective of deployments, such as `ttft=500ms,tpot=30ms`: adds the ranking of chips for serving."""


def report_data(api: HetBench, request: ReportRequest) -> dict[str, Any]:
    """Everything that the page of a request shows, as plain JSON.

    Raises what `HetBench.migrate` raises for unknown names and invalid sizes, and `RefusedError` if no chip can run
    one of the models. Every other refusal is part of the data, with its reason.

    >>> found = report_data(HetBench(), ReportRequest(["bert-tiny"], targets="cann"))
    >>> [each["chip"] for each in found["models"][0]["coverage"]]
    ['nvidia-a100-sxm4-80gb', 'huawei-ascend-910b3']
    """
    compared = _compared(api, request)
    found = [_model(api, request, name, compared) for name in request.models]
    named = dict.fromkeys([*compared, *(each["chip"] for one in found for each in one["migration"]["candidates"][:5])])
    data: dict[str, Any] = {
        "hetbench": __version__, "source": compared[0], "targets": request.targets, "slo_ms": request.slo_ms,
        "source_value": request.source_value, "options": dict(request.options), "levels": dict(LEVEL_TEXTS),
        "chips_compared": compared, "models": found, "chips": {name: chip_facts(api.chip(name)[0]) for name in named},
    }  # fmt: skip
    return data | {"sources": cited_sources(_refs(data))}


def answer_facts(answer: Answer) -> dict[str, Any]:
    """An answer as JSON, without the answer of its source.

    >>> answer_facts(Answer(2.0, "ms", level="B"))["level"]
    'B'
    """
    found = {name: getattr(answer, name) for name in _ANSWER}
    return found | {"notes": list(answer.notes), "refs": list(answer.refs)}


def chip_facts(chip: Chip) -> dict[str, Any]:
    """The known datasheet facts of a chip, without its aliases."""
    found = {each.name: getattr(chip, each.name) for each in fields(Chip) if each.name != "aliases"}
    return {name: value for name, value in found.items() if value is not None}


def coverage_facts(api: HetBench, model: Any, chip: str, options: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Operator coverage of a model on a chip, or the reason of the refusal.

    >>> coverage_facts(HetBench(), "gpt2", "intel-core-ultra-7-165h-npu")["refused"][:25]
    'no operator registrations'
    """
    return _or_refusal(lambda: api.coverage(model, chip, **(options or {})).to_dict(), chip)


def model_facts(name: str) -> dict[str, Any] | None:
    """The record of a catalogue model; None for any other network.

    >>> model_facts("gpt2")["params"]
    124439808
    """
    record = models().get(name)
    if record is None:
        return None
    return {each: getattr(record, each) for each in _MODEL} | {"phases": list(record.phases)}


def published_latencies(name: str, sizes: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Published latencies of a model at these sizes and phase, without the rows that are for display only.

    >>> rows = published_latencies("resnet-50", {"batch": 1, "seq_len": None, "image_size": 224, "phase": "inference"})
    >>> {row["unit"] for row in rows}
    {'ms'}
    """
    if name not in models():
        return []
    rows = [row for row in evidence.rows(model=name, metric="latency")
            if row.use != "show" and all(getattr(row, key) == value for key, value in sizes.items())]  # fmt: skip
    return [{key: getattr(row, key) for key in _ROW} for row in rows]


def cited_sources(refs: Iterable[str]) -> list[dict[str, Any]]:
    """The projects whose repositories the references name, with their citation and licence.

    >>> [each["name"] for each in cited_sources(["microsoft/vidur@7d475133:data/x.csv"])]
    ['vidur']
    """
    repositories = {ref.split("@")[0].lower() for ref in refs}
    return [
        {"name": each.name, "title": each.title, "repository": each.repository, "licence": each.licence,
         "citation": each.citation, "gives": each.gives}
        for each in sources().values() if each.repository and each.repository.lower() in repositories
    ]  # fmt: skip


def _compared(api: HetBench, request: ReportRequest) -> list[str]:
    """The source, the default chips of the selected families, and the chips that are named."""
    words = [word.strip() for word in request.targets.split(",")]
    each: list[str] = [request.source, *(FAMILIES if "all" in words else ())]
    each += [word for word in words if word != "all"]
    return list(dict.fromkeys(api.chip(name)[0].name for name in each))


def _model(api: HetBench, request: ReportRequest, name: Any, compared: Sequence[str]) -> dict[str, Any]:
    ranked = api.migrate(
        name, request.source, request.targets, source_value=request.source_value, slo_ms=request.slo_ms,
        **request.options,
    )  # fmt: skip
    assert isinstance(ranked, Migration)  # one model, not a list
    best = ranked.candidates[0].latency
    sizes = {key: getattr(best, key) for key in ("batch", "seq_len", "image_size", "phase")}
    options = dict(request.options)
    return {
        "name": ranked.model, "facts": model_facts(ranked.model), "sizes": sizes, "migration": _ranking(ranked),
        "matrix": [_pair(api, name, source, target, options) for source in compared for target in compared],
        "published": published_latencies(ranked.model, sizes),
        "coverage": [coverage_facts(api, name, chip, options) for chip in compared],
        "attribution": [
            _or_refusal(partial(_attribution, api, request, name, chip), chip) for chip in compared[1:] or compared
        ],
        "plan": [_or_refusal(partial(_plan, api, name, chip, options), chip) for chip in compared],
        "serving": None if request.slo is None else _or_refusal(partial(_serving, api, request, name), ""),
    }  # fmt: skip


def _or_refusal(ask: Callable[[], Mapping[str, Any]], chip: str) -> dict[str, Any]:
    """The answer about a chip as JSON, or the reason of the refusal."""
    try:
        return {"chip": chip, "refused": None, **ask()}
    except RefusedError as why:
        return {"chip": chip, "refused": str(why)}


def _attribution(api: HetBench, request: ReportRequest, name: Any, chip: str) -> dict[str, Any]:
    """Attribution by operator type; `hetbench explain` also lists single operators."""
    source = None if api.chip(request.source)[0].name == chip else request.source
    value = None if source is None else request.source_value
    found = api.explain(name, source, chip, source_value=value, **request.options).to_dict()
    return {key: value for key, value in found.items() if key not in ("operators", "target", "source")} | {
        "source_chip": None if found["source"] is None else found["source"]["chip"],
        "precision": found["target"]["precision"], "stack": found["target"]["stack"],
    }  # fmt: skip


def _plan(api: HetBench, name: Any, chip: str, options: Mapping[str, Any]) -> dict[str, Any]:
    return api.advise(name, chip, **options).to_dict()


def _serving(api: HetBench, request: ReportRequest, name: Any) -> dict[str, Any]:
    asked = {key: value for key, value in request.options.items() if key in ("precision", "stack")}
    found = api.migrate(name, targets=request.targets, slo=request.slo, **asked)
    return {} if isinstance(found, Migration) else found.to_dict()


def _ranking(found: Migration) -> dict[str, Any]:
    candidates = []
    for each in found.candidates:
        names = ("chip", "family", "score", "meets", "memory_share", "pareto")
        source = each.latency.source
        candidates.append({name: getattr(each, name) for name in names} | {
            "latency": answer_facts(each.latency), "energy": None if each.energy is None else answer_facts(each.energy),
            "ratio": each.latency.ratio, "source": None if source is None else answer_facts(source),
            "beside": list(each.beside), "notes": list(each.notes),
        })  # fmt: skip
    return {"objective": found.objective, "unit": found.unit, "slo_ms": found.slo_ms, "source": found.source,
            "candidates": candidates, "dropped": [each.to_dict() for each in found.dropped]}  # fmt: skip


def _pair(api: HetBench, name: Any, source: str, target: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """A cell of the matrix; the latency itself on the diagonal."""
    place = {"source": source, "target": target}
    try:
        answer = api.query(name, None if source == target else source, target, "latency", **options)
    except RefusedError as why:
        return place | {"refused": str(why)}
    origin = answer.source or answer
    lower, upper, share = ratio_interval(answer, origin)
    return place | {
        "refused": None, "ratio": answer.ratio, "lower": lower, "upper": upper, "holds_at_least": share,
        "level": max(filter(None, (answer.level, origin.level)), default=None), "latency": answer_facts(answer),
        "source_latency": answer_facts(origin),
    }  # fmt: skip


def ratio_interval(target: Answer, source: Answer) -> tuple[float | None, float | None, float | None]:
    """Interval of target / source and its least coverage; None if neither side has an interval or both are the same.

    >>> ratio_interval(Answer(4.0, "ms", 2.0, 8.0), Answer(1.0, "ms", 0.5, 2.0))
    (1.0, 16.0, 0.8)
    """
    ends = [side for side in (target, source) if side.lower is not None and side.upper is not None]
    if not ends or target is source:
        return None, None, None
    low, high = (target.lower or target.value), (target.upper or target.value)
    least = 1.0 - sum(1.0 - side.interval_level for side in ends)
    return low / (source.upper or source.value), high / (source.lower or source.value), round(least, 6)


def _refs(found: Any) -> set[str]:
    """Every reference anywhere in `found`."""
    if isinstance(found, Mapping):
        own = {found["ref"]} if isinstance(found.get("ref"), str) else set(found.get("refs") or ())
        return own.union(*(_refs(value) for value in found.values()))
    if isinstance(found, list | tuple):
        return set().union(*(_refs(value) for value in found))
    return set()
