"""Predictions beside published rows: what is compared with what, and how it is scored."""

from __future__ import annotations

from dataclasses import replace

import pytest

pd = pytest.importorskip("pandas")
pytest.importorskip("scipy")

from hetbench.catalog import evidence  # noqa: E402
from hetbench.predict import operators  # noqa: E402
from surrogates.whole import against_evidence  # noqa: E402

T4 = ("resnet-50", "nvidia-t4", "fp32", 8, None, 224, "inference")
PREFILL = ("mistral-7b", "nvidia-a100-sxm4-80gb", "fp16", 2, 512, None, "prefill")


def test_throughput_is_compared_as_milliseconds_a_call():
    (row,) = evidence.find(T4, "eager", "latency")
    assert against_evidence.measured_ms(row) == 22.41
    assert against_evidence.measured_ms(replace(row, metric="throughput", value=400.0)) == pytest.approx(20.0)
    (row,) = evidence.find(PREFILL, "eager", "latency")
    assert against_evidence.measured_ms(replace(row, metric="throughput", value=1024.0)) == pytest.approx(1000.0)


def test_a_generation_is_a_prefill_and_as_many_steps_as_it_has_further_tokens():
    calls = against_evidence.calls_of((*PREFILL[:6], "serving"), 128)
    assert [count for count, _ in calls] == [1.0, 63.5, 63.5]
    prefill, first, last = (table.flops for _, table in calls)
    assert prefill > 100 * first
    assert last > first


def test_rows_of_unknown_settings_and_of_several_chips_are_not_compared():
    (row,) = evidence.find(T4, "eager", "latency")
    rows = [row, replace(row, use="show"), replace(row, n_chips=8), replace(row, metric="energy")]
    frame, refused = against_evidence.compare(rows, operators.load())
    assert len(frame) == 1
    assert not refused
    line = frame.iloc[0]
    assert line.measured == 22.41
    assert 0 < line.lower < line.auto < line.upper
    assert line.roofline > 0


def test_what_cannot_be_predicted_is_counted_with_its_reason():
    (row,) = evidence.find(T4, "eager", "latency")
    frame, refused = against_evidence.compare([replace(row, chip="nvidia-a100")], operators.load())
    assert frame.empty
    assert any("no stated memory bandwidth" in why for why in refused)


def test_scores_are_those_of_the_hand():
    frame = pd.DataFrame({
        "family": "cuda", "measured": [10.0, 20.0, 40.0], "auto": [11.0, 20.0, 60.0], "roofline": [5.0, 10.0, 20.0],
        "lower": [9.0, 21.0, 30.0], "upper": [12.0, 30.0, 70.0],
        **{name: ["a", "b", "c"] for name in against_evidence.COLUMNS if name != "family"},
    })  # fmt: skip
    (entry,) = against_evidence.summary(frame, ["family"])
    assert (entry["group"], entry["n"], entry["settings"], entry["inside_interval"]) == ("cuda", 3, 3, 0.667)
    assert (entry["auto"]["median_ape"], entry["auto"]["mean_ape"], entry["auto"]["within_20"]) == (10.0, 20.0, 66.7)
    assert (entry["auto"]["bias"], entry["roofline"]["bias"]) == (0.095, -0.693)
    assert "| cuda | 3 | 3 | 10.0 | 20.0 | 66.7 |" in against_evidence.markdown({"family": [entry]})
