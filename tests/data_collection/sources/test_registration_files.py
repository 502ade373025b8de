"""Registration files of newer back ends: what each parser reads of a few real lines, and how they renew the rows."""

from __future__ import annotations

import csv
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from data_collection.sources import registration_rows as source

CORPUS = Path(__file__).resolve().parents[4] / "shared" / "corpus" / source.NAME
CANN = """
all_version: [v2.1, v2.2, v2.13]
official:
  - func: abs(Tensor self) -> Tensor
    acl_op: all_version
    op_api: all_version
  - func: _unsafe_index.Tensor(Tensor self, Tensor?[] indices) -> Tensor
    acl_op: v2.1
  - func: gelu(Tensor self, *, str approximate='none') -> Tensor
    acl_op: [v2.1, v2.6]
    op_api: [v2.7, newest]
custom:
  - func: npu_pad(Tensor input, int[] paddings) -> Tensor
    acl_op: all_version
symint:
  - func: zeros(SymInt[] size) -> Tensor
    op_api: v2.1, v2.12
"""
MLU = """
aten:
  - func: cat
    structured_delegate: cat.out
  - func: cat.out
    structured: True
vision:
  - func: nms
"""
XPU = """
// the names of "operators" that fall back
static void init() {
  std::vector<std::string> fallback_list = {
      "linalg_eig", // "name.overload"
      "aten::ormqr.out",
  };
  log("realize");
}
"""
PYTORCH = """
- func: relu(Tensor self) -> Tensor
  dispatch:
    CPU, CUDA: relu
- func: gelu(Tensor self, *, str approximate='none') -> Tensor
  structured_delegate: gelu.out
- func: gelu.out(Tensor self, *, str approximate='none', Tensor(a!) out) -> Tensor(a!)
  structured: True
  dispatch:
    CUDA: gelu_out
- func: linear(Tensor input, Tensor weight, Tensor? bias=None) -> Tensor
- func: mkldnn_only(Tensor self) -> Tensor
  dispatch:
    MkldnnCPU: mkldnn
"""


def read(backend: str, text: str, torch: str = "") -> list[tuple[str, ...]]:
    found = import_module(f"data_collection.sources.registrations_{backend}").rows(text, torch)
    return [(row.platform, row.operator, row.support) for row in found]


def test_every_parser_is_found_by_its_file_name():
    assert source.backends() == ["cann", "mlu", "pytorch", "xpu"]


def test_op_plugin_is_read_for_one_version_or_all():
    assert [name for _, name, _ in read("cann", CANN)] == [
        "abs", "_unsafe_index.Tensor", "gelu", "zeros", "npu::npu_pad",
    ]  # fmt: skip
    assert [name for _, name, _ in read("cann", CANN, "2.13")] == ["abs", "gelu", "npu::npu_pad"]
    assert [name for _, name, _ in read("cann", CANN, "2.1")][:2] == ["abs", "_unsafe_index.Tensor"]


def test_torch_mlu_is_read_by_namespace():
    assert [name for _, name, _ in read("mlu", MLU)] == ["cat", "cat.out", "vision::nms"]


def test_only_the_list_of_the_fallback_file_is_read():
    assert read("xpu", XPU) == [("oneapi-xpu", "linalg_eig", "fallback"), ("oneapi-xpu", "ormqr.out", "fallback")]
    with pytest.raises(SystemExit, match="no fallback_list"):
        read("xpu", "int main() {}")


def test_pytorch_dispatch_says_native_composite_or_neither():
    found = read("pytorch", PYTORCH)
    assert [row for row in found if row[0] == "cuda"] == [
        ("cuda", "relu", "native"), ("cuda", "gelu", "native"), ("cuda", "gelu.out", "native"),
        ("cuda", "linear", "composite"),
    ]  # fmt: skip
    assert [row[1] for row in found if row[0] == "oneapi-cpu"] == ["relu", "linear"]


@pytest.mark.skipif(not CORPUS.is_file() or find_spec("torchgen") is None, reason="the corpus or torchgen is not here")
def test_the_registrations_of_pytorch_are_those_of_the_corpus():
    spec = find_spec("torchgen")
    assert spec is not None
    assert spec.submodule_search_locations
    text = Path(spec.submodule_search_locations[0], "packaged/ATen/native/native_functions.yaml").read_text()
    with CORPUS.open(newline="") as stream:
        rows = {(row["platform"], row["aten_op"], row["support"]) for row in csv.DictReader(stream)}
    assert set(read("pytorch", text)) == {row for row in rows if row[0] in ("cuda", "rocm", "oneapi-cpu")}


def test_rows_of_the_repository_are_replaced_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / source.NAME).write_text(
        "platform,aten_op,support,ref\nmlu,relu,native,Cambricon/torch_mlu@old:codegen/mlu_functions.yaml\n"
        "cann,relu,native,Ascend/op-plugin@1:op.yaml#official\n"
    )
    (tmp_path / "mlu.yaml").write_text(MLU)
    arguments = ["--corpus", str(tmp_path), "--backend", "mlu", "--file", str(tmp_path / "mlu.yaml"), "--ref",
                 "Cambricon/torch_mlu@new:codegen/mlu_functions.yaml", "--out", str(tmp_path / "out")]  # fmt: skip
    monkeypatch.setattr(sys, "argv", ["registration_rows", *arguments])
    source.main()
    assert "4 rows, 3 of them from Cambricon/torch_mlu@new" in capsys.readouterr().out
    with (tmp_path / "out" / source.NAME).open(newline="") as stream:
        rows = [(row["platform"], row["aten_op"], row["ref"].split(":")[0]) for row in csv.DictReader(stream)]
    assert rows == [
        ("cann", "relu", "Ascend/op-plugin@1"), ("mlu", "cat", "Cambricon/torch_mlu@new"),
        ("mlu", "cat.out", "Cambricon/torch_mlu@new"), ("mlu", "vision::nms", "Cambricon/torch_mlu@new"),
    ]  # fmt: skip
