"""Estimates: sequence lengths, blends, and what moves where two answers disagree."""

from __future__ import annotations

import numpy as np
import pytest

from hetbench import HetBench
from hetbench.query.estimate import _lengths
from hetbench.query.estimates import Estimate, blend


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
    assert _lengths(8, None) == (8, 16, 32, 64, 128)
    assert _lengths(300, None) == (256, 512)
    assert _lengths(300, 384) == (256, 384)


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
