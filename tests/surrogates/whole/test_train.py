"""Whole-model surrogates from rows to predictions, on the project's own passes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("catboost")
pd = pytest.importorskip("pandas")

from surrogates.whole import rows as whole_rows  # noqa: E402
from surrogates.whole import train  # noqa: E402
from surrogates.whole.network import Size  # noqa: E402

OWN = Path(__file__).parents[3] / whole_rows.OWN / "amd-epyc-zen4-2vcpu-kvm.parquet"


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    nothing = tmp_path_factory.mktemp("rows") / "rows.parquet"
    published = {"metric": "latency", "family": "cuda", "chip": "nvidia-t4", "file": "timm", "upstream": "resnet50",
                 "software": "", "batch": 1.0, "image_size": 224.0, "precision": "fp32", "phase": "inference",
                 "n_chips": 1.0, "value": 9.0, "stack": "eager"}  # fmt: skip
    frame = pd.DataFrame([published])
    for name in ("seq_len", "new_tokens", "cores"):
        frame[name] = np.nan
    frame.to_parquet(nothing)
    return whole_rows.read(nothing, [OWN], say=lambda line: None)


def test_own_passes_join_the_published_rows(rows):
    assert set(rows) == {"pass-gpu", "pass-oneapi"}
    own = rows["pass-oneapi"].frame
    measured = pd.read_parquet(OWN)
    assert len(own) == (measured.kind == "model").sum()
    assert set(own.file) == {"own"}


def test_models_left_out_are_predicted_by_a_fit_of_the_others(rows):
    found = train.held_out(rows["pass-oneapi"], rows["pass-oneapi"].frame.graph, Size(8, 3, 16), 2)
    assert len(found) == len(rows["pass-oneapi"])
    for method in train.METHODS[1:]:
        assert (found[method] > 0).all()
        assert np.isfinite(found[method]).all()
    assert np.median(np.abs(found.trees / found.ms - 1)) < 1
