"""The catalogue of models: complete, sourced, and forgiving about how a model is spelled."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import FrozenInstanceError

import pytest

from hetbench.catalog.models import Model, model, models, spellings
from hetbench.errors import UnknownNameError

EVERY = pytest.mark.parametrize("record", models().values(), ids=lambda record: record.name)


def test_the_catalogue_holds_34_models_in_five_categories():
    counts = Counter(record.category for record in models().values())
    assert counts == {"llm": 14, "cv": 10, "nlp": 7, "audio": 2, "multimodal": 1}


@EVERY
def test_every_figure_says_where_it_was_read(record: Model):
    assert record.config_source
    assert record.params_source
    assert record.licence
    assert record.licence_source
    assert record.params > 1_000_000


@EVERY
def test_what_could_not_be_verified_says_so(record: Model):
    assert record.config_verified or "not verified" in record.note
    assert record.params_verified or "computed" in record.params_source
    assert record.licence_verified or "memory" in record.licence_source


@EVERY
def test_a_verified_configuration_names_a_repository_and_a_file(record: Model):
    assert not record.config_verified or re.search(r"[\w.-]+/[\w.-]+@[0-9a-f]{8}:\S+", record.config_source)


@EVERY
def test_only_causal_language_models_have_a_decode_phase(record: Model):
    assert record.phases[0] == "inference"
    assert ("decode" in record.phases) == (record.category == "llm")


@EVERY
def test_defaults_exist_exactly_for_the_inputs_a_model_takes(record: Model):
    assert record.batch == 1
    assert (record.image_size is not None) == ("image" in record.inputs)
    assert (record.seq_len is not None) == (record.inputs != "image")
    if record.seq_len and record.max_seq_len:
        assert record.seq_len <= record.max_seq_len


@EVERY
def test_a_model_is_found_by_every_spelling_of_its_name(record: Model):
    for spelling in spellings(record):
        assert model(spelling) is record
        assert model(spelling.upper()) is record


def test_no_spelling_means_two_models():
    counts = Counter(spelling for record in models().values() for spelling in spellings(record))
    assert [spelling for spelling, count in counts.items() if count > 1] == []


@pytest.mark.parametrize(("upstream", "name"), [
    ("bert-base-uncased", "bert-base"), ("Qwen/Qwen2.5-7B", "qwen2.5-7b"), ("resnet50", "resnet-50"),
    ("vit_base_patch16_224", "vit-base"), ("regnety_040", "regnet-y-4gf"), ("t5-base", "t5-base"),
    ("swin_base_patch4_window7_224", "swin-base"), ("openai/clip-vit-large-patch14", "clip-vit-l-14"),
])
def test_upstream_names_resolve(upstream: str, name: str):
    assert model(upstream).name == name


def test_an_unknown_model_names_the_nearest():
    with pytest.raises(UnknownNameError, match=r"unknown model 'resnet-51'.*'resnet-50'"):
        model("resnet-51")


def test_records_and_catalogue_are_read_only():
    with pytest.raises(FrozenInstanceError):
        model("gpt2").params = 1  # type: ignore[misc]
    with pytest.raises(TypeError):
        models()["gpt2"].config["n_layer"] = 1  # type: ignore[index]


def test_records_can_be_keys():
    assert len({record: record.params for record in models().values()}) == 34


def linear(inputs: int, outputs: int, *, bias: bool = True) -> int:
    return inputs * outputs + outputs * bias


def test_the_count_of_gpt2_is_what_its_hyper_parameters_give():
    width, norm = 768, 2 * 768
    attention = linear(width, 3 * width) + linear(width, width)
    block = 2 * norm + attention + linear(width, 4 * width) + linear(4 * width, width)
    assert model("gpt2").params == 50257 * width + 1024 * width + 12 * block + norm  # the output layer is tied


def test_the_count_of_mistral_7b_is_what_its_hyper_parameters_give():
    config = model("mistral-7b").config
    width, inner, key_value = config["hidden_size"], config["intermediate_size"], config["num_key_value_heads"] * 128
    block = 2 * width * width + 2 * width * key_value + 3 * width * inner + 2 * width
    assert model("mistral-7b").params == 2 * config["vocab_size"] * width + config["num_hidden_layers"] * block + width
