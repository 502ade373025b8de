"""The shipped graphs of measured text models, and how shallow traces are extended to deep ones."""

from __future__ import annotations

import csv
from importlib.resources import files
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest

from data_collection.networks.text import DepthError, Entry, entries, extend
from hetbench.catalog.models import models
from hetbench.graphs import ModelGraph, OperatorTable, networks

CATALOG = files("hetbench") / "catalog"
ARCHIVE = CATALOG / "auxiliary-text.zip"
LLAMA = [name for name, entry in entries().items() if entry.record.config_class in ("LlamaConfig", "Qwen2Config")]
DECODERS = [name for name, entry in entries().items() if entry.record.category == "llm"]
PUBLISHED = [name for name, entry in entries().items() if entry.published_params is not None]


def linear_flops(table: OperatorTable) -> int:
    """Twice the multiply-adds of the weights."""
    dims = [(group.dims, group.count) for group in table.groups if group.op == "Linear"]
    return sum(int((2 * d["m"] * d["n"] * d["k"] * count).sum()) for d, count in dims)


def attention(graph: ModelGraph, **setting: Any) -> list[dict[str, Any]]:
    return [row for row in graph.operators(**setting).rows() if row["op"] == "Attention"]


def llama_params(entry: Entry) -> int:
    """The sum of a Llama network's matrices by hand; Qwen2 adds biases to query, key and value."""
    c = entry.record.config
    hidden, head = c["hidden_size"], c.get("head_dim", c["hidden_size"] // c["num_attention_heads"])
    kinds = entry.layers or ({"count": c["num_hidden_layers"], "num_key_value_heads": c["num_key_value_heads"]},)
    total = c["vocab_size"] * hidden * (1 if c["tie_word_embeddings"] else 2) + hidden
    for kind in kinds:
        query, key = c["num_attention_heads"] * head, kind["num_key_value_heads"] * head
        biases = query + 2 * key if entry.record.config_class == "Qwen2Config" else 0
        layer = 2 * hidden * (query + key) + 3 * hidden * c["intermediate_size"] + 2 * hidden + biases
        total += kind["count"] * layer
    return int(total)


def test_the_archive_holds_the_graphs_of_the_table_and_no_catalogue_name() -> None:
    with ARCHIVE.open("rb") as stream, ZipFile(stream) as archive:
        names = [name.removesuffix(".json") for name in archive.namelist()]
        assert {member.date_time[0] for member in archive.infolist()} == {1980}
    assert names == sorted(entries())
    assert not set(names) & set(models())


def test_the_archive_is_small() -> None:
    assert len(ARCHIVE.read_bytes()) < 1_000_000


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_are_those_that_somebody_publishes(name: str) -> None:
    assert networks.load(name).params == entries()[name].published_params


@pytest.mark.parametrize("name", LLAMA)
def test_llama_parameters_are_the_sum_of_its_matrices(name: str) -> None:
    assert networks.load(name).params == llama_params(entries()[name])


@pytest.mark.parametrize("name", DECODERS)
def test_a_forward_pass_is_two_flops_a_parameter_and_token(name: str) -> None:
    graph, config = networks.load(name), entries()[name].record.config
    width = config.get("hidden_size", config.get("n_embd"))
    looked_up = 0 if config["tie_word_embeddings"] else config["vocab_size"] * width
    flops = linear_flops(graph.operators(batch=2, seq_len=64))
    assert flops == pytest.approx(2 * (graph.params - looked_up) * 128, rel=0.02)


def test_prefill_of_llama_2_7b_by_hand() -> None:
    table = networks.load("llama-2-7b").operators(batch=1, seq_len=100, precision="fp16", phase="prefill")
    layers = 32 * (4 * 4096 * 4096 + 3 * 4096 * 11008)
    assert linear_flops(table) == 2 * (100 * layers + 4096 * 32000)  # scores of the last position only
    assert table.flops > linear_flops(table)


@pytest.mark.parametrize("name", DECODERS)
def test_decode_attends_over_the_cache_in_every_layer(name: str) -> None:
    config = entries()[name].record.config
    layers = next(config[key] for key in ("num_hidden_layers", "n_layer", "num_layers") if key in config)
    rows = attention(networks.load(name), batch=3, seq_len=100, precision="fp16", phase="decode")
    assert sum(row["count"] for row in rows) == layers
    assert {(row["dims"]["q_len"], row["dims"]["kv_len"]) for row in rows} == {(1, 101)}


def test_a_longer_cache_is_read_in_full() -> None:
    graph = networks.load("llama-3-8b")
    short, long = (graph.operators(1, size, precision="fp16", phase="decode").bytes for size in (1024, 2048))
    assert long - short == 1024 * 32 * 2 * 8 * 128 * 2  # tokens, layers, keys and values, heads, width, bytes


def test_layers_of_deci_lm_share_keys_and_values_among_more_or_fewer_heads() -> None:
    rows = attention(networks.load("deci-lm-7b"), phase="decode")
    assert {row["dims"]["kv_heads"]: row["count"] for row in rows} == {4: 7, 2: 14, 1: 11}


def test_encoder_and_decoder_depths_count_apart() -> None:
    rows = attention(networks.load("distilbart-cnn-12-6"), batch=1, seq_len=50)
    assert sum(row["count"] for row in rows) == 12 + 2 * 6


def compact_graph(params: int, **counts: int) -> dict[str, Any]:
    """A graph of the named operators, each over b x s elements."""
    variant = {
        "monomials": [["b", "s"]], "sizes": [[[0, 1]]], "counts": list(counts.values()),
        "templates": [[op, "data", {"numel": 0}] for op in counts],
    }  # fmt: skip
    return {
        "format": 1, "compact": True, "name": "toy", "params": params, "limits": {"batch": 1, "seq_len": [1, 9, 1, 4]},
        "phases": {"inference": {"fp32": [[[], 0]]}}, "variants": [variant],
    }  # fmt: skip


def test_an_extended_graph_repeats_what_one_layer_adds() -> None:
    shallow, deep = compact_graph(130, Add=5, Tanh=1), compact_graph(180, Add=7, Tanh=1)
    graph = ModelGraph(extend(shallow, [(shallow, deep, 10)]))
    assert graph.params == 630
    assert {group.op: int(group.count.sum()) for group in graph.operators().groups} == {"Add": 25, "Tanh": 1}
    assert all(np.array_equal(group.dims["numel"], [4]) for group in graph.operators().groups)


def test_a_stack_whose_layers_differ_is_refused() -> None:
    shallow, deep = compact_graph(130, Add=5), compact_graph(180, Add=5, Tanh=1)
    with pytest.raises(DepthError, match="only one depth has Tanh"):
        extend(shallow, [(shallow, deep, 10)])


def test_upstream_names_mean_graphs_that_exist_once_each() -> None:
    rows = list(csv.DictReader((CATALOG / "upstream_names_text.csv").read_text("utf-8").splitlines()))
    assert {row["graph"] for row in rows} <= set(entries()) | set(models())
    assert {row["kind"] for row in rows} <= set(networks.KINDS)
    assert len({(row["file"], row["model"]) for row in rows}) == len(rows)
    assert {row["graph"] for row in rows} >= set(entries())  # no graph that nobody measured


@pytest.mark.parametrize(("name", "file", "graph", "kind"), [
    ("meta-llama/Llama-2-70b-hf", "llm_inference_bench", "llama-2-70b", "exact"),
    ("bert-99.9", "mlperf_inference", "bert-large", "exact"),
    ("opt_13", "neusight", "opt-1.3b", "exact"),
    ("TheBloke/LLaMa-65B-GPTQ", "optimum_benchmark", "llama-65b", "near"),
])  # fmt: skip
def test_a_measured_name_resolves(name: str, file: str, graph: str, kind: str) -> None:
    assert networks.resolve(name, file) == (graph, kind)
