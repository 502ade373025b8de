"""Operator graphs of the catalogue: complete, exact, hand-checked, and evaluated without torch."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from hetbench.catalog.models import models
from hetbench.errors import ArtifactError, InvalidInputError, RefusedError, UnknownNameError
from hetbench.graphs import ModelGraph, load, resolve_dtype
from hetbench.operators import operator_types

EVERY = pytest.mark.parametrize("name", models())
LLMS = [record.name for record in models().values() if record.category == "llm"]
REQUIRED_TYPES = {
    "Linear", "MatMul", "Conv1d", "Conv2d", "Attention", "LayerNorm", "RMSNorm", "GroupNorm",
    "BatchNorm2d", "ReLU", "ReLU6", "GELU", "SiLU", "Sigmoid", "Tanh", "Add", "Mul", "RoPE", "Embedding",
    "MaxPool2d", "AvgPool2d", "AdaptiveAvgPool2d", "Concat", "Copy", "Dropout",
}  # fmt: skip


def rows(name: str, op: str, **sizes) -> list[dict]:
    return [row for row in load(name).operators(**sizes).rows() if row["op"] == op]


@EVERY
def test_the_parameter_count_is_the_published_one(name: str):
    assert load(name).params == pytest.approx(models()[name].params, rel=1e-3)


@EVERY
def test_every_operator_has_a_type_and_whole_positive_dims(name: str):
    for phase in load(name).phases:
        for group in load(name).operators(phase=phase, precision="fp16").groups:
            kind = operator_types()[group.op]
            assert set(kind.dims) <= set(group.dims) <= {*kind.dims, *kind.optional}
            for dim in kind.dims:
                assert group.dims[dim].dtype == np.int64
                assert (group.dims[dim] >= (dim in ("pad", "causal")) * 0 + (dim not in ("pad", "causal"))).all()


def test_the_types_that_the_field_uses_all_occur():
    found = {group.op for name in models() for group in load(name).operators().groups}
    assert found >= REQUIRED_TYPES


@EVERY
def test_flops_are_linear_in_the_batch(name: str):
    one, two, three = (load(name).operators(batch=batch).flops for batch in (1, 2, 3))
    similarities = 2 * 768 + 1 if name == "clip-vit-l-14" else 0  # every text with every image: batch squared
    assert three - two == two - one + 2 * similarities


@pytest.mark.parametrize("name", ["resnet-50", "mobilenet-v2", "gpt2", "opt-1.3b", "bert-base"])
def test_flops_scale_with_the_batch_where_nothing_is_shared(name: str):
    assert load(name).operators(batch=8).flops == 8 * load(name).operators(batch=1).flops


@pytest.mark.parametrize("name", LLMS)
def test_prefill_saves_the_scores_of_all_positions_but_the_last(name: str):
    graph, record = load(name), models()[name]
    inference, prefill = (graph.operators(batch=2, seq_len=100, phase=phase) for phase in ("inference", "prefill"))
    width = next(record.config[key] for key in ("hidden_size", "n_embd") if key in record.config)
    head = 2 * record.config["vocab_size"] * width
    assert inference.flops - prefill.flops == 2 * 99 * head


@pytest.mark.parametrize("name", LLMS)
def test_decode_attends_the_cache_and_the_new_token(name: str):
    for row in rows(name, "Attention", batch=3, seq_len=200, phase="decode"):
        dims = row["dims"]
        assert (dims["batch"], dims["q_len"], dims["kv_len"], dims["causal"]) == (3, 1, 201, 1)


@pytest.mark.parametrize("name", LLMS)
def test_a_causal_model_has_one_causal_attention_a_layer(name: str):
    config = models()[name].config
    layers = next(config[key] for key in ("num_hidden_layers", "n_layer", "num_layers") if key in config)
    assert sum(row["count"] for row in rows(name, "Attention") if row["dims"]["causal"]) == layers


def test_grouped_heads_are_counted_before_they_are_repeated():
    (row,) = rows("qwen2.5-7b", "Attention", seq_len=10)
    assert (row["dims"]["heads"], row["dims"]["kv_heads"], row["dims"]["head_dim"]) == (28, 4, 128)
    (row,) = rows("falcon-7b", "Attention", seq_len=10, phase="decode")
    assert (row["dims"]["heads"], row["dims"]["kv_heads"], row["dims"]["head_dim"]) == (71, 1, 64)


def test_windows_are_those_of_the_configuration():
    assert {row["dims"]["window"] for row in rows("mistral-7b", "Attention")} == {4096}
    assert {row["dims"]["window"] for row in rows("phi-3-mini", "Attention")} == {2047}
    assert {row["dims"]["window"]: row["count"] for row in rows("gpt-neo-1.3b", "Attention")} == {0: 12, 256: 12}
    assert {row["dims"]["window"] for row in rows("qwen2.5-7b", "Attention")} == {0}


def test_rope_turns_the_rotated_width_only():
    quarter = {"tokens": 100, "heads": 16, "kv_heads": 16, "head_dim": 32}  # 25 % of 128
    assert rows("pythia-1.4b", "RoPE", batch=2, seq_len=50)[0] == {
        "op": "RoPE", "dims": quarter, "dtype": "fp32", "count": 24
    }
    assert rows("yi-6b", "RoPE", seq_len=50)[0]["dims"] == {"tokens": 50, "heads": 32, "kv_heads": 4, "head_dim": 128}


def test_the_first_convolution_of_resnet_is_the_textbook_one():
    first = next(node for node in load("resnet-50").nodes(batch=2, image_size=256) if node.op == "Conv2d")
    assert first.dims == {"n": 2, "c": 3, "h": 256, "w": 256, "oc": 64, "kh": 7, "kw": 7, "stride": 2, "pad": 3,
                          "groups": 1}  # fmt: skip
    assert operator_types()["Conv2d"].flops(first.dims) == 2 * 2 * 64 * 128 * 128 * 3 * 7 * 7


def test_resnet_has_4_09_billion_multiply_adds_in_its_products():
    table = load("resnet-50").operators()
    products = (g for g in table.groups if g.op in ("Conv2d", "Linear"))
    flops = sum(int((operator_types()[g.op].flops(g.dims) * g.count).sum()) for g in products)
    assert flops // 2 == 4_089_184_256 + 500  # 1000 biases count an addition each


def test_gpt2_flops_by_hand():
    tokens, width, vocab = 128, 768, 50257
    layer = 2 * tokens * width * (3 * width + width + 4 * width + 4 * width)
    biases = tokens * (3 * width + width + 4 * width + width)
    pairs = tokens * (tokens + 1) // 2
    table = load("gpt2").operators(seq_len=tokens)
    products = sum(
        int((operator_types()[g.op].flops(g.dims) * g.count).sum())
        for g in table.groups
        if g.op in ("Linear", "Attention")
    )
    assert products == 12 * (layer + biases + 4 * width * pairs) + 2 * tokens * width * vocab


def test_relative_position_models_count_their_windows():
    shapes = {(r["dims"]["batch"], r["dims"]["q_len"], r["dims"]["heads"]): r["count"] for r in
              rows("swin-base", "Attention", image_size=448)}  # fmt: skip
    assert shapes == {(256, 49, 4): 2, (64, 49, 8): 2, (16, 49, 16): 18, (4, 49, 32): 2}


def test_image_sizes_change_tokens_and_interpolate_the_position_table():
    assert not rows("vit-base", "Interpolate")
    (row,) = rows("vit-base", "Interpolate", image_size=384)
    assert row["dims"] == {"n": 1, "c": 768, "h": 14, "w": 14, "oh": 24, "ow": 24}
    (row,) = rows("vit-base", "Attention", image_size=384)
    assert row["dims"]["q_len"] == 24 * 24 + 1


def test_whisper_decodes_against_thirty_seconds_of_audio():
    lengths = {row["dims"]["kv_len"]: row["count"] for row in
               rows("whisper-large-v3", "Attention", seq_len=20, phase="decode")}  # fmt: skip
    assert lengths == {21: 32, 1500: 32}
    assert not rows("whisper-large-v3", "Conv1d", phase="decode")
    assert rows("whisper-large-v3", "Conv1d", phase="prefill")


def test_the_table_counts_what_the_nodes_list():
    graph = load("tinyllama-1.1b")
    table, nodes = graph.operators(seq_len=7, precision="bf16"), graph.nodes(seq_len=7, precision="bf16")
    assert sum(row["count"] for row in table.rows()) == len(nodes)
    assert table.launches == len([node for node in nodes if node.op != "Dropout"])
    assert sum(int(operator_types()[n.op].flops(n.dims)) for n in nodes) == table.flops


@EVERY
def test_edges_run_forwards_and_everything_but_inputs_has_one(name: str):
    nodes = load(name).nodes()
    assert all(source < index for index, node in enumerate(nodes) for source in node.sources)
    assert sum(not node.sources for node in nodes) <= 30  # inputs, position and bias tables
    read = {source for node in nodes for source in node.sources}
    assert len(nodes) - 1 in read or nodes[-1].op in ("Linear", "LayerNorm", "Tanh", "Copy", "MatMul", "MulScalar")


def test_precisions_reach_the_operators_that_have_them():
    by_type = {row["op"]: row["dtype"] for row in load("gpt2").operators(precision="int8").rows()}
    assert by_type["Linear"] == "int8"
    assert by_type["LayerNorm"] == by_type["Attention"] == "fp16"
    assert {row["dtype"] for row in load("resnet-50").operators(precision="fp64").rows()} == {"fp64"}
    assert resolve_dtype("Conv2d", "data", "tf32") == "tf32"
    assert resolve_dtype("ReLU", "data", "tf32") == "fp32"


def test_memory_of_gpt2_by_hand():
    memory = load("gpt2").memory(batch=2, seq_len=99, precision="fp16", phase="decode")
    assert memory.weights_bytes == 124_439_808 * 2
    assert memory.kv_cache_bytes == 12 * 2 * (2 * 100 * 768) * 2  # layers, K and V, tokens, bytes
    assert memory.total_bytes == memory.weights_bytes + memory.activations_peak_bytes + memory.kv_cache_bytes
    scores = load("gpt2").memory(batch=2, seq_len=512, precision="fp16")
    hidden, logits = 2 * 512 * 768 * 2, 2 * 512 * 50257 * 2
    assert scores.activations_peak_bytes == hidden + logits + 2 * 512 * 8  # and the int64 token ids
    assert scores.kv_cache_bytes == 0


def test_a_sliding_window_bounds_the_cache():
    longer, bound = (load("mistral-7b").memory(seq_len=n, phase="decode").kv_cache_bytes for n in (20_000, 4096))
    assert longer == bound == 32 * 2 * 4096 * 8 * 128 * 4


def test_grouped_heads_shrink_the_cache():
    memory = load("qwen2.5-7b").memory(seq_len=999, precision="bf16", phase="decode")
    assert memory.kv_cache_bytes == 28 * 2 * 1000 * 4 * 128 * 2


@EVERY
def test_activations_grow_with_the_batch(name: str):
    one, four = (load(name).memory(batch=batch, precision="fp16") for batch in (1, 4))
    assert one.weights_bytes == four.weights_bytes == 2 * load(name).params
    assert one.activations_peak_bytes < four.activations_peak_bytes <= 4 * one.activations_peak_bytes


def test_aten_operators_are_counted_for_coverage():
    counts = load("resnet-50").aten_ops()
    assert counts == {"_adaptive_avg_pool2d": 1, "add_.Tensor": 16, "batch_norm": 53, "conv2d": 53, "linear": 1,
                      "max_pool2d_with_indices": 1, "relu": 49}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "sizes", "message"),
    [
        ("bert-base", {"seq_len": 513}, "from 1 to 512"),
        ("clip-vit-l-14", {"seq_len": 78}, "from 1 to 77"),
        ("gpt2", {"batch": 0}, "whole number from 1"),
        ("gpt2", {"batch": 1.5}, "batch=1.5"),
        ("gpt2", {"batch": True}, "batch=True"),
        ("gpt2", {"image_size": 224}, "takes no image_size"),
        ("resnet-50", {"seq_len": 128}, "takes no seq_len"),
        ("resnet-50", {"image_size": 8}, "from 64 to 2048"),
        ("swin-base", {"image_size": 256}, "multiple of 224"),
        ("yi-6b", {"batch": 60_000, "seq_len": 4096 + 1}, "from 1 to 4096"),
        ("qwen2.5-7b", {"batch": 60_000, "seq_len": 100_000}, "exceeds the limit of"),
    ],
)
def test_sizes_that_a_model_does_not_take_are_refused_with_those_it_takes(name: str, sizes: dict, message: str):
    with pytest.raises(InvalidInputError, match=message):
        load(name).operators(**sizes)


def test_phases_and_names_that_do_not_exist_teach():
    with pytest.raises(RefusedError, match="resnet-50 has no phase 'decode'"):
        load("resnet-50").operators(phase="decode")
    with pytest.raises(InvalidInputError, match="inference, prefill, decode"):
        load("gpt2").operators(phase="training")
    with pytest.raises(UnknownNameError, match="precision"):
        load("gpt2").operators(precision="fp12")
    with pytest.raises(UnknownNameError, match="resnet-50"):
        load("resnet-51")
    with pytest.raises(ArtifactError, match="format 0"):
        ModelGraph({"format": 0, "name": "old"})


def test_reading_a_graph_needs_no_torch():
    code = (
        "import sys, json; from hetbench.graphs.model_graph import load; t = load('gpt2').operators(batch=2);"
        "print(json.dumps([t.flops, 'torch' in sys.modules, 'pandas' in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [load("gpt2").operators(batch=2).flops, False, False]


def test_what_a_structure_keeps_is_complete_whenever_another_thread_looks():
    usual = load("bert-tiny")
    expected, seen = usual.memory(batch=3), []

    class Watched(dict):
        def __setitem__(self, key, value):
            super().__setitem__(key, value)
            seen.append(graph.memory(batch=3))  # as another thread may at this moment

    graph = ModelGraph(usual._table)
    graph.variant(graph.setting(batch=3)).kept = Watched()
    assert graph.memory(batch=3) == expected
    assert seen
    assert set(seen) == {expected}
