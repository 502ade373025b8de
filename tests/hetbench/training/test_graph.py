"""The graph of a step: its operators, its nodes, and what it refuses."""

from __future__ import annotations

from collections import Counter

import pytest

from hetbench.errors import InvalidInputError, UnknownNameError
from hetbench.graphs import load
from hetbench.training import TrainingGraph, optimizer


@pytest.mark.parametrize("model", ["resnet-50", "bert-base", "gpt2"])
def test_a_step_does_three_times_the_work_of_a_pass(model: str):
    graph = TrainingGraph(load(model), optimizer("adamw"))
    forward, step = load(model).operators(batch=4), graph.operators(batch=4)
    assert step.flops == pytest.approx(3 * forward.flops, rel=0.05)


def test_nodes_and_operators_are_the_same_set():
    graph = TrainingGraph(load("bert-tiny"), optimizer("adamw"))
    by_node = Counter((node.op, node.dtype, tuple(sorted(node.dims.items()))) for node in graph.nodes(batch=2))
    by_table = {
        (row["op"], row["dtype"], tuple(sorted(row["dims"].items()))): row["count"]
        for row in graph.operators(batch=2).rows()
    }
    assert by_node == by_table


def test_nodes_read_only_nodes_before_them():
    for index, node in enumerate(TrainingGraph(load("resnet-50"), optimizer("sgd")).nodes(batch=1)):
        assert all(source < index for source in node.sources)


def test_an_update_streams_every_parameter_once_for_each_tensor_it_reads_or_writes():
    graph = TrainingGraph(load("gpt2"), optimizer("adamw"))
    update = graph.tables(batch=1).update
    assert update.bytes == 7 * 4 * load("gpt2").params  # weight, gradient, two moments; three of them written


def test_a_step_without_an_optimizer_has_no_update():
    assert TrainingGraph(load("gpt2"), optimizer("none")).tables(batch=1).update.groups == ()


def test_steps_are_not_computed_in_int8():
    with pytest.raises(InvalidInputError, match="fp32, tf32, fp16, bf16"):
        TrainingGraph(load("gpt2"), optimizer("sgd")).operators(precision="int8")


def test_an_unknown_optimizer_names_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'adamw'"):
        optimizer("adamx")


def test_steps_of_different_optimizers_are_different_graphs():
    assert TrainingGraph(load("gpt2"), optimizer("sgd")) != TrainingGraph(load("gpt2"), optimizer("adamw"))
    assert TrainingGraph(load("gpt2"), optimizer("sgd")) == TrainingGraph(load("gpt2"), optimizer("sgd"))
