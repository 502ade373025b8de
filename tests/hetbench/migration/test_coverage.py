"""Coverage weighted by calls and by predicted time: shares by hand, statuses of the registrations, refusals."""

from __future__ import annotations

import json

import pytest

from hetbench import HetBench, RefusedError, models
from hetbench.catalog.chips import chip
from hetbench.graphs import model_graph, operator_coverage
from hetbench.schema import FAMILIES


@pytest.fixture(scope="module")
def api() -> HetBench:
    return HetBench()


@pytest.mark.parametrize("family", FAMILIES)
def test_shares_by_calls_and_by_time_sum_to_100_for_every_model(api: HetBench, family: str):
    for name in models():
        found = api.coverage(name, family)
        assert sum(found.shares().values()) == pytest.approx(100.0)
        assert sum((found.time_shares() or {}).values()) == pytest.approx(100.0)
        assert found.share == pytest.approx(
            operator_coverage(
                model_graph.load(name), chip(family), precision=found.precision, phase=found.phase
            ).share
        )


def test_the_time_of_an_operator_is_that_of_the_prediction(api: HetBench):
    found = api.coverage("resnet-50", "cann")
    times = {each.support.operator: each.ms for each in found.operators}
    eager = api.query("resnet-50", target="cann", metric="latency", stack="eager")
    shares = eager.shares  # a sum over eager launches, by type
    assert times["batch_norm"] == pytest.approx(shares["BatchNorm2d"])
    assert times["relu"] == pytest.approx(shares["ReLU"])
    assert found.time_share == pytest.approx(100.0)


def test_an_operator_of_several_calls_is_shared_out_by_calls(api: HetBench):
    found = {each.support.operator: each for each in api.coverage("gpt2", "cann").operators}
    gelu = api.query("gpt2", target="cann", metric="latency").shares["GELU"]
    assert found["tanh"].serves == ("GELU",)
    assert found["tanh"].ms == pytest.approx(gelu / 8)  # tanh is one of the eight calls of GPT-2's GELU


def test_positions_and_masks_have_no_time_of_their_own(api: HetBench):
    found = {each.support.operator: each for each in api.coverage("gpt2", "cann").operators}
    assert (found["arange"].serves, found["arange"].ms, found["arange"].time_share) == ((), None, None)


def test_what_is_absent_counts_by_calls_and_by_time(api: HetBench):
    torch = pytest.importorskip("torch")
    traced = api.trace(torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Mish()).eval(), torch.zeros(2, 8))
    found = api.coverage(traced, "mlu", precision="fp32")
    assert found.share == 50.0
    assert [each.support.operator for each in found.uncovered] == ["mish"]
    assert found.time_share is not None
    assert 0 < found.time_share < 100
    assert "absent" in str(found)


def test_a_chip_of_which_nothing_can_be_predicted_is_covered_without_times(api: HetBench):
    found = api.coverage("gpt2", "huawei-ascend-910-unspecified")
    assert (found.share, found.time_share, found.time_shares()) == (100.0, None, None)
    assert any("no stated memory bandwidth" in note for note in found.notes)
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["time_share"] is None


def test_the_chip_says_whether_it_has_the_precision(api: HetBench):
    assert api.coverage("gpt2", "cuda", precision="bf16").precision_units is True
    with pytest.raises(RefusedError, match="no bf16 units"):
        api.coverage("gpt2", "nvidia-v100-sxm2-16gb", precision="bf16")


def test_every_row_has_references(api: HetBench):
    assert all(each.support.refs for each in api.coverage("swin-base", "oneapi").operators)
