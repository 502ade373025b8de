"""Evidence of partial pooling: networks counted by label and operator type, held-out rows left aside."""

from __future__ import annotations

import numpy as np
import pytest

pd = pytest.importorskip("pandas")
pooling = pytest.importorskip("surrogates.whole.pooling")

from hetbench.predict.pooling import LEVELS, WHOLE_HALF  # noqa: E402
from surrogates.whole.rows import WholeRows  # noqa: E402


@pytest.fixture
def rows():
    """Three rows on an RTX 4090: networks a (Linear, Pad), b (Linear), and a again."""
    frame = pd.DataFrame({"chip": "nvidia-rtx-4090", "stack": "eager", "precision": "fp16", "graph": ["a", "b", "a"]})
    operator, starts = np.array(["Linear", "Pad", "Linear", "Linear", "Pad"]), np.array([0, 2, 3, 5])
    ones, nothing = np.ones(5), np.zeros((3, 1))
    return WholeRows(frame, np.zeros((5, 1)), operator, ones, ones, starts, nothing, np.zeros(3), np.zeros(3))


def test_a_network_counts_once_however_many_rows_it_has(rows):
    made = pooling.labels(rows, np.arange(3))
    counts = made.evidence[-1]["nvidia-rtx-4090|eager|fp16"]
    assert counts == {"Linear": 2, "Pad": 1, "": 2}
    assert made.by_operator == {"Linear": 2, "Pad": 1}


def test_rows_left_out_give_no_evidence(rows):
    made = pooling.labels(rows, np.array([1]))
    assert made.evidence[0]["eager|fp16"] == {"Linear": 1, "": 1}
    found, whole = pooling.pooled(made, rows)
    half = LEVELS["cells"]
    assert found.weights[-1] == pytest.approx([1 / (1 + half), 0, 1 / (1 + half), 1 / (1 + half), 0])
    assert whole[:, -1] == pytest.approx(1 / (1 + WHOLE_HALF * half))
