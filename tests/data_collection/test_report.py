"""The report: figures as the store has them, dashes for what is not known, and a page that stands alone."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("duckdb")
pytest.importorskip("plotly")

from data_collection.pages import Heading, Table, html, markdown
from data_collection.report.__main__ import main
from data_collection.report.compatibility import Match, match
from data_collection.report.tables import Tables
from data_collection.store import Row, connect, open_run, read
from hetbench.api import HetBench
from hetbench.artifacts.atomic import staged
from hetbench.errors import InvalidInputError
from hetbench.pages.html import page_style

ROW = Row(
    kind="model", name="bert-tiny", batch=1, seq_len=128, precision="fp32", phase="inference", stack="eager",
    protocol="wall", threads=2, family="oneapi", chip="amd-epyc-zen4-2vcpu-kvm", software="torch 2.13", status="ok",
    library="<b>MKL</b> | oneDNN", latency_ms=4.0, spread=0.01, repeats=50, environment="e", run="r",
    started="2026-11-25T00:00:00+00:00",
)  # fmt: skip
ROWS = (
    ROW,
    replace(ROW, started="2026-11-25T00:00:01+00:00", batch=8, latency_ms=16.0, peak_memory_bytes=40_000_000),
    replace(ROW, stack="compiled", latency_ms=2.0),
    replace(ROW, batch=32, status="disturbed", latency_ms=None, spread=None, reason="<script>alert(1)</script>"),
    replace(ROW, kind="operator", name="Linear", dims='{"bias": 0, "k": 64, "m": 8, "n": 64}', batch=None,
            seq_len=None, phase="fwd", latency_ms=0.01),
)  # fmt: skip
VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"}


class Page(HTMLParser):
    """What a page holds, and whether its elements close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, Any]]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.seen)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("measured")
    with open_run(made, {"id": "e", "chip": ROW.chip, "cpus": 2, "driver": None}, ["test"]) as run:
        for row in ROWS:
            run.append(replace(row, run=run.name))
    return made


@pytest.fixture(scope="module")
def tables(store: Path) -> Tables:
    return Tables(connect(read(store)))


@pytest.fixture(scope="module")
def report(store: Path) -> Path:
    folder = store / "report"
    assert main(["--store", str(store), "--output", str(folder), "--models", "bert-tiny", "qwen2.5-7b"]) == 0
    return folder


def column(table: Table, name: str) -> list[Any]:
    return [row[list(table.columns).index(name)] for row in table.rows]


# what the tables say


def test_latency_and_throughput_are_those_of_the_rows_and_what_they_lack_is_none(tables: Tables):
    table = tables.latency()
    assert sorted(zip(column(table, "batch"), column(table, "p50, ms"), column(table, "samples (tokens)/s"),
                      strict=True)) == [(1, 2.0, 500.0), (1, 4.0, 250.0), (8, 16.0, 500.0)]  # fmt: skip
    assert set(column(table, "p99, ms")) == set(column(table, "energy, J")) == {None}
    assert all(ref.startswith("hetbench:2") for ref in column(table, "row of"))


def test_batches_are_compared_with_the_smallest_of_the_same_setting(tables: Tables):
    table = tables.batches()
    assert list(zip(column(table, "batch"), column(table, "x the smallest batch"), strict=True)) == [(1, 1.0), (8, 2.0)]


def test_a_speed_up_compares_the_same_model_at_the_same_size(tables: Tables):
    (row,) = tables.speedups("eager", "fp32").rows
    assert row[1:] == [1, 4.0, 2.0, 2.0]
    assert tables.speedups("eager", "bf16").rows == []


def test_measured_memory_stands_beside_the_derived(tables: Tables):
    (row,) = tables.memory().rows
    assert row[2] == 40.0
    assert row[3] == HetBench().query("bert-tiny", metric="memory", batch=8, seq_len=128, precision="fp32").value


def test_a_disturbed_row_gives_its_reason_and_no_figure(tables: Tables):
    (row,) = tables.failures().rows
    assert row[5:] == ["disturbed", "<script>alert(1)</script>"]


def test_a_setting_measured_twice_is_shown_once_by_its_newest_run_whatever_the_clock_said(tmp_path: Path):
    for day, latency in (("25", 4.0), ("26", 5.0), ("24", 6.0)):
        with open_run(tmp_path, {}) as run:
            run.append(replace(ROW, run=run.name, latency_ms=latency, started=f"2026-11-{day}T00:00:00+00:00"))
    table = Tables(connect(read(tmp_path))).latency()
    assert (column(table, "p50, ms"), column(table, "measured")) == ([6.0], [3])


# compatibility


