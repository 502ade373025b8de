"""The estimate of one question with plain numbers against the rules as written for many calls at once."""

import random

import pytest

from hetbench import HetBenchError, chips, models
from hetbench.graphs.model_graph import load
from hetbench.query.estimate import Estimator
from hetbench.query.latency import estimator, with_usable_stack
from hetbench.query.question import Question
from hetbench.schema import FAMILIES


def test_plain_numbers_follow_the_rules_for_many_calls():
    draw, compared = random.Random(5), 0
    known = [chip for chip in chips().values() if chip.family in FAMILIES and chip.bandwidth]
    for _ in range(50):
        graph, chip = load(draw.choice(list(models()))), draw.choice(known)
        options = {"batch": draw.choice((1, 2, 3, 5, 48)), "phase": draw.choice(graph.phases),
                   "precision": draw.choice((None, "fp32", "fp16", "bf16", "int8"))}  # fmt: skip
        try:
            question = with_usable_stack(Question.build(graph, chip, options), chip, "auto")
            found = estimator(question, chip, graph, "auto")
            answer = found.latency()
        except HetBenchError:
            continue
        generates = "decode" in graph.phases
        plain = Estimator(question, chip, "auto", lambda p, f=found: f.terms(p).values[None], graph.longest, generates)
        expected = plain.latency()
        assert str(answer.level[0]) == str(expected.level[0])
        for name in ("value", "lower", "upper"):
            assert getattr(answer, name)[0] == pytest.approx(getattr(expected, name)[0], rel=1e-12)
        compared += 1
    assert compared > 25
