"""The memory that a stack adds: derived against measured, and one constant a stack."""

from __future__ import annotations

import pytest

pd = pytest.importorskip("pandas")

from surrogates.whole import memory  # noqa: E402


@pytest.fixture(scope="module")
def table():
    return memory.compared()


def test_no_model_is_measured_below_what_it_needs(table):
    assert (table.ratio > 1).all()


def test_four_bit_weights_take_a_quarter_of_sixteen(table):
    weights = table[(table.model == "stablelm-3b") & (table.seq_len == 32)].groupby("precision").derived.first()
    assert weights["int4"] / weights["fp16"] == pytest.approx(0.25, abs=0.01)


def test_each_model_has_the_same_say_in_the_overhead():
    rows = pd.DataFrame({"model": ["a"] * 9 + ["b"], "extra": [100.0] * 9 + [300.0]})
    assert memory.overhead(rows) == 200.0


def test_a_constant_brings_openvino_near_what_was_measured(table):
    rows = table[table["stack"] == "openvino-genai"]
    added = memory.overhead(rows)
    assert ((rows.derived + added) / rows.measured - 1).abs().mean() < 0.1
