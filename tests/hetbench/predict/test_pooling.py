"""Partial pooling: what a label teaches counts by the networks that contain the operator type."""

from __future__ import annotations

import numpy as np
import pytest

from hetbench.catalog.chips import chip
from hetbench.graphs.model_graph import load
from hetbench.predict import models
from hetbench.predict.model_features import composition
from hetbench.predict.network import Network
from hetbench.predict.pooling import LEVELS, Pooled, effect_of, label_of, weights_of


def test_a_type_seen_in_as_many_networks_as_the_level_asks_for_counts_half():
    half = LEVELS["cells"]
    evidence = {"cell": {"Linear": int(half), "": 50}}
    assert weights_of(evidence, "cell", ("Linear", "Pad"), half).tolist() == [0.5, 0.0]
    assert weights_of(evidence, "another", ("Linear",), half).tolist() == [0.0]


def test_the_usual_ratio_moves_from_level_to_level_as_far_as_each_is_believed():
    effects = {"": 1.0, "stack": 2.0, "cell": 6.0}
    assert effect_of(effects, ("stack", "die never seen", "cell"), (0.5, 1.0, 0.25)) == pytest.approx(1.5 + 0.25 * 4.5)
    assert effect_of(effects, ("a", "b", "c"), (1.0, 1.0, 1.0)) == 1.0


def _network(labels: int = 3, hidden: int = 4) -> Network:
    draw = np.random.default_rng(0)
    columns = len(composition([(1.0, load("bert-tiny").operators(1, 8))], chip("cuda")).matrix[0]) + 1

    def array(*shape: int) -> np.ndarray:
        return draw.normal(0, 0.3, shape).astype(np.float32)

    return Network(
        np.zeros(columns, np.float32), np.ones(columns, np.float32), array(5, hidden),
        tuple(array(labels, hidden) for _ in LEVELS), (array(columns, hidden), array(hidden, hidden), array(hidden, 1)),
        (array(hidden), array(1)), tuple(array(labels, 3) for _ in LEVELS),
    )  # fmt: skip


def test_a_label_without_evidence_answers_as_one_never_seen():
    made = composition([(1.0, load("bert-tiny").operators(1, 8))], chip("cuda"))
    net, n = _network(), len(made.count)
    nothing = Pooled.of(np.ones(n, dtype=np.int64), np.full(n, 3), np.zeros((3, n)))
    everything = Pooled.of(np.ones(n, dtype=np.int64), np.full(n, 3), np.ones((3, n)))
    unseen = net.operator_ms(made, 1, nothing, (0, 0, 0))
    assert net.operator_ms(made, 1, nothing, (2, 2, 2)) == pytest.approx(unseen)
    assert net.operator_ms(made, 1, everything, (2, 2, 2)) != pytest.approx(unseen, rel=1e-3)
    assert net.log_ms(1.0, (1, 1, 1), (0, 0, 0)) == pytest.approx(net.log_ms(1.0, (0, 0, 0), (1, 1, 1)))


def test_arrays_of_a_network_survive_writing_and_reading():
    net = _network()
    again = Network.from_arrays(net.to_arrays("a"), "a")
    assert len(again.context) == len(LEVELS)
    assert all((x == y).all() for x, y in zip(net.scalars, again.scalars, strict=True))


def test_chips_of_one_die_and_datasheet_share_what_was_measured_on_either():
    group = models.load().group("pass-gpu")
    names = "nvidia-rtx-4090", "nvidia-rtx-4090-48gb"
    labels = [label_of(name, chip(name).die, "eager-amp", "fp16") for name in names]
    table = load("resnet-50").operators(8, precision="fp16")
    values = [
        float(group.predict(composition([(1.0, table)], chip(name)), 8, label)[0].value[0])
        for name, label in zip(names, labels, strict=True)
    ]
    assert values[1] == pytest.approx(values[0], rel=0.25)
    assert "other chips with the die" in group.rows_of(labels[1])[0]
