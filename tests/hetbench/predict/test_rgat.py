"""The RGAT: its layer is PyG's, its export answers as it does, and what is asked never leaks into what is given."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch_geometric.nn import RGATConv

from hetbench.predict.features import CLASSES
from hetbench.predict.gaussian_process import OperatorRows, Posterior
from hetbench.predict.rgat import Rgat as Served
from hetbench.predict.rgat import load
from hetbench.schema import PRECISIONS, PROTOCOLS
from surrogates.rgat import data
from surrogates.rgat.conditioning import Rows, posterior
from surrogates.rgat.data import Moments, Table
from surrogates.rgat.fit import Effort, fit, outputs
from surrogates.rgat.network import COORDINATES, RelationalAttention, Rgat
from surrogates.rgat.train import exported

NAMES = data.node_names()
GRAPH = data.graph(NAMES)


def made_up_table(rows: int, chips: int, seed: int = 0) -> Table:
    """Rows whose target is a smooth function of the first feature and an offset of the chip."""
    random = np.random.default_rng(seed)
    chip = random.integers(0, chips, rows)
    columns = np.zeros((rows, data.COLUMNS), dtype=np.float32)
    columns[:, :3] = random.normal(size=(rows, 3))
    target = np.sin(2 * columns[:, 0]) + 0.5 * (chip - chips / 2)
    frame = pd.DataFrame({"chip": [f"chip {index}" for index in chip], "cls": 0})
    zeros = torch.zeros(rows, dtype=torch.long)
    return Table(
        frame, torch.from_numpy(columns), zeros, zeros + NAMES["type:Linear"], zeros, zeros, zeros,
        torch.from_numpy(target.astype(np.float32)), torch.zeros(rows),
    )  # fmt: skip


def test_the_fused_layer_is_rgatconv():
    torch.manual_seed(0)
    ours, theirs = RelationalAttention(16, 8, 5, 4), RGATConv(16, 8, 5, heads=4)
    with torch.no_grad():
        theirs.weight.copy_(ours.weight)
        theirs.q.copy_(ours.query)
        theirs.k.copy_(ours.key)
        theirs.bias.zero_()
    nodes, edges = torch.randn(40, 16), torch.randint(0, 40, (2, 300))
    relation = torch.randint(0, 5, (300,))
    assert torch.allclose(ours(nodes, edges, relation), theirs(nodes, edges, relation), atol=1e-5)


def test_renumbering_the_nodes_renumbers_the_vectors_and_changes_nothing_else():
    torch.manual_seed(0)
    layer, order = RelationalAttention(8, 4, 3, 2), torch.randperm(12)
    nodes, edges, relation = torch.randn(12, 8), torch.randint(0, 12, (2, 50)), torch.randint(0, 3, (50,))
    place = torch.argsort(order)
    assert torch.allclose(layer(nodes, edges, relation)[order], layer(nodes[order], place[edges], relation), atol=1e-6)


def test_the_graph_knows_which_types_a_family_runs_and_a_model_contains():
    relation = {name: index for index, name in enumerate(data.RELATIONS)}
    edges = set(zip(GRAPH.edges[0].tolist(), GRAPH.edges[1].tolist(), GRAPH.relation.tolist(), strict=True))
    assert (NAMES["family:cuda"], NAMES["type:Linear"], relation["supports"]) in edges
    assert (NAMES["model:resnet-50"], NAMES["type:Conv2d"], relation["contains"]) in edges
    assert (NAMES["model:resnet-50"], NAMES["type:RMSNorm"], relation["contains"]) not in edges


def test_the_export_answers_as_the_network_does():
    torch.manual_seed(0)
    network = Rgat(GRAPH, len(CLASSES), len(PRECISIONS), len(PROTOCOLS)).eval()
    table = made_up_table(50, 2)
    moments = Moments(*(np.full((len(CLASSES), data.COLUMNS), v, dtype=np.float32) for v in (0, 1)))
    arrays = exported(network, GRAPH, NAMES, moments)
    types = [name.removeprefix("type:") for name in NAMES if name.startswith("type:")]
    spec = {"format": 1, "id": "test", "types": types, "layers": 3}
    served = Served(spec, arrays | {"scale": network.scale.detach().numpy(), "noise": np.ones(len(CLASSES))})
    kind = [("Linear", PRECISIONS[0], PROTOCOLS[0])]
    found = served.decode("gemm", table.columns.numpy(), kind, np.zeros(50, dtype=np.int64))
    mean, noise, coordinates = outputs(network, table, GRAPH, np.arange(50))
    for ours, theirs in ((found.mean, mean), (found.noise, noise), (found.coordinates, coordinates)):
        assert np.abs(ours - theirs).max() < 1e-4


def test_conditioning_in_numpy_is_that_of_training():
    random = np.random.default_rng(0)
    rows, scale = 30, np.log(random.uniform(0.1, 0.3, (len(CLASSES), 7)))
    cls, cell = random.integers(0, 2, rows), random.integers(0, 3, rows)
    coordinates, noise = random.normal(size=(rows, COORDINATES)), random.uniform(0.05, 0.1, rows)
    residual = random.normal(0, 0.05, 10)
    ours = OperatorRows(cls, cell, coordinates, noise, np.ones(rows))
    theirs = Rows(*(torch.from_numpy(each) for each in (cls, cell, coordinates, noise)))
    known = Posterior(scale, ours.take(slice(10)), residual)
    mean, variance = known.mean_and_variance(ours.take(slice(10, rows)))
    expected = posterior(
        torch.from_numpy(scale), theirs.take(slice(10)), torch.from_numpy(residual), theirs.take(slice(10, rows))
    )
    assert np.allclose(mean, expected[0].numpy(), atol=1e-6)
    spread = variance / expected[1].numpy()  # one factor: how well the observed rows foretell one another
    assert np.allclose(spread, spread[0], rtol=1e-4)
    assert spread[0] < 1


def test_an_operator_far_from_all_observed_keeps_only_the_offsets():
    scale = np.full((len(CLASSES), 7), -2.0)
    seen = OperatorRows(np.array([0]), np.array(["a"]), np.zeros((1, 16)), np.array([0.05]), np.ones(1))
    far = OperatorRows(np.array([0]), np.array(["b"]), np.full((1, 16), 50.0), np.array([0.05]), np.ones(1))
    other = OperatorRows(np.array([1]), np.array(["b"]), np.full((1, 16), 50.0), np.array([0.05]), np.ones(1))
    known = Posterior(scale, seen, np.array([0.2]))
    assert 0.2 > known.mean(seen)[0] > known.mean(far)[0] > known.mean(other)[0] > 0


def _asked_error(table: Table, network: Rgat) -> float:
    """Median absolute error of half of chip 0's rows, given the other half."""
    rows = np.flatnonzero(table.frame.chip == "chip 0")
    mean, noise, coordinates = outputs(network, table, GRAPH, rows)
    half = len(rows) // 2
    seen = OperatorRows(
        np.zeros(len(rows), dtype=np.int64), np.zeros(len(rows)), coordinates.astype(float), noise.astype(float),
        np.ones(len(rows)),
    )  # fmt: skip
    residual = table.target.numpy()[rows] - mean
    scale = network.scale.detach().numpy().astype(float)
    known = Posterior(scale, seen.take(slice(half)), residual[:half])
    return float(np.median(np.abs(residual[half:] - known.mean(seen.take(slice(half, None))))))


