"""The explorer's data: grid points are the library's answers, values between them are near those and say how near."""

from __future__ import annotations

import hashlib
import json
import zlib
from base64 import b64decode
from math import exp, log, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hetbench.pages
from hetbench import HetBench, chips
from hetbench.cli.progress import counted
from hetbench.errors import HetBenchError, UnknownNameError
from hetbench.pages.explorer.choice import axes_of, choose, phases_of
from hetbench.pages.explorer.grids import LEVELS, NOT_HELD, Block, Grids, ask_grids, expected, question
from hetbench.pages.explorer.interpolation import between, measured_error
from hetbench.pages.explorer.page import SCRIPTS, vendored
from hetbench.pages.html import read_template
from hetbench.pages.labels import chip_label
from tests.hetbench.pages.conftest import SITE_CHIPS, SITE_MODELS

VENDOR = Path(hetbench.pages.__file__).parent / "vendor"


@pytest.fixture(scope="module")
def api() -> HetBench:
    return HetBench()


@pytest.fixture(scope="module")
def data(site: Path) -> dict[str, Any]:
    text = (site / "index.html").read_text()
    start = text.index('id="data">') + len('id="data">')
    found: dict[str, Any] = json.loads(text[start : text.index("</script>", start)])
    return found


def unpacked(text: str, kind: type[np.generic]) -> Any:
    planes = np.frombuffer(zlib.decompress(b64decode(text)), np.uint8).reshape(np.dtype(kind).itemsize, -1)
    return np.ascontiguousarray(planes.T).reshape(-1).view(kind)


def grid(values: list[float], levels: str = "CCC", batches: tuple[int, ...] = (1, 4, 16)) -> Block:
    """A block of one chip with the latencies of three batches; `x` marks a refusal."""
    numbers = np.array(values, np.float32).reshape(1, 1, 1, 1, -1)
    cells = np.concatenate([numbers, numbers / 2, numbers * 2], axis=1)
    marks = np.array([len(LEVELS) if each == "x" else LEVELS.index(each) for each in levels], np.uint16)
    return Block("m", "inference", {"batch": batches}, ({},), ("latency",), cells, marks.reshape(1, 1, 1, -1), [], [])


# grid points


@pytest.mark.parametrize("at", range(6))
def test_every_grid_point_is_the_answer_of_the_library(data: dict[str, Any], api: HetBench, at: int):
    """The first and the last cell of each series, to single precision; a refusal says what the library says."""
    values, marks = unpacked(data["values"], np.float32), unpacked(data["packed_marks"], np.uint16)
    block = data["blocks"][at]
    cells = int(np.prod([len(each) for each in block["axes"].values()]))
    shape = len(block["quantities"]), len(data["chips"]), len(block["variants"]), cells
    size, start = int(np.prod(shape)), block["start"]
    found = values[3 * start : 3 * (start + size)].reshape(shape[0], 3, *shape[1:])
    coded = marks[start : start + size].reshape(shape)
    for chip, variant, last in np.ndindex(len(data["chips"]), len(block["variants"]), 2):
        sizes = {name: each[-last] for name, each in block["axes"].items()}
        name = data["chips"][chip]["name"]
        asked = question(block["model"], name, block["phase"], block["variants"][variant], sizes)
        for q, quantity in enumerate(block["quantities"]):
            mark, numbers = int(coded[q, chip, variant, -last]), found[q, :, chip, variant, -last]
            if mark >= len(LEVELS) and data["reasons"][mark - len(LEVELS)] == NOT_HELD:
                assert (quantity in ("latency", "energy"), asked["precision"]) == (True, "fp32")
                continue
            if mark >= len(LEVELS):
                with pytest.raises(HetBenchError) as refusal:
                    api.query(metric=quantity, **asked)
                assert data["reasons"][mark - len(LEVELS)] == str(refusal.value).replace(name, "{chip}")
                continue
            answer = api.query(metric=quantity, **asked)
            assert LEVELS[mark] == (answer.level or "")
            assert numbers[0] == np.float32(answer.value)
            if answer.lower is not None:
                assert tuple(numbers[1:]) == (np.float32(answer.lower), np.float32(answer.upper))


