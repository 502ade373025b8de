"""The coverage that a card states is that of calibrated bands, on rows that did not set them."""

from __future__ import annotations

import pytest

np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")
pytest.importorskip("autogluon.tabular")

from surrogates import intervals  # noqa: E402
from surrogates.corpus import DIMS  # noqa: E402
from surrogates.operators import holdout  # noqa: E402


def _rows(n: int, spread: float, group: str) -> pd.DataFrame:
    draw = np.random.default_rng(n)
    rows = pd.DataFrame({name: np.zeros(n, dtype=np.int64) for name in DIMS}).assign(m=np.arange(n), op="Linear")
    error = np.exp(draw.normal(0, spread, n))
    return rows.assign(
        family="cuda", group=group, level="B", latency_ms=error, predicted=1.0, surrogate=1.0, roofline_ms=0.8,
        base_ms=1.0,
    )  # fmt: skip


def test_coverage_of_unseen_shapes_is_near_the_level() -> None:
    found = intervals.check_shapes(_rows(4000, 0.1, "a"))["cuda"]
    assert abs(found["inside"] - 90) < 4
    assert found["width"] < 1.6


def test_a_group_is_checked_by_the_band_of_the_others() -> None:
    wide, narrow = intervals.check_groups(pd.concat([_rows(900, 0.5, "a"), _rows(800, 0.1, "b")]))
    assert wide["inside"] < 50
    assert narrow["inside"] > 98


def test_protocols_with_enough_rows_come_by_their_number() -> None:
    size = holdout.DENSE_ROWS
    rows = pd.DataFrame({"dtype": "bf16", "protocol": ["kernel"] * size + ["graph"] * (size + 1) + ["event"]})
    assert holdout.measured_protocols(rows) == {"bf16": ["graph", "kernel"]}
