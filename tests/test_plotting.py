"""Figures draw from result tables alone."""

from __future__ import annotations

import pytest

pd = pytest.importorskip("pandas")
pytest.importorskip("matplotlib")

from plotting import measured_vs_predicted  # noqa: E402


def test_every_family_has_a_panel_that_states_its_rows_and_error():
    rows = {"family": [f for f in measured_vs_predicted.FAMILIES for _ in (0, 1)]}
    frame = pd.DataFrame({**rows, "ms": [1.0, 2.0] * 5, "surrogate": [1.1, 2.2] * 5})
    titles = [axis.get_title() for axis in measured_vs_predicted.draw(frame).axes]
    assert titles[0] == "cuda: 2 rows, median error 10.0%"
    assert len(titles) == 5
