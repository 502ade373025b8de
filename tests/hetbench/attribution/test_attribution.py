"""COPA on real models: what the values sum to, what stage I says by hand, groupings, refusals."""

from __future__ import annotations

import json

import pytest

from hetbench import HetBench, InvalidInputError, RefusedError, UnknownNameError, models
from hetbench.attribution.copa import fuses, link_rate
from hetbench.attribution.rooflines import BOUNDS, roofline_points
from hetbench.catalog.chips import chip
from hetbench.graphs import model_graph
from hetbench.knowledge.graph import knowledge_graph
from hetbench.query.breakdown import signature


@pytest.fixture(scope="module")
def api() -> HetBench:
    return HetBench()


@pytest.mark.parametrize("name", list(models()))
def test_the_values_sum_to_the_difference_and_the_ends_are_the_answers(api: HetBench, name: str):
    found = api.explain(name, "cuda", "cann")
    assert sum(each.value_ms for each in found.groups) == pytest.approx(found.difference_ms, abs=1e-9)
    assert sum(each.points for each in found.groups) == pytest.approx(found.percent)
    answer = api.query(name, "cuda", "cann", "latency")
    assert found.target_ms == pytest.approx(answer.value)
    assert found.source_ms == pytest.approx(answer.source.value)
    assert found.exact  # by type no model of the catalogue has more groups than are enumerated


def test_without_a_source_an_eager_sum_is_shared_out_as_the_answer_has_it(api: HetBench):
    answer = api.query("gpt2", target="cann", metric="latency")
    found = api.explain("gpt2", target="cann")
    assert {each.name: each.value_ms for each in found.groups} == pytest.approx(dict(answer.shares))
    assert (found.source, found.source_ms, found.percent) == (None, 0.0, pytest.approx(100.0))


def test_the_call_overhead_of_whole_models_is_shared_by_all(api: HetBench):
    found = api.explain("gpt2", target="cuda")
    overhead = found.parts["target"]["calls"]
    assert overhead > 0
    for each in found.groups:
        assert each.value_ms - each.target_ms == pytest.approx(overhead / len(found.groups))


def test_moving_a_group_alone_or_last_holds_the_transfers_that_cancel_in_its_value(api: HetBench):
    found = api.explain("gpt2", "cuda", "cann")
    for each in found.groups:
        assert each.first_ms > each.value_ms > each.last_ms
    fast = {each.name: each for each in api.explain("gpt2", "cuda", "cann", link_gbs=1e6).groups}
    for each in found.groups:
        assert fast[each.name].first_ms < each.first_ms
        assert fast[each.name].value_ms == pytest.approx(each.value_ms)


def test_fusions_that_are_split_change_the_values(api: HetBench):
    compiled = api.explain("resnet-50", "nvidia-t4", "nvidia-v100-sxm2-16gb", stack="tensorrt", precision="fp16")
    assert compiled.target.stack == "tensorrt"
    additive = [(each.target_ms - (each.source_ms or 0.0)) - each.value_ms for each in compiled.groups]
    overhead = (compiled.parts["target"]["calls"] - compiled.parts["source"]["calls"]) / len(compiled.groups)
    assert max(abs(each + overhead) for each in additive) > 1e-6
    assert sum(each + overhead for each in additive) == pytest.approx(0.0, abs=1e-9)


def test_what_does_not_fit_is_charged_and_said(api: HetBench):
    own = HetBench()
    small = own.add_chip({"name": "small", "family": "cuda", "fp16_tflops": 100, "mem_bw_gbs": 1000, "mem_gb": 10})
    found = own.explain("mistral-7b", "cuda", "small")
    need = model_graph.load("mistral-7b").memory(precision="fp16").total_bytes
    assert found.parts["target"]["streaming"] == pytest.approx((need - 10e9) / (link_rate(small) * 1e6), rel=1e-6)
    assert found.target_ms == pytest.approx(found.target.value + found.parts["target"]["streaming"])
    assert any("does not fit small" in note for note in found.notes)


@pytest.mark.parametrize(("by", "some"), [
    ("type", {"Linear", "Attention"}), ("layer", {"transformer.h.0", "transformer.h.11", "lm_head"}),
    ("module", {"transformer.h.*.attn", "transformer.h.*.mlp", "lm_head"}),
])  # fmt: skip
def test_groups_are_types_layers_or_modules(api: HetBench, by: str, some: set[str]):
    found = api.explain("gpt2", "cuda", "mlu", by=by)
    assert some <= {each.name for each in found.groups}
    working = [node for node in model_graph.load("gpt2").nodes() if node.op != "Dropout"]
    assert sum(each.count for each in found.groups) == len(working)
    assert sum(each.value_ms for each in found.groups) == pytest.approx(found.difference_ms)


def test_layers_that_are_alike_get_the_same_within_the_stated_error(api: HetBench):
    found = api.explain("gpt2", "cuda", "cann", by="layer")
    assert not found.exact
    layers = [each for each in found.groups if each.name.startswith("transformer.h.")]
    middle = sum(each.value_ms for each in layers) / 12
    assert all(abs(each.value_ms - middle) < 5 * (each.error_ms or 0.0) for each in layers)
    again = HetBench().explain("gpt2", "cuda", "cann", by="layer")
    assert [each.value_ms for each in again.groups] == [each.value_ms for each in found.groups]


def test_a_module_path_is_cut_at_the_depth(api: HetBench):
    names = {each.name for each in api.explain("gpt2", target="cuda", by="module", depth=2).groups}
    inside = ("transformer.wte", "transformer.wpe", "transformer", "transformer.h", "transformer.ln_f")
    assert names == {*inside, "lm_head"}


