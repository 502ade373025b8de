"""Every number of a report page, asked of `HetBench` and kept as plain JSON; the page draws what is here and no more.

An answer keeps its value, interval, level, setting, notes and references. The matrix stands on the source, each
family's default chip and the chips that were named; the ranking on every chip that `targets` means. The interval of a
ratio spans both ends, from the target's lower over the source's upper to the opposite: where each side's interval
holds a share p of the true values, it holds 2 p - 1 of the ratios at least, however the two errors hang together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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

__all__ = ["Asked", "answer_facts", "between", "chip_facts", "coverage_facts", "model_facts", "published",
           "report_data", "upstreams"]  # fmt: skip

_ANSWER = ("value", "unit", "lower", "upper", "interval_level", "kind", "level", "support", "chip", "precision",
           "stack", "protocol", "surrogate")  # fmt: skip
_MODEL = ("name", "title", "category", "task", "architecture", "params", "params_source", "config_source", "licence",
          "batch", "seq_len", "image_size", "phases", "note")  # fmt: skip
_ROW = ("chip", "family", "precision", "batch", "seq_len", "image_size", "phase", "stack", "software", "value", "unit",
        "stat", "match", "use", "ref", "note")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asked:
    """What a report is asked to show."""

    models: Sequence[Any]
    source: str = "cuda"
    targets: str = "all"
    """`all`, or families and chips parted by commas."""
    source_value: float | None = None
    """Latency in ms that the caller measured on the source."""
    slo_ms: float | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    """Those of `HetBench.query`."""


def report_data(api: HetBench, asked: Asked) -> dict[str, Any]:
    """Everything that the page of `asked` shows.

    Raises what `HetBench.migrate` raises for names and sizes that cannot be meant, and `RefusedError` where a model
    can go nowhere; what else is refused stands on the page with its reason.

    >>> found = report_data(HetBench(), Asked(["bert-tiny"], targets="cann"))
    >>> [each["chip"] for each in found["models"][0]["coverage"]]
    ['nvidia-a100-sxm4-80gb', 'huawei-ascend-910b3']
    """
    shown = _shown(api, asked)
    found = [_model(api, asked, name, shown) for name in asked.models]
    named = dict.fromkeys([*shown, *(each["chip"] for one in found for each in one["migration"]["candidates"][:5])])
    data: dict[str, Any] = {
        "hetbench": __version__, "source": shown[0], "targets": asked.targets, "slo_ms": asked.slo_ms,
        "source_value": asked.source_value, "options": dict(asked.options), "levels": dict(LEVEL_TEXTS),
        "shown": shown, "models": found, "chips": {name: chip_facts(api.chip(name)[0]) for name in named},
    }  # fmt: skip
    return data | {"sources": upstreams(_refs(data))}


def answer_facts(answer: Answer) -> dict[str, Any]:
    """An answer without its source side.

    >>> answer_facts(Answer(2.0, "ms", level="B"))["level"]
    'B'
    """
    found = {name: getattr(answer, name) for name in _ANSWER}
    return found | {"notes": list(answer.notes), "refs": list(answer.refs)}


def chip_facts(chip: Chip) -> dict[str, Any]:
    """What is known of a chip, its names in data left out."""
    found = {each.name: getattr(chip, each.name) for each in fields(Chip) if each.name != "aliases"}
    return {name: value for name, value in found.items() if value is not None}


def coverage_facts(api: HetBench, model: Any, chip: str, options: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What a chip runs of a model, or why that is refused.

    >>> coverage_facts(HetBench(), "gpt2", "intel-core-ultra-7-165h-npu")["refused"][:25]
    'no operator registrations'
    """
    return _asked(lambda: api.coverage(model, chip, **(options or {})).to_dict(), chip)


def model_facts(name: str) -> dict[str, Any] | None:
    """The record of a model of the catalogue; None for any other network.

    >>> model_facts("gpt2")["params"]
    124439808
    """
    record = models().get(name)
    if record is None:
        return None
    return {each: getattr(record, each) for each in _MODEL} | {"phases": list(record.phases)}


