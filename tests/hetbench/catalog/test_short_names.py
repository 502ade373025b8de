"""Chips without their vendor, devices as PyTorch calls them, and the thirteen names of HW-GPT-Bench."""

from __future__ import annotations

import pytest

from hetbench.catalog.chips import chip
from hetbench.errors import UnknownNameError

HW_GPT_BENCH = ("a100", "a40", "h100", "rtx2080", "rtx3080", "a6000", "v100", "P100", "cpu_xeon_silver",
                "cpu_xeon_gold", "cpu_amd_7502", "cpu_amd_7513", "cpu_amd_7452")  # fmt: skip


@pytest.mark.parametrize(
    ("short", "full"),
    [("MI300X", "amd-mi300x"), ("a40", "nvidia-a40"), ("rtx4090", "nvidia-rtx-4090"), ("a6000", "nvidia-rtx-a6000"),
     ("910b3", "huawei-ascend-910b3")],
)  # fmt: skip
def test_a_chip_is_found_without_its_vendor(short: str, full: str):
    assert chip(short).name == full


@pytest.mark.parametrize(("device", "family"), [("npu", "cann"), ("npu:0", "cann"), ("xpu", "oneapi")])
def test_a_device_of_pytorch_is_the_default_chip_of_its_family(device: str, family: str):
    assert chip(device) == chip(family)


RESOLVED = ("a40", "rtx2080", "a6000", "v100", "P100")


@pytest.mark.parametrize("name", sorted({*HW_GPT_BENCH} - {*RESOLVED}))
def test_a_device_of_hw_gpt_bench_that_stays_open_is_refused_with_what_to_name(name: str):
    with pytest.raises(UnknownNameError, match=r"Did you mean|HW-GPT-Bench"):
        chip(name)


def test_a_kind_of_chip_is_no_chip():
    with pytest.raises(UnknownNameError, match="name a family"):
        chip("gpu")
