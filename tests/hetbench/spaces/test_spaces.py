"""Architecture spaces: what they hold, and that composed graphs are those of real modules."""

from __future__ import annotations

import pickle
from collections import Counter
from itertools import chain
from typing import Any

import numpy as np
import pytest

from hetbench import HetBench
from hetbench.errors import InvalidInputError, UnknownNameError
from hetbench.graphs import ModelGraph, load
from hetbench.operators import operator_type
from hetbench.spaces import BlockSpace, ComposedGraph, space, spaces
from hetbench.spaces.quality import loss_proxy

COMPOSED = ("gpt-s", "gpt-m", "gpt-l", "bert", "vit", "resnet")
TWELVE = {"embed": 768, "layers": 12, "mlp_ratio": [4] * 12, "heads": [12] * 12}
RESNET_50 = {
    "depth": [3, 4, 6, 3], "width": [1.0] * 4, "expansion1": [0.25] * 3, "expansion2": [0.25] * 4,
    "expansion3": [0.25] * 6, "expansion4": [0.25] * 3,
}  # fmt: skip


def composed(name: str, arch: Any) -> ComposedGraph:
    found = space(name)
    assert isinstance(found, BlockSpace)
    return ComposedGraph(found, arch)


def operators(graph: ModelGraph, **setting: Any) -> Counter[Any]:
    """How often each distinct operator runs; those that cost nothing left out."""
    found: Counter[Any] = Counter()
    for row in graph.operators(**setting).rows():
        if operator_type(row["op"]).cost_class != "free":
            found[row["op"], row["dtype"], tuple(sorted(row["dims"].items()))] += row["count"]
    return found


# what a space holds


@pytest.mark.parametrize("name", spaces())
def test_every_architecture_has_one_text_and_one_row_of_codes(name: str):
    each = space(name)
    codes = each.sample_codes(20, seed=3)
    archs = each.archs(codes)
    assert (each.codes(archs) == codes).all()
    assert (each.codes(each.texts(codes)) == codes).all()
    assert [each.parse(text) for text in each.texts(codes)] == archs


def test_the_gpt_spaces_have_the_choices_of_hw_gpt_bench():
    choices = {each.name: each.choices for each in space("gpt-l").parameters}
    assert choices["embed"] == (320, 640, 1280)
    assert choices["layers"] == (34, 35, 36)
    assert choices["mlp_ratio.0"] == (2, 3, 4)
    assert choices["heads.35"] == (8, 16, 20)
    assert choices["bias"] == (False, True)


def test_the_size_counts_only_layers_that_exist():
    assert space("gpt-m").size() == 3 * 2 * (9**22 + 9**23 + 9**24)
    assert space("resnet").size() == 3**4 * (3**2 + 3**3 + 3**4) ** 3 * (3**4 + 3**5 + 3**6)


def test_sampling_is_the_same_for_the_same_seed_and_differs_for_another():
    each = space("gpt-s")
    assert each.sample(7) == each.sample(7)
    assert each.sample(7) != each.sample(8)


def test_codes_of_layers_that_an_architecture_lacks_do_not_count():
    each = space("gpt-s")
    codes = each.codes([TWELVE | {"layers": 10, "mlp_ratio": [4] * 10, "heads": [12] * 10, "bias": True}])
    other = codes.copy()
    other[0, each.column["heads.11"]] = 2
    assert (each.canonical(other) == codes).all()


def test_a_space_survives_pickling_as_the_same_object():
    assert pickle.loads(pickle.dumps(space("vit"))) is space("vit")


# errors teach


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"embed": 500}, r"embed=500 is not a choice of gpt-s\. Choices: 192, 384, 768"),
        ({"bias": 1}, "bias=1 is not a choice"),
        ({"bias": "False"}, "bias='False' is not a choice"),
        ({"heads": [12] * 11}, "heads of gpt-s has 11 entries"),
        ({"heads": [12] * 13}, "heads of gpt-s needs 12 entries; given: 13"),
        ({"heads": 12}, "heads of gpt-s is a list"),
        ({"mlp_ratio": [4] * 11 + [5]}, "mlp_ratio.11=5 is not a choice"),
    ],
)
def test_an_architecture_that_cannot_be_meant_is_explained(change: dict[str, Any], said: str):
    with pytest.raises(InvalidInputError, match=said):
        space("gpt-s").check(TWELVE | {"bias": True} | change)


def test_a_missing_and_an_unknown_parameter_are_named():
    with pytest.raises(InvalidInputError, match="lacks bias"):
        space("gpt-s").check(TWELVE)
    with pytest.raises(UnknownNameError, match="Did you mean 'heads'"):
        space("gpt-s").check(TWELVE | {"bias": True, "head": 1})
    with pytest.raises(UnknownNameError, match="Did you mean 'gpt-s'"):
        space("gpt_s")


