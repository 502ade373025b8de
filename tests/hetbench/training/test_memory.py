"""Memory of a step against arithmetic by hand, and against peaks that milabench published."""

from __future__ import annotations

import numpy as np
import pytest

from hetbench.graphs import GraphNode, load
from hetbench.training import TrainingGraph, optimizer
from hetbench.training.memory import training_memory


def chain(*ops: str) -> list[GraphNode]:
    return [GraphNode(op, {}, "fp32", "", () if index == 0 else (index - 1,)) for index, op in enumerate(ops)]


def step(nodes: list[GraphNode], elements: list[int], params: int, precision: str = "fp32", name: str = "adamw"):
    weights = [float(params) if node.op == "Linear" else 0.0 for node in nodes]
    return training_memory(nodes, np.array(elements), np.array(weights), params, precision, optimizer(name), 10)


def test_two_layers_by_hand():
    # inputs 10; Linear 100 -> ReLU keeps its result, which the next Linear needs too -> Linear 50
    found = step(chain("Linear", "ReLU", "Linear"), [100, 100, 50], 0)
    assert found.activations_peak_bytes == 4 * (10 + 100)


def test_a_tensor_that_two_operators_need_is_kept_once():
    twice = [*chain("Linear", "GELU"), GraphNode("Linear", {}, "fp32", "", (0,))]
    assert step(twice, [100, 100, 50], 0).activations_peak_bytes == 4 * (10 + 100)


def test_adamw_keeps_two_moments_of_four_bytes_and_sgd_nothing():
    assert step(chain("Linear"), [1], 1000).optimizer_bytes == 8000
    assert step(chain("Linear"), [1], 1000, name="sgd").optimizer_bytes == 0
    assert step(chain("Linear"), [1], 1000, name="sgd-momentum").optimizer_bytes == 4000


def test_weights_and_gradients_stay_in_full_precision_under_autocast():
    full, mixed = (step(chain("Linear", "GELU", "Linear"), [100, 100, 50], 1000, name) for name in ("fp32", "bf16"))
    assert mixed.weights_bytes == full.weights_bytes == mixed.gradients_bytes == 4000
    assert mixed.copies_bytes == 2000
    assert mixed.activations_peak_bytes == full.activations_peak_bytes / 2


def test_the_peak_holds_weights_state_and_gradients_at_least():
    found = step(chain("Linear"), [1], 1000)
    assert found.peak_bytes >= found.weights_bytes + found.gradients_bytes + found.optimizer_bytes


def test_what_resnet_keeps_of_an_image_is_the_inputs_of_its_convolutions_and_norms():
    # 11.1 M elements before and after 53 batch norms, the pool's and the classifier's aside
    found = TrainingGraph(load("resnet-50"), optimizer("sgd")).memory(batch=1)
    assert found.activations_peak_bytes == pytest.approx(4 * 2 * 10.6e6, rel=0.1)


@pytest.mark.parametrize(("batch", "measured_mb"), [(16, 4 * 109.5), (64, 4 * 109.5)])
def test_weights_of_bert_do_not_depend_on_the_batch(batch: int, measured_mb: float):
    found = TrainingGraph(load("bert-base"), optimizer("adamw")).memory(batch=batch)
    assert found.weights_bytes / 1e6 == pytest.approx(measured_mb, rel=0.01)


def test_kept_tensors_grow_with_the_batch_alone():
    graph = TrainingGraph(load("bert-base"), optimizer("adamw"))
    one, eight = (graph.memory(batch=batch, seq_len=128) for batch in (1, 8))
    assert eight.activations_peak_bytes == pytest.approx(8 * one.activations_peak_bytes, rel=0.02)
    assert eight.weights_bytes == one.weights_bytes
