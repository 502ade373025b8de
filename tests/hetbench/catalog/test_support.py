"""Support and coverage: what each back end registers, hand-checked rows, shares that add up, refusals that teach."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path

import pytest

from hetbench import HetBench, RefusedError, UnknownNameError, models
from hetbench.catalog import support
from hetbench.catalog.chips import Chip, chip, chips
from hetbench.graphs import model_graph, operator_coverage
from hetbench.schema import FAMILIES

CORPUS = Path(__file__).resolve().parents[4] / "shared" / "corpus" / "operator_registrations.csv"
PLATFORM_CHIPS = {
    "cuda": "cuda", "rocm": "rocm", "oneapi-xpu": "oneapi", "oneapi-cpu": "intel-xeon-8380", "cann": "cann",
    "mlu": "mlu",
}  # fmt: skip
OP_PLUGIN = "Ascend/op-plugin@517f2e7d:op_plugin/config/op_plugin_functions.yaml#official"
TORCH_MLU = "Cambricon/torch_mlu@d578002:codegen/mlu_functions.yaml"


def few(calls: dict[str, int]) -> model_graph.ModelGraph:
    """A graph that calls stated operators, for what no model of the catalogue calls."""
    variant = {"monomials": [[]], "sizes": [], "templates": [], "nodes": {"template": []}, "bookkeeping": calls}
    return model_graph.ModelGraph({
        "format": model_graph.FORMAT, "name": "few", "params": 0, "limits": {"fixed": True},
        "phases": {"inference": {"fp32": [[[], 0]]}}, "variants": [variant],
    })  # fmt: skip


@pytest.mark.parametrize(("platform", "operator", "status", "ref"), [
    ("cann", "native_layer_norm", "native", OP_PLUGIN),
    ("cann", "mish", "native", OP_PLUGIN),
    ("mlu", "native_batch_norm", "native", TORCH_MLU),
    ("mlu", "hardswish", "native", TORCH_MLU),
    ("mlu", "mish", "absent", TORCH_MLU),
    ("mlu", "group_norm", "native", TORCH_MLU),
    ("cuda", "linear", "composite", "pytorch/pytorch@cf30153c131c:aten/src/ATen/native/native_functions.yaml"),
    ("oneapi-xpu", "linalg_eig", "fallback", "intel/torch-xpu-ops@ab84f925a:src/ATen/native/xpu/XPUFallback.cpp"),
    ("oneapi-xpu", "silu", "native", "intel/torch-xpu-ops@8fbe66e74:yaml/native/native_functions.yaml"),
])  # fmt: skip
def test_a_registration_is_told_with_its_reference(platform: str, operator: str, status: str, ref: str):
    found = support.support(platform, operator)
    assert found.status == status
    assert ref in found.refs


@pytest.mark.parametrize(("platform", "operator", "via"), [
    ("cann", "gelu", "gelu.out"), ("cann", "argmax", "argmax.out"), ("cuda", "add.Tensor", "add.out"),
    ("oneapi-xpu", "add_.Tensor", "add.out"),
])  # fmt: skip
def test_a_structured_operator_runs_its_registered_out_form(platform: str, operator: str, via: str):
    found = support.support(platform, operator)
    assert (found.status, found.via) == ("native", (via,))


@pytest.mark.parametrize(("platform", "operator", "part"), [
    ("cann", "layer_norm", "native_layer_norm"), ("mlu", "linear", "addmm"), ("oneapi-xpu", "conv2d", "convolution"),
    ("mlu", "scaled_dot_product_attention", "_scaled_dot_product_flash_attention"), ("mlu", "add_.Scalar", None),
    ("cann", "_weight_norm_interface", "_weight_norm"),
])  # fmt: skip
def test_a_composite_operator_names_the_registered_parts_it_runs(platform: str, operator: str, part: str | None):
    found = support.support(platform, operator)
    if part is None:  # registered by the back end itself, though PyTorch could compose it
        assert (found.status, found.via) == ("native", ())
    else:
        assert found.status == "composite"
        assert part in found.via


def test_a_composite_operator_is_absent_where_a_part_is():
    found = support.support("mlu", "_safe_softmax")
    assert (found.status, found.via) == ("absent", ("isneginf",))


def test_a_composite_operator_of_unknown_parts_is_unknown_outside_pytorch_itself():
    assert support.support("cuda", "cov").status == "composite"
    assert support.support("mlu", "cov").status == "unknown"
    assert not support.support("mlu", "cov").covered


@pytest.mark.parametrize("spelling", ["add.Tensor", "aten::add.Tensor", "aten.add.Tensor", "torch.ops.aten.add.Tensor"])
def test_an_operator_goes_by_every_usual_spelling(spelling: str):
    assert support.support("mlu", spelling) == support.support("mlu", "add.Tensor")
    assert support.support("mlu", "aten.relu.default").operator == "relu"


def test_a_chip_a_family_and_a_platform_all_name_the_place():
    by_name = support.support("oneapi", "mish")
    assert by_name == support.support("oneapi-xpu", "mish") == support.support(chip("intel-max-1550"), "mish")


def test_unknown_names_are_named_with_the_nearest():
    with pytest.raises(UnknownNameError, match=r"unknown ATen operator 'geluu'\. Did you mean 'gelu'"):
        support.support("cann", "geluu")
    with pytest.raises(UnknownNameError, match=r"unknown chip 'oneapi-xpuu'\. Did you mean 'oneapi-xpu'"):
        support.support("oneapi-xpuu", "gelu")


def test_every_status_has_references_except_what_nobody_lists():
    for platform in support.platforms():
        counts = Counter(support.support(platform, name).status for name in _names())
        assert counts["native"] > 400, platform
        assert set(counts) <= set(support.SUPPORT)
        assert all(support.support(platform, name).refs for name in _names())


def test_resnet_50_is_composed_of_registered_operators_on_ascend():
    # 53 convolutions and batch norms and one linear layer compose; 49 ReLU, 16 additions and two pools are registered
    found = operator_coverage(model_graph.load("resnet-50"), chip("cann"))
    assert {each.operator: found.calls[each.operator] for each in found.composite} == {
        "conv2d": 53, "batch_norm": 53, "linear": 1,
    }  # fmt: skip
    assert sum(found.calls.values()) == 174
    assert found.shares()["composite"] == pytest.approx(100 * 107 / 174)
    assert (found.share, found.distinct_share) == (100.0, 100.0)


@pytest.mark.parametrize("platform", PLATFORM_CHIPS)
def test_shares_sum_to_100_percent_and_every_operator_of_every_model_is_known(platform: str):
    for name in models():
        loaded = model_graph.load(name)
        for phase in loaded.phases:
            found = operator_coverage(loaded, chip(PLATFORM_CHIPS[platform]), precision="fp16", phase=phase)
            assert found.platform == platform
            assert sum(found.shares().values()) == pytest.approx(100.0)
            assert found.unknown == ()
            parts = (found.native, found.composite, found.fallback, found.absent, found.unknown)
            assert sum(map(len, parts)) == len(found.operators) == len(found.calls)
            assert found.refs


def test_what_falls_back_lacks_or_is_unknown_is_not_covered():
    calls = {"relu": 5, "linalg_eig": 2, "_philox_uniform_": 1, "my_own": 2}
    found = operator_coverage(few(calls), chip("oneapi"))
    assert found.shares() == {"native": 50.0, "composite": 0.0, "fallback": 20.0, "absent": 10.0, "unknown": 20.0}
    assert (found.share, found.distinct_share) == (50.0, 25.0)
    assert [each.operator for each in found.operators] == ["relu", "linalg_eig", "my_own", "_philox_uniform_"]


def test_a_model_that_runs_nothing_is_refused():
    with pytest.raises(RefusedError, match="launches no operator"):
        operator_coverage(few({}), chip("cuda"))


def test_every_chip_has_a_platform_or_is_refused_with_those_there_are():
    for each in chips().values():
        if (each.family in FAMILIES and each.kind != "npu") or each.family in ("cann", "mlu"):
            assert support.platform_of(each) in support.platforms()
        else:
            with pytest.raises(RefusedError, match=r"no operator registrations are known for .* Known: cuda"):
                support.platform_of(each)


def test_a_oneapi_datasheet_must_say_whether_it_is_a_gpu():
    facts = {"name": "new", "family": "oneapi", "fp16_tflops": 10, "mem_bw_gbs": 100}
    with pytest.raises(RefusedError, match='add kind = "gpu" or kind = "cpu"'):
        support.platform_of(Chip.from_mapping(facts))
    assert support.platform_of(Chip.from_mapping({**facts, "kind": "cpu"})) == "oneapi-cpu"


@pytest.mark.parametrize("family", FAMILIES)
def test_a_query_derives_coverage_with_references_and_the_composite_operators(family: str):
    answer = HetBench().query("bert-base", target=family, metric="coverage")
    assert (answer.value, answer.unit, answer.kind, answer.level, answer.lower) == (100.0, "%", "derived", None, None)
    assert any("native_functions.yaml" in ref for ref in answer.refs)
    assert any(note.startswith("composite, made of registered operators: linear x 7") for note in answer.notes)


def test_a_query_names_what_is_absent():
    torch = pytest.importorskip("torch")
    traced = HetBench().trace(torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Mish()).eval(), torch.zeros(2, 8))
    answer = HetBench().query(traced, target="mlu", metric="coverage", precision="fp32")
    assert answer.value == 50.0
    assert "absent: mish x 1, not registered" in answer.notes


def test_coverage_of_a_compiled_stack_is_refused():
    with pytest.raises(RefusedError, match="coverage is known for eager PyTorch"):
        HetBench().query("gpt2", target="cuda", metric="coverage", stack="tensorrt")


def test_coverage_of_a_chip_without_registrations_is_refused():
    with pytest.raises(RefusedError, match="no operator registrations are known for intel-core-ultra-7-165h-npu"):
        HetBench().query("gpt2", target="intel-core-ultra-7-165h-npu", metric="coverage")


@pytest.mark.skipif(not CORPUS.is_file(), reason="the corpus is not here")
def test_the_table_says_what_the_corpus_says():
    names = set(_names())
    with CORPUS.open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["aten_op"] in names]
    differing = {
        (row["platform"], row["aten_op"]) for row in rows
        if support.support(row["platform"], row["aten_op"]).status != row["support"]
    }  # fmt: skip
    assert len(rows) > 4000
    assert differing <= {("cann", "_unsafe_index.Tensor")}  # registered for PyTorch 2.1 alone


def _names() -> list[str]:
    return list(json.loads(support.TABLE.read_text())["operators"])
