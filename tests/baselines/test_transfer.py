"""Pareto sets taken to another family: areas by hand, a set against itself, errors that are shared and that are not."""

from __future__ import annotations

import numpy as np
import pytest

from baselines.problems import problem
from baselines.results import hypervolume
from baselines.transfer import area, pair, tables

pytestmark = pytest.mark.filterwarnings("ignore")


def test_the_area_is_the_hypervolume_up_to_one():
    pytest.importorskip("pymoo")
    points = np.random.default_rng(0).random((200, 2)) * 1.3
    assert area(points) == pytest.approx(hypervolume(points, [1.0, 1.0]))
    assert area(np.array([[2.0, 0.0]])) == 0


def test_a_set_against_itself_keeps_everything_whatever_the_true_latencies_are():
    asked = problem("resnet", ["capacity_proxy", "latency@cuda"])
    sets = [asked.space.sample_codes(12, seed) for seed in (0, 1)]
    found = pair("cuda", sets, asked, sets, draws=4)
    assert found.share.tolist() == [1, 1]
    assert found.kept.max() <= 1
    assert found.drawn.shape == (2, 4)


def test_a_worse_set_keeps_less_and_the_interval_spans_its_draws():
    asked = problem("resnet", ["capacity_proxy", "latency@mlu"])
    best = asked.space.sample_codes(60, 0)
    found = pair("cuda", [best[:2]], asked, [best], draws=20)
    assert found.share[0] < 1
    low, high = found.interval(found.drawn)
    assert found.drawn.min() <= low < high <= found.drawn.max()
    text = "\n".join(tables({"resnet": [found, pair("mlu", [best], asked, [best], draws=20)]}, (1, 60, 20)))
    assert f"{np.median(found.drawn):.3f} [{low:.2f}, {high:.2f}]" in text
