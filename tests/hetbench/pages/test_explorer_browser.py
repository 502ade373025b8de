"""The explorer in a headless Chromium: its answers are those of the library, at every width, by keyboard and by ear.

Skipped where no browser is found; HETBENCH_CHROMIUM names one that is not on the path, HETBENCH_AXE the `axe.min.js` of
axe-core where accessibility is to be checked by it, too.
"""

from __future__ import annotations

import csv
import json
import os
import time
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest

from hetbench import HetBench
from hetbench.answers import digits
from hetbench.pages.explorer.choice import choose
from hetbench.pages.explorer.grids import ask_grids
from hetbench.pages.explorer.interpolation import between
from hetbench.pages.labels import chip_label
from tests.chromium import Chromium, binary, chromium
from tests.hetbench.pages.conftest import SITE_CHIPS

pytestmark = pytest.mark.skipif(binary() is None, reason="no Chromium on the path or in HETBENCH_CHROMIUM")

WIDTHS = (390, 768, 1280, 2560)
SERVED = "#models=tinyllama-1.1b&phase=serving&metric=per_chip"


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with chromium(str(binary()), tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="module")
def api() -> HetBench:
    return HetBench()


def show(tab: Chromium, site: Path, address: str = "", width: int = 1280, dark: bool = False) -> None:
    """The explorer at an address, once it is drawn."""
    tab.open((site / "index.html").as_uri() + address, width, dark=dark)
    end = time.monotonic() + 30
    while not tab.run("document.documentElement.dataset.ready") and time.monotonic() < end:
        time.sleep(0.02)


def choose_value(tab: Chromium, name: str, value: str) -> None:
    kind = "change" if name.startswith("number-") else "input"
    tab.run(f"""(() => {{ const it = document.getElementById('{name}'); it.value = '{value}';
        it.dispatchEvent(new Event('{kind}', {{bubbles: true}})); }})()""")


def headline(tab: Chromium) -> str:
    return str(tab.run("document.querySelector('.headline').textContent"))


def ranking(tab: Chromium) -> list[list[str]]:
    """The cells of the ranking's table."""
    found: list[list[str]] = tab.run("""[...document.querySelectorAll('#ranking-body tbody tr')].map((row) =>
        [...row.children].map((cell) => cell.textContent))""")
    return found


# answers


def test_the_headline_says_the_ratio_that_two_queries_give(tab: Chromium, site: Path, api: HetBench):
    show(tab, site, "#models=bert-tiny&target=amd-mi210&variant=fp16&batch=4&seq_len=512")
    asked = {"model": "bert-tiny", "metric": "latency", "precision": "fp16", "batch": 4, "seq_len": 512}
    here, there = (api.query(target=name, **asked) for name in ("amd-mi210", "nvidia-a100-sxm4-80gb"))
    low, high = there.lower / here.upper, there.upper / here.lower
    said = (f"AMD MI210: {digits(there.value / here.value)} × [{digits(low)}, {digits(high)}] the speed of "
            f"NVIDIA A100 SXM4 80GB, level {max(here.level, there.level)}.")  # fmt: skip
    assert headline(tab).endswith(said)
    assert "inference, batch 4, 512 tokens, fp16" in headline(tab)


@pytest.mark.parametrize(("phase", "metric"), [
    ("inference", "throughput"), ("prefill", "throughput"), ("decode", "throughput"), ("decode", "energy"),
    ("serving", "ttft"),
])  # fmt: skip
def test_the_ranking_holds_the_answers_of_the_library(
    tab: Chromium, site: Path, api: HetBench, phase: str, metric: str
):
    show(tab, site, f"#models=tinyllama-1.1b&phase={phase}&metric={metric}&fits=no")
    names = {chip_label(name): name for name in SITE_CHIPS}
    options = {"chips": 1} if phase == "serving" else {}
    rows = ranking(tab)
    assert len(rows) >= 5
    for name, value, *_ in rows:
        chip = names[name.partition(". ")[2]]
        answer = api.query("tinyllama-1.1b", target=chip, phase=phase, metric=metric, **options)
        assert value == digits(answer.value)


def test_between_grid_points_the_browser_computes_what_python_computes(tab: Chromium, site: Path, api: HetBench):
    show(tab, site)
    block = ask_grids(api, choose(api, ["bert-tiny"], SITE_CHIPS[:3]))[0].blocks[0]
    error = json.loads(str(tab.run("document.getElementById('data').textContent")))["errors"][0]["p90"]
    for sizes in ({"batch": 3, "seq_len": 200}, {"batch": 50, "seq_len": 33}, {"batch": 7, "seq_len": 128}):
        for quantity in ("latency", "energy"):
            mine = between(block, quantity, 1, 0, sizes)
            theirs = tab.run("explorer.answerAt(explorer.blocks.get('bert-tiny|inference'), "
                             f"'{quantity}', 1, 0, {json.dumps(sizes)})")  # fmt: skip
            assert mine is not None
            assert theirs["value"] == pytest.approx(mine.value, rel=1e-5)
            assert theirs["level"] == mine.level
            assert theirs["lower"] == pytest.approx(mine.lower / 2.718281828**error, rel=1e-5)
            assert theirs["upper"] == pytest.approx(mine.upper * 2.718281828**error, rel=1e-5)