def test_texts_and_codes_that_cannot_be_meant_are_explained():
    each = space("gpt-s")
    with pytest.raises(InvalidInputError, match="does not start with 'gpt-s:'"):
        each.parse("gpt-m:embed=256")
    with pytest.raises(InvalidInputError, match="is not name=value"):
        each.parse("gpt-s:embed")
    with pytest.raises(InvalidInputError, match="code 3 of embed"):
        each.canonical([[3] + [0] * 26])
    with pytest.raises(InvalidInputError, match="are integers of shape"):
        each.canonical([[0.5] * 27])


# composed graphs against real networks


@pytest.mark.parametrize(
    ("name", "arch", "model", "setting"),
    [
        ("bert", TWELVE, "bert-base", {"batch": 2, "seq_len": 64}),
        ("vit", TWELVE, "vit-base", {"batch": 2}),
        ("resnet", RESNET_50, "resnet-50", {"batch": 2, "image_size": 256}),
    ],
)
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_a_published_network_in_the_space_has_the_graph_of_the_catalogue(
    name: str, arch: Any, model: str, setting: dict[str, int], precision: str
):
    mine, traced = composed(name, arch), load(model)
    assert operators(mine, precision=precision, **setting) == operators(traced, precision=precision, **setting)
    assert mine.params == traced.params
    assert mine.memory(precision=precision, **setting) == traced.memory(precision=precision, **setting)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_composed_gpt_has_the_operators_parameters_and_memory_of_the_module(seed: int):
    torch = pytest.importorskip("torch")
    from hetbench.tracing import trace
    from tests.gpt_module import GPT

    mine = composed("gpt-s", space("gpt-s").sample(seed))
    with torch.device("meta"):
        arch = mine.arch
        module = GPT(arch["embed"], arch["mlp_ratio"], arch["heads"], arch["bias"]).eval()
        traced = trace(module, (torch.zeros(2, 100, dtype=torch.long),))
    assert operators(mine, batch=2, seq_len=100, precision="fp16") == operators(traced, precision="fp16")
    assert mine.params == traced.params
    assert mine.memory(2, 100, precision="fp16") == traced.memory(precision="fp16")


# quality


def test_the_loss_proxy_is_the_published_law_of_the_parameters_outside_the_embeddings():
    api = HetBench(search_space="gpt-s")
    arch = api.sample_arch(seed=0)
    api.set_arch(arch)
    outside = composed("gpt-s", arch).params - 2 * 50304 * arch["embed"]
    found = api.query(metric="loss_proxy")
    assert found.value == pytest.approx((8.8e13 / outside) ** 0.076)
    assert "2001.08361" in found.refs[0]
    assert found.kind == "derived"


def test_more_parameters_lower_the_loss_proxy_and_raise_the_capacity_proxy():
    assert loss_proxy(2e8) < loss_proxy(1e8)
    small, large = RESNET_50 | {"width": [0.65] * 4}, RESNET_50
    low, high = HetBench(search_space="resnet").query_batch([small, large], metric="capacity_proxy")
    assert low < high


# batches answer as single queries do


@pytest.mark.parametrize("name", COMPOSED)
@pytest.mark.parametrize("device", ["cuda", "rocm", "oneapi", "cann", "mlu", "intel-core-i9-13900k"])
def test_a_batch_of_architectures_answers_as_queries_one_by_one(name: str, device: str):
    api = HetBench(search_space=name)
    codes = space(name).sample_codes(3, seed=1)
    for batch in (1, 8):
        value, lower, upper = api.query_batch(codes, device, intervals=True, batch=batch)
        single = [api.query(composed(name, row[None]), device=device, metric="latency", batch=batch) for row in codes]
        np.testing.assert_allclose(value, [each.value for each in single], rtol=1e-6)
        np.testing.assert_allclose(lower, [each.lower for each in single], rtol=1e-6)
        np.testing.assert_allclose(upper, [each.upper for each in single], rtol=1e-6)


@pytest.mark.parametrize("metric", ["energy", "power", "throughput", "memory", "params", "flops", "loss_proxy"])
def test_every_metric_of_a_batch_is_that_of_a_query(metric: str):
    api = HetBench(search_space="gpt-m")
    codes = space("gpt-m").sample_codes(2, seed=5)
    for row, value in zip(codes, api.query_batch(codes, "mlu", metric, seq_len=256), strict=True):
        alone = api.query(composed("gpt-m", row[None]), device="mlu", metric=metric, seq_len=256)
        assert value == pytest.approx(alone.value, rel=1e-6)


