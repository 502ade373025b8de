"""The pages: every number on them is an answer of the library, they are sound HTML, and they load nothing."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import hetbench.pages
from hetbench import HetBench, chips, models
from hetbench.answers import digits
from hetbench.artifacts.atomic import write_whole
from hetbench.cli import main
from hetbench.errors import InvalidInputError, RefusedError
from hetbench.pages.dashboard import write_site
from hetbench.pages.dashboard_data import DASHBOARD_METRICS
from hetbench.pages.explorer.page import vendored
from hetbench.pages.report import report_page
from hetbench.pages.report_data import ReportRequest, report_data
from tests.hetbench.pages.conftest import SITE_CHIPS, SITE_MODELS

ASKED = {"bert-tiny": "all", "resnet-50": "cann,mlu", "qwen2.5-7b": "rocm"}
VENDOR = Path(hetbench.pages.__file__).parent / "vendor"
VOID = {"area", "base", "br", "col", "hr", "img", "input", "link", "meta"}


class Page(HTMLParser):
    """What a page holds, and whether its elements close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, Any], tuple[str, ...]]] = []
        self.data = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.seen.append((tag, dict(attrs), tuple(self.open)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.seen.append((tag, dict(attrs), tuple(self.open)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["script"] and self.seen[-1][1].get("id") == "data":
            self.data += data

    def all(self, tag: str) -> list[dict[str, Any]]:
        return [attributes for name, attributes, _ in self.seen if name == tag]


@pytest.fixture(scope="module")
def api() -> HetBench:
    return HetBench()


@pytest.fixture(scope="module", params=ASKED)
def report(request: pytest.FixtureRequest, api: HetBench) -> tuple[str, dict[str, Any], str]:
    """Name of the model, the JSON that its page holds, the page."""
    text = report_page(report_data(api, ReportRequest([request.param], targets=ASKED[request.param])))
    return request.param, json.loads(Page(text).data), text


def one(data: dict[str, Any]) -> dict[str, Any]:
    return data["models"][0]


def plain(value: Any) -> Any:
    return json.loads(json.dumps(value))


# every number of a report is an answer


def test_the_matrix_holds_what_query_answers_between_every_two_chips(report: Any, api: HetBench):
    name, data, _ = report
    assert len(one(data)["matrix"]) == len(data["chips_compared"]) ** 2
    for cell in one(data)["matrix"]:
        same = cell["source"] == cell["target"]
        answer = api.query(name, None if same else cell["source"], cell["target"], "latency")
        origin = answer.source or answer
        assert (cell["ratio"], cell["latency"]["value"], cell["source_latency"]["value"]) == (
            answer.ratio, answer.value, origin.value)  # fmt: skip
        assert cell["level"] == max(answer.level, origin.level)
        if not same:
            assert cell["lower"] == pytest.approx((answer.lower or answer.value) / (origin.upper or origin.value))
            assert cell["upper"] == pytest.approx((answer.upper or answer.value) / (origin.lower or origin.value))
            assert cell["lower"] <= cell["ratio"] <= cell["upper"]


def test_the_ranking_holds_what_migrate_answers(report: Any, api: HetBench):
    name, data, _ = report
    found = plain(api.migrate(name, "cuda", ASKED[name]).to_dict())
    shown = one(data)["migration"]
    assert shown["dropped"] == found["dropped"]
    assert len(shown["candidates"]) == len(found["candidates"])
    for mine, theirs in zip(shown["candidates"], found["candidates"], strict=True):
        for side in ("latency", "energy"):
            if theirs[side] is not None:
                assert mine[side].items() <= theirs[side].items()
        assert mine["source"]["value"] == theirs["latency"]["source"]["value"]
        assert mine["ratio"] == theirs["latency"]["ratio"]
        assert all(mine[key] == theirs[key] for key in ("chip", "score", "memory_share", "pareto", "beside", "notes"))


def test_coverage_and_attribution_hold_what_the_library_answers(report: Any, api: HetBench):
    name, data, _ = report
    for shown in one(data)["coverage"]:
        found = plain(api.coverage(name, shown["chip"]).to_dict())
        assert found.items() <= shown.items()
    for shown in one(data)["attribution"]:
        found = plain(api.explain(name, None if shown["source_chip"] is None else "cuda", shown["chip"]).to_dict())
        kept = shown.keys() & found.keys()
        assert {key: shown[key] for key in kept} == {key: found[key] for key in kept}
        assert {"groups", "target_ms", "source_ms", "percent", "parts"} <= kept


def test_published_points_are_rows_of_the_evidence_table_with_their_references(report: Any):
    from hetbench.catalog import evidence

    name, data, _ = report
    known = {(row.chip, row.value, row.ref) for row in evidence.rows(model=name, metric="latency")}
    assert {(row["chip"], row["value"], row["ref"]) for row in one(data)["published"]} <= known
    assert all(row["batch"] == one(data)["sizes"]["batch"] for row in one(data)["published"])


def test_chip_facts_are_those_of_the_catalogue(report: Any):
    for name, facts in report[1]["chips"].items():
        assert all(getattr(chips()[name], key) == value for key, value in facts.items())


def test_the_page_prints_the_figures_of_its_data(report: Any):
    _, data, text = report
    for cell in one(data)["matrix"]:
        if cell["ratio"] is not None:
            assert f"{digits(cell['ratio'])} ×" in text
    for each in one(data)["migration"]["candidates"]:
        assert f"<td class=\"number\">{digits(each['latency']['value'])}</td>" in text
    for each in one(data)["attribution"]:
        assert all(f"{group['value_ms']:+.3g}" in text for group in each["groups"])


def test_the_headline_of_a_report_says_how_fast_the_best_other_chip_is(report: Any):
    _, data, text = report
    others = [each for each in one(data)["migration"]["candidates"] if each["chip"] != each["source"]["chip"]]
    here, there = others[0]["latency"], others[0]["source"]
    low, high = there["lower"] / here["upper"], there["upper"] / here["lower"]
    level = max(here["level"], there["level"])
    said = (f"{digits(there['value'] / here['value'])} × [{digits(low)}, {digits(high)}] the speed of "
            f"NVIDIA A100 SXM4 80GB, level {level} (inference, batch 1")  # fmt: skip
    assert said in text
    assert low < there["value"] / here["value"] < high


def test_the_tables_of_a_report_state_model_setting_and_stack(report: Any):
    name, data, text = report
    captions = re.findall(r"<caption><span>(.*?)</span>", text)
    for about in ("Latency in ms, logarithmic axis", "Latency ratio from source"):
        assert any(each.startswith(about) and f": {name}, inference, batch 1" in each for each in captions)
    best = one(data)["migration"]["candidates"][0]["latency"]
    assert f"<td class=\"minor\">{best['precision']}, {best['stack']}</td>" in text
    assert "seq_len" not in re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)


def test_a_deadline_a_measured_source_and_sizes_reach_the_page(api: HetBench):
    options = {"seq_len": 256, "precision": "fp16"}
    data = report_data(api, ReportRequest(["gpt2"], "cuda", "mlu", source_value=5.0, slo_ms=8.0, options=options))
    found = api.migrate("gpt2", "cuda", "mlu", source_value=5.0, slo_ms=8.0, seq_len=256, precision="fp16")
    best = one(data)["migration"]["candidates"][0]
    assert (best["meets"], best["latency"]["value"]) == (found.candidates[0].meets, found.candidates[0].latency.value)
    assert one(data)["sizes"]["seq_len"] == 256
    text = report_page(data)
    assert "The caller measured 5 ms" in text
    assert "the deadline of 8 ms" in text


def test_an_objective_of_deployments_adds_the_chips_that_serve_within_it(api: HetBench):
    found = report_data(api, ReportRequest(["qwen2.5-7b"], targets="cuda,nvidia-l4", slo="tpot=30ms"))
    served = found["models"][0]["serving"]
    asked = api.migrate("qwen2.5-7b", targets="cuda,nvidia-l4", slo="tpot=30ms")
    assert [each["chip"] for each in served["candidates"]] == [each.chip for each in asked.candidates]
    text = report_page(found)
    assert "Deployments within the objective" in text
    assert digits(served["candidates"][0]["point"]["tpot_ms"]) in text


def test_a_refusal_stands_in_its_cell_with_the_reason(api: HetBench):
    request = ReportRequest(["bert-tiny"], targets="nvidia-v100-sxm2-16gb,mlu", options={"precision": "bf16"})
    data = report_data(api, request)
    cells = {(each["source"], each["target"]): each["refused"] for each in one(data)["matrix"]}
    assert "no bf16 units" in cells["nvidia-a100-sxm4-80gb", "nvidia-v100-sxm2-16gb"]
    assert "<small>refused</small>" in report_page(data)


# every number of the dashboard is an answer


def index(site: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Page((site / "answers.html").read_text()).data)
    return found


def test_the_dashboard_holds_every_answer_and_every_refusal(site: Path, api: HetBench):
    data, texts = index(site), index(site)["texts"]
    assert [each["name"] for each in data["models"]] == list(SITE_MODELS)
    for metric in DASHBOARD_METRICS:
        assert len(data["rows"][metric]) + len(data["refused"][metric]) == len(SITE_MODELS) * len(SITE_CHIPS)
        for row in data["rows"][metric]:
            each = dict(zip(data["columns"], row, strict=True))
            answer = api.query(SITE_MODELS[each["model"]], target=SITE_CHIPS[each["chip"]], metric=metric)
            assert (each["value"], each["lower"], each["upper"]) == (answer.value, answer.lower, answer.upper)
            for key in ("level", "kind", "precision", "stack"):
                assert (None if each[key] is None else texts[each[key]]) == getattr(answer, key)
        for model, chip, why in data["refused"][metric]:
            with pytest.raises(RefusedError) as refusal:
                api.query(SITE_MODELS[model], target=SITE_CHIPS[chip], metric=metric)
            assert str(refusal.value).replace(SITE_CHIPS[chip], "it") == texts[why]


@pytest.mark.parametrize("name", SITE_MODELS)
def test_a_models_page_prints_the_answers(site: Path, api: HetBench, name: str):
    rows = (site / "models" / f"{name}.html").read_text().splitlines()
    for chip in SITE_CHIPS:
        row = next((line for line in rows if line.startswith(f'<tr><th scope="row">{chip} <small>')), None)
        answers = api.query(name, target=chip)
        assert (row is None) == ("latency" in answers.refused)
        for metric in DASHBOARD_METRICS:
            if row is not None and metric in answers:
                assert f">{digits(answers[metric].value)}</td>" in row


# the pages as documents


def pages(site: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in [*site.glob("*.html"), *site.glob("models/*.html")]}


def check(text: str) -> Page:
    page = Page(text)
    assert page.open == []
    ids = [attributes["id"] for _, attributes, _ in page.seen if "id" in attributes]
    assert len(ids) == len(set(ids))
    for tag, attributes, _ in page.seen:
        assert not attributes.get("src")
        to = attributes.get("href", "")
        assert tag == "a" or not to or to.startswith("data:")
        assert not to.startswith("#") or to[1:] in ids or to == "#main"
    for attributes in page.all("svg"):
        drawn = attributes.get("role") == "img" and attributes.get("aria-label")
        assert attributes.get("aria-hidden") == "true" or drawn or "x" in attributes
        assert drawn or "track" not in attributes.get("class", "")
    assert not re.search(r"@import|url\(|https?://(?!github\.com)[^<\"]*\.(js|css|woff)", page_styles(text))
    assert page.all("html")[0]["lang"] == "en"
    assert len(page.all("h1")) == len(page.all("main")) == 1
    assert len(page.all("caption")) == len(page.all("table"))
    assert {each.get("scope") for each in page.all("th")} <= {"col", "row"}
    assert "default-src 'none'" in text
    assert "&lt;svg" not in text
    return page


def page_styles(text: str) -> str:
    """Style and script of a page, without the scripts of other projects."""
    for each in vendored().values():
        text = text.replace((VENDOR / each["file"]).read_text(), "")
    return "".join(re.findall(r"<style>.*?</style>|<script>.*?</script>", text, re.DOTALL))


def test_a_report_is_sound_html_and_loads_nothing(report: Any):
    page = check(report[2])
    assert all(each["href"].startswith(("#", "https://github.com/")) for each in page.all("a"))
    assert [each for each in page.all("script") if each.get("type") != "application/json"] == []


def test_every_page_of_the_dashboard_is_sound_html_and_its_links_lead_somewhere(site: Path):
    for path in [*site.glob("*.html"), *site.glob("models/*.html")]:
        for each in check(path.read_text()).all("a"):
            to = each["href"].partition("#")[0]
            assert not to or to.startswith("https://github.com/") or (path.parent / to).is_file()


def test_every_control_of_the_dashboard_has_a_label(site: Path):
    page = Page((site / "answers.html").read_text())
    controls = [(attributes, above) for tag, attributes, above in page.seen if tag in ("input", "select", "button")]
    assert len(controls) > 8
    assert all("label" in above or attributes.get("type") in ("button", "reset") for attributes, above in controls)


def test_text_of_data_is_escaped(api: HetBench):
    api = HetBench()
    api.add_chip({"name": "my-</script><b>npu", "family": "cann", "fp16_tflops": 100, "mem_bw_gbs": 800})
    text = report_page(report_data(api, ReportRequest(["bert-tiny"], targets="my-</script><b>npu")))
    check(text)
    assert "<b>npu" not in text


def test_levels_are_told_apart_without_colour(report: Any):
    assert set(re.findall(r'<abbr class="level level-(\w)"[^>]*>(\w)</abbr>', report[2])) <= {
        ("a", "A"), ("b", "B"), ("c", "C"), ("d", "D")}  # fmt: skip
    assert "datasheet" in report[2]


def test_the_dashboard_of_the_whole_catalogue_is_small(site: Path):
    shares = (len(SITE_MODELS) * len(SITE_CHIPS)) / (len(models()) * len(chips()))
    rows = len(json.dumps(index(site)["rows"]))
    assert rows / shares < 8e6


# the shell


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as done:
        main(words)
    return int(done.value.code or 0)


def test_report_writes_the_page_and_prints_its_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "r.html"
    assert run("report", "bert-tiny", "-o", str(path), "--targets", "cann", "--json") == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == json.loads(Page(path.read_text()).data)
    assert "1 model," in err
    assert [each.name for each in tmp_path.iterdir()] == ["r.html"]


@pytest.mark.parametrize(("words", "code", "said"), [
    (("report", "bert-tinny"), 2, "Did you mean 'bert-tiny'"), (("report",), 2, "report --help"),
    (("report", "bert-tiny", "--targets", "cudaa"), 2, "unknown chip 'cudaa'"),
    (("report", "bert-tiny", "--slo", "fast"), 2, "a duration is a number"),
    (("report", "bert-tiny", "--targets", "huawei-ascend-950"), 3, "chips can run bert-tiny"),
    (("report", "bert-tiny", "--targets", "mlu", "-o", "/proc/r.html"), 2, "Name a file in a writable directory"),
    (("report", "bert-tiny", "--targets", "mlu", "-o", "/dev/null/r.html"), 2, "Name a file in a writable"),
    (("dashboard", "-o", "/proc/site"), 2, "Name a writable directory"),
])  # fmt: skip
def test_wrong_usage_says_what_would_be_right_and_leaves_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: Any, code: int,
    said: str,
):  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert run(*words) == code
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path, api: HetBench):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InvalidInputError, match=r"holds 'thesis\.txt'"):
        write_site(api, tmp_path, ["bert-tiny"], ["nvidia-l4"])
    assert [each.name for each in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_directory_is_no_file_to_write(tmp_path: Path):
    with pytest.raises(InvalidInputError, match="is a directory"):
        write_whole(tmp_path, "x")
