"""Importers read real lines of each upstream as the corpus states them."""

from __future__ import annotations

import bz2
import json
import shutil
from pathlib import Path

import pytest

import data_collection.importers
from data_collection.sources import tables
from data_collection.upstream.files import UpstreamError, open_trees
from data_collection.upstream.pins import pin, pins
from hetbench import plugins
from hetbench.schema import FAMILIES

DATA = Path(__file__).parents[2] / "data" / "importers"

# source -> figures of its fixture, by hand: what (operator or model), chip, setting, dims, figure
EXPECTED = {
    "pipeweave": [
        ("SendRecv", "nvidia-h800", "n/a", {"size": 2048, "n_chips": 2}, 0.004960000000000036),
        ("Linear", "nvidia-h20", "fp8", {"m": 108, "n": 8192, "k": 1024}, 0.0136596),
    ],
    "aiter": [
        ("GatedDeltaRuleDecode", "amd-gfx942-cu-unstated", "bf16",
         {"batch": 1, "q_len": 1, "k_heads": 4, "v_heads": 8, "k_dim": 128, "v_dim": 128}, 0.005418999999999869),
        ("Linear", "amd-gfx942-80cu-mi308x", "int8", {"m": 1, "n": 1280, "k": 8192}, 0.0205611),
        ("Linear", "amd-gfx950-mi350x-or-mi355x", "bf16", {"m": 64, "n": 256, "k": 5120}, 0.0079191),
        ("MoE", "amd-gfx942-80cu-mi308x", "bfloat16/bfloat16",
         {"tokens": 2048, "hidden": 2048, "inter": 192, "experts": 128, "topk": 8}, 0.2754024),
    ],
    "neusight": [
        ("BMM", "nvidia-h100-sxm5-80gb", "fp16", {"b": 128, "m": 256, "n": 256, "k": 256}, 0.03639039993286133),
        ("Conv2d", "nvidia-t4", "fp32", {"n": 38, "c": 893, "h": 5, "w": 5, "oc": 326, "kh": 3, "kw": 3, "stride": 1,
                                         "pad": 1, "groups": 1}, 2.7097493012746177),
        ("LayerNorm", "nvidia-v100-pcie-32gb", "fp32", {"rows": 32768, "cols": 1600}, 0.8186048150062561),
        ("Linear", "nvidia-t4", "fp32", {"m": 58, "n": 141, "k": 13}, 0.052213333547115326),
        *((op, "amd-mi210", "fp32", dims, value) for op, dims, *values in (
            ("Embedding", {"tokens": 1024, "dim": 1280, "vocab": 50257}, 0.04435200020670891, 0.33942500352859495),
            ("Linear", {"m": 1024, "n": 3840, "k": 1280}, 0.39286540150642396, 0.6574104070663452),
            ("Linear", {"m": 1024, "n": 50257, "k": 1280}, 4.231342601776123, 8.899198038037866),
            ("Mul", {"numel": 1024 * 5120, "rows": 1024, "cols": 5120}, 0.06179199889302254, 0.11072020083665848),
        ) for value in values),
    ],
    "miopen": [
        ("Conv2d", "amd-gfx906-60cu", "fp32", {"n": 32, "c": 256, "h": 56, "w": 56, "oc": 256, "kh": 3, "kw": 3,
         "stride": 2, "pad": 1, "groups": 32, "oh": 28, "ow": 28}, 7.24642),
        ("Conv2d", "amd-mi300x", "fp16", {"n": 16, "c": 512, "h": 13, "w": 13, "oc": 1000, "kh": 1, "kw": 1,
         "stride": 1, "pad": 0, "groups": 1, "oh": 13, "ow": 13}, 0.051639),
        ("Conv2d", "amd-mi300x", "fp32", {"n": 16, "c": 16, "h": 112, "w": 112, "oc": 16, "kh": 3, "kw": 3,
         "stride": 1, "pad": 1, "groups": 16, "oh": 112, "ow": 112}, 0.146577),
    ],
    "rocblas_tensile": [
        ("Linear", "amd-mi100", "fp32", {"m": 480, "n": 512, "k": 512}, 2 * 480 * 512 * 512 / 4252.0e6),
        ("Linear", "amd-mi100", "fp32", {"m": 512, "n": 512, "k": 512}, 2 * 512**3 / 4286.0e6),
    ],
    "hipblaslt": [
        ("Linear", "amd-gfx942-mi300x", "fp64", {"m": 128, "n": 128, "k": 1024}, 2 * 128 * 128 * 1024 / 1025.19e6),
        ("Linear", "amd-gfx942-mi300x", "fp64", {"m": 4608, "n": 1335, "k": 640}, 2 * 4608 * 1335 * 640 / 16692.4e6),
    ],
    "aiconfigurator": [
        ("Attention", "nvidia-h200-sxm", "bf16", {"batch": 32, "q_len": 1, "kv_len": 2, "heads": 64, "kv_heads": 64,
         "head_dim": 64, "causal": 1, "window": 0}, 0.023872000475724537),
        ("Attention", "nvidia-h200-sxm", "bf16", {"batch": 32, "q_len": 1, "kv_len": 4, "heads": 64, "kv_heads": 64,
         "head_dim": 64, "causal": 1, "window": 0}, 0.02365333338578542),
        ("Linear", "nvidia-h200-sxm", "bf16", {"m": 32768, "n": 65536, "k": 51200}, 268.79804144965277),
    ],
    "deepbench": [
        ("Conv2d", "nvidia-v100", "fp32", {"n": 4, "c": 1, "h": 161, "w": 700, "oc": 32, "kh": 5, "kw": 20,
         "stride": 2, "pad": 0, "groups": 1}, 0.078),
        ("Conv2d", "nvidia-v100", "fp32", {"n": 4, "c": 1, "h": 161, "w": 700, "oc": 32, "kh": 5, "kw": 20,
         "stride": 2, "pad": 0, "groups": 1}, 0.127),
        ("Conv2d", "nvidia-v100", "fp32", {"n": 4, "c": 32, "h": 79, "w": 341, "oc": 32, "kh": 5, "kw": 10,
         "stride": 2, "pad": 0, "groups": 1}, 0.295),
        ("Conv2d", "nvidia-v100", "fp32", {"n": 4, "c": 32, "h": 79, "w": 341, "oc": 32, "kh": 5, "kw": 10,
         "stride": 2, "pad": 0, "groups": 1}, 0.307),
        ("Conv2d", "nvidia-v100", "fp32", {"n": 4, "c": 32, "h": 79, "w": 341, "oc": 32, "kh": 5, "kw": 10,
         "stride": 2, "pad": 0, "groups": 1}, 0.861),
        ("LSTM", "nvidia-v100", "fp32", {"hidden": 512, "batch": 16, "timesteps": 25}, 0.165),
        ("LSTM", "nvidia-v100", "fp32", {"hidden": 512, "batch": 16, "timesteps": 25}, 1.095),
        ("LSTM", "nvidia-v100", "fp32", {"hidden": 512, "batch": 16, "timesteps": 25}, 0.937),
        ("Linear", "nvidia-v100", "fp32", {"m": 1760, "n": 16, "k": 1760}, 0.038),
    ],
    "ascend_profiles": [
        ("Broadcast", "huawei-ascend-910b", "n/a", None, 308.92668),
        ("Linear", "huawei-ascend-910b", "fp16", {"m": 4096, "n": 4608, "k": 12288}, 1.47818),
    ],
    "candle_910b3": [
        ("BMM", "huawei-ascend-910b3", "fp16", {"b": 128, "m": 512, "n": 512, "k": 128}, 0.0976),
        ("Linear", "huawei-ascend-910b3", "fp16", {"m": 2048, "n": 4096, "k": 4096}, 0.3128),
        ("Linear", "huawei-ascend-910b3", "fp16", {"m": 2048, "n": 11008, "k": 4096}, 0.7825),
        ("RoPE(composite)", "huawei-ascend-910b3", "fp16", {"batch": 4, "q_len": 512, "heads": 32, "head_dim": 128},
         0.2233),
    ],
    "hipkittens": [
        *(("Attention", "amd-mi355x", "bf16", {"batch": 16, "q_len": 1024, "kv_len": 1024, "heads": 64, "head_dim": 128,
                                               "kv_heads": 8, "causal": 1}, value)
          for value in (0.3843743097782135, 0.3830306795239449)),
        *(("Linear", "amd-mi355x", "fp8", {"m": 1024, "n": 1024, "k": 1024}, value) for value in (0.01048, 0.008)),
    ],
    "flagperf": [
        ("ReLU", "nvidia-a100-sxm4-40gb", "fp16", {"numel": 1 << 30}, 3.12666),
        ("ReLU", "nvidia-a100-sxm4-40gb", "fp16", {"numel": 1 << 30}, 3.32731),
        ("ReLU", "nvidia-a100-sxm4-40gb", "fp16", {"numel": 1 << 30}, 7.92166),
        ("ReLU", "nvidia-a100-sxm4-40gb", "fp16", {"numel": 1 << 30}, 8.94259),
    ],
    "optimum_benchmark": [
        *(("meta-llama/Llama-2-7b-hf", "nvidia-a100-sxm-80gb", "fp16", {"batch": 16, "seq_len": 256}, value)
          for value in (402.0, 39.8, 17400.0, 471.0, 19165.0, 16520.0, 27988.0, 26442.0)),
        *(("mistralai/Mistral-7B-v0.1", "nvidia-a100-sxm-80gb", "fp16", {"batch": 4, "seq_len": 512}, value)
          for value in (233.0, 17.2, 29200.0, 137.0, 17865.0, 18509.0)),
    ],
    "timm": [
        ("test_vit", "nvidia-rtx-4090", "amp_fp16", {"batch": 1024, "image_size": "160"}, 3.401),
        ("test_vit", "nvidia-rtx-4090", "amp_fp16", {"batch": 1024, "image_size": "160"}, 299257.15),
        ("tinynet_e", "nvidia-rtx-3090", "amp_fp16", {"batch": 512, "image_size": "106"}, 41.681),
        ("tinynet_e", "nvidia-rtx-3090", "amp_fp16", {"batch": 512, "image_size": "106"}, 11915.85),
    ],
    "llm_inference_bench": [
        ("meta-llama/Llama-2-7b-hf", "nvidia-gh200-96gb", "fp16", {"batch": 16, "seq_len": 1024}, 356.6369306606551),
        ("meta-llama/Llama-2-7b-hf", "nvidia-gh200-96gb", "fp16", {"batch": 16, "seq_len": 1024}, 12195.721102005336),
        ("mistralai/Mistral-7B-v0.1", "nvidia-gh200-96gb", "fp16", {"batch": 1, "seq_len": 128}, 371.92720375776975),
        ("mistralai/Mistral-7B-v0.1", "nvidia-gh200-96gb", "fp16", {"batch": 1, "seq_len": 128}, 688.306736946106),
    ],
    "co2_inference": [
        ("bert-base-uncased", "nvidia-a100-sxm-80gb", "fp32", {"batch": 1}, 6.148758919084685),
        ("bert-base-uncased", "nvidia-a100-sxm-80gb", "fp32", {"batch": 1}, 12.178471565246582),
        ("bert-base-uncased", "nvidia-a100-sxm-80gb", "fp32", {"batch": 1}, 504.8760653854072),
    ],
}  # fmt: skip


