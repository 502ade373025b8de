"""Importers of whole-model results read real lines of each upstream as the corpus states them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from data_collection.importers import mlperf_inference
from data_collection.sources import tables
from data_collection.upstream.files import UpstreamError, open_trees
from data_collection.upstream.pins import pin
from hetbench.schema import FAMILIES

DATA = Path(__file__).parents[2] / "data" / "importers"

# source -> rows of its fixture, by hand: model, chip, precision, phase, batch, chips, metric, figure
_RECIPE = "fp16-amp (recipe amp_level, not in table)"
EXPECTED = {
    "aiconfigurator_silicon": [
        ("moonshotai/Kimi-K2.5", "nvidia-gb200", "fp4", "serving", 4, 36, "ttft_ms", 324.69235197495436),
        ("moonshotai/Kimi-K2.5", "nvidia-gb200", "fp4", "serving", 4, 36, "tpot_ms", 5.469115537500313),
        ("Qwen/Qwen3-32B", "nvidia-h100-sxm5-80gb", "fp8", "serving", 16, 4, "ttft_ms", 156.065626665625),
        ("Qwen/Qwen3-32B", "nvidia-h100-sxm5-80gb", "fp8", "serving", 16, 4, "tpot_ms", 8.4049249),
    ],
    "inferencex": [  # the second capture holds the first deployment of the first again, and one of its own
        *(("deepseek-ai/DeepSeek-R1-0528", "amd-mi355x", "fp4", "serving", 4, 4, metric, value) for metric, value in (
            ("throughput", 198.9447984579421), ("throughput", 98.9883650269406), ("ttft_ms", 102.17383736744523),
            ("tpot_ms", 9.648023886344358), ("latency_ms", 9040.930901188403), ("power_w", 628.907),
            ("energy_j", 6.353339))),
        *(("deepseek-ai/DeepSeek-R1-0528", "nvidia-gb200", "fp4", "serving", 4, 72, name, value) for name, value in (
            ("throughput", 32.66740863189287), ("throughput", 18.44701834407234), ("ttft_ms", 126.34469696786255),
            ("tpot_ms", 6.269479759073311), ("latency_ms", 6090.887790021952))),
        *(("deepseek-ai/DeepSeek-R1-0528", "amd-mi355x", "fp4", "serving", 4, 4, metric, value) for metric, value in (
            ("throughput", 126.93455963275083), ("throughput", 63.428531005668354), ("ttft_ms", 204.82347049983218),
            ("tpot_ms", 15.415842808565214), ("latency_ms", 14394.056894991081))),
    ],
    "milabench": [
        ("bert-tf32-fp16", "amd-mi325x", "fp16", "training", 16, 1, "throughput", 249.79),
        ("bert-tf32-fp16", "amd-mi325x", "fp16", "training", 16, 1, "memory_mb", 11177.0),
        ("bert-fp16", "nvidia-h100-sxm5-80gb", "fp16", "training", 1, 1, "throughput", 27.57),
        ("bert-fp16", "nvidia-h100-sxm5-80gb", "fp16", "training", 1, 1, "memory_mb", 3885.0),
    ],
    "strix_halo_lhl": [
        ("llama-2-7b.Q4_0.gguf", "amd-radeon-8060s", "w:q4_0", phase, 1, 1, metric, value) for phase, told in (
            ("decode", (48.04995, 95.174, 3875.0)), ("prefill", (52.591338, 23.3325, 3755.0)))
        for metric, value in zip(("throughput", "power_w", "memory_mb"), told, strict=True)
    ],
    "ascend_mindcv": [
        (model, "huawei-ascend-910b", _RECIPE, "training", 32, 8, metric, value) for model, step, rate in (
            ("densenet121", 47.34, 5446.81), ("resnet50", 33.09, 7736.47), ("resnet50", 31.9, 8025.08))
        for metric, value in (("latency_ms", step), ("throughput", rate))
    ],
    "ascend_mindformers": [
        ("swin_base_p4w7", "huawei-ascend-910a", "unstated", "training", None, 1, "throughput", 182.43),
        ("swin_base_p4w7", "huawei-ascend-910a", "unstated", "inference", None, None, "throughput", 233.43),
        ("llama3_8b", "huawei-ascend-910b", "unstated", "training", None, 1, "throughput", 2581.0),
        ("yi_6b", "huawei-ascend-910b", "unstated", "training", None, 1, "throughput", 3324.0),
    ],
    "ascend_modelzoo": [
        ("built-in/nlp/Bert_Base_Uncased_for_Pytorch", "huawei-ascend-310p", "unstated", "inference", 1, 1,
         "throughput", 177.81),
        ("contrib/cv/detection/CenterNet", "huawei-ascend-310p", "unstated", "inference", 1, 1, "throughput", 32.1448),
        ("contrib/cv/detection/CenterNet", "huawei-ascend-310b", "unstated", "inference", 1, 1, "throughput", 6.743),
        *(("built-in/cv/classification/Gluon_ResNet50_v1c_for_PyTorch", "huawei-ascend-910", "fp16-amp", "training",
           None, chips, "throughput", value) for chips, value in ((1, 1482.47), (8, 11149.75))),
        ("contrib/cv/others/SwinIR", "nvidia-v100", "unstated", "training", None, 1, "throughput", 15.09),
        ("contrib/cv/others/SwinIR", "huawei-ascend-910", "fp16-amp", "training", None, 1, "throughput", 8.88),
    ],
    "ascend_mindspore_models": [
        *(("benchmark/ascend/resnet:ResNet50-v1.5", chip, "unstated", "training", 256, 8, "latency_ms", value)
          for chip, value in (("huawei-ascend-910", 118.0), ("nvidia-v100", 270.0))),
        *(("research/cv/vit_base", "huawei-ascend-910", "unstated", "training", 32, chips, "latency_ms", value)
          for chips, value in ((1, 157.0), (8, 174.0))),  # the GPU column mixes two makes
    ],
    "ascend_mindyolo": [
        *((model, "huawei-ascend-910b", _RECIPE, "training", 32, 8, "latency_ms", value)
          for model, value in (("YOLOv10-N", 513.63), ("YOLOv10-S", 503.38))),
        *((model, "huawei-ascend-910b", _RECIPE, "training", batch, chips, metric, value)
          for model, batch, chips, step, rate in (
              ("YOLOv11-N", 128, 1, 383.78, 333.52), ("YOLOv11-L", 64, 2, 637.84, 200.68))
          for metric, value in (("latency_ms", step), ("throughput", rate))),
    ],
    "bytemlperf": [
        *(("resnet50", "graphcore-c600", "fp16", "inference", batch, 1, metric, value)
          for batch, rate, latency in ((4, 7062, 2.24), (32, 13542, 9.33))
          for metric, value in (("throughput", rate), ("latency_ms", latency))),
        ("bert", "stream-stcp920", "fp16", "inference", 2, 1, "throughput", 813.86),
        ("bert", "stream-stcp920", "fp16", "inference", 2, 1, "latency_ms", 19.67),
    ],
    "flagperf_models": [
        *(("resnet50", "nvidia-a100-sxm4-40gb", "fp16", "inference", 256, 1, metric, value) for metric, value in (
            ("e2e_time_s", 613.4), ("throughput", 1358.9), ("throughput", 4469.4), ("throughput", 1391.4),
            ("throughput", 12698.7), ("mfu", 16.8), ("memory_mb", 19.7 * 1024))),
        *((model, "nvidia-a100-sxm4-80gb", 'fp16, level="O2"', "training", batch, 8, metric, value)
          for model, batch, rate, memory in (("llama1_7B", 4, 16.67, 70.09), ("llama1_13B", 2, 6.67, 60.06))
          for metric, value in (("throughput", rate), ("memory_mb", memory * 1024))),
        *(("bert_hf", "huawei-ascend-910b", "amp", "training", 20, 8, metric, value) for metric, value in (
            ("e2e_time_s", 1708.0), ("throughput", 363.2), ("throughput", 386.0), ("throughput", 394.6),
            ("memory_mb", 38.9 * 1024))),
    ],
    "intel_neural_compressor": [
        *(("ResNet18", "intel-xeon-8380", precision, "inference", batch, 1, "throughput", value)
          for precision, batch, value in (("int8", 64, 3968.05), ("fp32", 64, 1182.36), ("int8", 1, 2995.8),
                                          ("fp32", 1, 1140.63), ("int8", 1, 657.72), ("fp32", 1, 327.69))),
    ],
    "milabench_mi325": [
        (bench, "amd-mi325x", precision, "training", batch, chips, metric, value)
        for bench, precision, batch, chips, items, memory in (
            ("bert-tf32-fp16", "tf32-fp16", 24, 1, 284.28, 13695.0), ("diffusion-gpus", None, 24, 8, 163.08, 55490.0),
            ("pna", None, 4088, 1, 7702.1, 41214.0), ("resnet50", "tf32-fp16", 128, 1, 1584.29, 12109.0))
        for metric, value in (("throughput", items), ("memory_mb", memory))
    ],
    "mlenergy": [
        *(("BAIR/koala-13b", "nvidia-v100", "fp16", "serving", 1, 1, metric, value) for metric, value in (
            ("throughput", 21.533160265), ("latency_ms", 12202.378193295), ("energy_j", 2299.253925118))),
        *(("mistralai/Mixtral-8x7B-Instruct-v0.1", "nvidia-a100-sxm-40gb", "bf16/fp16 (upstream default)", "serving",
           32, 4, metric, value) for metric, value in (
            ("energy_j", 523.4443816547295), ("tpot_ms", 61.428606066057316), ("throughput", 516.3146697035444))),
        *(("kandinsky-community/kandinsky-2-2-decoder", "nvidia-a100-sxm-40gb", "bf16/fp16 (upstream default)",
           "inference", 1, 1, metric, value)
          for metric, value in (("latency_ms", 1653.7675857543945), ("energy_j", 324.06850000005215))),
    ],
    "mlperf_inference": [
        ("llama2-70b-99", "amd-mi300x", "unspecified", "serving", None, 1, "throughput", 2520.27),
        ("mobilenet-v1-precision_float-0.75-160", "intel-xeon-e5-2686-v4", "fp32", "inference", 1, 1, "latency_ms",
         11.081837),
        ("mobilenet-v2-0.5-192-non-quantized", "nvidia-xavier", "int8", "inference", 1, 1, "energy_j", 0.0804087939),
        ("mobilenet-v2-0.5-192-non-quantized", "nvidia-xavier", "int8", "inference", 1, 1, "latency_ms", 19.883728),
        ("rnnt", "nvidia-h100-sxm-80gb", "unspecified", "inference", None, 8, "power_w", 4430.8204712813),
    ],
    "mlu_magicmind_cloud": [
        ("mobilenetv2 (mobilenetv2_caffe)", "cambricon-mlu370-s4", "fp16", "inference", 4, 1, "throughput", 2653.99),
        ("mobilenetv2 (mobilenetv2_caffe)", "cambricon-mlu370-s4", "fp16", "inference", 4, 1, "latency_ms", 0.66002),
        ("ResNet50 (resnet50_onnx)", "cambricon-mlu370-x4", "fp32", "inference", 1, 1, "throughput", 194.266),
        ("ResNet50 (resnet50_onnx)", "cambricon-mlu370-s4", "fp32", "inference", 1, 1, "throughput", 193.47),
        *(("ResNet50 (resnet50_onnx)", "cambricon-mlu370-s4", "fp16", "inference", 8, 1, metric, value)
          for metric, value in (("throughput", 2404.88), ("latency_ms", 3.3145), ("power_w", 60.3),
                                ("memory_mb", 950.0))),  # the throughput stands in table and log
    ],
    "neusight_models": [
        ("gpt2_large", "amd-mi210", "fp32", phase, 1, 1, "latency_ms", value)
        for phase, value in (("training", 313.28605194), ("training_fwd", 114.17082672), ("training_bwd", 199.115225))
    ],
    "nvidia_dle": [
        (model, chip, precision, "inference", 1, 1, metric, value) for model, chip, precision, rate, latency in (
            ("resnet50", "nvidia-t4", "amp_fp16", 131.0, 7.61),  # the speed-up beside them is no latency
            ("efficientnet-b0", "nvidia-v100-sxm2-16gb", "fp32", 83.0, 13.15),
            ("bert-large", "nvidia-a100-sxm-80gb", "tf32", 153.9, 6.5),
            ("bert-base", "nvidia-a100-sxm-80gb", "tf32", 290.93, 3.44))
        for metric, value in (("throughput", rate), ("latency_ms", latency))
    ],
    "nvidia_fastertransformer": [
        ("bert-base (12 layers encoder only, no embeddings)", "nvidia-a100", precision, "inference", 1, 1, "latency_ms",
         value)
        for precision, *values in (("tf32", 5.01, 1.99, 2.08), ("fp16", 4.2), ("int8", 1.44, 1.56)) for value in values
    ],
    "openvino": [
        ("bert-base-cased", f"intel-{chip}", precision, "inference", 1 if metric == "latency_ms" else None, chips,
         metric, value)
        for chip, chips, int8, latency, other, value in (
            ("xeon-w-1290p", 1, 52.74, 27.29, "fp32", 35.77), ("xeon-5218t", 2, 218.84, 14.48, "fp32", 80.13),
            ("xeon-8480plus", 2, 2972.17, 4.28, "fp32", 475.27), ("core-ultra-7-165h", 1, 50.56, 40.12, "fp32", 20.03),
            ("flex-170", 1, 839.85, 3.38, "fp16", 706.25), ("core-ultra-7-165h-npu", 1, 81.73, 13.37, "fp16", 66.02),
            ("core-i7-1185g7-igpu", 1, 66.66, 16.82, "fp16", 53.08))
        for precision, metric, value in (("int8", "throughput", int8), ("int8", "latency_ms", latency),
                                         (other, "throughput", value))
    ] + [
        ("bert-base-cased", "intel-xeon-8480plus", "bf16", "inference", None, 2, "throughput", 1927.46),
        ("bert-base-cased", "intel-xeon-8480plus", "bf16", "inference", 1, 2, "latency_ms", 5.04),
        ("bert-base-cased", "intel-celeron-6305e-cpu+igpu", "int8", "inference", None, 1, "throughput", 46.11),
    ],
}  # fmt: skip


def _rows(name: str) -> list[dict[str, object]]:
    """Rows of a fixture; of a source that is read at many commits, only some are here."""
    source = pin(name)
    return list(tables.imported(source, [tree for tree in open_trees(source, DATA / name) if tree.root.is_dir()]))


def _told(row: dict[str, object]) -> tuple[object, ...]:
    return tuple(row[key] for key in ("model", "chip", "precision", "phase", "batch", "n_chips", "metric", "value"))


@pytest.mark.parametrize("name", EXPECTED)
def test_real_lines_of_an_upstream_become_the_rows_written_here_by_hand(name: str):
    rows = sorted(map(_told, _rows(name)), key=str)
    wanted = sorted(EXPECTED[name], key=str)
    assert [row[:-1] for row in rows] == [each[:-1] for each in wanted]
    assert [row[-1] for row in rows] == pytest.approx([each[-1] for each in wanted], rel=1e-8)


@pytest.mark.parametrize("name", EXPECTED)
def test_every_row_cites_its_file_at_a_pinned_commit_with_the_licence_of_the_pin(name: str):
    source = pin(name)
    for row in _rows(name):
        repository, commit = str(row["ref"]).split(":")[0].split("@")
        assert repository == source.repository
        assert commit in [each.sha[: source.cited] for each in source.commits]
        assert row["licence"] == source.licence
        assert row["platform"] in (*FAMILIES, "other")


def test_a_row_whose_throughput_and_latency_contradict_each_other_is_flagged_and_every_row_said_to_be_withdrawn():
    extras = [json.loads(str(row["extra"])) for row in _rows("mlu_magicmind_cloud")]
    assert all("eb9e7f7" in extra["withdrawn"] for extra in extras)
    flagged = {extra["upstream_folder"] for extra in extras if extra["flags"]}
    assert flagged == {"mobilenetv2_caffe"}  # 2653.99 * 0.66002 / 1000 / 4 = 0.438


def test_sizes_and_versions_of_a_readme_hold_for_the_rows_of_its_tables():
    rows = {str(row["model"]).rsplit("/", 1)[1]: row for row in _rows("ascend_modelzoo")}
    assert rows["Bert_Base_Uncased_for_Pytorch"]["seq_len"] == 512
    assert rows["CenterNet"]["image_size"] == "512x512"
    assert rows["Bert_Base_Uncased_for_Pytorch"]["software"] == "ACL/OM offline; cann 6.0.RC1; pytorch 1.8.0"


def test_a_file_that_is_no_report_says_so(tmp_path: Path):
    path = tmp_path / "byte_infer_perf/general_perf/reports/IPU/bert-torch-fp32/result-fp16.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"Model": "BERT-TORCH-FP32"}')
    source = pin("bytemlperf")
    with pytest.raises(UpstreamError, match="no report of general_perf: 'Performance'"):
        list(tables.imported(source, open_trees(source, tmp_path)))


@pytest.mark.parametrize(("scenario", "version", "model", "said"), [
    ("Server", "v2.0", "bert-99", "scheduled"), ("Server", "v4.0", "gptj-99", "scheduled"),
    ("Server", "v4.0", "llama2-70b-99", "completed"), ("Server", "v4.1", "bert-99", "completed"),
    ("SingleStream", "v3.0", "resnet50", "p90 (early-stopping estimate)"),
])  # fmt: skip
def test_an_mlperf_figure_says_what_it_is_of(scenario: str, version: str, model: str, said: str):
    stat = mlperf_inference._SCENARIOS[scenario][-1]
    assert said in mlperf_inference._statistic(scenario, stat, version, model)


def test_the_runs_that_give_no_row_are_counted():
    source = pin("mlperf_inference")
    trees = open_trees(source, DATA / "mlperf_inference")
    kept = list(tables.imported(source, trees))
    runs = sum(len(json.loads(tree.text(path))) for tree in trees for path in tree.paths())
    assert sum(tables.left_out(trees).values()) == runs - len({json.loads(row["extra"])["uid"] for row in kept})


def test_what_an_importer_does_not_read_is_counted_by_kind(tmp_path: Path):
    for commit in pin("milabench").commits:
        path = tmp_path / commit.sha[:8] / "config/scaling/MI325.yaml"
        path.parent.mkdir(parents=True)
        path.write_text("bert-fp16:\n  - {batch_size: 8, cpu: 8, memory: 10 MiB, perf: 0, time: 1}\n"
                        "  - {batch_size: 8, cpu: 8, memory: 10 MiB, perf: 2.0, time: 1}\n")  # fmt: skip
    trees = open_trees(pin("milabench"), tmp_path)
    assert len(list(tables.imported(pin("milabench"), trees))) == 2
    assert tables.left_out(trees) == {"a failed run": 2, "the same row again": 2}
