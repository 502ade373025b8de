"""The interval of a whole pass that is answered as a sum over operators."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hetbench import HetBench
from hetbench.predict.intervals import pass_interval, rescaled_bound
from hetbench.predict.operators import load

TABLE = json.loads((load().folder / "sums.json").read_text())


def test_a_sum_is_never_surer_than_passes_measured_on_other_dies():
    low, high = pass_interval(load(), 2.0, 1.99, 2.01, 0.9)
    ends = np.interp((0.05, 0.95), np.linspace(0, 1, len(TABLE["log_ratio"])), TABLE["log_ratio"])
    assert (low, high) == pytest.approx(tuple(2.0 * np.exp(ends)))


def test_wider_bounds_of_the_operators_stay():
    value, lower, upper = np.array([1.0, 1.0]), np.array([0.01, 0.99]), np.array([100.0, 1.01])
    low, high = pass_interval(load(), value, lower, upper, 0.9)
    assert (low[0], high[0]) == (0.01, 100.0)
    assert low[1] < 0.99
    assert high[1] > 1.01


@pytest.mark.parametrize(("sure", "surer"), [(0.5, 0.8), (0.8, 0.9), (0.9, 0.98)])
def test_more_confidence_is_wider(sure, surer):
    low, high = zip(*(pass_interval(load(), 1.0, 0.9, 1.1, each) for each in (sure, surer)), strict=True)
    assert low[0] > low[1]
    assert high[0] < high[1]


def test_the_answer_of_a_sum_has_that_interval():
    found = HetBench().query("bert-base", target="oneapi", metric="latency", stack="eager")
    low, high = pass_interval(load(), found.value, found.value, found.value, 0.9)
    assert found.lower <= low * (1 + 1e-9)
    assert found.upper >= high * (1 - 1e-9)


def test_on_dies_left_out_intervals_hold_nine_tenths_where_the_operators_alone_do_not():
    alone, held = (np.mean([die[name] for die in TABLE["dies"]]) for name in ("operators_inside", "inside"))
    assert len(TABLE["dies"]) >= 10
    assert alone < 87 < held


def test_a_bound_moves_with_confidence_as_that_of_a_normal_law():
    assert rescaled_bound(2.0, 4.0, 0.9, 0.9) == 4.0
    assert rescaled_bound(2.0, 1.0, 0.9, 0.5) == pytest.approx(2 / 2 ** (0.6744898 / 1.6448536))
