"""Chips ranked for serving: every candidate meets the objective, the best comes first, the others say why not."""

import pytest

from hetbench import HetBench
from hetbench.errors import InvalidInputError, RefusedError
from hetbench.migration import ServingMigration

MODEL = "meta-llama/Llama-3.1-8B"
TARGETS = "nvidia-h100-sxm5-80gb,amd-mi300x,nvidia-t4,cambricon-mlu370-s4"


@pytest.fixture(scope="module")
def api() -> HetBench:
    return HetBench()


@pytest.fixture(scope="module")
def found(api: HetBench) -> ServingMigration:
    ranked = api.migrate(MODEL, targets=TARGETS, slo="ttft=1s,tpot=20ms", input_len=512, output_len=256)
    assert isinstance(ranked, ServingMigration)
    return ranked


def test_candidates_meet_the_objective_and_come_by_tokens_per_second_and_chip(found: ServingMigration):
    rates = [each.point.throughput_per_chip for each in found.candidates]
    assert rates == sorted(rates, reverse=True)
    assert all(each.point.ttft_ms <= 1000 and each.point.tpot_ms <= 20 for each in found.candidates)
    assert all(0.5 <= each.chance <= 1 for each in found.candidates)


def test_every_chip_is_a_candidate_or_left_out_with_a_reason(found: ServingMigration):
    named = [each.chip for each in (*found.candidates, *found.dropped)]
    assert sorted(named) == sorted(TARGETS.split(","))
    assert all(each.why for each in found.dropped)
    assert "nvidia-h100-sxm5-80gb" in str(found)
    assert found.to_dict()["slo"] == {"ttft": 1000.0, "tpot": 20.0}


def test_a_tighter_objective_leaves_no_more_chips_and_no_higher_rate(api: HetBench, found: ServingMigration):
    tight = api.migrate(MODEL, targets=TARGETS, slo="ttft=1s,tpot=10ms", input_len=512, output_len=256)
    rates = {each.chip: each.point.throughput_per_chip for each in found.candidates}
    assert {each.chip for each in tight.candidates} <= set(rates)
    assert all(each.point.throughput_per_chip <= rates[each.chip] for each in tight.candidates)


def test_an_objective_that_no_chip_meets_is_refused_with_the_reasons(api: HetBench):
    with pytest.raises(RefusedError, match=r"none of its deployments is predicted to meet tpot <= 0\.01 ms"):
        api.migrate(MODEL, targets="nvidia-h100-sxm5-80gb", slo="tpot=0.01ms")


@pytest.mark.parametrize(("model", "slo", "match"), [
    (MODEL, "speed=3", "no objective"), (MODEL, "", "give slo="), ([MODEL, MODEL], "tpot=30ms", "one model at a time"),
])  # fmt: skip
def test_what_is_no_objective_or_no_single_model_is_refused(api: HetBench, model, slo: str, match: str):
    with pytest.raises(InvalidInputError, match=match):
        api.migrate(model, targets="nvidia-h100-sxm5-80gb", slo=slo)