def test_the_small_site_has_every_phase_of_its_models(data: dict[str, Any]):
    found = [(each["model"], each["phase"]) for each in data["blocks"]]
    language = [("tinyllama-1.1b", each) for each in ("inference", "prefill", "decode", "serving")]
    assert found == [("bert-tiny", "inference"), ("resnet-50", "inference"), *language]
    assert [each["name"] for each in data["chips"]] == list(SITE_CHIPS)


def test_memory_and_evidence_are_those_of_the_library(data: dict[str, Any], api: HetBench):
    block = next(each for each in data["blocks"] if each["phase"] == "decode")
    sizes = {name: values[-1] for name, values in block["axes"].items()}
    known = api.query(block["model"], metric="memory", phase="decode", **block["variants"][0], **sizes)
    assert block["memory"][0][-1] == pytest.approx(known.value, rel=1e-5)
    kind, precision, stack, *_ = block["evidence"][0][0]
    answer = api.query(block["model"], target=SITE_CHIPS[0], metric="latency", phase="decode", precision="fp16",
                       **block["defaults"])  # fmt: skip
    assert [data["texts"][each] for each in (kind, precision, stack)] == [answer.kind, answer.precision, answer.stack]


def test_a_grid_holds_the_models_default_sizes_and_no_size_that_it_cannot_take(api: HetBench):
    whole = choose(api, full=True)
    assert 499 in axes_of(api, whole, "wav2vec2-base", "inference")["seq_len"]
    assert max(axes_of(api, whole, "gpt2", "decode")["seq_len"]) == 1024
    assert axes_of(api, whole, "resnet-50", "inference")["image_size"] == (224,)
    assert axes_of(api, choose(api), "gpt2", "prefill")["seq_len"] == (128, 512, 1024)


def test_names_choose_the_content_and_the_whole_catalogue_is_one_option(api: HetBench):
    some = choose(api, ["Qwen/Qwen3-32B", "bert-base"], ["rocm", "amd-mi210"])
    assert (some.models, some.served, some.chips) == (("bert-base",), ("Qwen/Qwen3-32B",), ("amd-mi210",))
    assert phases_of(some, "Qwen/Qwen3-32B") == ("serving",)
    assert set(choose(api, full=True).chips) == set(chips())
    assert {chips()[name].family for name in choose(api).chips} >= {"cuda", "rocm", "oneapi", "cann", "mlu"}
    with pytest.raises(UnknownNameError, match="bert-base"):
        choose(api, ["bert-basse"])


def test_the_number_of_answers_is_known_before(api: HetBench):
    choice, seen = choose(api, ["bert-mini"], ["nvidia-l4"]), []
    _, answers = ask_grids(api, choice, seen.append)
    assert answers == sum(seen) == expected(api, choice)


# between grid points


def test_a_power_law_is_interpolated_exactly_with_its_bounds():
    found = between(grid([3.0, 3.0 * 4**0.8, 3.0 * 16**0.8]), "latency", 0, 0, {"batch": 7})
    assert found is not None
    assert found.value == pytest.approx(3.0 * 7**0.8, rel=1e-6)
    assert (found.value / found.lower, found.upper / found.value) == (pytest.approx(2.0), pytest.approx(2.0))


def test_a_parabola_in_logarithms_is_interpolated_exactly():
    curve = [exp(0.3 * log(batch) ** 2 - 0.2 * log(batch)) for batch in (1, 4, 16, 2)]
    found = between(grid(curve[:3]), "latency", 0, 0, {"batch": 2})
    assert found is not None
    assert found.value == pytest.approx(curve[3], rel=1e-6)


def test_a_grid_point_is_itself_and_outside_there_is_nothing():
    block = grid([1.0, 2.0, 3.0])
    at = between(block, "latency", 0, 0, {"batch": 4})
    assert at is not None
    assert (at.value, at.on_grid) == (pytest.approx(2.0), True)
    assert between(block, "latency", 0, 0, {"batch": 17}) is None


