"""Passes and deployments that the caller timed move what is said of their chip, by what such errors share."""

from __future__ import annotations

import pickle
import re

import numpy as np
import pytest

from hetbench import HetBench
from hetbench.errors import InvalidInputError
from hetbench.predict.offsets import OffsetRows, Offsets

ASKED = {"precision": "fp16", "batch": 8}
PASS = {"model": "resnet-50", "chip": "nvidia-t4", "stack": "tensorrt", **ASKED}
LLM = "meta-llama/Llama-3.1-8B-Instruct"
LOAD = {"phase": "serving", "precision": "fp8", "input_len": 1024, "output_len": 256, "concurrency": 16}
SERVED = {"model": LLM, "chip": "nvidia-l40s", "stack": "vllm", **LOAD}


def told(api: HetBench, model: str = "resnet-50", chip: str = "nvidia-t4", metric: str = "latency", **options):
    return api.query(model, target=chip, metric=metric, **({"stack": "tensorrt"} | ASKED | options))


def served(api: HetBench, metric: str, model: str = LLM, **options):
    return api.query(model, target="nvidia-l40s", metric=metric, **({"stack": "vllm"} | LOAD | options))


@pytest.fixture
def api() -> HetBench:
    return HetBench()


def test_a_row_moves_its_model_most_then_its_stack_then_the_chip(api):
    asks = (lambda: told(api), lambda: told(api, "mobilenet-v2"), lambda: told(api, "mobilenet-v2", stack="eager"))
    before = [ask() for ask in asks]
    api.observe([{**PASS, "value": 2 * before[0].value}])
    after = [ask() for ask in asks]
    moved = [late.value / early.value for late, early in zip(after, before, strict=True)]
    assert 2.0 > moved[0] > 1.2
    assert moved[0] >= moved[1] >= moved[2] >= 1.0
    for early, late in zip(before, after, strict=True):
        assert late.upper / late.lower <= early.upper / early.lower * 1.001
        assert late.lower <= late.value <= late.upper
    assert after[0].level == "C"
    assert any("1 passes observed on nvidia-t4, 1 of them under tensorrt" in note for note in after[0].notes)


def test_other_chips_and_other_apis_stay_and_forgetting_restores(api):
    before, elsewhere = told(api), told(api, chip="nvidia-a30")
    api.observe([{**PASS, "value": 3 * before.value}])
    assert told(api, chip="nvidia-a30") == elsewhere
    assert told(HetBench()) == before
    assert api.forget("nvidia-t4") == 1
    assert told(api) == before


def test_throughput_moves_as_latency_does_and_may_be_what_is_observed(api):
    before = told(api)
    api.observe([{**PASS, "metric": "throughput", "value": 8e3 / (2 * before.value)}])
    after = told(api)
    assert after.value > 1.2 * before.value
    assert told(api, metric="throughput").value == pytest.approx(8e3 / after.value)


def test_rows_survive_a_file_a_pickle_and_operators_beside_them(api, tmp_path):
    linear = {"op": "Linear", "dims": {"m": 64, "n": 64, "k": 64}, "dtype": "fp16", "chip": "nvidia-t4"}
    found = api.observe([{**PASS, "value": 20.0}, {**linear, "latency_ms": 0.02}])
    assert list(found["reason"]) == ["", ""]
    api.save_observations(tmp_path / "rows.json")
    other = HetBench()
    other.load_observations(tmp_path / "rows.json")
    assert other == api
    assert told(other).value == told(pickle.loads(pickle.dumps(api))).value == told(api).value


def test_the_order_of_observing_does_not_matter(api):
    rows = [{**PASS, "value": 20.0}, {**PASS, "model": "mobilenet-v2", "value": 6.0}]
    api.observe(rows)
    other = HetBench()
    for row in rows[::-1]:
        other.observe([row])
    assert told(other).value == pytest.approx(told(api).value, rel=1e-12)


