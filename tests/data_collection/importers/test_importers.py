"""Importers read real lines of each upstream as the corpus states them; builds are whole, incremental and licensed."""

from __future__ import annotations

import bz2
import dataclasses
import io
import json
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

import data_collection.importers
from data_collection.sources import build, check, download, tables
from data_collection.sources.__main__ import main
from data_collection.sources.pins import PINS, Commit, Pin, pin, pins
from data_collection.sources.upstream import UpstreamError, open_trees, selected
from hetbench import plugins
from hetbench.artifacts import sha256_of
from hetbench.errors import InvalidInputError, UnknownNameError
from hetbench.schema import FAMILIES

DATA = Path(__file__).parents[2] / "data" / "importers"
COMMIT = "0123456789abcdef0123456789abcdef01234567"

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


@pytest.fixture(scope="session")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The fixtures as upstream has them: texts of binary files are packed."""
    root = tmp_path_factory.mktemp("upstream")
    for path in sorted(DATA.rglob("*")):
        if path.is_file():
            name, content = _packed(path)
            target = root / path.relative_to(DATA).with_name(name)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
    return root


def _packed(path: Path) -> tuple[str, bytes]:
    if path.name.endswith(".bz2.txt"):
        return path.name.removesuffix(".txt"), bz2.compress(path.read_bytes())
    if path.name.endswith(".parquet.json"):
        return path.name.removesuffix(".json"), _parquet(json.loads(path.read_text()))
    if path.name.endswith(".xlsx.json"):
        return path.name.removesuffix(".json"), _workbook(json.loads(path.read_text()))
    return path.name, path.read_bytes()


def _parquet(records: list[dict[str, object]]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    stream = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(records), stream)
    return stream.getvalue()


def _workbook(sheets: dict[str, dict[str, dict[str, str]]]) -> bytes:
    main, links = "http://schemas.openxmlformats.org/spreadsheetml/2006/main", "officeDocument/2006/relationships"
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        names = enumerate(sheets)
        listed = "".join(f'<sheet name="{name}" r:id="r{n}"/>' for n, name in names)
        archive.writestr("xl/workbook.xml", f'<workbook xmlns="{main}" xmlns:r="http://schemas.openxmlformats.org/{links}"'
                                            f"><sheets>{listed}</sheets></workbook>")  # fmt: skip
        targets = "".join(f'<Relationship Id="r{n}" Target="worksheets/{n}.xml"/>' for n in range(len(sheets)))
        archive.writestr("xl/_rels/workbook.xml.rels", f"<Relationships>{targets}</Relationships>")
        for n, rows in enumerate(sheets.values()):
            cells = "".join(
                f'<c r="{letter}{number}" t="inlineStr"><is><t>{text}</t></is></c>'
                for number, row in rows.items() for letter, text in row.items()
            )  # fmt: skip
            archive.writestr(f"xl/worksheets/{n}.xml", f'<worksheet xmlns="{main}"><row>{cells}</row></worksheet>')
    return stream.getvalue()


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


def test_an_unknown_source_names_the_nearest():
    with pytest.raises(UnknownNameError, match="neusight"):
        pin("neusigt")


def test_a_pin_without_a_licence_must_be_restricted(tmp_path: Path):
    text = PINS.read_text().split("\n[", 2)[1].replace('"MIT"', '"none stated"')
    (tmp_path / "sources.toml").write_text("[" + text)
    with pytest.raises(InvalidInputError, match="restricted = true"):
        pins(tmp_path / "sources.toml")


def test_patterns_stay_in_a_folder_unless_two_stars_cross_it_and_braces_choose():
    paths = ["a/b.csv", "a/c/d.csv", "a/e.txt"]
    assert selected(paths, ["a/*.csv"]) == ["a/b.csv"]
    assert selected(paths, ["a/**/*.csv"]) == ["a/b.csv", "a/c/d.csv"]
    assert selected(paths, ["a/{b,e}.*"]) == ["a/b.csv", "a/e.txt"]


def test_a_folder_without_the_files_says_which_it_looked_for(tmp_path: Path):
    with pytest.raises(UpstreamError, match=r"none of the files of pipeweave: dataset/gemm_fp8"):
        _ = open_trees(pin("pipeweave"), tmp_path)[0].listing()


# building


def test_a_build_writes_tables_and_a_manifest_and_reads_nothing_twice(upstream: Path, tmp_path: Path):
    chosen = [pin("pipeweave"), pin("timm")]
    said: list[str] = []
    place = build.Place(root=upstream, offline=True)
    assert build.build(chosen, tmp_path, place, jobs=2, say=said.append) == {}
    entries = build.manifest(tmp_path)
    assert {name: entry["rows"] for name, entry in entries.items()} == {"pipeweave": 2, "timm": 4}
    for entry in entries.values():
        assert entry["sha256"] == sha256_of(tmp_path / entry["table"])
    before = (tmp_path / "op/pipeweave.parquet").stat().st_mtime_ns
    said.clear()
    build.build(chosen, tmp_path, place, say=said.append)
    assert all("unchanged" in line for line in said)
    assert (tmp_path / "op/pipeweave.parquet").stat().st_mtime_ns == before
    assert not list(tmp_path.rglob("*.part"))


def test_a_changed_upstream_file_or_a_damaged_table_is_built_again(upstream: Path, tmp_path: Path):
    shutil.copytree(upstream / "pipeweave", tmp_path / "in" / "pipeweave")
    place, out = build.Place(root=tmp_path / "in", offline=True), tmp_path / "out"
    build.build([pin("pipeweave")], out, place, say=lambda line: None)
    file = tmp_path / "in/pipeweave/dataset/gemm_fp8_train.csv"
    file.write_text(file.read_text() + file.read_text().splitlines()[1] + "\n")
    build.build([pin("pipeweave")], out, place, say=lambda line: None)
    assert build.manifest(out)["pipeweave"]["rows"] == 3
    (out / "op/pipeweave.parquet").write_bytes(b"damaged")
    build.build([pin("pipeweave")], out, place, say=lambda line: None)
    assert sha256_of(out / "op/pipeweave.parquet") == build.manifest(out)["pipeweave"]["sha256"]


def test_a_source_that_fails_is_named_and_leaves_the_others_whole(upstream: Path, tmp_path: Path):
    shutil.copytree(upstream / "timm", tmp_path / "in" / "timm")
    failed = build.build(
        [pin("pipeweave"), pin("timm")], tmp_path / "out", build.Place(root=tmp_path / "in", offline=True),
        say=lambda line: None,
    )  # fmt: skip
    assert list(failed) == ["pipeweave"]
    assert "--offline" in str(failed["pipeweave"])
    assert list(build.manifest(tmp_path / "out")) == ["timm"]


def test_what_is_built_equals_what_is_checked(upstream: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    build.build([pin("vidur")], tmp_path, build.Place(root=upstream, offline=True), say=lambda line: None)
    assert main(["check", "vidur", "--from", str(upstream / "vidur"), "--corpus", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "vidur: 11 equal (11 with equal extra), 0 only here, 0 only there\n"


def test_a_restricted_source_needs_the_flag():
    source = dataclasses.replace(pin("timm"), restricted=True, licence="none stated")
    assert build.chosen([source], (), False) == ([], [source])
    assert build.chosen([source], (), True) == ([source], [])


def test_naming_a_restricted_source_without_the_flag_is_an_error(monkeypatch: pytest.MonkeyPatch):
    source = dataclasses.replace(pin("timm"), restricted=True)
    monkeypatch.setattr(build, "pin", lambda name: source)
    with pytest.raises(InvalidInputError, match="--include-restricted"):
        build.chosen([source], ["timm"], False)


# comparing


def _row(latency: float, **more: object) -> dict[str, object]:
    return {"op": "Linear", "chip": "c", "dims": '{"m": 1, "k": 2}', "dtype": "fp16", "phase": "fwd", "software": "s",
            "latency_ms": latency, "extra": "{}", "ref": "r"} | more  # fmt: skip


def test_rows_are_equal_within_a_millionth_whatever_the_order_of_dims():
    here = [_row(1.0), _row(2.0), _row(3.0)]
    there = [_row(2.0000001), _row(1.0, dims='{"k":2,"m":1}'), _row(4.0)]
    made = check.compare("op", lambda: here, lambda: there)
    assert made.equal == 2
    assert [row["latency_ms"] for row in made.here] == [3.0]
    assert [row["latency_ms"] for row in made.corpus] == [4.0]


def test_a_known_difference_is_reported_with_its_reason():
    made = check.Comparison(equal=1, corpus=[_row(1.0, split="trace"), _row(1.0, split="train")])
    lines = check.report(pin("neusight"), made)
    assert "1: traces of BERT" in lines[1]
    assert "1: not explained" in lines[2]


# fetching


@pytest.fixture(scope="session")
def mirror(upstream: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Pin]:
    """A repository that stands for an upstream, and the pin of its commit."""
    root = tmp_path_factory.mktemp("mirror")
    home = root / "zksainx" / "pipeweave"
    shutil.copytree(upstream / "pipeweave", home)
    (home / "large.bin").write_bytes(bytes(1000))
    run = ["git", "-C", str(home), "-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false"]
    subprocess.run([*run[:3], "init", "--quiet"], check=True)
    for setting in ("uploadpack.allowFilter", "uploadpack.allowAnySHA1InWant"):
        subprocess.run([*run[:3], "config", setting, "true"], check=True)
    subprocess.run([*run, "add", "-A"], check=True)
    subprocess.run([*run, "commit", "--quiet", "-m", "data"], check=True)
    sha = subprocess.run([*run, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    source = pin("pipeweave")
    return root, dataclasses.replace(source, commits=(Commit(sha, source.commits[0].paths),))


def test_git_brings_the_pinned_commit_and_only_the_files_that_are_read(mirror: tuple[Path, Pin], tmp_path: Path):
    root, source = mirror
    trees = download.by_git(source, tmp_path, root.as_uri())
    assert len(list(tables.imported(source, trees))) == 2
    home = tmp_path / "zksainx+pipeweave.git"
    missing = subprocess.run(
        ["git", "-C", str(home), "rev-list", "--objects", "--missing=print", source.commits[0].sha],
        capture_output=True, text=True, check=True,
    ).stdout.count("?")  # fmt: skip
    assert missing == 1
    (root / "zksainx").rename(root / "gone")
    try:
        assert len(list(tables.imported(source, download.by_git(source, tmp_path, root.as_uri())))) == 2
    finally:
        (root / "gone").rename(root / "zksainx")


def test_a_clone_is_read_at_the_pinned_commit_whatever_is_checked_out(mirror: tuple[Path, Pin], tmp_path: Path):
    root, source = mirror
    home = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", str(root / "zksainx/pipeweave"), str(home)], check=True)
    (home / "dataset/gemm_fp8_train.csv").write_text("changed")
    assert len(list(tables.imported(source, open_trees(source, home)))) == 2


def test_a_clone_without_the_commit_says_how_to_fetch_it(mirror: tuple[Path, Pin]):
    root, _ = mirror
    with pytest.raises(UpstreamError, match=r"does not hold commit 55e03178.*git fetch --depth 1"):
        open_trees(pin("pipeweave"), root / "zksainx/pipeweave")[0].listing()


def test_no_network_is_a_clear_error_and_names_the_other_way(tmp_path: Path):
    with pytest.raises(UpstreamError, match=r"could not fetch from file:.*--from"):
        download.by_git(pin("pipeweave"), tmp_path, (tmp_path / "nowhere").as_uri())


def test_no_network_for_an_archive_is_a_clear_error(tmp_path: Path):
    with pytest.raises(UpstreamError, match=r"could not reach http://127\.0\.0\.1:9/.*--from"):
        download.by_archive(pin("pipeweave"), tmp_path, "http://127.0.0.1:9")


def _archive(upstream: Path, path: Path, *extra: tuple[str, bytes]) -> None:
    import tarfile

    with tarfile.open(path, "w:gz") as archive:
        archive.add(upstream / "pipeweave", "pipeweave-1")
        for name, content in extra:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def test_an_archive_gives_only_selected_files_and_never_leaves_its_folder(upstream: Path, tmp_path: Path):
    source = pin("pipeweave")
    packed = tmp_path / f"pipeweave-{source.commits[0].sha}.tar.gz"
    _archive(upstream, packed, ("pipeweave-1/../../dataset/gemm_fp8_x.csv", b"out"), ("pipeweave-1/other.csv", b"x"))
    trees = download.by_archive(source, tmp_path, "http://127.0.0.1:9")
    assert len(list(tables.imported(source, trees))) == 2
    assert not (tmp_path / "pipeweave/other.csv").exists()
    assert not list(tmp_path.rglob("gemm_fp8_x.csv"))


def test_an_archive_with_another_hash_is_refused_and_removed(upstream: Path, tmp_path: Path):
    source = pin("pipeweave")
    packed = tmp_path / f"pipeweave-{source.commits[0].sha}.tar.gz"
    _archive(upstream, packed)
    with pytest.raises(UpstreamError, match="expected 00; it was removed"):
        download.by_archive(source, tmp_path, "http://127.0.0.1:9", sha256="00")
    assert not packed.exists()


def test_a_broken_archive_says_so(tmp_path: Path):
    source = pin("pipeweave")
    (tmp_path / f"pipeweave-{source.commits[0].sha}.tar.gz").write_bytes(b"no archive")
    with pytest.raises(UpstreamError, match="no readable archive"):
        download.by_archive(source, tmp_path, "http://127.0.0.1:9")


def test_the_shell_answers_2_with_the_error_on_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["import", "timm", "--from", str(tmp_path / "no"), "--out", str(tmp_path / "t.parquet")]) == 2
    assert "--from takes a clone" in capsys.readouterr().err
    assert main(["list"]) == 0
    assert "miopen" in capsys.readouterr().out
