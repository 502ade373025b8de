"""Estimates: sequence lengths, blends, and what moves where two answers disagree."""

from __future__ import annotations

import numpy as np
import pytest

from hetbench import HetBench
from hetbench.query.estimates import Estimate, at_least, at_most, blend
from hetbench.query.size_grid import around, lengths, padded


def _estimate(value: float, level: str) -> Estimate:
    return Estimate(np.array([value]), np.array([value / 2]), np.array([value * 2]), np.array([level]))


def test_a_blend_lies_between_its_parts_and_has_the_better_level():
    found = blend(_estimate(1.0, "D"), _estimate(4.0, "B"), 0.5)
    assert found.value[0] == pytest.approx(2.0)
    assert (found.lower[0], found.upper[0]) == (pytest.approx(1.0), pytest.approx(4.0))
    assert found.level[0] == "B"


def test_a_moved_value_takes_its_interval_along():
    found = _estimate(2.0, "C").moved(np.array([3.0]))
    assert (found.lower[0], found.value[0], found.upper[0]) == (1.5, 3.0, 6.0)


def test_short_sequences_are_compared_with_the_usual_length_and_long_ones_with_the_next():
    assert lengths(8, None) == (8, 16, 32, 64, 128)
    assert lengths(300, None) == (256, 512)
    assert lengths(300, 384) == (256, 384)


@pytest.mark.parametrize("chip", ["huawei-ascend-310p", "cambricon-mlu370-x4"])
def test_eager_execution_moves_where_only_the_compiling_stack_was_measured(chip: str):
    api = HetBench()
    eager, usual = (
        api.query("resnet-50", target=chip, metric="latency", batch=8, stack=stack) for stack in ("eager", None)
    )
    assert usual.level == "C"
    assert usual.value <= eager.value


def test_energy_of_a_measured_latency_is_power_times_that_latency():
    api, setting = HetBench(), {"target": "nvidia-t4", "precision": "fp16", "stack": "eager", "batch": 8}
    setting |= {"image_size": 384}
    latency, power, energy = (api.query("vit-base", metric=name, **setting) for name in ("latency", "power", "energy"))
    assert latency.kind == "measured"
    assert (energy.kind, power.kind) == ("predicted", "predicted")
    assert energy.value == pytest.approx(power.value * latency.value / 1e3)


def test_bounds_move_values_with_their_intervals():
    low, high = at_least(_estimate(1.0, "C"), _estimate(2.0, "D")), at_most(_estimate(3.0, "C"), _estimate(2.0, "D"))
    assert (low.value[0], low.upper[0], low.level[0]) == (2.0, 4.0, "C")
    assert (high.value[0], high.lower[0]) == (2.0, 1.0)


@pytest.mark.parametrize("size", [1, 2, 7, 8, 9, 63, 64, 65, 127, 1025])
def test_sizes_lie_between_those_of_the_grid_and_are_padded_to_no_more(size: int):
    below, above = around(size)
    assert below <= size <= padded(size) <= max(above, 8)
    assert padded(padded(size)) == padded(size)


@pytest.mark.parametrize("chip", ["huawei-ascend-310p", "intel-arc-pro-b60"])
def test_a_batch_takes_no_less_than_one_sample_and_no_more_than_each_in_turn(chip: str):
    one, many = (
        HetBench().query("gpt2", target=chip, metric="latency", batch=batch, seq_len=64).value for batch in (1, 24)
    )
    assert one <= many <= 24 * one * (1 + 1e-9)


def test_chips_of_equal_datasheets_get_equal_answers():
    names = ("nvidia-v100-sxm2-16gb", "nvidia-v100-sxm2-32gb")
    one, other = (HetBench().query("resnet-50", target=name, metric="latency", batch=8) for name in names)
    assert one.value == pytest.approx(other.value, rel=1e-6)


def test_one_pass_over_a_prompt_is_inference_and_prefill():
    api = HetBench()
    whole, prefill = (
        api.query("gpt2", target="nvidia-h100-sxm5-80gb", metric="latency", seq_len=128, phase=phase)
        for phase in ("inference", "prefill")
    )
    assert prefill.value <= whole.value * 1.001 <= 1.5 * prefill.value


def test_a_network_traced_at_one_image_size_is_answered_there():
    answer = HetBench().query("inception_v3", target="cuda", metric="latency")
    assert answer.lower < answer.value < answer.upper


@pytest.mark.parametrize("model", ["gpt2", "resnet-50"])
@pytest.mark.parametrize("chip", ["nvidia-a100-sxm4-80gb", "cambricon-mlu370-x4"])
def test_figures_of_one_call_are_plain_floats(model: str, chip: str):
    found = HetBench().query(model, target=chip, metric="latency", batch=3)
    assert {type(each) for each in (found.value, found.lower, found.upper, *found.shares.values())} == {float}
