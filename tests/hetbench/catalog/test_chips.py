"""Datasheets: what cannot be meant is refused with the likely unit, and a family has one name in any case."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hetbench import HetBench, InvalidInputError, UnknownNameError, chips
from hetbench.catalog import evidence
from hetbench.catalog.chips import Chip, chip, default_chip
from hetbench.catalog.datasheets import load_chip
from hetbench.catalog.support import support
from hetbench.migration import select_chips
from hetbench.schema import FAMILIES

SHEET = {"name": "my-npu", "family": "cann", "fp16_tflops": 312, "mem_bw_gbs": 2000, "mem_gb": 80}


@pytest.mark.parametrize(("facts", "message"), [
    ({"fp16_tflops": 1e8}, "chips of the catalogue have"), ({"mem_bw_gbs": 2.0}, "2 TB/s, write mem_bw_gbs=2000"),
    ({"mem_bw_gbs": 2e12}, "bytes/s, write mem_bw_gbs=2000"), ({"fp16_tflops": 312e12}, "write fp16_tflops=312"),
    ({"mem_gb": 80e9}, "write mem_gb=80"), ({"boost_mhz": 1.4}, "1.4 GHz, write boost_mhz=1400"),
    ({"fp32_tflops": 80, "fp16_tflops": 0.32}, "beside fp32_tflops=80 cannot be meant"),
    ({"fp16_tflops": 2400, "mem_bw_gbs": 8}, "8 TB/s write 8000"), ({"tdp_w": 0.35}, "0.35 kW, write tdp_w=350"),
])  # fmt: skip
def test_a_figure_in_another_unit_is_refused_with_the_unit_it_is_likely_in(facts: dict[str, float], message: str):
    with pytest.raises(InvalidInputError, match=message):
        Chip.from_mapping({**SHEET, **facts})


def test_the_chips_of_the_catalogue_are_plausible():
    for name, known in chips().items():
        if known.mem_bw_gbs and known.family in FAMILIES and known.peak_flops("fp16"):
            facts = {field: getattr(known, field) for field in ("fp16_tflops", "mem_bw_gbs", "mem_gb", "tdp_w")}
            assert Chip.from_mapping({"name": f"my-{name}", "family": known.family, **facts}).mem_gb == known.mem_gb


@pytest.mark.parametrize("facts", [
    {"kind": "toaster"}, {"name": "a\x1b[31m"}, {"name": " "}, {"aliases": 3}, {"mem_gb": True}, {"mem_gb": "80"},
    {"tdp_w": float("nan")}, {"tdp_w": 10**400}, {"family": "cudaa"}, {"confidence": "sure"},
    {"launch_year": 1}, {"compute_units": 1.5}, {"name": "x" * 101},
])  # fmt: skip
def test_a_fact_that_cannot_be_meant_is_refused(facts: dict[str, Any]):
    with pytest.raises((InvalidInputError, UnknownNameError)):
        Chip.from_mapping({**SHEET, **facts})


def test_an_unknown_fact_may_be_left_out_or_be_none():
    assert Chip.from_mapping({**SHEET, "tdp_w": None}) == Chip.from_mapping(SHEET)


def test_a_datasheet_is_read_as_utf_8_with_or_without_a_mark(tmp_path: Path):
    for name, encoding in (("plain.json", "utf-8"), ("marked.json", "utf-8-sig")):
        path = tmp_path / name
        path.write_text(json.dumps({**SHEET, "notes": "Größe nach Datenblatt"}, ensure_ascii=False), encoding=encoding)
        assert load_chip(path).notes == "Größe nach Datenblatt"


@pytest.mark.parametrize(("name", "text"), [
    ("deep.json", "[" * 100_000), ("deep.toml", "a = " + "[" * 100_000), ("latin.toml", b"name = '\xff'"),
    ("long.toml", "#" * (2**20 + 1)), ("list.json", "[1]"),
])  # fmt: skip
def test_a_file_that_is_no_datasheet_is_refused(tmp_path: Path, name: str, text: str | bytes):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InvalidInputError):
        load_chip(path)


def test_a_device_that_never_ends_is_refused():
    if not Path("/dev/zero").exists():
        pytest.skip("no such device here")
    with pytest.raises(InvalidInputError, match="longer than a datasheet"):
        load_chip("/dev/zero")


def test_a_family_means_the_same_in_any_case():
    api = HetBench()
    assert api.chip("CUDA") == api.chip("cuda")
    assert api.query("gpt2", target="Cann", metric="latency") == api.query("gpt2", target="cann", metric="latency")
    assert chip("ROCm") == chip("rocm")
    assert default_chip("MLU") == default_chip("mlu")
    assert evidence.rows(device="CANN", model="gpt2") == evidence.rows(device="cann", model="gpt2")
    assert support("CUDA", "add").status == support("cuda", "add").status
    assert Chip.from_mapping({**SHEET, "family": "CANN"}).family == "cann"
    known = list(chips().values())
    assert select_chips("CUDA", known, chip) == select_chips(["cuda"], known, chip)
    assert len(select_chips("MLU", known, chip)) > 1
    ranked = [api.migrate("gpt2", targets=name).candidates for name in ("MLU", "mlu")]
    assert ranked[0] == ranked[1]


@pytest.mark.parametrize("given", [{"metric": "latncy"}, {"stack": "eagr"}, {"use": "x"}, {"device": "h10"}])
def test_published_rows_of_an_unknown_name_are_an_error_and_not_nothing(given: dict[str, str]):
    with pytest.raises(UnknownNameError):
        evidence.rows(**given)
