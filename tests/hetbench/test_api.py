"""Queries: what is answered, how sides compare, what is refused and how it says so."""

from __future__ import annotations

import math
from inspect import Parameter, signature
from typing import get_args

import pytest

from hetbench import Answer, Answers, HetBench, InvalidInputError, RefusedError, UnknownNameError, models
from hetbench.catalog import evidence
from hetbench.catalog.chips import chip
from hetbench.metrics import METRICS, MetricName
from hetbench.predict.transfer import transfer_between
from hetbench.query import Options
from hetbench.schema import FAMILIES, PHASES, FamilyName, PhaseName

NPU = {"name": "my-npu", "family": "cann", "fp16_tflops": 100, "fp32_tflops": 25, "mem_bw_gbs": 800, "mem_gb": 1}

EAGER = ("cuda", "latency", "eager")


@pytest.fixture(scope="module")
def api() -> HetBench:
    return HetBench()


@pytest.mark.parametrize("family", FAMILIES)
def test_latency_is_answered_on_every_family_with_an_interval_and_a_level(api: HetBench, family: str):
    answer = api.query("resnet-50", target=family, metric="latency", batch=3)
    assert 0 < answer.lower < answer.value < answer.upper
    assert (answer.kind, answer.unit, answer.family) == ("predicted", "ms", family)
    assert answer.level in ("B", "C", "D")
    assert any("default chip" in note for note in answer.notes)


def test_a_repeated_question_gets_the_very_same_answer(api: HetBench):
    assert api.query("gpt2", target="rocm", metric="latency") is api.query("gpt2", target="rocm", metric="latency")


def test_two_instances_answer_alike():
    first, second = (HetBench().query("bert-base", target="cann", metric="latency") for _ in range(2))
    assert first == second


@pytest.mark.parametrize("predictor", ["auto", "roofline"])
@pytest.mark.parametrize("name", ["gpt2", "resnet-50", "whisper-large-v3"])
def test_latency_rises_with_batch(api: HetBench, name: str, predictor: str):
    values = [
        api.query(name, target="cuda", metric="latency", batch=batch, predictor=predictor).value for batch in (1, 8, 64)
    ]
    assert values == sorted(values)


def test_throughput_is_batch_over_latency(api: HetBench):
    latency = api.query("resnet-50", target="rocm", metric="latency", batch=7)
    throughput = api.query("resnet-50", target="rocm", metric="throughput", batch=7)
    assert throughput.value == pytest.approx(7000 / latency.value)
    assert throughput.lower == pytest.approx(7000 / latency.upper)


@pytest.mark.parametrize(("phase", "tokens"), [("prefill", 2 * 100), ("decode", 2)])
def test_throughput_of_generation_counts_tokens(api: HetBench, phase: str, tokens: int):
    setting = {"batch": 2, "seq_len": 100, "phase": phase}
    latency = api.query("gpt2", target="rocm", metric="latency", **setting)
    throughput = api.query("gpt2", target="rocm", metric="throughput", **setting)
    assert throughput.value == pytest.approx(1e3 * tokens / latency.value)


def test_params_flops_and_memory_are_exact_and_need_no_chip(api: HetBench):
    params = api.query("gpt2", metric="params")
    assert (params.value, params.kind, params.level, params.lower) == (124439808, "derived", None, None)
    memory = api.query("gpt2", metric="memory", precision="fp32", seq_len=8)
    assert memory.value > 4 * 124.4
    assert api.query("gpt2", metric="flops", batch=2).value == 2 * api.query("gpt2", metric="flops").value


def test_without_a_metric_every_answer_comes_and_the_refused_say_why(api: HetBench):
    answers = api.query("gpt2", target="mlu", batch=5)
    assert isinstance(answers, Answers)
    assert {"latency", "throughput", "energy", "power", "flops", "params", "memory"} <= set(answers)
    without_tdp = HetBench()
    without_tdp.add_chip({"name": "my-npu", "family": "cann", "fp16_tflops": 100, "mem_bw_gbs": 800})
    assert "TDP, and that of my-npu is unknown" in without_tdp.query("gpt2", target="my-npu").refused["energy"]


def test_the_set_model_is_the_one_meant():
    api = HetBench()
    with pytest.raises(InvalidInputError, match="set_model"):
        api.query(device="cann")
    api.set_model("gpt2")
    assert api.query(device="cann", metric="latency").model == "gpt2"
    api.set_model("bert-base")
    assert api.query(device="cann", metric="latency").model == "bert-base"


