"""Plans set beside measurements: which variants a model takes, what is predicted of them, what the report says."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

from data_collection.validate.changes import CHANGES
from data_collection.validate.plan import Checked, predicted, report, variants
from hetbench.catalog.chips import chip
from hetbench.graphs.model_graph import load
from hetbench.plans.action_effects import build_plan_space
from hetbench.plans.actions import MODEL, Option
from hetbench.plans.plan_space import PlanSpace
from hetbench.query import Question, answer_metric

OWN = "amd-epyc-zen4-2vcpu-kvm"


def _plans(name: str) -> PlanSpace:
    question = Question.build(load(name), chip(OWN), {"precision": "fp32", "stack": "eager"})
    return build_plan_space(load(name), question, answer_metric(question, load(name), "latency"))


def test_a_model_is_measured_in_the_ways_that_it_takes():
    names = {model: {each.name for each in variants(model, _plans(model))} for model in ("bert-tiny", "resnet-50")}
    assert "channels last" in names["resnet-50"] - names["bert-tiny"]
    assert "three attention operators" in names["bert-tiny"] - names["resnet-50"]
    assert {"bf16 weights", "torch.compile", "one thread"} <= names["bert-tiny"] & names["resnet-50"]


def test_every_change_of_a_variant_is_one_that_the_profiler_knows():
    changes = {each.change for model in ("bert-tiny", "resnet-50") for each in variants(model, _plans(model))}
    assert changes - {None} <= set(CHANGES)


def test_the_predicted_speed_up_is_that_of_the_plan_or_the_reason_of_the_mask():
    plans = _plans("bert-base")
    found = {each.name: predicted(plans, each) for each in variants("bert-base", plans)}
    half = plans(frozenset({Option("precision", MODEL, "bf16")}))
    assert found["bf16 weights"] == (pytest.approx(plans(frozenset()) / half), "")
    assert found["torch.compile"][0] is None
    assert "compiling stack" in found["torch.compile"][1]
    assert found["one thread"] == (None, "not an action of a plan")


def test_the_report_says_how_often_the_sign_agrees():
    rows = [
        Checked("gpt2", "bf16 weights", 2.0, "", "ok", 2.5, 2.4, 2.6, 300.0, 305.0),
        Checked("gpt2", "torch.compile", None, "nobody measured it", "ok", 1.1, 1.0, 1.2, 300.0, 305.0),
    ]
    text = report(rows, OWN, "torch")
    assert "| gpt2 | bf16 weights | 2.00 | 2.50 | 2.40 .. 2.60 | 305 / 300 |  |" in text
    assert "nobody measured it" in text
    assert "1 predicted and measured: 1 agree on faster or slower; median error of the speed-up 25%." in text


@pytest.mark.parametrize("name", sorted(CHANGES))
def test_a_changed_network_still_answers(name: str):
    import torch

    from data_collection.backends import picked
    from data_collection.profile.subjects import ready
    from data_collection.profile.tasks import Grid, model_tasks

    (task,), _ = model_tasks(["bert-tiny"], Grid(seq_len=[8]))
    with ready(picked("oneapi"), task, CHANGES[name]) as subject:
        found = subject.call()[0]
    assert found.shape[:2] == (1, 8)
    assert torch.isfinite(found.float()).all()