def test_outside_the_grid_the_page_refuses_and_names_the_sizes(tab: Chromium, site: Path):
    show(tab, site, "#models=bert-tiny&batch=1000&target=amd-mi210")
    assert "outside the sizes of this page (batch 1 to 64, tokens 32 to 512)" in headline(tab)


# filters, permalinks, files


def test_filters_narrow_the_ranking_and_the_rest_is_listed_with_the_reason(tab: Chromium, site: Path):
    show(tab, site, "#models=resnet-50")
    everything = len(ranking(tab))
    tab.run("document.querySelector('#families input[value=rocm]').click()")
    assert [row[0] for row in ranking(tab)] == ["1. AMD MI210"]
    assert "left out by the filter: family" in tab.run("document.getElementById('ranking-body').textContent")
    tab.run("document.querySelector('#controls [type=reset]').click(), new Promise((done) => setTimeout(done, 50))")
    assert len(ranking(tab)) == everything
    choose_value(tab, "level", "C")
    assert {row[3] for row in ranking(tab)} <= set("ABC")
    choose_value(tab, "level", "")
    choose_value(tab, "memory", "60")
    assert {row[0].partition(". ")[2] for row in ranking(tab)} >= {"AMD MI210", "NVIDIA A100 SXM4 80GB"}
    assert "NVIDIA T4" not in str(ranking(tab))


def test_a_deadline_keeps_the_chips_whose_value_meets_it(tab: Chromium, site: Path):
    show(tab, site, "#models=resnet-50&deadline=5")
    rows = ranking(tab)
    assert 0 < len(rows) < 7
    assert all(float(row[1]) <= 5 for row in rows)
    assert {row[-1] for row in rows} <= {"yes", "likely"}


def test_a_view_is_kept_in_its_address(tab: Chromium, site: Path):
    show(tab, site, "#models=tinyllama-1.1b,bert-tiny&phase=prefill")
    choose_value(tab, "number-batch", "6")
    choose_value(tab, "metric", "throughput")
    choose_value(tab, "source", "nvidia-t4")
    address, said, rows = tab.run("location.hash"), headline(tab), ranking(tab)
    show(tab, site, address)
    assert (headline(tab), ranking(tab)) == (said, rows)
    assert "batch 6" in said
    assert "interpolated" in rows[0]
    assert "Not answered in this phase: BERT-Tiny" in tab.run("document.getElementById('missing').textContent")


def test_the_csv_holds_every_chip_with_its_value_or_reason(tab: Chromium, site: Path, api: HetBench):
    show(tab, site, "#models=bert-tiny&variant=fp32")
    rows = list(csv.DictReader(StringIO(tab.run("explorer.csvOf(explorer.chosenBlocks())"))))
    assert {row["chip"] for row in rows} == set(SITE_CHIPS)
    refused = next(row for row in rows if row["chip"] == "huawei-ascend-950")
    assert (refused["value"], "memory bandwidth" in refused["left_out"]) == ("", True)
    row = next(row for row in rows if row["chip"] == "nvidia-t4")
    answer = api.query("bert-tiny", target="nvidia-t4", metric="latency", precision="fp32")
    assert float(row["value"]) == pytest.approx(answer.value, rel=1e-6)
    assert (row["level"], row["stack"]) == (answer.level, answer.stack)


def test_a_saved_figure_stands_alone(tab: Chromium, site: Path):
    show(tab, site, "#models=resnet-50")
    text = tab.run("explorer.standalone(document.querySelector('#ranking-body figure > svg'))")
    assert text.startswith("<svg")
    assert 'xmlns="http://www.w3.org/2000/svg"' in text
    fills = tab.run(f"""(() => {{ const it = new DOMParser().parseFromString({json.dumps(text)}, 'image/svg+xml');
        return [...it.querySelectorAll('*')].map((each) => each.style.fill); }})()""")
    assert len(fills) > 20
    assert not any("var(" in fill for fill in fills)


