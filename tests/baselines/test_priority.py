"""The priority of multi-objective schedulers: fronts first, then the best by the first objective, then the furthest."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("syne_tune")
pytestmark = pytest.mark.filterwarnings("ignore")


def test_a_front_comes_before_what_it_dominates_and_starts_with_the_best_by_the_first_objective():
    from baselines.priority import ranks

    points = np.random.default_rng(0).integers(9, size=(40, 2)).astype(float)
    points = np.unique(points, axis=0)
    found = ranks(points)
    assert sorted(found) == list(range(len(points)))
    for one in range(len(points)):
        for other in range(len(points)):
            if (points[one] <= points[other]).all() and (points[one] < points[other]).any():
                assert found[one] < found[other]
    assert points[found.argmin(), 0] == points[:, 0].min()


def test_within_a_front_the_next_is_the_furthest_from_those_before_it():
    from baselines.priority import ranks

    # On the line x + y = 10: 0 is first, then 10, then 4 (4 and 6 away, against 1, 1.5 and 3), then 7, 1.5 and 9.
    line = np.array([9.0, 4.0, 0.0, 10.0, 7.0, 1.5])
    assert ranks(np.stack((line, 10 - line), axis=1)).tolist() == [5, 2, 0, 1, 3, 4]


def test_the_order_is_the_same_in_other_units():
    from baselines.priority import ranks

    points = np.random.default_rng(1).random((30, 3))
    assert ranks(points).tolist() == ranks(points * np.array([1.0, 1e6, 1e-4])).tolist()


def test_the_best_of_many_survives_a_rung_whatever_its_place_in_it():
    from syne_tune.optimizer.schedulers.asha import Bracket

    from baselines.priority import Ranks

    bracket = Bracket(1, 10, 3, 0, Ranks(["a", "b"]))
    rest = [bracket.on_result(n, 1, {"a": float(n), "b": float(n)}) for n in range(1, 30)]
    assert rest.count("CONTINUE") == 1
    assert bracket.on_result(30, 1, {"a": 0.5, "b": 0.5}) == "CONTINUE"
    assert bracket.on_result(31, 1, {"a": 25.5, "b": 25.5}) == "STOP"
