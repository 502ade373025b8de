"""Rows are compared by key and value; known differences have reasons."""

from __future__ import annotations

from data_collection.sources import check
from data_collection.upstream.pins import pin


def _row(latency: float, **more: object) -> dict[str, object]:
    return {"op": "Linear", "chip": "c", "dims": '{"m": 1, "k": 2}', "dtype": "fp16", "phase": "fwd", "software": "s",
            "latency_ms": latency, "extra": "{}", "ref": "r"} | more  # fmt: skip


def test_rows_are_equal_within_a_millionth_whatever_the_order_of_dims():
    here = [_row(1.0), _row(2.0), _row(3.0)]
    there = [_row(2.0000001), _row(1.0, dims='{"k":2,"m":1}'), _row(4.0)]
    made = check.compare("op", lambda: here, lambda: there)
    assert made.equal == 2
    assert [row["latency_ms"] for row in made.here] == [3.0]
    assert [row["latency_ms"] for row in made.corpus] == [4.0]


def test_a_known_difference_is_reported_with_its_reason():
    made = check.Comparison(equal=1, corpus=[_row(1.0, split="trace"), _row(1.0, split="train")])
    lines = check.report(pin("neusight"), made)
    assert "1: traces of BERT" in lines[1]
    assert "1: not explained" in lines[2]