# figures, widths, keyboard


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("address", ["#models=bert-tiny,resnet-50", SERVED])
def test_it_fits_the_screen_and_no_labels_of_an_axis_collide(tab: Chromium, site: Path, width: int, address: str):
    show(tab, site, address, width, dark=width in (768, 2560))
    assert tab.faults() == []
    assert tab.run("document.documentElement.scrollWidth") <= width
    assert tab.run(_COLLISIONS) == []
    unlabelled = "[...document.querySelectorAll('figure text')].filter((it) => !it.textContent.trim()).length"
    assert tab.run(unlabelled) == 0  # D3 leaves out labels of a logarithmic axis where it finds them too many
    assert tab.run("""[...document.querySelectorAll('.board table')].filter((it) => !it.closest('.wide')
        || (it.offsetWidth > it.closest('.wide').clientWidth + 1
        && getComputedStyle(it.closest('.wide')).overflowX === 'visible')).length""") == 0


_COLLISIONS = """(() => {
  const bad = [];
  for (const svg of document.querySelectorAll('figure svg')) {
    const boxes = [...svg.querySelectorAll('text')].filter((it) => it.textContent.trim())
      .map((it) => [it.textContent, it.getBoundingClientRect()]);
    const frame = svg.closest('figure').getBoundingClientRect();
    boxes.forEach(([text, a], at) => {
      if (a.right > frame.right + 2 || a.left < frame.left - 2) bad.push([text, 'leaves its figure']);
      for (const [other, b] of boxes.slice(at + 1)) {
        if (Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
          && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 4) bad.push([text, other]);
      }
    });
  }
  return bad.slice(0, 5);
})()"""


def test_it_prints_on_a4_without_controls_and_no_table_is_cut(tab: Chromium, site: Path):
    show(tab, site, "#models=tinyllama-1.1b&phase=prefill")
    tab.send("Emulation.setDeviceMetricsOverride", width=703, height=1000, deviceScaleFactor=1, mobile=False)
    tab.send("Emulation.setEmulatedMedia", media="print")  # 703 px are the 186 mm between the margins
    assert tab.run("document.documentElement.scrollWidth") <= 703
    assert tab.run("[...document.querySelectorAll('table')].filter((it) => it.scrollWidth > 703).length") == 0
    assert tab.run("document.getElementById('controls').getClientRects().length") == 0
    assert tab.run("document.querySelector('#ranking figure svg').getClientRects().length") == 1
    tab.send("Emulation.setEmulatedMedia", media="")


def test_every_figure_has_a_role_a_label_a_title_and_states_its_setting(tab: Chromium, site: Path):
    for address in ("#models=bert-tiny", SERVED):
        show(tab, site, address)
        figures = tab.run("""[...document.querySelectorAll('figure > svg')].map((it) => [it.getAttribute('role'),
            it.getAttribute('aria-label'), it.querySelector('title').textContent,
            it.parentElement.querySelector('figcaption').textContent])""")
        assert len(figures) >= 2
        for role, label, title, caption in figures:
            assert role == "img"
            assert len(label) > 40
            assert title in label
            assert title in caption
            assert "batch 1" in title or "input tokens" in title


def test_a_slider_moves_by_keys_and_the_figures_follow(tab: Chromium, site: Path):
    show(tab, site, "#models=bert-tiny")
    before = headline(tab)
    tab.run("document.getElementById('range-batch').focus()")
    for _ in range(3):
        tab.press("PageUp", 33)
    assert tab.run("document.activeElement.id") == "range-batch"
    assert tab.run("Number(document.getElementById('number-batch').value)") > 1
    assert headline(tab) != before
    assert "batch=" in tab.run("location.hash")


def test_every_control_has_a_name_and_the_headline_is_announced(tab: Chromium, site: Path):
    show(tab, site)
    nameless = tab.run("""[...document.querySelectorAll('input, select, button')].filter((it) =>
        !it.labels.length && !it.getAttribute('aria-label') && !it.textContent.trim()).map((it) => it.outerHTML)""")
    assert nameless == []
    assert tab.run("document.getElementById('headline').getAttribute('aria-live')") == "polite"


def test_loading_takes_less_than_two_seconds_of_script_and_layout(tab: Chromium, site: Path):
    tab.send("Performance.enable")
    show(tab, site)
    spent = {each["name"]: each["value"] for each in tab.send("Performance.getMetrics")["metrics"]}
    assert spent["ScriptDuration"] + spent["LayoutDuration"] + spent["RecalcStyleDuration"] < 2.0


@pytest.mark.skipif(not os.environ.get("HETBENCH_AXE"), reason="HETBENCH_AXE names no axe.min.js")
@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_nothing_serious(tab: Chromium, site: Path, dark: bool):
    show(tab, site, SERVED, dark=dark)
    tab.run(Path(os.environ["HETBENCH_AXE"]).read_text() + ";0")
    found = tab.run("axe.run().then((found) => found.violations.map((it) => [it.impact, it.id]))")
    assert [each for each in found if each[0] in ("serious", "critical")] == []
