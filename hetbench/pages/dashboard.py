"""`hetbench dashboard`: an explorer of the catalogue as a static site of self-contained pages.

`index.html` is the explorer, `answers.html` a table of all answers at default sizes; both need a script. The page of
each model and the page of the chips work without one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hetbench.api import HetBench
from hetbench.artifacts.atomic import staged
from hetbench.catalog.chips import Chip, chips
from hetbench.pages.dashboard_data import DASHBOARD_METRICS, catalogue_answers, catalogue_data
from hetbench.pages.explorer.bundle import bundle
from hetbench.pages.explorer.choice import choose
from hetbench.pages.explorer.grids import ask_grids, expected
from hetbench.pages.explorer.interpolation import measured_error
from hetbench.pages.explorer.page import explorer_page
from hetbench.pages.html import (
    Markup,
    bullet_list,
    definition_list,
    details,
    document,
    fill_template,
    level_legend,
    paragraph,
    read_template,
    section,
    table,
    to_html,
)  # fmt: skip
from hetbench.pages.model_page import model_page
from hetbench.schema import FAMILIES

__all__ = ["SITE_FILES", "answers_page", "write_site"]

SITE_FILES = ("index.html", "answers.html", "chips.html", "models")

Progress = Callable[[int, int], None]
"""Called with the answers that are done and those that are needed."""


def write_site(
    api: HetBench, folder: Path, model_names: Sequence[str] | None = None, chip_names: Sequence[str] | None = None,
    full: bool = False, progress: Progress = lambda done, needed: None,
) -> tuple[dict[str, Any], int]:  # fmt: skip
    """Write the site to `folder`; return the data of `answers.html` and the size of all pages in bytes.

    Names left out mean all models of the catalogue and the chips of `hetbench.pages.explorer.choice`; with `full` all
    chips and denser grids. The write is atomic: after an error the folder is as it was before. Raises
    `InvalidInputError` if `folder` cannot be written or contains other files, `UnknownNameError` for an unknown
    name.
    """
    with staged(folder, SITE_FILES) as made:
        choice = choose(api, model_names, chip_names, full)
        table = len(choice.models) * len(choice.chips) * len(DASHBOARD_METRICS)
        needed, done = expected(api, choice) + table, 0

        def add(answers: int) -> None:
            nonlocal done
            done += answers
            progress(done, needed)

        grids, _ = ask_grids(api, choice, add)
        pages = {"index.html": explorer_page(bundle(api, grids, measured_error(api, grids))), "chips.html": _chips()}
        found = catalogue_answers(api, choice.models, choice.chips, add) if choice.models else {}
        data = catalogue_data(found)
        (made / "models").mkdir()
        pages["answers.html"] = answers_page(data)
        pages |= {f"models/{name}.html": model_page(api, name, answers) for name, answers in found.items()}
        for path, text in pages.items():
            (made / path).write_text(text, encoding="utf-8")
    return data, sum(len(text.encode()) for text in pages.values())


def answers_page(data: Mapping[str, Any]) -> str:
    """The table of all answers, which a script fills, and links to the pages that need none."""
    metrics = "".join(f'<option value="{name}">{name}, {to_html(each["unit"])}</option>'
                      for name, each in data["metrics"].items())  # fmt: skip
    families = list(dict.fromkeys(each["family"] for each in data["chips"]))
    categories = list(dict.fromkeys(each["category"] for each in data["models"]))
    body = fill_template(
        read_template("dashboard.html"), metrics=metrics, families=_options("all families", families),
        categories=_options("all categories", categories),
        chips=_options("all chips", [each["name"] for each in data["chips"]]),
        levels="".join(f'<option value="{name}">{name}{"" if name == "A" else " or better"}</option>'
                       for name in data["levels"]),
        meanings=definition_list({name: each["meaning"] for name, each in data["metrics"].items()}),
        key=level_legend(),
        pages=bullet_list(Markup(f'<a href="models/{each["name"]}.html">{to_html(each["title"])}</a>')
                          for each in data["models"]),
    )  # fmt: skip
    answers = sum(len(rows) for rows in data["rows"].values())
    intro = paragraph(
        f"{answers:,} answers for {len(data['models'])} models on {len(data['chips'])} chips, each model at its "
        "default size and each chip in its default precision and stack. Every figure is measured, predicted with an "
        "interval and an evidence level, or derived exactly from the operator graph. Written by hetbench "
        f"{data['hetbench']}; the page loads nothing.", "faint")
    links = [("index.html", "Explorer"), ("#answers", "Answers"), ("#levels", "Evidence levels"),
             ("#models", "Models"), ("chips.html", "Chips")]  # fmt: skip
    return document("hetbench: AI models on chips", intro, links, [Markup(body)], data, read_template("dashboard.js"))


def _options(every: str, names: Sequence[str]) -> str:
    each = "".join(f'<option value="{to_html(name)}">{to_html(name)}</option>' for name in names)
    return f'<option value="">{every}</option>{each}'


def _chips() -> str:
    """Datasheet facts of every chip, by family."""
    by_family: dict[str, list[Chip]] = {family: [] for family in FAMILIES}
    for chip in chips().values():
        by_family.setdefault(chip.family, []).append(chip)
    columns = ["chip", "*vendor", "architecture", "year", "*compute units", "fp32", "fp16", "*bf16", "*int8",
               "memory, GB", "GB/s", "*TDP, W", "confidence", "source and notes"]  # fmt: skip
    parts = []
    for family, each in by_family.items():
        parts.append(section(family, family, [table(f"Chips of family {family}", columns, map(_facts, each))]))
    intro = paragraph("Datasheet facts with their source and the reviewer's confidence. Peaks are dense (no sparsity), "
                      "in TFLOPS, int8 in TOPS. A dash means unknown.", "faint")  # fmt: skip
    links = [("index.html", "Explorer"), ("answers.html", "All answers"),
             *((f"#{family}", family) for family in by_family)]  # fmt: skip
    return document("hetbench: chips", intro, links, parts)


def _facts(chip: Chip) -> list[Any]:
    numbers = (chip.launch_year, chip.compute_units, chip.fp32_tflops, chip.fp16_tflops, chip.bf16_tflops,
               chip.int8_tops, chip.mem_gb, chip.mem_bw_gbs, chip.tdp_w)  # fmt: skip
    stated = (value if value is None else Markup(f"{value:g}") for value in numbers)
    return [chip.name, chip.vendor, chip.arch, *stated, chip.confidence, _source(chip)]


def _source(chip: Chip) -> Markup:
    note = f"<br>{to_html(chip.notes)}" if chip.notes else ""
    return details("source", Markup(f"<small>{to_html(chip.source)}{note}</small>"))
