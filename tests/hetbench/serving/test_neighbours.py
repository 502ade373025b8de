"""Residuals of measured rows correct the points beside them, and nothing far away."""

import numpy as np
import pytest

from hetbench.catalog.chips import chip
from hetbench.serving.levels import era, level_keys, recency
from hetbench.serving.neighbours import AXES, Kernel, Neighbours, Points, coded

KERNEL = Kernel([4.0] * len(AXES), [0.9, 0.8, 0.5], 0.1, 0.001)


def _points(loads: list[float], version: str = "1", form: str = "fp8") -> Points:
    at = np.zeros((len(loads), len(AXES)))
    at[:, 0] = np.log2(loads)
    return Points(at, np.tile(coded([form, version, ""]), (len(loads), 1)))


def _neighbours(loads: list[float], residuals: list[float]) -> Neighbours:
    points = _points(loads)
    return Neighbours(KERNEL, points, KERNEL.weights(points, np.array(residuals)))


def test_a_measured_point_takes_its_residual_and_one_far_away_none():
    near = _neighbours([8.0], [0.3])
    there = _points([8.0, 16.0, 2.0**40])
    assert near.correction(there) == pytest.approx([0.3 / 1.01, 0.3 / 1.01 * np.exp(-1 / 4), 0.0], abs=1e-4)


def test_a_point_between_two_rows_lies_between_their_residuals():
    found = float(_neighbours([4.0, 16.0], [0.1, 0.3]).correction(_points([8.0]))[0])
    assert 0.1 < found < 0.3


def test_less_is_left_open_beside_rows_than_away_from_them_or_under_another_version():
    near = _neighbours([4.0, 8.0, 16.0], [0.1, 0.1, 0.1])
    here, away = near.unknown(_points([8.0, 4096.0]))
    other = float(near.unknown(_points([8.0], version="2"))[0])
    assert here < 0.05 < other < away <= 1


def test_only_rows_of_the_same_plan_and_version_are_close():
    near, other = _neighbours([8.0], [0.1]), _points([8.0])
    assert near.same(_points([64.0]))
    assert not near.same(_points([8.0], version="2"))
    other.at[0, AXES.index("tp")] = 1.0
    assert not near.same(other)


def test_the_exported_form_reads_back_the_same():
    kept = {"at": [[8, 1, 1, 1, 1, 1, 1, 1, 0, 2]], "traits": ["1", "fp8", ""], "weights": [2.0]}
    kernel = {"lengths": [4.0] * len(AXES), "same": [0.9, 0.8, 0.5], "variance": 0.1, "noise": 0.001}
    assert Neighbours.read(kernel, kept).correction(_points([8.0])) == pytest.approx([0.2])


@pytest.mark.parametrize(("engine", "version", "old"), [
    ("vllm", "vLLM 0.6.3 (Nov 2024)", True), ("vllm", "vllm 0.7.2", True), ("vllm", "vllm 0.8.0", False),
    ("sglang", "sglang (Feb 2025)", True), ("sglang", "sglang 0.5.9", False), ("atom", "ATOM 2026-05", False),
    ("vllm", "", False),
])  # fmt: skip
def test_an_engine_is_old_where_its_version_dates_from_before_april_2025(engine: str, version: str, old: bool):
    assert bool(era(engine, version)) is old


def test_the_newest_version_is_the_latest_month_or_number():
    assert max(("ATOM 2026-03", "ATOM 2026-11"), key=lambda v: recency("atom", v)) == "ATOM 2026-11"
    assert max(("vllm 0.9.1", "vllm 0.19.0", "vLLM (2024)"), key=lambda v: recency("vllm", v)) == "vllm 0.19.0"


def test_b300_shares_its_generation_with_b200_but_not_its_die():
    one, two = (level_keys("vllm", chip(name), "fp8", "", "") for name in ("nvidia-b300-sxm", "nvidia-b200-sxm-180gb"))
    assert one["engine_generation"] == two["engine_generation"]
    assert one["die"] != two["die"]
