"""The pages in a headless Chromium: they open without errors, filter, sort, and show the figures of their data.

Skipped where no browser is found; HETBENCH_CHROMIUM names one that is not on the path.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hetbench import HetBench
from hetbench.answers import digits
from hetbench.pages.dashboard import answers_page
from hetbench.pages.dashboard_data import catalogue_answers, catalogue_data
from hetbench.pages.report import report_page
from hetbench.pages.report_data import ReportRequest, report_data
from tests.chromium import Chromium, binary, chromium

pytestmark = pytest.mark.skipif(binary() is None, reason="no Chromium on the path or in HETBENCH_CHROMIUM")

NAMES = ("bert-tiny", "resnet-50", "tinyllama-1.1b", "gpt2", "vit-base")
NARROW = 360


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory, site: Path) -> Path:
    """The small site, with a table of five models on all chips, and a report."""
    folder = tmp_path_factory.mktemp("pages")
    shutil.copytree(site, folder / "site")
    api = HetBench()
    table = answers_page(catalogue_data(catalogue_answers(api, NAMES)))
    (folder / "site" / "answers.html").write_text(table)
    (folder / "report.html").write_text(report_page(report_data(api, ReportRequest(["bert-tiny"], targets="cann,mlu"))))
    return folder


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with chromium(str(binary()), tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def home(pages: Path) -> str:
    return (pages / "site" / "answers.html").as_uri()


def rows(tab: Chromium) -> list[dict[str, Any]]:
    """Model, chip, value and the printed value of each row of the table."""
    return list(tab.run("""[...document.querySelectorAll('#rows tr')].map((row) => ({
        model: row.querySelector('th').textContent, chip: row.children[1].firstChild.textContent.trim(),
        family: row.querySelector('small').textContent, value: Number(row.querySelector('[data-value]').dataset.value),
        printed: row.querySelector('[data-value]').textContent, level: row.children[5].textContent}))"""))


def choose(tab: Chromium, name: str, value: str) -> None:
    tab.run(f"""(() => {{ const it = document.getElementById('{name}'); it.value = '{value}';
        it.dispatchEvent(new Event('input', {{bubbles: true}})); }})()""")


@pytest.mark.parametrize("width", [1200, 390, NARROW])
@pytest.mark.parametrize("path", ["report.html", "site/answers.html", "site/chips.html", "site/models/resnet-50.html"])
def test_a_page_opens_without_errors_and_is_no_wider_than_the_screen(
    tab: Chromium, pages: Path, path: str, width: int
):
    tab.open((pages / path).as_uri(), width)
    assert tab.faults() == []
    assert tab.run("document.documentElement.scrollWidth") <= width
    assert tab.run("document.querySelector('h1').textContent")


@pytest.mark.parametrize("metric", ["latency", "throughput", "energy", "memory"])
def test_the_table_shows_the_answers_of_the_library(tab: Chromium, pages: Path, metric: str):
    tab.open(home(pages) + f"#metric={metric}&family=cann")
    found, api = rows(tab), HetBench()
    assert len(found) > 20
    for row in found:
        answer = api.query(row["model"], target=row["chip"], metric=metric)
        assert (row["family"], row["value"], row["printed"]) == ("cann", answer.value, digits(answer.value))
        assert row["level"] == (answer.level or "–")


def test_filters_and_search_narrow_the_table_and_clear_restores_it(tab: Chromium, pages: Path):
    tab.open(home(pages))
    everything = tab.run("document.getElementById('count').textContent")
    choose(tab, "category", "cv")
    assert {row["model"] for row in rows(tab)} <= {"resnet-50", "vit-base"}
    choose(tab, "chip", "nvidia-t4")
    assert {row["chip"] for row in rows(tab)} == {"nvidia-t4"}
    choose(tab, "search", "RESNET t4")
    assert [row["model"] for row in rows(tab)] == ["resnet-50"]
    choose(tab, "search", "no such thing")
    assert rows(tab) == []
    assert "No answers" in tab.run("document.getElementById('count').textContent")
    tab.run("document.getElementById('clear').click(), new Promise((done) => setTimeout(done, 50))")
    assert tab.run("document.getElementById('count').textContent") == everything
    assert tab.faults() == []


def test_a_level_filter_leaves_out_weaker_evidence(tab: Chromium, pages: Path):
    tab.open(home(pages))
    choose(tab, "level", "C")
    assert {row["level"] for row in rows(tab)} <= set("ABC")


def test_a_head_sorts_by_its_column_and_back(tab: Chromium, pages: Path):
    tab.open(home(pages) + "#chip=nvidia-t4")
    values = [row["value"] for row in rows(tab)]
    assert values == sorted(values)
    tab.run("document.querySelector('button[data-by=value]').click()")
    assert [row["value"] for row in rows(tab)] == values[::-1]
    assert tab.run("document.querySelector('[aria-sort]').getAttribute('aria-sort')") == "descending"
    tab.run("document.querySelector('button[data-by=model]').click()")
    names = [row["model"] for row in rows(tab)]
    assert names == sorted(names)


def test_more_rows_come_on_demand_until_all_are_there(tab: Chromium, pages: Path):
    tab.open(home(pages))
    assert len(rows(tab)) == 100
    tab.run("(() => { const more = document.getElementById('more'); while (!more.hidden) more.click(); })()")
    assert f"{len(rows(tab)):,} answers" in tab.run("document.getElementById('count').textContent")


def test_a_view_is_kept_in_its_address(tab: Chromium, pages: Path):
    tab.open(home(pages))
    choose(tab, "metric", "energy")
    choose(tab, "family", "rocm")
    address = tab.run("location.href")
    tab.open(address)
    assert {row["family"] for row in rows(tab)} == {"rocm"}
    assert tab.run("document.getElementById('metric').value") == "energy"


def test_the_keyboard_reaches_every_control_in_order_and_the_focus_is_seen(tab: Chromium, pages: Path):
    tab.open(home(pages))
    wanted = ["search", "metric", "category", "family", "chip", "level", "clear"]
    reached = []
    for _ in range(16):
        tab.press("Tab", 9)
        reached.append(tab.run("document.activeElement.id || document.activeElement.textContent"))
        if reached[-1] in wanted:
            style = tab.run("getComputedStyle(document.activeElement).outlineStyle")
            assert style == "solid"
    assert reached[0] == "Skip to the content"
    assert [each for each in reached if each in wanted] == wanted


def test_a_head_is_pressed_by_a_key(tab: Chromium, pages: Path):
    tab.open(home(pages))
    tab.run("document.querySelector('button[data-by=chip]').focus()")
    tab.press("Enter", 13, "\r")
    chips = [row["chip"] for row in rows(tab)]
    assert chips == sorted(chips)


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("path", ["report.html", "site/index.html", "site/answers.html"])
def test_text_stands_out_from_its_ground_in_both_schemes(tab: Chromium, pages: Path, path: str, dark: bool):
    tab.open((pages / path).as_uri(), dark=dark)
    assert tab.run(_CONTRAST) == []


_CONTRAST = """(() => {
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const parse = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const ground = (node) => { for (; node; node = node.parentElement) {
    const found = parse(getComputedStyle(node).backgroundColor);
    if (found.length === 3 || found[3] > 0) return found; } return [255, 255, 255]; };
  const bad = [];
  const texts = 'p, h1, h2, h3, a, small, td, th, dt, dd, abbr, summary, button, label, text';
  for (const node of document.querySelectorAll(texts)) {
    if (!node.textContent.trim() || !node.getClientRects().length) continue;
    const style = getComputedStyle(node), one = light(parse(node.tagName === 'text' ? style.fill : style.color));
    const two = light(ground(node));
    const ratio = (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05);
    if (ratio < 4.5) bad.push([node.tagName, node.textContent.slice(0, 30), ratio]);
  }
  return bad.slice(0, 5);
})()"""