def test_a_list_of_devices_gives_one_answer_each(api: HetBench):
    answers = api.query("gpt2", device=["cuda", "amd-mi210"], metric="latency")
    assert {name: answer.chip for name, answer in answers.items()} == {
        "cuda": "nvidia-a100-sxm4-80gb", "amd-mi210": "amd-mi210",
    }  # fmt: skip


def test_a_list_answers_what_can_be_answered_and_says_why_the_rest_is_not(api: HetBench):
    answers = api.query("gpt2", device=["nvidia-l4", "nvidia-v100-sxm2-16gb"], metric="latency", precision="bf16")
    assert list(answers) == ["nvidia-l4"]
    assert "has no bf16 units" in answers.refused["nvidia-v100-sxm2-16gb"]
    each = api.query("gpt2", device=["nvidia-l4", "nvidia-v100-sxm2-16gb"], precision="bf16")
    assert "latency" in each["nvidia-l4"]
    assert set(each["nvidia-v100-sxm2-16gb"].refused) == set(METRICS)
    both = api.query("gpt2", device=["nvidia-l4", "amd-mi210"], metric=["latency", "params"])
    assert both["params"]["amd-mi210"].value == 124439808
    with pytest.raises(UnknownNameError, match="unknown chip"):
        api.query("gpt2", device=["nvidia-l4", "nvidia-l5"], metric="latency")


@pytest.mark.parametrize("method", ["query", "migrate", "explain", "advise", "coverage"])
def test_help_spells_out_the_options_of_a_query(api: HetBench, method: str):
    parameters = signature(getattr(api, method)).parameters
    assert set(Options.__annotations__) <= set(parameters)
    assert all(each.kind is not Parameter.VAR_KEYWORD for each in parameters.values())


def test_the_literal_names_are_those_that_a_query_takes():
    assert set(get_args(MetricName)) == set(METRICS)
    assert get_args(FamilyName) == FAMILIES
    assert get_args(PhaseName) == (*PHASES, "serving")


def test_a_source_shows_both_sides_in_one_precision_and_their_ratio(api: HetBench):
    answer = api.query("resnet-50", source="cuda", target="cann", metric="latency", batch=3)
    assert answer.ratio == pytest.approx(answer.value / answer.source.value)
    assert answer.source.chip == "nvidia-a100-sxm4-80gb"
    assert answer.source.precision == answer.precision == "fp16"


@pytest.mark.parametrize("target", ["cann", "nvidia-l4"])
def test_what_the_caller_measured_on_the_source_scales_value_and_interval(api: HetBench, target: str):
    plain = api.query("resnet-50", source="cuda", target=target, metric="latency", batch=3)
    doubled = 2 * plain.source.value
    answer = api.query("resnet-50", source="cuda", target=target, metric="latency", batch=3, source_value=doubled)
    factor = 2 ** transfer_between(chip("cuda"), chip(target)).exponent
    assert answer.value == pytest.approx(factor * plain.value)
    assert answer.upper == pytest.approx(factor * plain.upper)
    assert answer.source.value == doubled
    assert any("measured by the caller on" in note for note in answer.notes)


def test_a_measured_setting_answers_with_the_measured_row(api: HetBench):
    row = next(row for row in evidence.rows(use="answer") if (row.family, row.metric, row.stack) == EAGER)
    answer = api.query(
        row.model, target=row.chip, metric="latency", batch=row.batch, seq_len=row.seq_len, image_size=row.image_size,
        precision=row.precision, phase=row.phase,
    )  # fmt: skip
    assert (answer.kind, answer.level, answer.lower) == ("measured", "A", None)
    assert answer.refs
    assert "@" in answer.refs[0]


def test_the_roofline_predicts_even_where_a_row_was_measured(api: HetBench):
    row = next(row for row in evidence.rows(use="answer") if (row.family, row.metric, row.stack) == EAGER)
    answer = api.query(row.model, target=row.chip, metric="latency", precision=row.precision, predictor="roofline")
    assert answer.kind == "predicted"


def test_a_model_larger_than_the_memory_is_answered_with_a_warning(api: HetBench):
    answer = api.query("qwen2.5-7b", target="nvidia-t4", metric="latency", precision="fp32", seq_len=16)
    assert any(note.startswith("does not fit: needs 30.") for note in answer.notes)


def test_a_precision_that_the_chip_lacks_is_refused(api: HetBench):
    with pytest.raises(RefusedError, match=r"no bf16 units\. It has: .*fp16"):
        api.query("gpt2", target="nvidia-v100-sxm2-16gb", metric="latency", precision="bf16")