VIDUR = {  # figures of one line of mlp.csv, and one of a collective
    "Add": 0.112, "AllReduce": 0.043000000000000003, "Embedding": 0.447, "RoPE": 0.304, "SiLUAndMul": 0.589,
}  # fmt: skip


def _rows(name: str, upstream: Path) -> list[dict[str, object]]:
    source = pin(name)
    return list(tables.imported(source, open_trees(source, upstream / name)))


def _told(row: dict[str, object], dims: dict[str, object]) -> tuple[object, ...]:
    if "op" in row:
        return row["op"], row["chip"], row["dtype"], json.loads(str(row["dims"] or "null")), row["latency_ms"]
    return row["model"], row["chip"], row["precision"], {name: row[name] for name in dims}, row["value"]


@pytest.mark.parametrize("name", EXPECTED)
def test_real_lines_of_an_upstream_become_the_rows_written_here_by_hand(name: str, upstream: Path):
    rows = sorted(_rows(name, upstream), key=lambda row: (row.get("op") or row["model"], row["chip"], _figure(row)))
    wanted = sorted(EXPECTED[name], key=lambda each: (each[0], each[1], each[4]))
    assert len(rows) == len(wanted)
    for row, each in zip(rows, wanted, strict=True):
        told = _told(row, each[3])
        assert told[:4] == each[:4]
        assert told[4] == pytest.approx(each[4], rel=1e-12)