def published(name: str, sizes: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Published latencies of a model at these sizes and phase, that may answer or stand beside a prediction.

    >>> rows = published("resnet-50", {"batch": 1, "seq_len": None, "image_size": 224, "phase": "inference"})
    >>> {row["unit"] for row in rows}
    {'ms'}
    """
    if name not in models():
        return []
    rows = [row for row in evidence.rows(model=name, metric="latency")
            if row.use != "show" and all(getattr(row, key) == value for key, value in sizes.items())]  # fmt: skip
    return [{key: getattr(row, key) for key in _ROW} for row in rows]


def upstreams(refs: Iterable[str]) -> list[dict[str, Any]]:
    """The upstreams whose repositories are referred to, with how to cite them.

    >>> [each["name"] for each in upstreams(["microsoft/vidur@7d475133:data/x.csv"])]
    ['vidur']
    """
    repositories = {ref.split("@")[0].lower() for ref in refs}
    return [
        {"name": each.name, "title": each.title, "repository": each.repository, "licence": each.licence,
         "citation": each.citation, "gives": each.gives}
        for each in sources().values() if each.repository and each.repository.lower() in repositories
    ]  # fmt: skip


def _shown(api: HetBench, asked: Asked) -> list[str]:
    """The source, the default chips of the families that are meant, and the chips that are named."""
    words = [word.strip() for word in asked.targets.split(",")]
    each: list[str] = [asked.source, *(FAMILIES if "all" in words else ())]
    each += [word for word in words if word != "all"]
    return list(dict.fromkeys(api.chip(name)[0].name for name in each))


def _model(api: HetBench, asked: Asked, name: Any, shown: Sequence[str]) -> dict[str, Any]:
    ranked = api.migrate(name, asked.source, asked.targets, source_value=asked.source_value, slo_ms=asked.slo_ms,
                         **asked.options)  # fmt: skip
    assert isinstance(ranked, Migration)  # one model, not a list
    best = ranked.candidates[0].latency
    sizes = {key: getattr(best, key) for key in ("batch", "seq_len", "image_size", "phase")}
    options = dict(asked.options)
    return {
        "name": ranked.model, "facts": model_facts(ranked.model), "sizes": sizes, "migration": _ranking(ranked),
        "matrix": [_pair(api, name, source, target, options) for source in shown for target in shown],
        "published": published(ranked.model, sizes),
        "coverage": [coverage_facts(api, name, chip, options) for chip in shown],
        "attribution": [
            _asked(partial(_attribution, api, asked, name, chip), chip) for chip in shown[1:] or shown
        ],
        "plan": [_asked(partial(_plan, api, name, chip, options), chip) for chip in shown],
    }  # fmt: skip


def _asked(ask: Any, chip: str) -> dict[str, Any]:
    """The plain answer about a chip, or why it is refused."""
    try:
        return {"chip": chip, "refused": None, **ask()}
    except RefusedError as why:
        return {"chip": chip, "refused": str(why)}


def _attribution(api: HetBench, asked: Asked, name: Any, chip: str) -> dict[str, Any]:
    """By type of operator; single operators are left to `hetbench explain`."""
    source = None if api.chip(asked.source)[0].name == chip else asked.source
    value = None if source is None else asked.source_value
    found = api.explain(name, source, chip, source_value=value, **asked.options).to_dict()
    return {key: value for key, value in found.items() if key not in ("operators", "target", "source")} | {
        "source_chip": None if found["source"] is None else found["source"]["chip"],
        "precision": found["target"]["precision"], "stack": found["target"]["stack"],
    }  # fmt: skip


def _plan(api: HetBench, name: Any, chip: str, options: Mapping[str, Any]) -> dict[str, Any]:
    return api.advise(name, chip, **options).to_dict()


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
    """A cell of the matrix; on the diagonal the latency itself."""
    place = {"source": source, "target": target}
    try:
        answer = api.query(name, None if source == target else source, target, "latency", **options)
    except RefusedError as why:
        return place | {"refused": str(why)}
    origin = answer.source or answer
    lower, upper, share = between(answer, origin)
    return place | {
        "refused": None, "ratio": answer.ratio, "lower": lower, "upper": upper, "holds_at_least": share,
        "level": max(filter(None, (answer.level, origin.level)), default=None), "latency": answer_facts(answer),
        "source_latency": answer_facts(origin),
    }  # fmt: skip


def between(target: Answer, source: Answer) -> tuple[float | None, float | None, float | None]:
    """Interval of target / source and the least share that it holds; None where both are measured or the same.

    >>> between(Answer(4.0, "ms", 2.0, 8.0), Answer(1.0, "ms", 0.5, 2.0))
    (1.0, 16.0, 0.8)
    """
    ends = [side for side in (target, source) if side.lower is not None and side.upper is not None]
    if not ends or target is source:
        return None, None, None
    low, high = (target.lower or target.value), (target.upper or target.value)
    least = 1.0 - sum(1.0 - side.interval_level for side in ends)
    return low / (source.upper or source.value), high / (source.lower or source.value), round(least, 6)


def _refs(found: Any) -> set[str]:
    """Every reference anywhere below `found`."""
    if isinstance(found, Mapping):
        own = {found["ref"]} if isinstance(found.get("ref"), str) else set(found.get("refs") or ())
        return own.union(*(_refs(value) for value in found.values()))
    if isinstance(found, list | tuple):
        return set().union(*(_refs(value) for value in found))
    return set()
