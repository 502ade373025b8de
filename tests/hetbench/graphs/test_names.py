"""Names of networks: every own name means itself, copies mean their network, similar names mean nothing."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from hetbench import HetBench
from hetbench.errors import InvalidInputError, RefusedError, UnknownNameError
from hetbench.graphs import names, networks


def test_every_network_resolves_to_itself_in_three_spellings():
    index, squeezed = names._index(), names._squeezed()
    assert set(networks.names()) < set(names.every_name())
    for name in names.every_name():
        kind, own = index[names._fold(name)]
        assert own == name or kind == "model", name  # the catalogue's, under the name that the hub gives it
        for spelling in (name, name.upper(), name.replace("-", "_").replace("_", " ")):
            target = index.get(names._fold(spelling)) or squeezed.get(names._squeeze(spelling))
            assert target == (kind, own), spelling


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("ResNet152", "resnet152"), ("torchvision/resnet50", "resnet-50"), ("timm/convnext_tiny", "convnext_tiny"),
        ("bert-large-uncased", "google-bert/bert-large-uncased"),
        ("Llama-3.1-8B-Instruct", "meta-llama/Meta-Llama-3.1-8B-Instruct"), ("mixtral-8x22b-instruct-v0.1",
                                                                            "mistralai/Mixtral-8x22B-Instruct-v0.1"),
        ("Qwen2.5-7B-Instruct", "qwen2.5-7b"), ("qwen3 8b", "Qwen/Qwen3-8B"), ("ViT-B/16", "vit-base"),
    ],
)  # fmt: skip
def test_case_owner_library_and_separators_do_not_matter(given: str, meant: str):
    assert names.find(given).name == meant


@pytest.mark.parametrize(
    ("given", "precision"),
    [("meta-llama/Llama-3.1-8B-Instruct-FP8", "fp8"), ("Qwen2.5-72B-Instruct-w8a8", "int8"), ("Qwen/Qwen3-8B", None)],
)
def test_the_suffix_of_a_quantised_copy_sets_the_precision(given: str, precision: str | None):
    assert names.find(given).precision == precision
    if precision:
        answer = HetBench().query(given, target="nvidia-h100-sxm5-80gb", metric="latency")
        assert answer.precision == precision
        assert any("by the name of the checkpoint" in note for note in answer.notes)


def test_an_explicit_precision_wins_over_the_name():
    answer = HetBench().query("Qwen/Qwen3-8B-FP8", target="nvidia-h100-sxm5-80gb", metric="latency", precision="bf16")
    assert answer.precision == "bf16"


def test_another_vocabulary_is_another_network():
    api = HetBench()
    counts = {name: api.query(name, metric="params").value
              for name in ("bert-base", "bert-base-cased", "bert-base-multilingual-cased")}  # fmt: skip
    assert counts == {
        "bert-base": 109_482_240, "bert-base-cased": 108_310_272, "bert-base-multilingual-cased": 177_853_440
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "params"),
    [("bert-base-multilingual-uncased", 167_356_416), ("bert-base-chinese", 102_267_648),
     ("bert-large-cased", 333_579_264), ("distilbert-base-cased", 65_190_912),
     ("distilbert-base-cased-distilled-squad", None), ("deepset/roberta-base-squad2", None),
     ("distilbert-base-uncased-finetuned-sst-2-english", None), ("convnext_tiny.fb_in22k", None),
     ("convnext_tiny.fb_in22k_ft_in1k", 28_589_128)],
)  # fmt: skip
def test_params_are_those_of_the_very_vocabulary_and_output_layer_or_refused(name: str, params: int | None):
    if params is None:
        with pytest.raises(RefusedError, match="its vocabulary or output layer may differ"):
            HetBench().query(name, metric="params")
    else:
        assert HetBench().query(name, metric="params").value == params


@pytest.mark.parametrize(
    ("name", "meant", "precision"),
    [("llama-2-7b.Q4_K_M.gguf", "llama-2-7b", "q4_k_m"), ("gpt-oss-20b-F16.gguf", "openai/gpt-oss-20b", "mxfp4"),
     ("Qwen3-30B-A3B-UD-Q4_K_XL.gguf", "Qwen/Qwen3-30B-A3B", "q4_k_m"),
     ("GLM-4.5-Air-UD-Q4_K_XL-00001-of-00002.gguf", "zai-org/GLM-4.5-Air", "q4_k_m"),
     ("bartowski/Meta-Llama-3.1-8B-Instruct-GGUF", "meta-llama/Meta-Llama-3.1-8B-Instruct", None)],
)  # fmt: skip
def test_a_gguf_file_is_its_network_in_its_format(name: str, meant: str, precision: str | None):
    found = names.find(name)
    assert (found.name, found.precision) == (meant, precision)
    if precision is None:
        assert any("states no format of its weights" in note for note in found.notes)


@pytest.mark.parametrize("given", [["resnet50"], {"a": 1}, None, 7])
def test_what_is_no_name_is_refused_in_words(given: object):
    for ask in (networks.load, networks.resolve):
        with pytest.raises(InvalidInputError, match="must be a text"):
            ask(given)
    with pytest.raises(InvalidInputError, match="name of a data set"):
        networks.resolve("resnet50", ["timm"])


def test_a_name_with_the_same_layers_answers_latency_but_no_exact_facts():
    api, name = HetBench(), "nlptown/bert-base-multilingual-uncased-sentiment"
    assert api.query(name, target="cuda", metric="latency").value > 0
    for metric in ("params", "memory"):
        with pytest.raises(RefusedError, match="has the layers of bert-base"):
            api.query(name, target="cuda", metric=metric)


def test_an_unknown_name_is_refused_with_the_nearest_of_all_names():
    with pytest.raises(UnknownNameError, match=r"Did you mean .*Mixtral-8x7B"):
        names.find("Mixtral-8x7B-v0.7")


def test_a_configuration_file_and_a_mapping_are_the_same_network(tmp_path: Path):
    config = {"model_type": "qwen3", "hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 2,
              "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 64, "vocab_size": 1000}  # fmt: skip
    path = tmp_path / "small" / "config.json"
    path.parent.mkdir()
    path.write_text(json.dumps(config))
    api = HetBench()
    by_file, by_mapping = (api.query(model, target="cuda", metric="latency") for model in (str(path), config))
    assert by_file.value == by_mapping.value
    assert (by_file.model, by_mapping.model) == ("small", "qwen3")


def test_a_changed_file_is_read_again(tmp_path: Path):
    path = tmp_path / "config.json"
    path.write_text('{"model_type": "gpt2", "n_layer": 1}')
    before = names.find(str(path)).params
    path.write_text('{"model_type": "gpt2", "n_layer": 2}')
    os.utime(path, (1, 1))
    assert names.find(str(path)).params > before


def test_an_unknown_model_type_says_which_is_nearest_and_how_to_trace():
    with pytest.raises(RefusedError, match=r"Nearest known types: .*qwen3.*api\.trace\(module, inputs\)"):
        HetBench().query({"model_type": "qwen33", "hidden_size": 8}, target="cuda", metric="latency")
