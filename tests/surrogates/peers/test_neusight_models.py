"""NeuSight's end-to-end cases: how operators become a model, and what each is priced as."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hetbench.errors import HetBenchError, InvalidInputError, UnknownNameError
from surrogates.peers import neusight_models as models

CASE = {"chip": "nvidia-t4", "model": "gpt2_large", "mode": "inf", "batch": 1, "seq_len": 8}
GRAPH = (
    ("wte", "Embedding", {"tokens": 8, "dim": 4}, 1.0),
    ("transformer_h_0_ln_1", "LayerNorm", {"rows": 8, "cols": 4}, 2.0),
    ("getitem", "GetItem", {"numel": 32}, 4.0),
    ("add_15", "Add", {"numel": 32}, 8.0),
    ("lm_head", "Linear", {"m": 8, "n": 16, "k": 4}, 16.0),
    ("contiguous_3", "Contiguous", {"numel": 128}, 32.0),
)


@pytest.fixture
def corpus(tmp_path):
    (tmp_path / "peers").mkdir()
    common = {**CASE, "method": "neusight", "phase": "fwd"}
    rows = [
        {**common, "node": node, "op": op, "dims": json.dumps(dims), "predicted_ms": ms, "measured_ms": 2 * ms}
        for node, op, dims, ms in GRAPH
    ]
    pd.DataFrame(rows).to_parquet(tmp_path / "peers" / "peer_op_predictions_neusight.parquet")
    total = 1 + 36 * (2 + 4 + 8) + 16 + 32
    whole = {key: value for key, value in CASE.items() if key != "mode"} | {"phase": "inference", "option": ""}
    switch = {**whole, "model": "switchxl4", "batch": 2}
    pd.DataFrame([
        {**whole, "method": "neusight", "predicted_ms": total, "measured_ms": 1000.0},
        {**whole, "method": "neusight", "option": "fusion", "predicted_ms": 7.0, "measured_ms": 1000.0},
        {**switch, "method": "neusight", "predicted_ms": 9.0, "measured_ms": 10.0},
    ]).to_parquet(tmp_path / "peers" / "peer_predictions_neusight.parquet")  # fmt: skip
    return tmp_path


def test_the_nodes_of_the_layer_count_once_a_layer_and_the_rest_once(corpus):
    assert list(models.nodes(corpus)["count"]) == [1, 36, 36, 36, 1, 1]
    assert models.composition(corpus) < 1e-9


def test_a_graph_without_its_layer_is_refused(corpus):
    path = corpus / "peers" / "peer_op_predictions_neusight.parquet"
    rows = pd.read_parquet(path)
    rows[rows.node != "add_15"].to_parquet(path)
    with pytest.raises(ValueError, match="add_15"):
        models.nodes(corpus)


def test_views_and_a_copy_of_the_logits_cost_nothing_and_the_rest_is_priced(corpus):
    asked = models.queries(corpus)
    mine = asked[asked.model == "gpt2_large"]
    assert list(mine.kernel) == [True, True, False, True, True, False]
    assert list(mine.op) == ["Tanh", "LayerNorm", "Tanh", "Add", "Linear", "Tanh"]
    assert mine.numel.iloc[0] == 32
    priced = asked.assign(ours=1.0)
    found = models.cases(corpus, priced).set_index("model")
    assert found.surrogate["gpt2_large"] == 1 + 36 * 2 + 1
    assert found.measured_nodes["gpt2_large"] == 2 * (1 + 36 * 14 + 16 + 32)
    assert found.surrogate["switchxl4"] == sum(count for *_, count in models.switch(2, False))
    assert np.isnan(found.measured_nodes["switchxl4"])


def test_a_mask_on_the_attention_matrix_is_no_second_tensor():
    rows = pd.DataFrame(
        [
            {**CASE, "op": op, "dims": json.dumps(dims)}
            for op, dims in (("Add", {"numel": 32}), ("Add", {"numel": 8}), ("Softmax", {"rows": 8, "cols": 4}))
        ]
    )
    assert list(models._one_operand(rows)) == [True, False, False]
    assert not models._one_operand(rows.assign(model="switchxl4")).any()


def test_operators_of_switch_scale_with_the_batch_and_drop_out_in_training_only():
    one, two = ({(op, *d.values()) for op, d, _ in models.switch(batch, False)} for batch in (1, 2))
    assert ("Linear", 512, 4096, 1024) in one
    assert ("Linear", 1024, 4096, 1024) in two
    assert not any(op == "Dropout" for op, *_ in one)
    assert sum(op == "Dropout" for op, *_ in models.switch(1, True)) == 4


@pytest.mark.parametrize(("op", "error", "said"), [
    ("SortByKey", UnknownNameError, "unknown operator 'SortByKey'"),
    ("Sort", InvalidInputError, "Sort in NeuSight's nodes lacks the dims rows, cols"),
])  # fmt: skip
def test_a_node_that_hetbench_cannot_describe_is_refused(
    corpus: Path, op: str, error: type[HetBenchError], said: str
):
    path = corpus / "peers" / "peer_op_predictions_neusight.parquet"
    nodes = pd.read_parquet(path)
    nodes.loc[nodes.node == "contiguous_3", "op"] = op
    nodes.to_parquet(path)
    with pytest.raises(error, match=said):
        models.queries(corpus)


def test_a_method_is_scored_only_where_it_covers_the_cases():
    found = pd.DataFrame({
        "chip": ["nvidia-t4", "nvidia-l4", "amd-mi100"], "phase": "inference", "latency_ms": [10.0, 10.0, 10.0],
        "surrogate": [11.0, 12.0, 10.0], "neusight": [12.0, 12.0, 12.0], "habitat": [10.0, 10.0, np.nan],
        "roofline": [5.0, 5.0, np.nan], "measured_nodes": [10.0, np.nan, 10.0],
    })  # fmt: skip
    by_group = {row["group"]: row for row in models.summary(found, pd.Series(["seen", "unseen", "amd"]))}
    assert by_group["all NVIDIA"]["surrogate"]["mean_ape"] == pytest.approx(15)
    assert by_group["all NVIDIA"]["measured_nodes"]["n"] == 1
    assert "habitat" not in by_group["amd"]
    assert by_group["amd"]["neusight"]["mean_ape"] == pytest.approx(20)
