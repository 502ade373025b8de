"""Architectures in the words of other benchmarks and libraries."""

from __future__ import annotations

import pytest

from hetbench import HetBench
from hetbench.errors import InvalidInputError, UnknownNameError
from hetbench.spaces import space

OWN = {"embed": 768, "layers": 12, "bias": True, "mlp_ratio": [4] * 12, "heads": [12] * 12}


def test_a_dictionary_of_hw_gpt_bench_is_the_same_architecture():
    theirs = {"sample_embed_dim": 768, "sample_n_layer": 12, "sample_bias": True, "sample_mlp_ratio": [4] * 12,
              "sample_n_head": [12] * 12}  # fmt: skip
    assert space("gpt-s").check(theirs) == space("gpt-s").check(OWN)
    api = HetBench(search_space="gpt-s")
    api.set_arch(theirs)
    theirs_count = api.query(metric="params").value
    api.set_arch(OWN)
    assert api.query(metric="params").value == theirs_count


def test_lists_of_a_supernet_are_as_long_as_the_deepest_network():
    theirs = {"sample_embed_dim": 192, "sample_n_layer": 10, "sample_bias": False, "sample_mlp_ratio": [2] * 12,
              "sample_n_head": [4] * 12}  # fmt: skip
    assert space("gpt-s").check(theirs)["heads"] == [4] * 10


def test_words_of_autoformer_and_transformers_mean_the_same():
    vit = space("vit").sample(0)
    theirs = {"layer_num": vit["layers"], "embed_dim": [vit["embed"]] * vit["layers"], "num_heads": vit["heads"],
              "mlp_ratio": vit["mlp_ratio"]}  # fmt: skip
    assert space("vit").check(theirs) == vit
    words = {"n_embd": 768, "num_hidden_layers": 12, "bias": True, "mlp_ratio": [4] * 12, "n_head": [12] * 12}
    assert space("gpt-s").check(words) == OWN


def test_two_words_for_one_parameter_and_words_for_none_are_named():
    with pytest.raises(InvalidInputError, match="embed and n_embd both mean embed"):
        space("gpt-s").check({**OWN, "n_embd": 768})
    with pytest.raises(UnknownNameError, match="sample_dropout"):
        space("gpt-s").check({**OWN, "sample_dropout": 0.1})


def test_drawing_without_a_seed_takes_the_next_of_this_object():
    api, other = HetBench(search_space="gpt-s"), HetBench(search_space="gpt-s")
    drawn = [api.sample_arch() for _ in range(2)]
    assert drawn == [other.sample_arch(seed) for seed in (0, 1)]
    assert other.sample_arch() == drawn[0]
