"""A complete question: what one call completes, which chip it is about, and which stack can be predicted."""

from __future__ import annotations

import pytest

from hetbench.catalog.chips import chip
from hetbench.errors import InvalidInputError
from hetbench.graphs.model_graph import load
from hetbench.query import Question, trained_stack, with_usable_stack


def _question(model: str, place: str | None, **options: object) -> Question:
    return Question.build(load(model), None if place is None else chip(place), options)


def test_a_question_without_a_chip_says_what_needs_one():
    with pytest.raises(InvalidInputError, match="coverage depends on the chip: name one with target="):
        _question("gpt2", None).require_chip("coverage")


@pytest.mark.parametrize(
    ("options", "items"),
    [
        ({"phase": "inference", "batch": 4}, (4, "samples")),
        ({"phase": "prefill", "batch": 4, "seq_len": 128}, (512, "tokens")),
        ({"phase": "decode", "batch": 4, "seq_len": 128}, (4, "tokens")),
    ],
)
def test_one_call_completes_samples_or_tokens(options: dict[str, object], items: tuple[int, str]):
    assert _question("gpt2", "cuda", **options).items_per_call() == items


def test_a_stack_that_the_caller_named_is_never_replaced():
    asked = _question("gpt2", "cann", stack="acl")
    assert with_usable_stack(asked, chip("cann"), "roofline") is asked


def test_a_default_stack_is_replaced_by_eager_where_the_predictor_does_not_model_stacks():
    asked = _question("resnet-50", "cann")
    usable = with_usable_stack(asked, chip("cann"), "roofline")
    assert (asked.stack, usable.stack) == ("acl", "eager")
    assert usable.notes[-1].endswith("instead of the usual stack acl: predictor roofline does not model stacks")


def test_autocast_rows_stand_in_for_eager_half_precision_only():
    place = chip("cuda")
    assert trained_stack(_question("bert-base", "cuda", stack="eager", precision="fp16"), place) == "eager-amp"
    assert trained_stack(_question("gpt2", "cuda", stack="eager", precision="fp32"), place) != "eager-amp"


def test_a_model_that_generates_tokens_is_launched_eagerly_in_every_phase():
    assert {_question("gpt2", "cann", phase=phase).stack for phase in ("inference", "prefill", "decode")} == {"eager"}
    assert _question("bert-base", "cann").stack == "acl"