def test_energy_is_power_times_latency_and_says_whose_watts_it_rests_on(api: HetBench):
    latency, power, energy = (
        api.query("gpt2", target="mlu", metric=name, batch=3) for name in ("latency", "power", "energy")
    )
    assert energy.value == pytest.approx(power.value * latency.value / 1e3)
    assert (energy.unit, energy.level) == ("J", "D")
    assert any("not validated on mlu chips" in note for note in energy.notes)
    assert power.lower < power.value < power.upper


def test_a_stack_that_nobody_measured_here_is_refused(api: HetBench):
    with pytest.raises(RefusedError, match="stack 'compiled'"):
        api.query("gpt2", target="mlu", metric="latency", stack="compiled", batch=3)


def test_every_predictor_answers_and_says_its_name(api: HetBench):
    dims, found = {"batch": 1, "q_len": 512, "kv_len": 512, "heads": 32, "kv_heads": 8, "head_dim": 128}, {}
    for name in ("auto", "autogluon", "rgat", "roofline"):
        answer = api.query_operator("Attention", dims, device="amd-mi300x", precision="fp16", predictor=name)
        assert f"/{name}" in answer.surrogate
        found[name] = answer.value
    assert len(set(found.values())) == 4


@pytest.mark.parametrize(("changes", "message"), [
    ({"model": "gpt3"}, "unknown model 'gpt3'"), ({"target": "nvidia-h10"}, "unknown chip 'nvidia-h10'"),
    ({"metric": "latncy"}, "Did you mean 'latency'"), ({"precision": "fp17"}, "unknown precision 'fp17'"),
    ({"phase": "sleep"}, "unknown phase 'sleep'"), ({"predictor": "oracle"}, "unknown predictor 'oracle'"),
])
def test_an_unknown_name_is_named_with_the_nearest(api: HetBench, changes: dict, message: str):
    with pytest.raises(UnknownNameError, match=message):
        api.query(**{"model": "gpt2", "target": "cuda", "metric": "latency", **changes})


@pytest.mark.parametrize("value", [0, -1, True, 1.0, 2**24 + 1, "8", math.nan])
@pytest.mark.parametrize("name", ["batch", "seq_len", "image_size"])
def test_a_size_that_cannot_be_meant_is_refused(api: HetBench, name: str, value: object):
    api.query("clip-vit-l-14", target="cuda", metric="flops", batch=1)  # True and 1.0 equal it as keys
    with pytest.raises(InvalidInputError, match=name):
        api.query("clip-vit-l-14", target="cuda", metric="flops", **{name: value})


@pytest.mark.parametrize("value", [0, -1.0, math.nan, math.inf, True, "2"])
def test_a_source_value_that_cannot_be_meant_is_refused(api: HetBench, value: object):
    with pytest.raises(InvalidInputError, match="source_value"):
        api.query("gpt2", source="cuda", target="cann", metric="latency", source_value=value)


def test_a_source_value_in_another_unit_is_named(api: HetBench):
    predicted = api.query("gpt2", target="cuda", metric="latency", precision="fp16").value
    with pytest.raises(InvalidInputError, match="is it in ms"):
        api.query("gpt2", source="cuda", target="cann", metric="latency", source_value=1e3 * predicted)


def test_sequences_longer_than_the_model_takes_are_refused(api: HetBench):
    with pytest.raises(InvalidInputError, match="seq_len=2048 must be a whole number from 1 to 1024"):
        api.query("gpt2", target="cuda", metric="latency", seq_len=2048)


def test_a_size_that_the_model_does_not_take_is_ignored_and_noted(api: HetBench):
    answer = api.query("resnet-50", target="cuda", metric="flops", seq_len=128)
    assert "takes no seq_len" in " ".join(answer.notes)
    assert answer.seq_len is None


def test_a_phase_that_the_model_lacks_is_refused(api: HetBench):
    with pytest.raises(InvalidInputError, match="has no phase 'decode'"):
        api.query("resnet-50", target="cuda", metric="latency", phase="decode")


def test_target_and_device_together_are_refused(api: HetBench):
    with pytest.raises(InvalidInputError, match="mean the same"):
        api.query("gpt2", target="cuda", device="cann", metric="latency")


def test_a_misspelt_option_is_a_type_error(api: HetBench):
    with pytest.raises(TypeError, match="batchsize"):
        api.query("gpt2", target="cuda", metric="latency", batchsize=8)


def test_an_added_chip_answers_from_its_datasheet():
    api = HetBench()
    api.add_chip(NPU)
    answer = api.query("gpt2", target="My NPU", metric="latency")
    assert (answer.chip, answer.level) == ("my-npu", "D")
    assert HetBench().chip("cuda")
    with pytest.raises(UnknownNameError):
        HetBench().query("gpt2", target="my-npu", metric="latency")


