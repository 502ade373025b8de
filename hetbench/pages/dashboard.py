"""`hetbench dashboard`: the catalogue as a static site. `index.html` filters all answers by program; one page a model
and one of the chips are complete without it. Every page stands alone and loads nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hetbench.answers import Answer
from hetbench.api import HetBench
from hetbench.artifacts.atomic import staged
from hetbench.catalog.chips import Chip, chips
from hetbench.pages.dashboard_data import SHOWN, catalogue, catalogue_data
from hetbench.pages.html import (
    Markup,
    details,
    document,
    fill,
    level,
    level_key,
    link,
    listed,
    paragraph,
    section,
    shown,
    span,
    table,
    template,
)  # fmt: skip
from hetbench.pages.report_data import coverage_facts, model_facts, published, upstreams
from hetbench.pages.sections import ranking as sections
from hetbench.pages.svg import axis, interval, logarithmic
from hetbench.schema import FAMILIES

__all__ = ["WRITTEN", "write_site"]

WRITTEN = ("index.html", "chips.html", "models")
Answered = Mapping[str, Mapping[str, Answer | str]]
_HOME = [("../index.html", "All models and chips"), ("../chips.html", "Chips")]


def write_site(
    api: HetBench, folder: Path, names: Sequence[str] | None = None, on: Sequence[str] | None = None
) -> tuple[dict[str, Any], int]:
    """Write the site and return its data and its bytes; it is there in full, or as it was before.

    All models and chips of the catalogue, where none are named.

    Raises `InvalidInputError` where `folder` cannot be written or holds anything else.
    """
    with staged(folder, WRITTEN) as made:
        found = catalogue(api, names, on)
        data = catalogue_data(found)
        (made / "models").mkdir()
        pages = {"index.html": _index(data), "chips.html": _chips()}
        pages |= {f"models/{name}.html": _model(api, name, answers) for name, answers in found.items()}
        for path, text in pages.items():
            (made / path).write_text(text, encoding="utf-8")
    return data, sum(len(text.encode()) for text in pages.values())


def _index(data: Mapping[str, Any]) -> str:
    """The table of all answers, which the program fills, and links to what needs none."""
    metrics = "".join(f'<option value="{name}">{name}, {shown(each["unit"])}</option>'
                      for name, each in data["metrics"].items())  # fmt: skip
    families = list(dict.fromkeys(each["family"] for each in data["chips"]))
    categories = list(dict.fromkeys(each["category"] for each in data["models"]))
    body = fill(
        template("dashboard.html"), metrics=metrics, families=_options("all families", families),
        categories=_options("all categories", categories),
        chips=_options("all chips", [each["name"] for each in data["chips"]]),
        levels="".join(f'<option value="{name}">at least {name}</option>' for name in data["levels"]),
        meanings=sections.facts({name: each["meaning"] for name, each in data["metrics"].items()}), key=level_key(),
        pages=listed(Markup(f'<a href="models/{each["name"]}.html">{shown(each["title"])}</a>')
                     for each in data["models"]),
    )  # fmt: skip
    answers = sum(len(rows) for rows in data["rows"].values())
    intro = paragraph(
        f"{answers:,} answers about {len(data['models'])} models and {len(data['chips'])} chips at each model's usual "
        "size, each chip's usual precision and stack. Every figure is measured, predicted with an interval and an "
        f"evidence level, or exact arithmetic. Written by hetbench {data['hetbench']}; nothing is loaded.", "faint")
    links = [("#answers", "Answers"), ("#levels", "Evidence levels"), ("#models", "Models"), ("chips.html", "Chips")]
    return document("hetbench: models on chips", intro, links, [Markup(body)], data, template("dashboard.js"))


def _options(every: str, names: list[str]) -> str:
    each = "".join(f'<option value="{shown(name)}">{shown(name)}</option>' for name in names)
    return f'<option value="">{every}</option>{each}'


def _chips() -> str:
    """Facts of every chip, by family."""
    by: dict[str, list[Chip]] = {family: [] for family in FAMILIES}
    for chip in chips().values():
        by.setdefault(chip.family, []).append(chip)
    columns = ["chip", "*vendor", "architecture", "year", "*units", "fp32", "fp16", "*bf16", "*int8", "memory, GB",
               "GB/s", "*TDP, W", "confidence", "source and notes"]  # fmt: skip
    parts = []
    for family, each in by.items():
        parts.append(section(family, family, [table(f"Chips of {family}", columns, map(_facts, each))]))
    intro = paragraph("Datasheet facts with their source and the reviewer's confidence. Peaks are dense, in TFLOPS "
                      "(int8: TOPS). A dash is not known.", "faint")  # fmt: skip
    links = [("index.html", "All models and chips"), *((f"#{family}", family) for family in by)]
    return document("hetbench: chips", intro, links, parts)


def _facts(chip: Chip) -> list[Any]:
    numbers = (chip.launch_year, chip.compute_units, chip.fp32_tflops, chip.fp16_tflops, chip.bf16_tflops,
               chip.int8_tops, chip.mem_gb, chip.mem_bw_gbs, chip.tdp_w)  # fmt: skip
    stated = (value if value is None else Markup(f"{value:g}") for value in numbers)
    return [chip.name, chip.vendor, chip.arch, *stated, chip.confidence, _told(chip)]


def _told(chip: Chip) -> Markup:
    note = f"<br>{shown(chip.notes)}" if chip.notes else ""
    return details("source", Markup(f"<small>{shown(chip.source)}{note}</small>"))


def _model(api: HetBench, name: str, answers: Answered) -> str:
    """One model on all chips, the fastest first."""
    known = model_facts(name) or {}
    done = {chip: each for chip, each in answers.items() if isinstance(each["latency"], Answer)}
    first = next(iter(done.values()))["latency"]
    sizes = {key: getattr(first, key) for key in ("batch", "seq_len", "image_size", "phase")}
    rows = published(name, sizes)
    about = sections.facts({
        "task": known["task"], "parameters": known["params"], "architecture": known["architecture"],
        "asked at": ", ".join(f"{key.replace('_', ' ')} {shown(value)}" for key, value in sizes.items() if value),
        "configuration": known["config_source"], "licence of the weights": known["licence"], "note": known["note"],
    })  # fmt: skip
    whole = {"published": rows, "coverage": [coverage_facts(api, name, family) for family in FAMILIES]}
    refs = [row["ref"] for row in rows] + [ref for each in done.values() for one in each.values()
                                           if isinstance(one, Answer) for ref in one.refs]  # fmt: skip
    body = [
        about, section("answers", "On every chip", [sections.legend(), _answers(done, rows), _refusals(answers)]),
        sections.published(whole, "m"), sections.coverage(whole, "m"),
        section("levels", "Evidence levels", [level_key()]), sections.upstreams(upstreams(refs)),
    ]  # fmt: skip
    links = [*_HOME, ("#answers", "On every chip"), ("#m-published", "Published"), ("#m-coverage", "Coverage"),
             ("#levels", "Evidence levels")]  # fmt: skip
    intro = paragraph("Usual size of the model, usual precision and stack of each chip.", "faint")
    return document(f"{known['title']} on every chip", intro, links, body)


def _answers(done: Answered, rows: list[dict[str, Any]]) -> Markup:
    order = sorted(done.items(), key=lambda item: item[1]["latency"].value)  # type: ignore[union-attr]
    points: dict[str, list[float]] = {}
    for row in rows:
        points.setdefault(row["chip"], []).append(row["value"])
    each = [answer["latency"] for _, answer in order if isinstance(answer["latency"], Answer)]
    scale = logarithmic([value for one in each for value in (one.value, one.lower, one.upper) if value])
    columns = ["chip", axis(scale, "ms"), "latency, ms", "*interval, ms", "level", "*throughput, 1/s", "*energy, J",
               "*memory, MB", "*precision", "*stack"]  # fmt: skip
    body = []
    for (name, answers), one in zip(order, each, strict=True):
        drawn = interval(scale, one.value, one.lower, one.upper, measured=one.kind == "measured",
                         points=points.get(name, ()))  # fmt: skip
        others = [answers[metric] for metric in SHOWN[1:]]
        body.append([Markup(f"{shown(name)} <small>{shown(chips()[name].family)}</small>"), drawn, one.value,
                     span(one.lower, one.upper), level(one.level),
                     *(other.value if isinstance(other, Answer) else None for other in others), one.precision,
                     one.stack])  # fmt: skip
    notes = [[name, one.kind, one.support, one.surrogate, Markup(f"{listed(one.notes)}{listed(map(link, one.refs))}")]
             for (name, _), one in zip(order, each, strict=True)]  # fmt: skip
    grounds = table("Latencies", ["chip", "kind", "rows", "surrogate", "notes"], notes)
    return Markup(table(f"{len(body)} chips, fastest first; intervals at {100 * each[0].interval_level:g} %", columns,
                        body, "chart") + details("What each latency rests on", grounds))  # fmt: skip


def _refusals(answers: Answered) -> Markup:
    by: dict[str, list[str]] = {}
    for chip, each in answers.items():
        for metric, answer in each.items():
            if isinstance(answer, str):
                by.setdefault(f"{metric}: {answer.replace(chip, 'it')}", []).append(chip)
    return details("What is refused, and why", listed(f"{', '.join(names)}: {why}" for why, names in by.items()))
