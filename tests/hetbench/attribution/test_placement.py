"""The placement game: every non-additive cost by hand, and the flow of real graphs."""

from __future__ import annotations

import numpy as np
import pytest

from hetbench.attribution.placement import Cuts, Flow, Fusions, Placement, Side, flow, placement
from hetbench.attribution.shapley import exact
from hetbench.graphs import GraphNode, model_graph


def rows(*inside: str) -> np.ndarray:
    """Coalitions written as the groups on the target, such as `ac`; of three groups a, b, c."""
    return np.array([[name in each for name in "abc"] for each in inside])


ADDITIVE = Placement(np.array([3.0, 1.0, 2.0]), np.array([1.0, 2.0, 2.5]))


def test_without_links_fusions_and_overheads_the_values_are_the_differences():
    assert ADDITIVE(rows("", "a", "abc")).tolist() == [6.0, 4.0, 5.5]
    assert exact(ADDITIVE, 3).value == pytest.approx([-2.0, 1.0, 0.5])


def test_without_a_source_the_values_are_the_shares():
    game = Placement(np.zeros(3), ADDITIVE.target_ms)
    assert exact(game, 3).value == pytest.approx(ADDITIVE.target_ms)


def test_a_result_crosses_once_however_many_read_it():
    cuts = Cuts(np.array([0]), np.array([[False, True, True]]), np.array([0.5]), np.array([1]))  # a is read by b and c
    game = Placement(np.zeros(3), np.zeros(3), cuts=cuts)
    assert game(rows("", "a", "b", "bc", "ab", "abc")).tolist() == [0.0, 0.5, 0.5, 0.5, 0.5, 0.0]
    assert exact(game, 3).value == pytest.approx(0.0, abs=1e-15)


def test_a_fused_operator_pays_where_it_is_without_its_producer():
    fusions = Fusions(np.array([0]), np.array([1]), np.array([0.25]), np.array([0.75]))  # b is fused into a
    game = Placement(np.zeros(3), np.zeros(3), fusions=fusions)
    assert game(rows("", "a", "b", "ab", "c")).tolist() == [0.0, 0.25, 0.75, 0.0, 0.0]
    assert exact(game, 3).value == pytest.approx([-0.25, 0.25, 0.0])  # ((0.25) + (-0.75)) / 2 and its negative


def test_each_chip_that_is_used_costs_its_call():
    game = Placement(np.zeros(3), np.zeros(3), calls_ms=(0.3, 0.9))
    assert game(rows("", "a", "abc")) == pytest.approx([0.3, 1.2, 0.9])
    assert exact(game, 3).value == pytest.approx([0.2, 0.2, 0.2])


def test_what_does_not_fit_is_read_over_the_link():
    game = Placement(np.zeros(3), np.zeros(3), memory=np.array([4.0, 4.0, 1.0]), activations=1.0,
                     capacity=(np.inf, 6.0), stream_ms=(0.0, 0.5))  # fmt: skip
    assert game(rows("", "a", "ab", "abc")).tolist() == [0.0, 0.0, 1.5, 2.0]
    assert exact(game, 3).value.sum() == pytest.approx(2.0)


def test_groups_that_are_alike_get_the_same_and_one_that_changes_nothing_gets_nothing():
    # a feeds b and c, which are alike; d takes the same on both chips and exchanges nothing
    cuts = Cuts(np.array([0]), np.array([[False, True, True, False]]), np.array([0.7]), np.array([1]))
    fusions = Fusions(np.array([0, 0]), np.array([1, 2]), np.array([0.1, 0.1]), np.array([0.4, 0.4]))
    game = Placement(np.array([1.0, 2.0, 2.0, 3.0]), np.array([2.0, 1.0, 1.0, 3.0]), cuts=cuts, fusions=fusions,
                     memory=np.array([1.0, 2.0, 2.0, 0.0]), capacity=(np.inf, 3.0), stream_ms=(0.0, 1.0))  # fmt: skip
    a, b, c, d = exact(game, 4).value
    assert b == pytest.approx(c)
    assert d == pytest.approx(0.0)
    assert a + b + c + d == pytest.approx(2.0 + 1.0 + 1.0 + 3.0 + 2.0 - 8.0)


def test_parts_sum_to_the_time():
    game = Placement(np.ones(3), np.ones(3), (0.1, 0.2), Cuts(np.array([0]), np.array([[False, True, False]]),
                     np.array([0.5]), np.array([2])))  # fmt: skip
    parts = game.parts(rows("a", "abc"))
    assert list(parts) == ["operators", "calls", "transfers", "split fusions", "streaming"]
    assert sum(parts.values()).tolist() == game(rows("a", "abc")).tolist()
    assert parts["transfers"].tolist() == [0.5, 0.0]


def chain() -> tuple[list[GraphNode], Flow]:
    nodes = [
        GraphNode("Linear", {"m": 2, "n": 3, "k": 4}, "fp16", "first", ()),
        GraphNode("Dropout", {"numel": 6}, "fp16", "drop", (0,)),
        GraphNode("GELU", {"numel": 6}, "fp16", "act", (1,)),
        GraphNode("Softmax", {"rows": 2, "cols": 3}, "fp16", "soft", (2,)),
        GraphNode("Add", {"numel": 6}, "fp16", "add", (0, 3)),
        GraphNode("Concat", {"numel": 12}, "fp16", "cat", (4, 2)),
    ]
    return nodes, flow(nodes)


def test_what_does_nothing_hands_on_what_it_was_given():
    _, found = chain()
    assert found.nodes == (0, 2, 3, 4, 5)
    assert found.sources == ((), (0,), (1,), (0, 2), (1, 3))


def test_element_wise_operators_fuse_into_the_last_they_read_and_layouts_do_not():
    assert chain()[1].producer == (None, 0, None, 2, None)


def test_a_game_is_built_from_the_flow():
    _, found = chain()
    ms = np.ones(5)
    source = Side(ms, ms, copy_ms=0.1, ms_per_byte=0.01)
    target = Side(2 * ms, 2 * ms + 0.5, copy_ms=0.2, ms_per_byte=0.02)
    group = np.array([0, 1, 1, 1, 1])  # the linear layer, and the rest
    game = placement(found, group, 2, source, target, result_bytes=np.array([10, 1, 1, 1, 1]), memory=np.zeros(5),
                     activations=0.0)  # fmt: skip
    none, linear, rest, both = game(np.array([[False, False], [True, False], [False, True], [True, True]]))
    crossing = 0.3 + 10 * 0.03  # read by GELU and by the addition, carried once
    assert (none, both) == (5.0, 10.0)
    assert linear == pytest.approx(2 + 4 + crossing)
    assert rest == pytest.approx(1 + 8 + crossing + 0.5)  # GELU lost its producer


@pytest.mark.parametrize("name", ["gpt2", "resnet-50", "qwen2.5-7b", "whisper-large-v3", "swin-base"])
def test_bytes_of_the_nodes_sum_to_those_of_the_model(name: str):
    loaded = model_graph.load(name)
    phase = loaded.phases[-1]
    made, need = loaded.node_bytes(precision="fp16", phase=phase), loaded.memory(precision="fp16", phase=phase)
    assert made.weights.sum() == pytest.approx(need.weights_bytes)
    assert made.cache.sum() == need.kv_cache_bytes
    nodes = loaded.nodes(precision="fp16", phase=phase)
    assert len(made.results) == len(nodes)
    read = {source for node in nodes for source in node.sources}
    assert all(made.results[index] > 0 for index in read)
