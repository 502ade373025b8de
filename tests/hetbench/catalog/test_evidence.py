"""Published rows: what the table holds, when one is the answer, and what its cleaning drops.

Expected figures were read from the upstream tables named in each row's `ref`, through the corpus.
"""

from __future__ import annotations

import re
from collections import Counter
from statistics import median
from typing import Any

import pytest

from data_collection.tables import evidence as packing
from data_collection.tables import evidence_fields
from hetbench import HetBench, RefusedError, UnknownNameError, chips, metrics, models
from hetbench.catalog import evidence
from hetbench.schema import PHASES, PRECISIONS

DLE = "NVIDIA/DeepLearningExamples@729963dd47:"
RESNET_README = DLE + "PyTorch/Classification/ConvNets/resnet50v1.5/README.md"
UNITS = {"time_to_first_token": "ms", "time_per_token": "ms"}

# (setting, stack, metric) -> the figures upstream prints
PUBLISHED = [
    (("resnet-50", "nvidia-t4", "fp32", 8, None, 224, "inference"), "eager", "latency", [22.41]),
    (("resnet-50", "nvidia-t4", "fp32", 32, None, 224, "inference"), "eager", "throughput", [420.0]),
    (("mistral-7b", "nvidia-a100-sxm4-80gb", "fp16", 16, 512, None, "prefill"), "eager", "latency", [937.0]),
    (("resnet-50", "intel-core-i9-13900k", "int8", 1, None, 224, "inference"), "openvino", "latency", [2.15]),
    (("bert-base", "nvidia-t4", "fp16", 8, 128, None, "inference"), "tensorflow", "throughput", [289.52]),
    (("resnet-50", "nvidia-rtx-3090", "fp16", 1024, None, 224, "inference"), "eager-amp", "latency",
     [318.095, 338.455, 338.922]),
]  # fmt: skip


@pytest.fixture(scope="module")
def api() -> HetBench:
    return HetBench()


def _ask(api: HetBench, setting: evidence.Setting, metric: str, **more: Any) -> Any:
    names = ("model", "target", "precision", "batch", "seq_len", "image_size", "phase")
    return api.query(**dict(zip(names, setting, strict=True)), metric=metric, **more)


def test_every_row_names_a_known_model_and_chip_and_carries_a_figure_a_unit_and_a_reference():
    for row in evidence.rows():
        assert row.model in models()
        assert chips()[row.chip].family == row.family
        assert row.value > 0
        assert row.unit == (UNITS.get(row.metric) or metrics()[row.metric].unit)
        assert re.match(r"([\w.-]+/[\w.-]+@[0-9a-f]{7,}|hetbench@\w+-\w+):?", row.ref)
        assert row.match in ("exact", "same-arch")


def test_a_row_that_may_answer_states_everything_that_a_query_fixes():
    for row in evidence.rows(use="answer"):
        record = models()[row.model]
        assert (row.match, row.n_chips) == ("exact", 1)
        assert None not in (row.batch, row.stack)
        assert row.precision in PRECISIONS
        assert row.phase in PHASES
        assert (row.seq_len is not None) == (record.seq_len is not None)
        assert (row.image_size is not None) == (record.image_size is not None)
        assert not re.fullmatch(r"p\d\d", row.stat)


def test_unknown_is_none_and_never_zero():
    sizes = ("batch", "seq_len", "image_size", "n_chips")
    values = [getattr(row, name) for row in evidence.rows() for name in sizes]
    assert None in values
    assert all(value is None or value > 0 for value in values)


@pytest.mark.parametrize(("setting", "stack", "metric", "figures"), PUBLISHED)
def test_published_figures_are_found_by_their_setting(
    setting: evidence.Setting, stack: str, metric: str, figures: list[float]
):
    assert sorted(row.value for row in evidence.find(setting, stack, metric)) == figures


