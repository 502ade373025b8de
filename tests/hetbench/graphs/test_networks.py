"""The shipped graphs of measured image models, how published names find them, and what a compact graph refuses."""

from __future__ import annotations

import csv
from importlib.resources import files
from pathlib import Path
from zipfile import ZipFile

import pytest

from data_collection.networks.archive import compact, read, write
from hetbench.catalog.models import models
from hetbench.errors import InvalidInputError, RefusedError, UnknownNameError
from hetbench.graphs import model_graph
from hetbench.graphs import networks as auxiliary

CATALOG = Path(str(files("hetbench"))) / "catalog"
ARCHIVE = CATALOG / "auxiliary-vision.zip"
ROWS = [
    row for path in sorted(CATALOG.glob("upstream_names_*.csv"))
    for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines())
]  # fmt: skip
COUNTS = {  # as torchvision, timm and the authors publish them
    "tv-vgg16": 138_357_544, "tv-alexnet": 61_100_840, "tv-squeezenet1_1": 1_235_496, "resnet18": 11_689_512,
    "timm-resnet50": 25_557_032, "densenet121": 7_978_856, "convnext_tiny": 28_589_128, "u2net": 44_009_869,
    "timm-vit_base_patch16_224": 86_567_656, "swin_tiny_patch4_window7_224": 28_288_354, "yolov3-tiny": 8_852_366,
    "mobilenet-v1-1.0": 4_233_001, "rrdbnet-x4": 16_697_987,
}  # fmt: skip


@pytest.mark.parametrize("name", COUNTS)
def test_parameters_are_those_that_the_authors_publish(name: str) -> None:
    assert auxiliary.load(name).params == COUNTS[name]


@pytest.mark.parametrize("name", ["yolov3", "yolov3-tiny", "u2net", "nested-unet", "rrdbnet-x4", "mobilenet-v1-1.0"])
def test_networks_written_here_have_as_many_weights_as_their_authors_publish(name: str) -> None:
    torch = pytest.importorskip("torch")
    from data_collection.networks import torch_modules

    with torch.device("meta"):
        network = torch_modules.build(name)
    counted = [weight for key, weight in network.state_dict().items() if "num_batches" not in key]
    trained = counted if name.startswith("yolo") else list(network.parameters())  # Darknet's file holds statistics too
    assert sum(each.numel() for each in trained) == torch_modules.PUBLISHED[name]


def test_vgg16_runs_the_multiply_adds_of_its_thirteen_convolutions_and_three_products() -> None:
    table = auxiliary.load("tv-vgg16").operators(batch=1, image_size=224)
    counts = {op: sum(int(g.count.sum()) for g in table.groups if g.op == op) for op in ("Conv2d", "Linear")}
    assert counts == {"Conv2d": 13, "Linear": 3}
    assert table.flops == pytest.approx(2 * 15.47e9, rel=0.01)


@pytest.mark.parametrize("name", ["resnet18", "swin_tiny_patch4_window7_224", "yolov3", "levit_128", "convnextv2_tiny"])
def test_flops_are_linear_in_the_batch(name: str) -> None:
    one, five = (auxiliary.load(name).operators(batch=batch, precision="fp16").flops for batch in (1, 5))
    assert five == pytest.approx(5 * one, rel=1e-4)  # tables of positions do not grow


def test_a_residual_network_agrees_with_the_catalogues_graph_of_it() -> None:
    own, timm = model_graph.load("resnet-50"), auxiliary.load("timm-resnet50")
    for size in (224, 288):
        here, there = (each.operators(batch=8, image_size=size, precision="fp16") for each in (timm, own))
        assert here.flops == pytest.approx(there.flops, rel=0.01)


def test_an_image_size_that_was_not_traced_is_refused_with_those_that_were() -> None:
    said = r"resnet18 was traced at image sizes 160, 224, 256, 288; .* multiples of 32 such as 224, not at 225"
    with pytest.raises(RefusedError, match=said):
        auxiliary.load("resnet18").operators(image_size=225)


