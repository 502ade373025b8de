"""Training steps as they are timed: weights move, gradients go, and what cannot be measured is refused."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

pytest.importorskip("psutil")
pytest.importorskip("duckdb")
pytest.importorskip("torch")
pytest.importorskip("transformers")

from data_collection.backends import Backend
from data_collection.profile import steps
from data_collection.profile.subjects import ready
from data_collection.profile.tasks import Grid, Task, model_tasks
from data_collection.store.rows import check
from hetbench.errors import RefusedError
from tests.data_collection.store.test_store import MODEL


def step(linear: Task, optimizer: str = "sgd", **other: object) -> Task:
    dims = json.dumps({"optimizer": optimizer})
    task = replace(linear, kind="model", name="bert-tiny", dims=dims, batch=2, seq_len=8, phase="training")
    return replace(task, **other)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("optimizer", "moves"), [("adamw", True), ("none", False)])
def test_a_step_moves_the_weights_and_leaves_no_gradients(
    cpu: Backend, linear: Task, optimizer: str, moves: bool, monkeypatch: pytest.MonkeyPatch
):
    seen = []
    plain = steps.random_network

    def kept(*arguments):
        seen.append(plain(*arguments))
        return seen[-1]

    monkeypatch.setattr(steps, "random_network", kept)
    with ready(cpu, step(linear, optimizer)) as subject:
        weight = next(iter(seen[0].encoder.parameters()))
        before = weight.detach().clone()
        subject.call()
    assert bool((weight != before).any()) is moves
    assert all(each.grad is None for each in seen[0].parameters())


@pytest.mark.filterwarnings("ignore")
def test_weights_stay_in_full_precision_in_a_mixed_step(cpu: Backend, linear: Task):
    with ready(cpu, step(linear, precision="bf16")) as subject:
        subject.call()
        subject.call()


def test_steps_of_compiled_networks_are_refused(cpu: Backend, linear: Task):
    with pytest.raises(RefusedError, match="eager"), ready(cpu, step(linear, stack="compiled")):
        pass


def test_tasks_of_steps_say_their_optimizer():
    tasks, refused = model_tasks(["bert-tiny"], Grid(phase=["training"], optimizer="sgd"))
    assert refused == []
    assert json.loads(tasks[0].dims or "") == {"optimizer": "sgd"}
    assert "optimizer=sgd" in tasks[0].label()


def test_steps_in_int8_are_left_out_with_a_reason():
    tasks, refused = model_tasks(["bert-tiny"], Grid(phase=["training"], precision=["int8"]))
    assert tasks == []
    assert "fp32, tf32, fp16, bf16" in refused[0]


def test_the_store_takes_rows_of_steps():
    row = replace(MODEL, phase="training", dims=json.dumps({"optimizer": "sgd"}))
    assert check(row) is row