def test_rows_are_listed_by_model_chip_family_metric_and_use():
    found = evidence.rows(model="bert-base-uncased", device="NVIDIA_T4", metric="latency", use="compare")
    assert {(row.model, row.chip) for row in found} == {("bert-base", "nvidia-t4")}
    assert {row.family for row in evidence.rows(device="rocm")} == {"rocm"}
    with pytest.raises(UnknownNameError, match="unknown use 'answers'"):
        evidence.rows(use="answers")


@pytest.mark.parametrize(("setting", "stack", "metric", "figures"), PUBLISHED)
def test_the_exact_setting_is_answered_with_the_median_of_its_rows(
    api: HetBench, setting: evidence.Setting, stack: str, metric: str, figures: list[float]
):
    answer = _ask(api, setting, metric, stack=stack)
    assert answer.value == figures[len(figures) // 2]
    assert (answer.kind, answer.level, answer.support) == ("measured", "A", len(figures))
    assert answer.lower is None
    assert answer.refs
    assert answer.stack == stack


def test_every_row_that_may_answer_is_reached_by_asking_for_its_setting(api: HetBench):
    for row in evidence.rows(use="answer"):
        found = [one.value for one in evidence.find(row.setting, row.stack or "", row.metric)]
        answer = _ask(api, row.setting, row.metric, stack=row.stack)
        assert (answer.kind, answer.value, answer.chip) == ("measured", median(found), row.chip)
        assert row.ref in answer.refs


def test_several_rows_of_one_setting_show_their_spread_and_their_software(api: HetBench):
    notes = " ".join(_ask(api, PUBLISHED[-1][0], "latency", stack="eager-amp").notes)
    assert "median of 3 rows, 318.1 to 338.9 ms" in notes
    assert "pytorch 1.13 cuda 11.7 timm" in notes


@pytest.mark.parametrize(("setting", "stack", "metric", "figures"), PUBLISHED[:3])
@pytest.mark.parametrize("change", [{"batch": 3}, {"predictor": "autogluon"}, {"predictor": "roofline"}])
def test_another_setting_or_a_named_predictor_is_predicted(
    api: HetBench, setting: evidence.Setting, stack: str, metric: str, figures: list[float], change: dict[str, Any]
):
    names = ("model", "target", "precision", "batch", "seq_len", "image_size", "phase")
    asked = dict(zip(names, setting, strict=True)) | change
    assert api.query(**asked, metric=metric, stack=stack).kind == "predicted"


def test_a_model_measured_by_this_project_is_answered_with_its_run(api: HetBench):
    answer = api.query(
        "gpt2", target="amd-epyc-zen4-2vcpu-kvm", metric="latency", batch=1, seq_len=128, precision="fp32",
        stack="eager",
    )  # fmt: skip
    assert answer.kind == "measured"
    assert 250 < answer.value < 400
    assert re.fullmatch(r"hetbench@\w+-\w+:data_collection/measurements/[\w-]+\.parquet", answer.refs[0])


def test_no_answer_is_a_row_of_another_stack():
    others = {row.setting for row in evidence.rows(use="answer") if row.stack != "eager"}
    own = {row.setting for row in evidence.rows(use="answer") if row.stack == "eager"}
    assert len(others - own) > 100
    assert not any(evidence.find(setting, "eager", "latency") for setting in others - own)


def test_a_prediction_tells_what_was_measured_under_other_stacks(api: HetBench):
    answer = _ask(api, ("resnet-50", "nvidia-t4", "fp16", 8, None, 224, "inference"), "latency")
    assert (answer.kind, answer.stack) == ("predicted", "eager")
    assert any("measured under stack 'eager-amp': 12.82 ms" in note and RESNET_README in note for note in answer.notes)


def test_throughput_of_a_measured_latency_is_measured_too(api: HetBench):
    answer = _ask(api, PUBLISHED[0][0], "throughput")
    assert answer.kind == "measured"
    assert answer.value == pytest.approx(8 / 22.41e-3)
    assert "8 samples per call / measured latency" in answer.notes


def test_a_ratio_compares_measured_with_measured(api: HetBench):
    setting = {"metric": "latency", "batch": 8, "precision": "fp32"}
    answer = api.query("resnet-50", source="nvidia-t4", target="nvidia-v100-sxm2-16gb", **setting)
    assert (answer.kind, answer.source.kind) == ("measured", "measured")
    assert answer.ratio == pytest.approx(11.5 / 22.41)


def test_a_ratio_with_one_side_measured_predicts_both_and_notes_the_row(api: HetBench):
    answer = api.query("resnet-50", source="nvidia-t4", target="cann", metric="latency", batch=8, precision="fp32")
    assert (answer.kind, answer.source.kind) == ("predicted", "predicted")
    assert answer.ratio == pytest.approx(answer.value / answer.source.value)
    assert f"published for nvidia-t4: 22.41 ms ({RESNET_README})" in answer.source.notes


def test_a_refused_stack_tells_which_were_measured(api: HetBench):
    with pytest.raises(RefusedError, match=r"at this setting: eager-amp, mxnet-amp, .*triton-tensorrt"):
        api.query("resnet-50", target="nvidia-t4", metric="latency", batch=8, stack="magicmind")


# ---- cleaning, on rows as the corpus holds them -----------------------------------------------------------------


def _raw(**changes: Any) -> dict[str, Any]:
    """A ResNet-50 row of DeepLearningExamples as the reader gives it."""
    row = {
        "file": "nvidia_dle", "platform": "cuda", "chip": "nvidia-t4", "chip_name": "nvidia-t4", "certainty": "exact",
        "our": "ResNet-50", "kind": "exact", "model": "resnet50", "precision": "fp32", "batch": 8.0, "seq_len": None,
        "image_size": 224.0, "phase": "inference", "software": "pytorch (NGC)", "metric": "latency_ms", "n_chips": 1,
        "unit": "ms/batch", "value": 22.41, "ref": RESNET_README, "licence": "see repo",
        "extra": {"column": "Latency Avg", "row": {"Batch Size": "8", "Latency 99%": "22.99 ms"}},
    }  # fmt: skip
    return row | changes


def _table(*raws: dict[str, Any]) -> tuple[list[dict[str, Any]], str]:
    said: list[str] = []
    return packing.table(raws, said.append), "\n".join(said)


def test_a_row_is_brought_to_the_names_of_the_catalogue():
    (row,), _ = _table(_raw())
    assert {name: row[name] for name in ("model", "family", "batch", "image_size", "stack", "stat", "use")} == {
        "model": "resnet-50", "family": "cuda", "batch": 8, "image_size": 224, "stack": "eager", "stat": "mean",
        "use": "answer",
    }  # fmt: skip


@pytest.mark.parametrize(("changes", "rule"), [
    ({"phase": "training"}, "training"), ({"kind": "pruned"}, "not the model"), ({"value": float("nan")}, "no figure"),
    ({"certainty": "partial"}, "part of a chip"), ({"chip_name": "nvidia-unheard-of"}, "chip outside the catalogue"),
    ({"model": "ResNet50 V1.0"}, "other network"), ({"metric": "mfu"}, "other metric"),
    # MXNet's table on an A100: the ratio of the mean latencies, 2.19, stood where a latency should
    ({"value": 2.19, "extra": {"column": "Avg latency - speedup"}}, "speed-up"),
    # TensorFlow BERT on a T4: a first call of 7 s in the mean
    ({"value": 23.18, "extra": {"column": "Latency-Average(ms)", "row": {"Latency-99%(ms)": "17.45"}}}, "mean above"),
    ({"value": 0.5}, "too fast"),  # 8 x 8.2 GFLOP in 0.5 ms is 131 TFLOPS on an 8.1 TFLOPS chip
])  # fmt: skip
def test_each_rule_drops_its_row_and_counts_it(changes: dict[str, Any], rule: str):
    rows, said = _table(_raw(**changes))
    assert rows == []
    assert re.search(rf"^ +1 dropped, {rule}", said, re.MULTILINE)


def test_throughput_that_repeats_a_latency_and_repeated_rows_are_dropped():
    same_run = _raw(metric="throughput", unit="samples/s", value=357.0, extra={"column": "Throughput Avg"})
    own = _raw(metric="throughput", unit="samples/s", value=420.0, batch=32.0, extra={"column": "Throughput Avg"})
    rows, said = _table(_raw(), _raw(), same_run, own)
    assert sorted(row["value"] for row in rows) == [22.41, 420.0]
    assert "1 dropped, repeated" in said
    assert "1 dropped, throughput of a latency" in said


@pytest.mark.parametrize(("changes", "use"), [
    ({"batch": None}, "show"), ({"n_chips": 4}, "show"), ({"n_chips": None}, "show"), ({"phase": "serving"}, "show"),
    ({"precision": "unstated"}, "show"), ({"kind": "same-arch"}, "compare"),
    ({"extra": {"column": "Latency 95%"}}, "compare"),
])  # fmt: skip
def test_a_row_with_less_than_everything_stated_does_not_answer(changes: dict[str, Any], use: str):
    (row,), _ = _table(_raw(**changes))
    assert row["use"] == use


@pytest.mark.parametrize(("extra", "use", "tokens"), [
    ({"out_len": 128}, "compare", 128), ({"out_len": 128, "KV Cache": "Without KV Cache"}, "show", 128),
    ({"out_len": 128, "kv_cache_dtype": "Weight = fp16, KV Cache = fp8"}, "show", 128), ({}, "show", None),
])  # fmt: skip
def test_a_generation_may_be_compared_where_it_was_computed_the_usual_way(
    extra: dict[str, Any], use: str, tokens: int | None
):
    generation = {
        "file": "llm_inference_bench", "chip": "nvidia-h100-sxm-80gb", "chip_name": "nvidia-h100-sxm5-80gb",
        "our": "Mistral-7B", "model": "mistralai/Mistral-7B-v0.1", "precision": "fp16", "batch": 16.0, "seq_len": "128",
        "image_size": None, "phase": "serving", "software": "vLLM", "unit": "ms/batch end-to-end (prefill+decode)",
        "value": 1500.0, "extra": extra,
    }  # fmt: skip
    (row,), _ = _table(_raw(**generation))
    assert (row["use"], row["new_tokens"], row["seq_len"]) == (use, tokens, 128)


@pytest.mark.parametrize(("software", "extra", "stack"), [
    ("pytorch 2.4.0 cuda 12.4 torch.compile timm", {"layout": "nchw"}, "compiled"),
    ("tensorflow (NGC)", {"ctx": "**FP32 Inference Latency + XLA**"}, "tensorflow-xla"), ("vLLM", {}, "vllm"),
    ("paddlepaddle (NGC)", {"heading": "Paddle-TRT performance"}, "paddle-tensorrt"), ("unheard of", {}, None),
    ("pytorch EFF-FT-INT8-v1", {}, "fastertransformer-pytorch-unpadded-int8-v1"), ("TensorRT-LLM", {}, "tensorrt-llm"),
    ("onnxruntime 1.18.1 + neural-compressor", {}, "onnxruntime+neural-compressor"),
    ("1.9.1 + neural-compressor", {}, None),
])  # fmt: skip
def test_upstream_software_is_named_as_one_stack(software: str, extra: dict[str, Any], stack: str | None):
    assert evidence_fields.stack({"software": software, "precision": "fp32"}, extra) == stack


def test_the_table_is_packed_into_the_same_bytes_every_time():
    rows, _ = _table(_raw(), _raw(batch=16.0, value=39.77), _raw(batch=None))
    assert packing.encode(rows) == packing.encode(list(rows))
    assert packing.encode(rows)[4:8] == bytes(4)  # no time of packing
    assert len(packing.OUTPUT.read_bytes()) < 1.5e6


def test_the_table_covers_the_families_that_publish_whole_models():
    rows = Counter(row.family for row in evidence.rows())
    assert rows["cuda"] > 6000
    assert rows["oneapi"] > 1000
    assert rows["rocm"] > 400
    assert rows["cann"] > 0
