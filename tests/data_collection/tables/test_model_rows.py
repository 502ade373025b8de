"""The table of whole-model measurements: what a printed figure becomes, and which rows may train.

The rows are real lines of the corpus, cut to what the rule reads; expected figures follow by hand.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

from data_collection.tables import model_columns, model_curves, model_fields, model_filters, model_repeats, model_rows
from hetbench import chips

HEADER = {
    "dataset": "", "ref": "owner/name@0000000:README.md", "licence": "MIT", "platform": "cuda", "software": "pytorch",
    "model": "resnet50", "precision": "fp16", "batch": 1, "seq_len": None, "image_size": None, "phase": "inference",
    "metric": "latency_ms", "unit": "ms", "value": 1.0, "n_chips": 1, "chip_name": "nvidia-t4", "certainty": "exact",
}  # fmt: skip
ACL = {"file": "ascend_modelzoo", "platform": "cann", "software": "ACL/OM offline; cann 6.0", "metric": "throughput",
       "unit": "samples/s", "precision": "unstated", "chip": "huawei-ascend-310p", "chip_name": "huawei-ascend-310p",
       "extra": {"precision_hint": "fp16 likely (ATC default force_fp16 for OM inference)"}}  # fmt: skip
XEON = {"file": "intel_neural_compressor", "platform": "oneapi", "software": "onnxruntime 1.18.1 + neural-compressor",
        "metric": "throughput", "unit": "samples/s (sum over instances on 1 socket)", "precision": "int8",
        "chip": "intel-xeon-8480plus", "chip_name": "intel-xeon-8480plus"}  # fmt: skip
LLM = {"file": "llm_inference_bench", "software": "vLLM", "phase": "serving", "seq_len": 1024, "chip_name":
       "nvidia-a100-sxm4-40gb", "model": "meta-llama/Meta-Llama-3-8B",
       "unit": "ms/batch end-to-end (prefill+decode)", "value": 14858.8}  # fmt: skip


def _raw(**cells: Any) -> dict[str, Any]:
    return {**HEADER, "file": "timm", "chip": "nvidia-t4", "extra": {}, **cells}


def _row(**cells: Any) -> dict[str, Any]:
    return model_rows.normalise(_raw(**cells))


def _llm(**extra: Any) -> dict[str, Any]:
    return _row(**LLM, extra={"in_len": 1024, "out_len": 1024, **extra})


def _series(values: dict[int, float], **cells: Any) -> list[dict[str, Any]]:
    """Rows of one network that differ in batch and rate."""
    return [_row(**{**ACL, "batch": batch, "value": value, **cells}) for batch, value in values.items()]


def _clean(*raws: dict[str, Any]) -> tuple[list[dict[str, Any]], list[str]]:
    rows, excluded = model_rows.table(raws, say=lambda line: None)
    return rows, [row["match_use"] for row in excluded]


def test_a_rate_becomes_milliseconds_of_the_whole_batch():
    row = _row(**{**ACL, "batch": 8, "value": 4000.0})
    assert (row["metric"], row["value"], row["unit"], row["printed"]) == ("latency", 2.0, "ms", "throughput samples/s")
    assert (row["precision"], row["stack"], row["match_use"]) == ("fp16", "acl", "train")
    assert "default" in row["note"]


def test_instances_that_run_side_by_side_each_take_their_share_of_the_summed_rate():
    column = "Performance 1s4c14ins1bs Throughput(samples/sec) | INT8"
    row = _row(**XEON, value=700.0, extra={"column": column, "config": "", "commit_date": "2024-07-01"})
    assert (row["instances"], row["cores"], row["batch"]) == (14, 4, 1)
    assert row["value"] == pytest.approx(14 * 1000 / 700)


def test_the_column_wins_over_the_config_text():
    config = "1 socket, 4 cores/instance, 8 instances, batch 1, all instances summed"
    assert model_fields.instances({"extra": {"column": "1s 10ins 4c/ins bs=8 | FP32", "config": config}}) == (10, 4, 8)
    assert model_fields.instances({"extra": {"column": "Throughput(samples/sec)", "config": config}}) == (8, 4, 1)


def test_a_framework_named_only_in_the_heading_is_read_there():
    extra = {"heading": "Keras Models with keras 2.15.1"}
    assert model_fields.stack(_raw(software="2.15.1 + neural-compressor", extra=extra)) == "keras+neural-compressor"


@pytest.mark.parametrize(
    ("software", "stack"),
    [
        ("MagicMind (repo v1.2, 2022-10)", "magicmind"), ("TensorRT 7.2.3.4", "tensorrt"), ("Ascend", "acl"),
        ("TorchAIE; cann 7.0.RC1.alpha003; pytorch 2.0.1", "torchaie"), ("mindspore 1.3.0", "mindspore"),
        ("pytorch transformers pipeline (2023), codecarbon 2.3.1", "hf-pipeline"),
        ("unstated (GPU baseline quoted by Ascend ModelZoo; usually TensorRT fp16)", None), ("CUDA 11.6", None),
    ],
)  # fmt: skip
def test_every_software_name_has_a_stack_or_none(software: str, stack: str | None):
    assert model_fields.stack(_raw(software=software)) == stack


@pytest.mark.parametrize(
    ("file", "name", "key"),
    [
        ("timm", "vit_base_patch16_224.augreg_in21k", "vitbasepatch16_224"),
        ("ascend_modelzoo", "contrib/cv/face/AlignedReID:AlignedReID bs32", "alignedreid"),
        ("ascend_modelzoo", "contrib/cv/classfication/ViT_base:ViT_base_patch16_384", "vitbasepatch16_384"),
        ("ascend_modelzoo", "built-in/cv/SAM:decoder", "sam:decoder"),
        ("ascend_modelzoo", "built-in/cv/Wide_ResNet50_2_for_Pytorch", "wideresnet50_2"),
        ("mlperf_inference", "mobilenet-v1-precision_float-0.25-128", "mobilenetv1_0_25_128"),
        ("mlu_magicmind_cloud", "bert_qa (bert_qa_pytorch)", "bertqa"),
        ("llm_inference_bench", "mistralai/Mistral-7B-v0.3", "mistral7bv0_3"),
    ],
)
def test_copies_of_a_network_share_one_key(file: str, name: str, key: str):
    assert model_fields.canonical_key(file, name) == key


def test_a_heading_that_names_the_smaller_bert_is_believed():
    row = _row(file="nvidia_dle", model="bert-large", extra={"ctx": "BERT-Base FP32", "column": "Latency-Average(ms)"})
    assert (row["upstream"], row["canonical_key"]) == ("bert-base", "bertbase")


def test_an_image_that_is_not_square_keeps_its_text():
    assert (_row(image_size="300x300")["image_size"], _row(image_size="300x300")["image_text"]) == (300, None)
    assert (_row(image_size="32x100")["image_size"], _row(image_size="32x100")["image_text"]) == (None, "32x100")
    assert _row(**ACL, model="contrib/nlp/tinybert:TinyBERT(bs1)", image_size="84x84")["image_size"] is None


def test_whole_requests_are_end_to_end_with_their_lengths():
    row = _llm()
    assert (row["metric"], row["seq_len"], row["new_tokens"], row["match_use"]) == ("e2e", 1024, 1024, "train")


def test_the_first_new_token_comes_with_the_prompt():
    row = _row(file="optimum_benchmark", phase="decode", unit="ms (all new tokens)", value=5110.0,
               extra={"new_tokens": 512})  # fmt: skip
    assert (row["metric"], row["value"]) == ("latency", 10.0)


def test_a_forward_pass_of_training_trains_and_a_training_step_does_not():
    assert _row(file="neusight", phase="training_fwd", precision="fp32")["match_use"] == "train"
    assert _row(file="neusight", phase="training", precision="fp32")["match_use"] == "exclude:training"


def test_a_card_of_four_ascend_310_shares_its_rate_and_others_of_that_chip_are_out():
    cells = {**ACL, "chip": "huawei-ascend-310", "chip_name": "huawei-ascend-310", "batch": 4, "value": 1600.0}
    stated = _row(**{**cells, "n_chips": 4})
    assert (stated["value"], stated["n_chips"], stated["match_use"]) == (10.0, 1, "train")
    assert _row(**{**cells, "n_chips": 1})["match_use"] == "exclude:card of Ascend 310"


@pytest.mark.parametrize(
    ("rule", "cells"),
    [
        ("several chips", {**LLM, "n_chips": 4, "extra": {"out_len": 1024}}),
        ("special setting", {**LLM, "extra": {"out_len": 1024, "KV Cache": "Without KV Cache"}}),
        ("batch not stated", {**LLM, "batch": None, "extra": {"out_len": 1024}}),
        ("outruns its weights", {**LLM, "value": 82.6, "extra": {"out_len": 1024}}),
        ("8 idle GPUs", {"file": "co2_inference", "metric": "energy_j", "unit": "J/query", "precision": "fp32",
                         "software": "pytorch transformers pipeline (2023)", "extra": {"task": "image_class"}}),
        ("quoted baseline", {**ACL, "platform": "cuda", "software": "unstated (GPU baseline)"}),
        ("other inputs", {**ACL, "model": "built-in/cv/Resnet50_mlperf"}),
        ("size not named", {**ACL, "model": "built-in/cv/EfficientNet_for_Pytorch"}),
        ("other network", {"file": "mlu_magicmind_cloud", "software": "MagicMind", "model": "segnet (segnet_caffe)"}),
        ("flagged", {"file": "mlu_magicmind_cloud", "software": "MagicMind", "extra": {"flags": ["suspect"]}}),
        ("padding removed", {"file": "nvidia_fastertransformer", "software": "pytorch EFF-FT"}),
        ("TF32 not stated", {"file": "nvidia_fastertransformer", "precision": "fp32",
                             "extra": {"ctx": "User can use `export NVIDIA_TF32_OVERRIDE=1`"}}),
        ("precision not stated", {"file": "mlperf_inference", "precision": "unspecified"}),
        ("precision outside the schema", {"file": "openvino", "software": "openvino 2024.3", "precision": "int4"}),
        ("stack not stated", {"file": "mlperf_inference", "software": "CUDA 11.6"}),
        ("eight samples a query", {"file": "mlperf_inference", "extra": {"scenario": "MultiStream"}}),
        ("precision against the name", {"file": "mlperf_inference", "precision": "int8", "software": "ArmNN v21.11",
                                        "model": "mobilenet-v1-1.0-224-non-quantized"}),
        ("speed-up", {"file": "nvidia_dle", "extra": {"column": "Avg latency - speedup"}}),
        ("with input and output", {"file": "flagperf", "software": "tensorrt", "metric": "throughput",
                                   "unit": "images/s", "extra": {"column": "p_infer_whole"}}),
    ],
)  # fmt: skip
def test_a_row_that_answers_another_question_names_its_rule(rule: str, cells: dict[str, Any]):
    assert _row(**cells)["match_use"] == f"exclude:{rule}"


def test_wall_power_of_several_chips_stays_with_a_note():
    row = _row(file="mlperf_inference", software="TensorRT 9.0.0, CUDA 12.2", metric="power_w", unit="W", n_chips=8,
               precision="unspecified", batch=None, extra={"scenario": "Offline", "division": "closed"})  # fmt: skip
    assert (row["match_use"], row["metric"], row["n_chips"], row["division"]) == ("train", "power", 8, "closed")
    assert "8 chips" in row["note"]


def test_a_part_of_a_chip_and_a_chip_without_facts_are_dropped():
    assert _clean(_raw(certainty="partial"), _raw(chip_name="nvidia-a100"), _raw(chip_name="")) == ([], [])


def test_one_of_a_pair_of_rate_and_latency_stays_and_it_is_the_latency():
    cells = {"precision": "amp_fp16", "batch": 256, "extra": {"compile": "eager", "gmacs": 4.1, "layout": "nhwc"}}
    latency = _raw(**cells, value=80.0, unit="ms/batch")
    rows, excluded = _clean(latency, _raw(**cells, value=3200.0, metric="throughput", unit="samples/s"))
    assert excluded == ["exclude:throughput beside a latency"]
    assert [(row["value"], row["stack"], row["layout"], row["gmacs"]) for row in rows] == [
        (80.0, "eager-amp-nhwc", "nhwc", 4.1)
    ]


def test_repeats_become_their_median_and_an_exact_duplicate_counts_once():
    rows, excluded = _clean(*(_raw(value=value) for value in (1.0, 1.2, 1.1, 1.1)))
    assert [(row["value"], row["repeats"]) for row in rows] == [(1.1, 3)]
    assert excluded == ["exclude:repeated"]


def test_the_newest_commit_of_neural_compressor_stays_unless_versions_disagree():
    config = "1 socket, 4 cores/instance, 14 instances, batch 1"
    old, new, far = (
        _raw(**XEON, value=value, extra={"config": config, "commit_date": date})
        for value, date in ((700.0, "2023-06-01"), (800.0, "2024-07-01"), (1400.0, "2024-07-01"))
    )
    rows, excluded = _clean(old, new)
    assert ([row["value"] for row in rows], excluded) == ([14e3 / 800], ["exclude:older commit"])
    assert _clean(old, far) == ([], ["exclude:figures disagree"] * 2)


def test_copies_in_other_folders_go_and_a_chance_meeting_stays():
    first = _series({1: 761.4, 4: 1498.5}, model="contrib/cv/classfication/Inception_V4")
    again = _series({1: 761.4, 4: 1498.5}, model="built-in/cv/InceptionV4_for_Pytorch")
    other = _series({1: 761.4}, model="contrib/cv/quality_enhancement/ADNet")
    assert model_repeats.copies(first + again + other) == {2, 3}


def test_a_series_whose_rate_falls_like_one_over_batch_is_out():
    assert model_curves.falling(_series({1: 800.0, 8: 100.0, 64: 12.0})) == {0, 1, 2}
    assert model_curves.falling(_series({1: 800.0, 8: 2000.0, 64: 1900.0})) == set()


def test_a_single_cell_off_the_batch_curve_is_out_and_its_neighbours_stay():
    assert model_curves.off_curve(_series({1: 1000.0, 2: 25.0, 4: 1000.0, 8: 1000.0})) == {1}
    assert model_curves.off_curve(_series({1: 1000.0, 2: 1500.0, 4: 1900.0, 8: 1950.0})) == set()


def test_a_call_above_the_peak_is_too_fast_except_on_a_cpu():
    t4 = chips()["nvidia-t4"]  # 65 TFLOPS in fp16
    assert model_filters.too_fast(0.5, 65e9, 1e6, t4, "fp16")
    assert not model_filters.too_fast(1.0, 65e9, 1e6, t4, "fp16")
    assert not model_filters.too_fast(1e-6, 65e9, 1e6, chips()["intel-xeon-8480plus"], "fp32")


def test_every_rule_says_how_many_rows_it_takes():
    said: list[str] = []
    model_rows.table([_raw()], say=said.append)
    tables = (model_rows.DROPS, model_filters.RULES, model_repeats.TABLE_RULES, model_curves.CURVE_RULES)
    assert len([line for line in said if re.match(r" *\d+ (dropped|excluded), ", line)]) == sum(map(len, tables))


def test_the_written_table_has_the_columns(tmp_path: Any):
    parquet = pytest.importorskip("pyarrow.parquet")
    model_rows.write(_clean(_raw())[0], tmp_path / "models" / "rows.parquet")
    assert parquet.read_table(tmp_path / "models" / "rows.parquet").column_names == list(model_columns.COLUMNS)
