"""Answers carry unit, interval, kind, level and references, and read well."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, replace

import pytest

from hetbench.answers import Answer, Answers, digits, percent
from hetbench.errors import RefusedError

PREDICTED = Answer(
    2.0, "ms", 1.5, 3.0, kind="predicted", level="C", support=12, model="gpt2", chip="nvidia-l4", family="cuda",
    notes=("does not fit: needs 15.2 GB of 8 GB",), shares={"Linear": 1.5},
)  # fmt: skip


def test_an_answer_is_a_number():
    assert float(PREDICTED) == 2.0


def test_an_answer_reads_as_one_line_with_interval_and_level():
    assert str(PREDICTED) == "latency = 2 ms [1.5, 3 at 90 %] for gpt2 on nvidia-l4 (predicted, level C)"
    assert repr(PREDICTED) == str(PREDICTED)


def test_an_exact_answer_shows_no_interval():
    assert str(Answer(124439808, "1", kind="derived", metric="params")) == "params = 124,439,808 (derived)"


def test_a_compared_answer_shows_the_source_and_the_ratio():
    both = replace(PREDICTED, source=replace(PREDICTED, value=4.0, chip="nvidia-t4"), ratio=0.5)
    assert str(both).endswith("= 0.5 x 4 ms on nvidia-t4")


def test_scaling_scales_the_interval_with_the_value():
    half = PREDICTED.scaled(0.5, notes=("halved",))
    assert (half.value, half.lower, half.upper, half.notes) == (1.0, 0.75, 1.5, ("halved",))


def test_an_answer_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        PREDICTED.value = 1.0  # type: ignore[misc]


def test_an_answer_survives_json_with_its_source_side():
    both = replace(PREDICTED, source=PREDICTED, ratio=1.0)
    read = json.loads(json.dumps(both.to_dict(), allow_nan=False))
    assert read["source"]["chip"] == "nvidia-l4"
    assert read["notes"] == ["does not fit: needs 15.2 GB of 8 GB"]
    assert read["shares"] == {"Linear": 1.5}


def test_equal_answers_hash_alike():
    assert len({PREDICTED, replace(PREDICTED)}) == 1


def test_answers_hold_what_was_answered_and_say_why_the_rest_was_not():
    answers = Answers({"latency": PREDICTED}, {"energy": "nobody measured energy here"})
    assert list(answers) == ["latency"]
    assert "energy" not in answers
    assert answers.get("energy") is None
    with pytest.raises(RefusedError, match="nobody measured"):
        answers["energy"]
    with pytest.raises(KeyError):
        answers["colour"]


def test_answers_print_refusals_beside_answers():
    text = repr(Answers({"latency": PREDICTED}, {"energy": "nobody measured energy here"}))
    assert "energy: refused, nobody measured energy here" in text


@pytest.mark.parametrize(("value", "text"), [(0.0123456, "0.0123"), (999.4, "999"), (1000.0, "1,000"), (0.0, "0")])
def test_numbers_show_three_digits(value: float, text: str):
    assert digits(value) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(1.42e-14, "0 %"), (-3e-15, "0 %"), (0.0, "0 %"), (0.0004, "below 0.01 %"), (0.01, "0.01 %"), (42.0, "42 %"),
     (99.97, "above 99.9 %"), (100 - 1e-12, "100 %"), (100.0, "100 %")],
)  # fmt: skip
def test_a_share_is_0_or_100_only_where_nothing_is_in_it_or_left(share: float, text: str):
    assert percent(share) == text