def test_the_weakest_level_counts_and_nothing_is_measured_between_grid_points():
    levels = [between(grid([1.0, 2.0, 3.0], each), "latency", 0, 0, {"batch": 2}) for each in ("AAA", "ADA", "ABA")]
    assert [each and each.level for each in levels] == ["B", "D", "B"]
    on = between(grid([1.0, 2.0, 3.0], "AAA"), "latency", 0, 0, {"batch": 1})
    assert on is not None
    assert on.level == "A"


def test_beside_a_refusal_the_line_through_the_neighbours_counts_and_next_to_it_nothing():
    block = grid([1.0, 4.0, 5.0], "CCx")
    found = between(block, "latency", 0, 0, {"batch": 2})
    assert found is not None
    assert found.value == pytest.approx(sqrt(1.0 * 4.0))
    assert between(block, "latency", 0, 0, {"batch": 8}) is None


def test_the_page_states_the_interpolation_error_that_is_measured_again(data: dict[str, Any], api: HetBench):
    choice = choose(api, SITE_MODELS[:1], SITE_CHIPS[:2])
    grids, _ = ask_grids(api, choice)
    (again,) = measured_error(api, grids)
    assert 0 < again.median <= again.p90 <= again.largest
    stated = {each["phase"]: each for each in data["errors"]}
    assert set(stated) == {"inference", "prefill", "decode", "serving"}
    for each in stated.values():
        assert each["points"] >= 30
        assert each["median"] < 0.1
        assert each["p90"] < 0.25


def test_a_wrong_grid_would_show_in_the_measured_error(api: HetBench):
    grids, _ = ask_grids(api, choose(api, ["bert-mini"], ["nvidia-l4"]))
    block = grids.blocks[0]
    block.values[:] *= 2
    (found,) = measured_error(api, Grids(grids.chips, (block,), grids.reasons), 5)
    assert found.median == pytest.approx(log(2), abs=0.2)


# names, scripts, progress


@pytest.mark.parametrize(("name", "written"), [
    ("nvidia-a100-sxm4-80gb", "NVIDIA A100 SXM4 80GB"), ("nvidia-rtx-4090", "NVIDIA RTX 4090"),
    ("intel-gaudi2", "Intel Gaudi 2"), ("cambricon-mlu370-x8", "Cambricon MLU370 X8"),
    ("intel-xeon-8480plus", "Intel Xeon 8480+"), ("amd-rx-7900-xtx", "AMD RX 7900 XTX"),
])  # fmt: skip
def test_chips_are_written_as_people_write_them(name: str, written: str):
    assert chip_label(name) == written


def test_no_two_chips_share_a_label():
    assert len({chip_label(each) for each in chips()}) == len(chips())


def test_scripts_of_other_projects_are_those_of_their_packages_with_licence():
    for name, each in vendored().items():
        assert hashlib.sha256((VENDOR / each["file"]).read_bytes()).hexdigest() == each["sha256"]
        assert each["version"] in (VENDOR / each["file"]).read_text()[:120]
        assert "Permission to use, copy, modify" in (VENDOR / f"{name}.LICENSE").read_text()


def test_the_code_of_the_page_is_below_a_megabyte_and_a_half():
    own = sum(len(read_template(f"explorer/{name}.js")) for name in SCRIPTS)
    assert own + sum((VENDOR / each["file"]).stat().st_size for each in vendored().values()) < 1.5e6


def test_progress_is_silent_for_two_seconds_then_says_what_is_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    with counted("answers") as progress:
        progress(1, 10)
        assert capsys.readouterr().err == ""
        monkeypatch.setattr("hetbench.cli.progress.PATIENCE_S", 0.0)
        monkeypatch.setattr("hetbench.cli.progress.EVERY_S", 0.0)
        progress(5, 10)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("answers: 5 of 10, ")
    assert line.endswith(" s left")
