"""A small part of the scan of physics and common sense; `python -m tests.benchmarks.physics` runs all of it."""

from __future__ import annotations

import pytest

from tests.benchmarks.physics import consistency, derived, settings, sizes
from tests.benchmarks.physics.asking import ask, check_floors, predicted
from tests.benchmarks.physics.record import Record

CHIPS = ("nvidia-t4", "nvidia-rtx-4090", "amd-mi210", "huawei-ascend-310p", "cambricon-mlu370-x4")
NETWORKS = ("resnet-50", "mobilenet-v2", "t5-base")


def _holds(record: Record) -> None:
    assert record.properties
    assert not record.broken, "\n".join(record.lines(set(record.broken), 3))


@pytest.mark.parametrize("chip", CHIPS)
def test_no_answer_beats_peak_bandwidth_or_launches(chip: str):
    record = Record()
    for model in (*NETWORKS, "bert-base", "gpt2"):
        for batch in (1, 16):
            answer = ask(model, chip, batch=batch)
            if predicted(answer):
                check_floors(record, answer, chip, "models")
    _holds(record)


@pytest.mark.parametrize("chip", [chip for chip in CHIPS if chip != "amd-mi210"])  # there scaled by operator sums
def test_a_larger_batch_is_never_faster(chip: str):
    record = Record()
    sizes.along(record, "batch", "resnet-50", chip, "batch", (1, 2, 3, 4, 7, 8, 9, 16, 33, 64))
    _holds(record)


def test_a_compiling_stack_is_not_slower_than_eager_execution():
    record = Record()
    settings.stacks(record, NETWORKS)
    _holds(record)


def test_a_narrower_precision_is_not_slower():
    record = Record()
    settings.precisions(record, ("resnet-50",), CHIPS)
    _holds(record)


def test_inference_and_prefill_of_the_same_tokens_agree():
    record = Record()
    settings.phases(record, ("gpt2",), CHIPS)
    _holds(record)


def test_metrics_tables_and_directions_say_the_same():
    record = Record()
    consistency.questions(record, 25)
    _holds(record)


def test_exact_metrics_are_those_of_an_independent_counter():
    record = Record()
    derived.flops(record, ("resnet-50", "gpt2", "t5-base"))
    _holds(record)


def test_a_violation_is_reported_with_where_it_is():
    record = Record()
    record.check("twice two is four", 2 * 2 == 4)
    record.check("twice two is five", 2 * 2 == 5, 1.25, "here")
    assert list(record.broken) == ["twice two is five"]
    assert record.lines(set(record.properties), 1)[1].startswith("FAIL")
    assert "here" in record.lines(set(record.properties), 1)[2]