@pytest.mark.parametrize(("change", "why"), [
    ({"value": -1.0}, "positive number"), ({"value": 1e6}, "is it in"), ({"value": 1e-3}, "peak|is it in"),
    ({"model": "resnet-5", "value": 9.0}, "unknown model"), ({"metric": "memory", "value": 9.0}, "is not observed"),
    ({"value": 9.0, "unit": "parsec"}, "known: ms"), ({"stack": "mindspore-lite", "value": 9.0}, "cannot be predicted"),
])  # fmt: skip
def test_a_row_that_cannot_be_used_says_why_and_changes_nothing(api, change, why):
    before = told(api)
    found = api.observe([{**PASS, **change}])
    assert pytest.approx(np.nan, nan_ok=True) == found["value"][0]
    assert re.search(why, found["reason"][0])
    assert told(api) == before


def test_seconds_with_their_unit_are_milliseconds_and_without_it_are_named(api):
    before = told(api).value
    bare = api.observe([{**PASS, "value": before / 1e3}])
    assert "in s" in bare["reason"][0] or "peak" in bare["reason"][0]
    assert api.observe([{**PASS, "value": before / 1e3, "unit": "s"}])["reason"][0] == ""
    assert told(api).value == pytest.approx(before, rel=1e-3)


def test_a_contradicting_row_is_flagged_and_counts_for_less():
    part = np.array([["", "stack", "setting", f"model {n}"] for n in range(5)], dtype=object)
    rows = OffsetRows(part, np.ones((5, 4)), np.tile([0.0, 0.04, 0.0, 0.005], (5, 1)), np.full(5, 0.005))
    residual = np.array([0.2, 0.2, 0.2, 0.2, -1.5])
    known = Offsets(rows, residual, np.zeros(5))
    plain = Offsets(OffsetRows(part[:4], *(getattr(rows, n)[:4] for n in ("weight", "variance", "own"))),
                    residual[:4], np.zeros(4))  # fmt: skip
    asked = OffsetRows(np.array([["", "stack", "setting", "new"]], dtype=object), *(
        getattr(rows, n)[:1] for n in ("weight", "variance", "own")))  # fmt: skip
    assert abs(known.shift(asked).mean[0] - plain.shift(asked).mean[0]) < 0.1
    assert abs(known.surprise[4]) > 3
    assert np.abs(known.surprise[:4]).max() < 3


def test_the_same_figure_again_counts_once(api):
    row = {"model": "gpt2", "chip": "cuda", "value": 9.0, "batch": 1}
    api.observe([row])
    once = api.query("gpt2", target="cuda", metric="latency", batch=1)
    assert "observed before" in api.observe([{**row, "chip": "nvidia-a100-sxm4-80gb"}])["reason"][0]
    assert api.query("gpt2", target="cuda", metric="latency", batch=1) == once


def test_repeats_that_disagree_are_flagged(api):
    value = told(api).value
    found = api.observe([{**PASS, "value": value}, {**PASS, "value": 2.5 * value}])
    assert all("differ by a factor of 2.5" in flag for flag in found["flag"])


def test_deployments_move_every_metric_consistently(api):
    before = {name: served(api, name) for name in ("tpot", "ttft", "throughput")}
    other = served(api, "tpot", "Qwen/Qwen3-8B")
    found = api.observe([{**SERVED, "metric": "tpot", "value": 1.5 * before["tpot"].value}])
    assert found["reason"][0] == ""
    after = {name: served(api, name) for name in before}
    assert 1.05 * before["tpot"].value < after["tpot"].value < 1.5 * before["tpot"].value
    assert after["throughput"].value < before["throughput"].value
    assert after["tpot"].upper / after["tpot"].lower < before["tpot"].upper / before["tpot"].lower
    assert other.value <= served(api, "tpot", "Qwen/Qwen3-8B").value < 1.5 * other.value
    latency, load = served(api, "latency").value, after
    assert latency == pytest.approx(load["ttft"].value + 255 * load["tpot"].value, rel=1e-6)


def test_a_deployment_faster_than_its_weights_stream_is_not_used(api):
    found = api.observe([{**SERVED, "metric": "tpot", "value": 2.0}])
    assert "peak" in found["reason"][0]


def test_a_table_of_neither_operators_nor_models_is_taught(api):
    with pytest.raises(InvalidInputError, match="lacks the columns"):
        api.observe({"chip": ["cuda"], "value": [1.0]})
