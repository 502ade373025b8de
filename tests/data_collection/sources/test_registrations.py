"""Cleaning of operator registrations: what is dropped and why, and how statuses follow from few real rows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from data_collection.sources import registrations as source
from data_collection.sources.aten_composites import CALLERS, PARTS
from hetbench.catalog import support

CSV = """platform,aten_op,support,ref
cuda,linear,composite,pytorch 2.13.0+cpu: torchgen/packaged/ATen/native/native_functions.yaml
cuda,gelu.out,native,pytorch 2.13.0+cpu: torchgen/packaged/ATen/native/native_functions.yaml
cuda,cov,composite,pytorch 2.13.0+cpu: torchgen/packaged/ATen/native/native_functions.yaml
cuda,t,composite,pytorch 2.13.0+cpu: torchgen/packaged/ATen/native/native_functions.yaml
cann,gelu.out,native,Ascend/op-plugin@517f2e7d:op_plugin/config/op_plugin_functions.yaml#official
cann,npu::npu_pad,native,Ascend/op-plugin@517f2e7d:op_plugin/config/op_plugin_functions.yaml#custom
cann,cat.names,native,Ascend/op-plugin@517f2e7d:op_plugin/config/op_plugin_functions.yaml#official
mlu,addmm,native,Cambricon/torch_mlu@d578002:codegen/mlu_functions.yaml
oneapi-xpu,torchvision,fallback,intel/torch-xpu-ops@ab84f925a:src/ATen/native/xpu/XPUFallback.cpp
"""
UPSTREAM = {
    name: {"func": f"{name}(Tensor self) -> Tensor"} for name in ("linear", "gelu.out", "addmm", "cov", "t", "matmul")
} | {
    "gelu": {"func": "gelu(Tensor self) -> Tensor", "structured_delegate": "gelu.out"},
    "add.out": {"func": "add.out(Tensor self, *, Tensor(a!) out) -> Tensor(a!)", "ufunc_inner_loop": {}},
}  # fmt: skip


@pytest.fixture
def listed(tmp_path: Path):
    path = tmp_path / "operator_registrations.csv"
    path.write_text(CSV)
    return source.registrations(path, UPSTREAM)


def test_what_is_no_operator_of_upstream_is_dropped(listed: dict):
    assert set(listed["cann"]) == {"gelu.out"}
    assert listed["oneapi-xpu"] == {}


def test_the_reasons_are_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "rows.csv"
    path.write_text(CSV)
    source.registrations(path, UPSTREAM)
    printed = capsys.readouterr().out
    assert "the vendor's own operators, which no upstream model calls: npu::npu_pad" in printed
    assert "a word of the source file, no operator: torchvision" in printed
    assert "added cuda add.out: its kernel is generated" in printed


def test_a_functional_form_follows_its_structured_out_form(listed: dict):
    assert source.Resolver("cann", listed, UPSTREAM).find("gelu").status == "native"
    assert source.Resolver("mlu", listed, UPSTREAM).find("gelu").status == "absent"


def test_a_composite_is_no_better_than_its_worst_part(listed: dict):
    mlu = source.Resolver("mlu", listed, UPSTREAM)
    assert source.Resolver("cuda", listed, UPSTREAM).find("linear").status == "composite"
    mlu_list = "Cambricon/torch_mlu@d578002:codegen/mlu_functions.yaml"
    assert mlu.find("linear") == ("absent", (mlu_list,), ("t", "matmul"))
    assert mlu.find("cov").status == "unknown"


@pytest.mark.parametrize(("name", "schema", "kept"), [
    ("gelu", "gelu(Tensor self, *, str approximate='none') -> Tensor", True),
    ("add_.Tensor", "add_.Tensor(Tensor(a!) self, Tensor other, *, Scalar alpha=1) -> Tensor(a!)", True),
    ("gelu.out", "gelu.out(Tensor self, *, str approximate='none', Tensor(a!) out) -> Tensor(a!)", False),
    ("gelu_backward", "gelu_backward(Tensor grad_output, Tensor self) -> Tensor", False),
    ("sum.dim_DimnameList", "sum.dim_DimnameList(Tensor self, Dimname[1] dim) -> Tensor", False),
])  # fmt: skip
def test_forward_operators_on_dense_tensors_are_kept(name: str, schema: str, kept: bool):
    assert source.in_scope(name, {"func": schema}) is kept


def test_the_parts_of_composites_are_operators_and_never_go_in_circles():
    known = set(json.loads(support.TABLE.read_text())["operators"])
    for name in PARTS:
        assert name in known
        pending, seen = [name], set()
        while pending:
            each = pending.pop()
            seen.add(each)
            pending += [p for part in PARTS.get(each, ()) for p in part.split("|") if p not in seen]
            assert name not in PARTS.get(each, ()), f"{name} is made of itself"
    assert set(CALLERS) <= known


def test_the_table_is_written_alike_each_time_and_reads_back():
    found = {"relu": {platform: source.Found("native", ("o/r@c:p",)) for platform in source.PLATFORMS}}
    text = source.render(found)
    assert text == source.render(found)
    assert json.loads(text)["operators"]["relu"] == [[0, [0]]] * 6