@pytest.mark.parametrize(("changes", "rating"), [
    ({}, "good"), ({"level": "A"}, "good"), ({"level": "C"}, "fair"), ({"level": "D"}, "weak"),
    ({"covered_percent": 99.0}, "partial"), ({"needs_mb": 91.0}, "no"), ({"needs_mb": 90.0}, "good"),
    ({"level": None}, None), ({"has_mb": None}, None), ({"covered_percent": None}, None),
    ({"needs_mb": 91.0, "level": None, "covered_percent": None}, "no"),
])  # fmt: skip
def test_the_rating_follows_its_rule(changes: dict[str, Any], rating: str | None):
    known = Match("m", "c", "fp16", covered_percent=100.0, needs_mb=50.0, has_mb=100.0, level="B", latency_ms=1.0)
    assert replace(known, **changes).rating == rating


def test_a_match_is_what_hetbench_answers():
    api = HetBench()
    found = match(api, "qwen2.5-7b", "rocm")
    answer = api.query("qwen2.5-7b", target="rocm", metric="latency", batch=1)
    assert (found.level, found.latency_ms, found.chip) == (answer.level, answer.value, answer.chip)
    assert found.fits is True


def test_a_model_that_is_larger_than_the_memory_does_not_fit():
    small = match(HetBench(), "falcon-7b", "amd-gfx1102")
    assert small.needs_mb > small.has_mb
    assert (small.fits, small.rating) == (False, "no")


# the pages


def test_the_page_is_whole_loads_nothing_and_has_plotly_once(report: Path):
    text = (report / "report.html").read_text()
    page = Page(text)
    assert page.open == []
    for tag, attributes in page.seen:
        loaded = [attributes.get(name) or "" for name in ("src", "href")]
        assert all(not each or each.startswith(("#", "data:")) for each in loaded), (tag, attributes)
    assert text.count("plotly.js v") == 1
    assert len(re.findall(r'id="chart-\d"', text)) == 3


def test_the_page_can_be_read_with_a_keyboard_and_a_screen_reader(report: Path):
    page = Page((report / "report.html").read_text())
    assert dict(page.seen[0][1])["lang"] == "en"
    assert page.count("caption") == page.count("table") == sum(a.get("tabindex") == "0" for _, a in page.seen)
    assert {a.get("scope") for tag, a in page.seen if tag == "th"} == {"col"}
    assert page.count("h1") == page.count("main") == page.count("nav") == 1


def test_the_page_has_the_design_and_the_safety_of_all_pages_of_hetbench(report: Path):
    text = (report / "report.html").read_text()
    assert page_style() in text
    assert "default-src 'none'" in text
    assert 'href="#main"' in text


def test_text_of_the_store_is_escaped_on_both_pages(report: Path):
    for name in ("report.html", "report.md"):
        text = (report / name).read_text()
        assert "<script>alert" not in text
        assert "<b>MKL" not in text
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert r"&lt;b&gt;MKL&lt;/b&gt; \| oneDNN" in (report / "report.md").read_text()


def test_the_pages_print_the_rule_of_the_rating(report: Path):
    for name in ("report.html", "report.md"):
        assert "more than 90 % of the chip's memory" in (report / name).read_text().replace("&#x27;", "'")


def test_what_is_not_known_is_a_dash_and_zero_stays_zero():
    table = Table("t", ["a", "b", "c"], [[None, 0, 0.0]])
    assert "| – | 0 | 0 |" in markdown("x", [table])
    assert "<td>–</td><td class=number>0</td><td class=number>0</td>" in html("x", [Heading("h"), table])


# wrong usage


def test_an_empty_store_is_refused_with_what_to_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with open_run(tmp_path, {}):
        pass
    assert main(["--store", str(tmp_path), "--output", str(tmp_path / "out")]) == 3
    assert "holds no rows" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("words", "code", "said"), [
    (["--models", "bert-tinny"], 2, "Did you mean 'bert-tiny'"),
    (["--chips", "cudaa"], 2, "unknown chip 'cudaa'"),
    (["--reference", "egger/fp32"], 2, "Did you mean 'eager'"),
    (["--reference", "eager/fp31"], 2, "unknown precision 'fp31'"),
    (["--store", "/nowhere"], 2, "is no store"),
    (["--output", "/proc/report"], 2, "Name a writable directory"),
])  # fmt: skip
def test_wrong_usage_says_what_would_be_right(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, said: str
):
    assert main(["--store", str(store), "--output", str(tmp_path / "out"), *words]) == code
    assert said in capsys.readouterr().err


def test_a_report_replaces_an_earlier_one_and_nothing_else(tmp_path: Path):
    folder = tmp_path / "out"
    for text in ("old", "new"):
        with staged(folder, ["a"]) as partial:
            (partial / "a").write_text(text)
    assert (folder / "a").read_text() == "new"
    (folder / "thesis.txt").touch()
    with pytest.raises(InvalidInputError, match=r"holds 'thesis\.txt'"), staged(folder, ["a"]):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]


def test_a_report_that_fails_leaves_the_earlier_one(tmp_path: Path):
    with staged(tmp_path / "out", ["a"]) as partial:
        (partial / "a").write_text("old")
    with pytest.raises(ZeroDivisionError), staged(tmp_path / "out", ["a"]):
        raise ZeroDivisionError
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out" / "a").read_text() == "old"
