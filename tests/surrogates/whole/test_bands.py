"""Bands of whole-model answers on a chip never seen."""

from __future__ import annotations

import numpy as np
import pytest

pd = pytest.importorskip("pandas")
stats = pytest.importorskip("scipy.stats")
bands = pytest.importorskip("surrogates.whole.bands")


def dies(**log_ratios):
    return pd.concat([
        pd.DataFrame({"away": name, "surrogate": 1.0, "ms": np.exp(values), "family": "cuda", "phase": "decode"})
        for name, values in log_ratios.items()
    ]).assign(networks=99)  # fmt: skip


def test_the_variance_among_dies_is_taken_within_groups():
    one, two = dies(a=[0.0, 0.0, 5.0], b=[2.0, 2.0]), dies(c=[7.0], d=[8.0], e=[9.0])
    assert bands.variance_among([one, two, one.iloc[:0]], "away") == pytest.approx((1 + 1 + 1 + 0 + 1) / (1 + 2))


def test_the_next_dies_offset_follows_students_law():
    found = bands.of_one_more(dies(a=[0.0, 0.0], b=[1.0, 1.0]), "away", prior=0.2, at=(0.05, 0.5, 0.95))
    half = stats.t.ppf(0.95, 3) * np.sqrt((2 * 0.2 + 0.5) / 3 * 1.5)
    assert found == pytest.approx([0.5 - half, 0.5, 0.5 + half], abs=1e-4)


def test_the_spread_within_dies_adds_in_quadrature_and_quantiles_rise():
    spread = np.linspace(-0.3, 0.3, 201)
    frame = dies(a=spread, b=spread + 1)
    found = bands.of_one_more(frame, "away", prior=0.2, at=(0.05, 0.95))
    alone = bands.of_one_more(dies(a=[0.0], b=[1.0]), "away", prior=0.2, at=(0.05, 0.95))
    assert found[1] - 0.5 == pytest.approx(np.hypot(alone[1] - 0.5, 0.27), abs=2e-3)
    assert (np.diff(bands.of_one_more(frame, "away", prior=0.2)) >= 0).all()


def test_families_of_few_dies_take_the_table_of_all():
    few = pd.concat([dies(a=[0.0], b=[1.0], c=[0.5]), dies(d=[2.0]).assign(family="rocm")])
    tables = bands.residual_tables(few.assign(graph="g"), few, "phase", prior=0.2)
    assert {name for name in tables if name.startswith("D")} == {"D", "D/cuda"}


def test_few_models_of_a_family_make_its_band_wider_than_their_rows_do():
    rows = pd.concat([dies(x=np.full(40, value)).assign(graph=name) for name, value in (("g", 0.1), ("h", -0.1))])
    many = pd.concat([dies(x=[value]).assign(graph=f"m{value}") for value in np.linspace(-0.2, 0.2, 60)])
    few = rows.drop(columns="away").assign(family="rocm")
    tables = bands.residual_tables(pd.concat([few, many.drop(columns="away")]), rows.iloc[:0], "phase")
    at = np.linspace(0, 1, len(tables["C/rocm"]))
    assert np.interp(0.95, at, tables["C/rocm"]) > 0.2 > np.interp(0.95, at, bands.quantiles(few))
    assert tables["C/cuda"] == bands.quantiles(many.drop(columns="away"))
