"""Results show themselves in a notebook, as data frames and as charts, with the figures that they hold."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from hetbench.answers import Answer, Answers
from hetbench.api import HetBench
from hetbench.display import Level, Range, Tabular, View
from hetbench.display.frames import LIBRARIES
from hetbench.display.markup import html_of
from hetbench.errors import RefusedError, UnknownNameError

ANSWER = Answer(
    2.0, "ms", 1.0, 4.0, level="C", model="gpt2", chip="nvidia-l4", batch=8, notes=("a note",), refs=("o/r@c:p",)
)
BOTH = Answers({"latency": ANSWER}, {"energy": "nobody measured energy here"})


class Reader(HTMLParser):
    """Texts by tag, and the open tags, which must all be closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag != "br":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        """A tag that closes itself."""

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.fixture(scope="module")
def api() -> HetBench:
    return HetBench()


@pytest.fixture(scope="module")
def results(api: HetBench) -> dict[str, Tabular]:
    return {
        "migration": api.migrate("gpt2", source="cuda", targets="cann,nvidia-l4"),
        "fleet": api.migrate(["gpt2", "resnet-50"], targets="cann"),
        "coverage": api.coverage("gpt2", "rocm"), "attribution": api.explain("gpt2", source="cuda", target="cann"),
        "plan": api.advise("gpt2", "cann"), "answer": ANSWER, "answers": BOTH,
    }  # fmt: skip


NAMES = ("migration", "fleet", "coverage", "attribution", "plan", "answer", "answers")


@pytest.mark.parametrize("name", NAMES)
def test_a_result_is_a_table_whose_rows_are_as_long_as_its_head(results: dict[str, Tabular], name: str):
    view = results[name].view()
    assert view.rows
    assert {len(row) for row in view.rows} == {len(view.columns)}


@pytest.mark.parametrize("name", NAMES)
def test_the_html_of_a_result_is_closed_and_holds_its_caption(results: dict[str, Tabular], name: str):
    page = Reader(results[name]._repr_html_())  # type: ignore[operator]
    assert page.open == []
    assert page.texts[0] == results[name].view().caption


@pytest.mark.parametrize("name", NAMES)
def test_records_are_flat_and_become_a_data_frame_of_as_many_rows(results: dict[str, Tabular], name: str):
    records = results[name].records()
    assert all(isinstance(cell, str | int | float | None) for record in records for cell in record.values())
    frame = results[name].to_frame("pyarrow")
    assert (frame.num_rows, set(frame.column_names)) == (len(records), {key for record in records for key in record})


def test_records_of_answers_hold_the_refused_with_the_reason():
    first, second = BOTH.records()
    assert (first["value"], first["lower"], first["refs"], first["refused"]) == (2.0, 1.0, "o/r@c:p", None)
    assert second == {"metric": "energy", "refused": "nobody measured energy here"}


def test_a_ranking_shows_chips_in_its_order_and_those_left_out_in_its_records(api: HetBench):
    found = api.migrate("gpt2", targets="cann,nvidia-l4")
    assert [label for label, _ in found.view().ranges()] == [each.chip for each in found.candidates]
    assert {record["chip"] for record in found.records() if record.get("left_out")} == {
        each.chip for each in found.dropped
    }


def test_markup_in_a_name_is_shown_as_text():
    shown = html_of(View("<script>", ("<b>",), (("<img src=x>",),), ("<i>",)))
    assert not re.search("<(script|img|i)[ >]", shown)


def test_a_bar_puts_value_and_interval_in_proportion():
    """From 0 to 4 on 140 pixels with a margin of 4: 1, 2 and 4 are at 37, 70 and 136."""
    bar = html_of(View("", ("a", "b"), (("x", Range(2.0, "ms", 1.0, 4.0)),)))
    assert ('x1="37.0"' in bar, 'cx="70.0"' in bar, 'x2="136.0"' in bar) == (True, True, True)
    assert 'aria-label="2 ms [1, 4]"' in bar


def test_a_value_without_an_interval_is_a_bar_from_zero_in_proportion():
    """From -1 to 3 on 132 pixels: 0 is at 4 + 33 and 3 at 136."""
    rows = tuple((str(value), Range(value, "ms")) for value in (-1.0, 3.0))
    page = html_of(View("", ("a", "b"), rows))
    assert '<rect x="4.0" y="4" width="33.0"' in page
    assert '<rect x="37.0" y="4" width="99.0"' in page


def test_a_column_that_is_empty_in_every_row_is_not_shown():
    page = html_of(View("", ("a", "b", "c"), (("x", "", "y"), ("z", "", ""))))
    assert ("a</th>" in page, "b</th>" in page, "c</th>" in page) == (True, False, True)


def test_a_level_explains_itself():
    assert 'title="measured here"' in html_of(View("", ("level",), ((Level("A", "measured here"),),)))


def test_an_unknown_or_missing_library_is_taught():
    with pytest.raises(UnknownNameError, match="Did you mean 'polars'"):
        ANSWER.to_frame("polar")
    if "polars" in LIBRARIES and not _installed("polars"):
        with pytest.raises(RefusedError, match="pip install polars"):
            ANSWER.to_frame("polars")


def _installed(name: str) -> bool:
    from importlib.util import find_spec

    return find_spec(name) is not None


def test_a_chart_draws_every_figure_with_its_interval():
    pytest.importorskip("matplotlib")
    rows = tuple((name, Range(value, "ms", value / 2, value * 2)) for name, value in (("a", 1.0), ("b", 1000.0)))
    axes = Given("two", rows).plot()
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["a", "b"]
    assert (axes.get_xscale(), axes.get_xlabel()) == ("log", "ms")
    line = axes.lines[0]
    assert line.get_xdata().tolist() == [1.0, 1000.0]


def test_a_chart_of_a_result_without_numbers_is_refused():
    pytest.importorskip("matplotlib")
    with pytest.raises(RefusedError, match="no number to draw"):
        Answers({}, {"energy": "nobody measured it"}).plot()


class Given(Tabular):
    """A result of given rows."""

    def __init__(self, caption: str, rows: tuple[tuple[Any, ...], ...]) -> None:
        self._view = View(caption, ("name", "figure"), rows)

    def view(self) -> View:
        return self._view
