"""Facts that datasheets leave out, and physical sense of all that the catalogue states."""

from __future__ import annotations

import statistics

import pytest

from hetbench.catalog.chips import Chip, chip, chips
from hetbench.catalog.estimates import clock_mhz, peak_flops
from hetbench.predict.canonical import canonical_dims
from hetbench.predict.features import chip_facts, features

FAMILIES = ("cuda", "rocm", "oneapi", "cann", "mlu")
STATED = [
    each for each in chips().values() if each.family in FAMILIES and each.bandwidth and each.peak_flops("fp16")
]


def test_a_stated_peak_is_taken_as_it_stands():
    assert peak_flops(chip("nvidia-a100-sxm4-80gb"), "fp16") == 312e12


def test_a_missing_fp64_peak_follows_the_ratio_of_the_architecture():
    bare = Chip("my-card", "rocm", kind="gpu", arch="RDNA3 gfx1102", fp32_tflops=20.0, mem_bw_gbs=288)
    assert peak_flops(bare, "fp64") == pytest.approx(20e12 / 32, rel=0.05)


def test_a_missing_fp32_peak_is_never_that_of_the_matrix_units_at_half_precision():
    bare = Chip("my-npu", "mlu", kind="npu", arch="MLUarch03", fp16_tflops=96.0, mem_bw_gbs=614)
    assert peak_flops(bare, "fp32") == pytest.approx(24e12)


def test_every_chip_of_the_five_families_with_a_half_precision_peak_has_one_at_the_usual_precisions():
    for each in STATED:
        for precision in ("fp32", "fp16", "bf16", "int8"):
            assert peak_flops(each, precision), (each.name, precision)


def test_a_precision_is_never_estimated_faster_than_a_narrower_stated_one():
    for each in STATED:
        if each.peak_flops("fp32") is None:
            assert (peak_flops(each, "fp32") or 0) <= (each.peak_flops("fp16") or 0)


def test_an_unstated_clock_is_the_median_of_the_architecture():
    bare = Chip("my-gpu", "cuda", kind="gpu", arch="Ampere GA100", fp16_tflops=312, mem_bw_gbs=1555)
    known = [c.boost_mhz for c in chips().values() if (c.arch or "").startswith("Ampere") and c.kind == "gpu"]
    assert clock_mhz(bare) == statistics.median(mhz for mhz in known if mhz)


def test_no_operator_computes_at_infinite_speed():
    bare = Chip("my-card", "rocm", kind="gpu", arch="RDNA3 gfx1102", fp32_tflops=20.0, mem_bw_gbs=288)
    work = canonical_dims("Linear", {"m": 4096, "n": 4096, "k": 4096}, 8)
    made = features("gemm", work, chip_facts(bare, "fp64", 0.01))
    assert made.roofline_ms[0] == pytest.approx(1e3 * 2 * 4096**3 / (20e12 / 32), rel=0.05)


def test_ascend_bandwidths_are_decimal_gigabytes():
    assert [chip(f"huawei-ascend-{name}").mem_bw_gbs for name in ("910b3", "910c", "910b4", "950pr")] == [
        1600, 3200, 800, 1400]  # fmt: skip


def test_pascal_multiplies_halves_at_the_rate_of_fp32():
    assert chip("nvidia-p100-pcie-16gb").peak_flops("fp16") == chip("nvidia-p100-pcie-16gb").peak_flops("fp32")


def test_every_estimated_fact_is_stated_with_its_rule():
    for each in chips().values():
        for fact in filter(None, (each.estimated or "").split(", ")):
            assert getattr(each, fact) is not None
            assert f"{fact} estimated: " in (each.notes or "")


@pytest.mark.parametrize("each", STATED, ids=lambda each: each.name)
def test_a_chip_makes_physical_sense(each: Chip):
    """A ridge point of 4 to 700 FLOP a byte, at most 16 GB/s a watt: no unit slip of a factor of ten."""
    peak, bandwidth = each.peak_flops("fp16") or 0, each.bandwidth or 1
    assert 4 < peak / bandwidth < 700
    if each.tdp_w:
        assert 0.3 < bandwidth / 1e9 / each.tdp_w < 16
    for faster, slower in (("fp16", "fp32"), ("fp32", "fp64"), ("int8", "fp16")):
        above, below = each.peak_flops(faster), each.peak_flops(slower)
        if above and below and not (faster == "int8" and "Blackwell Ultra" in (each.arch or "")):
            assert above >= 0.95 * below
    if each.compute_units and each.boost_mhz and each.vector_flops:
        a_cycle = each.vector_flops / (each.compute_units * each.boost_mhz * 1e6)
        assert 8 <= a_cycle <= 800, "FLOP a cycle and unit: no unit of any chip here does more or less in fp32"


@pytest.mark.parametrize("family", ["cuda", "rocm", "cann"])
def test_matrix_peaks_of_one_family_follow_the_clock_and_the_units(family: str):
    """FLOP a cycle and unit in fp16 is a power of two or near it: a wrong unit count or clock breaks the pattern."""
    for each in STATED:
        if each.family == family and each.compute_units and each.boost_mhz:
            a_cycle = (each.peak_flops("fp16") or 0) / (each.compute_units * each.boost_mhz * 1e6)
            assert 100 < a_cycle < 12000, each.name