def test_an_added_chip_may_not_take_a_name_of_the_catalogue():
    with pytest.raises(InvalidInputError, match="name of its own"):
        HetBench().add_chip({**NPU, "name": "nvidia-l4"})


def test_adding_a_chip_again_replaces_its_facts():
    api = HetBench()
    api.add_chip(NPU)
    slow = api.query("gpt2", target="my-npu", metric="latency", predictor="roofline")
    api.add_chip({**NPU, "mem_bw_gbs": 1600, "fp16_tflops": 400, "fp32_tflops": 100})
    assert api.query("gpt2", target="my-npu", metric="latency", predictor="roofline").value < slow.value


def test_coverage_counts_the_operators_that_the_backend_registers(api: HetBench):
    answer = api.query("gpt2", target="cuda", metric="coverage")
    assert 90 < answer.value <= 100
    assert (answer.kind, answer.unit) == ("derived", "%")
    assert answer.refs


def test_an_operator_is_answered_with_its_protocol(api: HetBench):
    answer = api.query_operator("Linear", {"m": 128, "n": 3072, "k": 768}, device="amd-mi210", precision="fp32")
    assert isinstance(answer, Answer)
    assert 0 < answer.lower < answer.value < answer.upper
    assert (answer.operator, answer.protocol, answer.level) == ("Linear", "event", "B")


def test_an_operator_that_costs_nothing_is_exact(api: HetBench):
    answer = api.query_operator("Dropout", {"numel": 100}, device="cuda")
    assert (answer.value, answer.kind) == (0.0, "derived")


@pytest.mark.parametrize(("op", "dims", "error", "message"), [
    ("Linearr", {"m": 1}, UnknownNameError, "Did you mean 'Linear'"),
    ("Linear", {"m": 1}, InvalidInputError, "needs n, k"),
    ("Linear", {"m": 1, "n": 1, "k": 0}, InvalidInputError, "k=0"),
    ("Linear", {"m": 2**30, "n": 2**30, "k": 2**30}, InvalidInputError, "exceed any chip"),
    ("Attention", {"batch": 1, "q_len": 1, "kv_len": 1, "heads": 3, "kv_heads": 2, "head_dim": 8, "causal": 0},
     InvalidInputError, "kv_heads must divide heads"),
])
def test_dims_that_cannot_be_meant_are_refused(api: HetBench, op: str, dims: dict, error: type, message: str):
    with pytest.raises(error, match=message):
        api.query_operator(op, dims, device="cuda")


@pytest.mark.parametrize("seq_len", [128, 512])
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_model_is_answered_never_faster_at_a_larger_batch_or_refused(
    api: HetBench, family: str, precision: str, seq_len: int
):
    for name, record in models().items():
        setting = {"target": family, "metric": "latency", "precision": precision, "seq_len": seq_len}
        if record.max_seq_len and seq_len > record.max_seq_len:
            with pytest.raises(InvalidInputError, match="whole number from 1 to"):
                api.query(name, **setting)
            continue
        one, eight = (api.query(name, batch=batch, **setting) for batch in (1, 8))
        assert 0 < one.value <= eight.value * (1 + 1e-12) < math.inf, name
        for answer in (one, eight):
            assert answer.kind == "measured" or answer.lower <= answer.value <= answer.upper


def test_a_traced_module_is_asked_like_a_model(api: HetBench):
    torch = pytest.importorskip("torch")
    graph = api.trace(torch.nn.Sequential(torch.nn.Linear(64, 256), torch.nn.ReLU()).eval(), torch.zeros(32, 64))
    assert api.query(graph, metric="params").value == 64 * 256 + 256
    assert api.query(graph, metric="flops").value >= 2 * 32 * 64 * 256
    answer = api.query(graph, source="cuda", target="rocm", metric="latency", precision="fp32")
    assert 0 < answer.value < 1
    assert answer.batch == 32
    with pytest.raises(InvalidInputError, match="traced at batch 32"):
        api.query(graph, target="cuda", metric="latency", batch=2)


def test_a_ratio_between_kinds_of_stack_says_so(api: HetBench):
    asked = {"source": "cuda", "target": "cann", "metric": "latency", "precision": "fp16"}
    apart = api.query("resnet-50", **asked)
    assert (apart.stack, apart.source.stack) == ("acl", "eager")
    assert any("compares stack acl with eager" in note for note in apart.notes)
    assert not any("compares stack" in note for note in api.query("resnet-50", **asked, stack="eager").notes)