@pytest.mark.parametrize("what", ["nodes", "memory", "aten_ops"])
def test_a_compact_graph_refuses_what_it_left_out_and_says_what_it_has(what: str) -> None:
    with pytest.raises(RefusedError, match=r"auxiliary graph, which only counts operators"):
        getattr(auxiliary.load("resnet18"), what)()


def test_a_compacted_graph_counts_the_operators_of_the_full_one() -> None:
    for name in ("resnet-50", "gpt2"):
        full = model_graph.load(name)
        small = model_graph.ModelGraph(compact(full._table))
        for phase in full.phases:
            for batch in (1, 3):
                seen, said = (each.operators(batch=batch, precision="fp16", phase=phase) for each in (full, small))
                assert (said.flops, said.bytes, said.launches) == (seen.flops, seen.bytes, seen.launches)


def test_the_same_graphs_make_the_same_bytes(tmp_path: Path) -> None:
    tables = read(ARCHIVE)[:5]
    write(tables, tmp_path / "one.zip")
    write(reversed(tables), tmp_path / "two.zip")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    assert read(tmp_path / "two.zip") == tables


def test_the_archive_is_small_and_names_no_model_of_the_catalogue() -> None:
    with ZipFile(ARCHIVE) as archive:
        names = {name.removesuffix(".json") for name in archive.namelist()}
    assert ARCHIVE.stat().st_size < 2_500_000
    assert len(names) >= 900
    assert not names & set(models())


def test_every_published_name_leads_to_a_graph_that_exists_and_is_listed_once() -> None:
    known = {*auxiliary.names(), *models()}
    assert not {row["graph"] for row in ROWS} - known
    assert {row["kind"] for row in ROWS} <= set(auxiliary.KINDS)
    assert len({(row["file"], row["model"]) for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize(("name", "file", "found"), [
    ("convnext_tiny.fb_in22k", "timm", ("convnext_tiny", "exact")),
    ("gluon_resnet50_v1b", "timm", ("timm-resnet50", "exact")),
    ("timm/resnet18.a1_in1k", None, ("resnet18", "exact")),
    ("resnet50", "mlperf_inference", ("timm-resnet50", "same-arch")),
    ("contrib/cv/detection/YOLOV3", "ascend_modelzoo", ("yolov3", "same-arch")),
    ("mobilenet-v1-precision_float-0.25-128", "mlperf_inference", ("mobilenet-v1-0.25", "same-arch")),
    ("ResNet", "mmdeploy", ("timm-resnet50", "same-arch")),
])  # fmt: skip
def test_a_published_name_finds_its_graph(name: str, file: str | None, found: tuple[str, str]) -> None:
    assert auxiliary.resolve(name, file) == found


@pytest.mark.parametrize(("name", "file"), [
    ("built-in/cv/MobileNetV3_for_Pytorch", "ascend_modelzoo"), ("contrib/cv/classfication/volo", "ascend_modelzoo"),
    ("SSD (ssd_caffe)", "mlu_magicmind_cloud"), ("convnext_tiny", "mlperf_inference"),
])  # fmt: skip
def test_a_name_whose_variant_is_open_finds_none(name: str, file: str) -> None:
    with pytest.raises(UnknownNameError):
        auxiliary.resolve(name, file)


def test_an_unknown_graph_says_which_is_nearest() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'vgg16'"):
        auxiliary.load("vgg-16")


def test_a_name_of_two_meanings_asks_for_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    table = {("a", "x"): ("resnet18", "exact"), ("b", "x"): ("vgg16", "near")}
    monkeypatch.setattr(auxiliary, "upstream", lambda: table)
    auxiliary._resolve.cache_clear()
    with pytest.raises(InvalidInputError, match="means resnet18, vgg16, depending on the data set: give file="):
        auxiliary.resolve("x")
    auxiliary._resolve.cache_clear()