def _figure(row: dict[str, object]) -> float:
    return float(str(row.get("latency_ms") or row.get("value")))


def test_a_line_of_vidur_gives_ten_parts_of_a_layer_with_the_dims_of_its_share(upstream: Path):
    rows = _rows("vidur", upstream)
    assert {row["op"]: row["latency_ms"] for row in rows if row["op"] in VIDUR} == VIDUR
    linear = {json.loads(str(r["extra"]))["role"]: json.loads(str(r["dims"])) for r in rows if r["op"] == "Linear"}
    assert linear["attn_pre_proj"] == {"m": 4096, "k": 8192, "n": 24576}
    assert linear["mlp_up_proj"] == {"m": 4096, "k": 8192, "n": 49152}
    assert linear["mlp_down_proj"] == {"m": 4096, "k": 24576, "n": 8192}
    assert len(rows) == 11


@pytest.mark.parametrize("name", [*EXPECTED, "vidur"])
def test_every_row_cites_its_file_at_the_pinned_commit_with_the_licence_of_the_pin(name: str, upstream: Path):
    source = pin(name)
    for row in _rows(name, upstream):
        repository, commit = str(row["ref"]).split(":")[0].split("@")
        assert repository == source.repository
        assert commit in [each.sha[: source.cited] for each in source.commits]
        assert row["licence"] == source.licence
        assert row["platform"] in (*FAMILIES, "other")
        assert _figure(row) > 0