@pytest.mark.slow
def test_shuffled_targets_give_chance_level_and_true_ones_do_not():
    effort = Effort(steps=150, chips=3, rows=120)
    errors, chance = {}, {}
    for name in ("true", "shuffled"):
        table = made_up_table(900, 4)
        if name == "shuffled":
            order = torch.from_numpy(np.random.default_rng(1).permutation(900))
            table = replace(table, target=table.target[order])
        away = (table.frame.chip == "chip 0").to_numpy()
        errors[name] = _asked_error(table, fit(table, GRAPH, away, effort))
        target = table.target.numpy()[away]
        chance[name] = float(np.median(np.abs(target - np.median(target))))
    assert errors["true"] < 0.4 * chance["true"]
    assert errors["shuffled"] > 0.9 * chance["shuffled"]


class Breaking(Table):
    """A table that breaks when it is read for the thirteenth time."""

    reads = 0

    def inputs(self, rows: np.ndarray) -> tuple[torch.Tensor, ...]:
        Breaking.reads += 1
        if Breaking.reads > 12:
            raise OSError("the disk is gone")
        return super().inputs(rows)


def test_a_fit_continues_where_its_checkpoint_stopped(tmp_path):
    table, away = made_up_table(300, 3), np.zeros(300, dtype=bool)
    effort, stopped = Effort(steps=20, chips=1, rows=40, every=10), tmp_path / "state.pt"
    whole = fit(table, GRAPH, away, effort)
    with pytest.raises(OSError, match="disk"):
        fit(Breaking(**vars(table)), GRAPH, away, effort, checkpoint=stopped)
    resumed = fit(table, GRAPH, away, effort, checkpoint=stopped)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))


def test_the_shipped_network_covers_every_class_and_operator_type():
    network = load()
    assert set(network.spec["share"]) == set(network.spec["width"]) == set(CLASSES)
    assert all(0 <= share <= 1 for share in network.spec["share"].values())
    assert {"Linear", "Attention", "Conv2d", "Softmax"} <= set(network.types)