def test_stage_one_places_an_operator_under_the_roof_by_hand():
    where = chip("nvidia-t4")
    table = model_graph.load("gpt2").operators(1, 512, precision="fp32")
    found = roofline_points(table, where)[signature("Linear", "fp32", {"m": 512, "n": 3072, "k": 768, "bias": 1})]
    flops, moved = 2 * 512 * 3072 * 768 + 512 * 3072, 4 * (512 * 768 + 768 * 3072 + 512 * 3072 + 3072)
    assert found.compute_ms == pytest.approx(1e3 * flops / (where.peak_flops("fp32") or 0))
    assert found.memory_ms == pytest.approx(1e3 * moved / (where.bandwidth or 0))
    assert (found.bound, found.roof_ms) == ("compute", found.compute_ms)
    assert found.roofs == found.ms / found.compute_ms


def test_a_measured_operator_row_wins_in_stage_one():
    known = {each.chip: each for each in knowledge_graph().measured_on(
        "Linear", {"m": 512, "n": 2304, "k": 768, "bias": 1}, "fp32")}["amd-mi210"]  # fmt: skip
    found = roofline_points(model_graph.load("gpt2").operators(1, 512, precision="fp32"), chip("amd-mi210"))
    linear = found[signature("Linear", "fp32", {"m": 512, "n": 2304, "k": 768, "bias": 1})]
    assert (linear.ms, linear.measured_ms, linear.refs) == (known.value, known.value, known.refs)
    assert any(each.measured_ms == 0.0 for each in found.values())


def test_operators_and_groups_tell_the_same(api: HetBench):
    found = api.explain("bert-base", "cuda", "rocm", by="module")
    for each in found.groups:
        mine = [operator for operator in found.operators if operator.group == each.name]
        assert sum(operator.count for operator in mine) == each.count
        assert sum(operator.target.ms for operator in mine) == pytest.approx(each.target.ms)
        assert sum(each.target.bound_ms[name] for name in BOUNDS) == pytest.approx(each.target.ms)


def test_a_measurement_of_the_caller_is_explained_too(api: HetBench):
    found = api.explain("gpt2", "cuda", "nvidia-l4", source_value=9.0)
    assert found.source_ms == pytest.approx(9.0)
    assert found.target_ms == pytest.approx(
        api.query("gpt2", "cuda", "nvidia-l4", "latency", source_value=9.0).value
    )  # fmt: skip


@pytest.mark.parametrize("options", [
    {"phase": "decode", "seq_len": 256}, {"predictor": "roofline"}, {"predictor": "rgat"}, {"precision": "int8"},
    {"batch": 16},
], ids=str)  # fmt: skip
def test_any_question_that_is_answered_is_explained(api: HetBench, options: dict):
    found = api.explain("gpt2", "cuda", "nvidia-l4", **options)
    assert found.target_ms == pytest.approx(api.query("gpt2", "cuda", "nvidia-l4", "latency", **options).value)
    assert sum(each.value_ms for each in found.groups) == pytest.approx(found.difference_ms)


def test_a_measured_answer_is_split_as_the_surrogates_do(api: HetBench):
    setting = {"phase": "prefill", "batch": 1, "seq_len": 512, "precision": "fp16"}
    found = api.explain("mistral-7b", target="nvidia-a100-sxm4-80gb", **setting)
    assert found.target.kind == "measured"
    assert sum(each.value_ms for each in found.groups) == pytest.approx(found.target.value)


def test_two_kinds_of_splits_are_said(api: HetBench):
    said = [note for note in api.explain("gpt2", "cuda", "cann").notes if "more certain than the split" in note]
    assert len(said) == 1
    assert not any("more certain" in note for note in api.explain("gpt2", "huawei-ascend-910b4", "cann").notes)


def test_all_of_it_goes_through_json(api: HetBench):
    found = api.explain("resnet-50", "cuda", "mlu", by="layer")
    read = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert read["groups"][0]["target"]["bound"] in BOUNDS
    assert read["source_ms"] + sum(each["value_ms"] for each in read["groups"]) == pytest.approx(read["target_ms"])


def test_what_cannot_be_explained_is_refused(api: HetBench):
    with pytest.raises(UnknownNameError, match=r"unknown grouping 'kind'\. Known: layer, module, type"):
        api.explain("gpt2", target="cuda", by="kind")
    with pytest.raises(InvalidInputError, match="depth must be"):
        api.explain("gpt2", target="cuda", by="module", depth=0)
    with pytest.raises(InvalidInputError, match=r"link_gbs=-1\.0 must be a number above 0"):
        api.explain("gpt2", "cuda", "cann", link_gbs=-1.0)
    with pytest.raises(InvalidInputError, match="no chip to answer for"):
        api.explain("gpt2")
    with pytest.raises(RefusedError, match="auxiliary graph"):
        api.explain("resnet152", target="cuda")


def test_links_are_those_of_the_datasheet_or_assumed():
    assert link_rate(chip("nvidia-t4")) == pytest.approx(15.754, abs=1e-3)  # PCIe 3.0 x16: 8 GT/s x 16 x 128/130 / 8
    assert link_rate(chip("cuda")) == pytest.approx(31.508, abs=1e-3)  # NVLink joins chips, not hosts
    assert link_rate(chip("intel-xeon-8380")) == float("inf")


@pytest.mark.parametrize(("stack", "fused"), [
    ("eager", False), ("mxnet-amp", False), ("acl", True), ("openvino", True), ("onnxruntime-cuda", True),
])  # fmt: skip
def test_compiled_stacks_fuse(stack: str, fused: bool):
    assert fuses(stack) is fused