def test_energy_is_power_times_time_and_stands_only_where_power_was_measured(upstream: Path):
    extras = [json.loads(str(row["extra"])) for row in _rows("aiconfigurator", upstream)]
    assert [extra.get("energy_j") for extra in extras] == [None, None, 136.962]


MALFORMED = {
    "pipeweave": ("dataset/gemm_fp8_train.csv", "13.6596", "fast", r"gemm_fp8_train\.csv:2: 'fast' is not a number"),
    "vidur": ("data/profiling/network/a100_dgx/all_reduce.csv", ",all_reduce,", ",gossip,", r":2: unknown collective"),
    "aiter": ("aiter/configs/a8w8_tuned_gemm.csv", "gfx942,80", "gfx942,81", r"a8w8_tuned_gemm\.csv:2: .*'81'"),
    "neusight": ("scripts/asplos/data/dataset/test/vec.csv", "32768,1600", "32768", r"vec\.csv:2: .*cells expected"),
    "timm": ("results/benchmark-train-amp-nhwc-pt112-cu113-rtx3090.csv", "512,106", "5.5,106", r":2: '5.5' is not"),
    "llm_inference_bench": ("Plots/All_results.csv", "0.688306736946106", "-1", r"All_results\.csv:2: -1\.0 is not"),
    "flagperf": ("operation/benchmarks/relu/nvidia/A100_40_SXM/FP16_README.md", "7921.66us", "fast",
                 r"FP16_README\.md:0: no complete report of flaggems"),
    "rocblas_tensile": ("library/src/blas3/Tensile/Logic/asm_full/arcturus/arcturus_Cijk_Ailk_Bljk_SBIIc.yaml",
                        "[480, 512, 1, 512]", "[480, 512]", r"SBIIc\.yaml:6: 2 sizes, at least 4"),
}  # fmt: skip


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_line_is_an_error_that_names_file_and_line(name: str, upstream: Path, tmp_path: Path):
    path, good, bad, message = MALFORMED[name]
    root = tmp_path / name
    shutil.copytree(upstream / name, root)
    text = (root / path).read_text()
    assert good in text
    (root / path).write_text(text.replace(good, bad))
    with pytest.raises(UpstreamError, match=message):
        _rows(name, tmp_path)


def test_a_malformed_problem_of_the_find_db_names_its_line(upstream: Path, tmp_path: Path):
    path = tmp_path / "miopen/src/kernels/gfx942130.HIP.fdb.txt.bz2"
    path.parent.mkdir(parents=True)
    path.write_bytes(bz2.compress(b"\n16-112-112-3x3=Naive:0.1,0,x\n"))
    with pytest.raises(UpstreamError, match=r"bz2:2: '16-112-112-3x3' is no convolution problem"):
        _rows("miopen", tmp_path)


def test_every_pin_has_an_importer_and_every_importer_a_pin():
    importers = {each.importer for each in pins().values()}
    assert importers == set(plugins.names(data_collection.importers))
    for each in pins().values():
        assert all(len(commit.sha) == 40 and commit.paths for commit in each.commits)
        assert each.citation
        assert each.restricted or each.licence != "none stated"