def test_draws_are_those_of_the_predictive_distribution_and_the_same_for_a_seed():
    api = HetBench(search_space="gpt-s")
    codes = space("gpt-s").sample_codes(2, seed=0)
    draws = api.query_batch(codes, "cann", sample=4000, seed=1)
    value, lower, upper = api.query_batch(codes, "cann", intervals=True)
    assert draws.shape == (2, 4000)
    inside = (draws > lower[:, None]) & (draws < upper[:, None])
    assert inside.mean(axis=1) == pytest.approx([0.9, 0.9], abs=0.02)
    assert np.median(draws, axis=1) == pytest.approx(value, rel=0.05)
    assert (draws == api.query_batch(codes, "cann", sample=4000, seed=1)).all()
    assert (draws != api.query_batch(codes, "cann", sample=4000, seed=2)).any()


def test_a_batch_follows_observed_operators():
    api = HetBench(search_space="gpt-s")
    codes = space("gpt-s").sample_codes(1, seed=0)
    before = api.query_batch(codes, "oneapi")
    row = {"op": ["Linear"], "dims": [{"m": 1024, "n": 768, "k": 384}], "dtype": ["fp16"], "chip": ["oneapi"]}
    api.observe({**row, "latency_ms": [0.5]})
    assert api.query_batch(codes, "oneapi")[0] > before[0]


def test_a_query_of_an_architecture_asks_all_families_or_lists_of_devices_and_metrics():
    api = HetBench(search_space="gpt-s")
    api.set_arch(api.sample_arch(seed=0))
    assert list(api.query()) == ["cuda", "rocm", "oneapi", "cann", "mlu"]
    found = api.query(metric=["latency", "memory"], device=["cann", "mlu"])
    assert [(metric, device) for metric in found for device in found[metric]] == [
        ("latency", "cann"), ("latency", "mlu"), ("memory", "cann"), ("memory", "mlu"),
    ]  # fmt: skip
    assert found["latency"]["cann"].value == api.query(metric="latency", device="cann").value


def test_entries_of_the_deployment_space_are_queries_and_refused_ones_are_unknown():
    api = HetBench(search_space="deploy")
    entry = {"model": "gpt2", "chip": "cuda", "precision": "fp16", "batch": 2, "seq_len": 128, "stack": "usual"}
    refused = entry | {"chip": "mlu", "stack": "compiled"}
    found = api.query_batch([entry, refused, entry], metric="latency")
    assert found[0] == found[2] == api.query("gpt2", target="cuda", metric="latency", batch=2, seq_len=128).value
    assert np.isnan(found[1])
    with pytest.raises(InvalidInputError, match="is a query, not a network"):
        api.set_arch(entry)


def test_without_a_space_or_a_chip_the_error_says_what_to_give():
    with pytest.raises(InvalidInputError, match=r"HetBench\(search_space=\.\.\.\) takes one of"):
        HetBench().sample_arch(seed=0)
    with pytest.raises(InvalidInputError, match="name one with device="):
        HetBench(search_space="gpt-s").query_batch([TWELVE | {"bias": True}])


def test_composed_graphs_of_all_spaces_have_known_operator_types_only():
    rows = chain.from_iterable(composed(name, space(name).sample(0)).operators().rows() for name in COMPOSED)
    assert all(operator_type(row["op"]).check(row["dims"]) for row in rows)


@pytest.mark.parametrize("name", spaces())
def test_many_dictionaries_have_the_codes_of_each_by_itself(name: str):
    found = space(name)
    codes = found.sample_codes(60, seed=3)
    archs = found.archs(codes)
    assert (found.codes(archs) == codes).all()
    assert (np.concatenate([found.codes([arch]) for arch in archs]) == codes).all()


@pytest.mark.parametrize("change", [
    {"layers": True}, {"embed": "768"}, {"heads": [12] * 3}, {"heads": [12] * 11 + [True]}, {"extra": 1},
    {"mlp_ratio": 4}, {"mlp_ratio": [4] * 13}, {"heads": [[12]] * 12},
])  # fmt: skip
def test_an_unusual_architecture_among_many_is_refused_as_it_is_alone(change: dict[str, Any]):
    found, right = space("gpt-s"), {**TWELVE, "bias": True}
    wrong = {**right, **change}
    with pytest.raises((InvalidInputError, UnknownNameError)) as alone:
        found.codes([wrong])
    with pytest.raises((InvalidInputError, UnknownNameError)) as among:
        found.codes([right, wrong, right])
    assert str(among.value) == str(alone.value)
