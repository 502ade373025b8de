"""Answers stay above the datasheet's minimum, cut parts are no twins, and blends are geometric means."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hetbench.catalog.chips import chip
from hetbench.predict import operators
from hetbench.predict.canonical import canonical_dims
from hetbench.predict.cells import near_twins
from hetbench.predict.class_surrogate import ClassSurrogate, union_of_bands
from hetbench.predict.features import chip_facts, features
from hetbench.schema import STORAGE_BYTES

SIZES = 2 ** np.arange(6, 14)


@pytest.mark.parametrize("name", ["nvidia-h100-sxm5-80gb", "amd-mi300x", "huawei-ascend-910b3", "intel-arc-pro-b60"])
@pytest.mark.parametrize("dtype", ["fp16", "fp32"])
def test_no_bound_is_below_what_the_peaks_allow(name: str, dtype: str):
    known, where = operators.load(), chip(name)
    dims = {"m": SIZES, "n": np.full(8, 4096), "k": SIZES[::-1]}
    found = known.predict("Linear", dtype, dims, where)
    made = features("gemm", canonical_dims("Linear", dims, STORAGE_BYTES[dtype]), chip_facts(where, dtype, 0.0))
    for bound in (found.lower, found.value, found.upper):
        assert (bound >= made.least_ms * (1 - 1e-9)).all()


def test_a_cpu_may_beat_its_stated_peak_but_not_its_memory():
    where = chip("intel-xeon-8259cl")
    facts = chip_facts(where, "fp32", 0.0)
    product = features("gemm", canonical_dims("Linear", {"m": 4096, "n": 4096, "k": 4096}, 4), facts)
    assert product.least_ms[0] < product.roofline_ms[0]
    sizes = {"rows": 45250, "cols": 542}
    stream = features("vector", canonical_dims("GRUGates", sizes, 4), facts)
    assert stream.least_ms[0] == pytest.approx(1e3 * canonical_dims("GRUGates", sizes, 4)["bytes"][0] / where.bandwidth)
    assert operators.load().predict("GRUGates", "fp32", sizes, where).lower[0] >= stream.least_ms[0] * (1 - 1e-9)


def test_operands_that_fit_the_cache_may_be_faster_than_the_memory():
    made = features("vector", canonical_dims("ReLU", {"numel": [2**18, 2**28]}, 2),
                    chip_facts(chip("nvidia-a100-sxm4-80gb"), "fp16", 0.0))  # fmt: skip
    assert made.least_ms[0] < made.roofline_ms[0]
    assert made.least_ms[1] == pytest.approx(made.roofline_ms[1])


def test_winograd_may_beat_the_peak_of_direct_convolution():
    dims = {"n": 32, "c": 256, "h": 56, "w": 56, "oc": 256, "kh": 3, "kw": 3, "stride": 1, "pad": 1, "groups": 1}
    facts = chip_facts(chip("nvidia-a100-sxm4-80gb"), "fp16", 0.0)
    made = features("conv", canonical_dims("Conv2d", dims, 2), facts)
    assert made.least_ms[0] == pytest.approx(made.roofline_ms[0] / 2.25)


def test_a_depthwise_convolution_leaves_the_cube_of_an_npu_nearly_empty():
    dims = {"n": 8, "c": 1024, "h": 56, "w": 56, "oc": 1024, "kh": 3, "kw": 3, "stride": 1, "pad": 1, "groups": 1024}
    shared = canonical_dims("Conv2d", dims, 2)
    npu, gpu = (chip_facts(chip(name), "fp16", 0.0) for name in ("huawei-ascend-910b2", "nvidia-a100-sxm4-80gb"))
    fast = replace(npu, bandwidth=1e18, cache_bandwidth=1e18)  # nothing but arithmetic binds
    whole = features("conv", shared, fast).base_ms[0] / features("conv", shared, replace(fast, fractal=1)).base_ms[0]
    assert whole == pytest.approx(16 * 16 / 9)
    assert gpu.fractal == 1


def test_rows_shorter_than_a_warp_cost_their_idle_lanes():
    facts = chip_facts(chip("huawei-ascend-910b2"), "fp16", 0.0)
    short, long = (features("vector", canonical_dims("RMSNorm", {"rows": 2**26 // cols, "cols": cols}, 2), facts)
                   for cols in (2, 1024))  # fmt: skip
    assert short.base_ms[0] > 10 * long.base_ms[0]
    assert short.roofline_ms[0] < 2 * long.roofline_ms[0]


def test_a_part_with_most_units_cut_is_no_near_twin():
    h100, h200, h20 = (chip(f"nvidia-{name}") for name in ("h100-sxm5-80gb", "h200-sxm-141gb", "h20-96gb"))
    assert near_twins(h100, h200, "fp16")
    assert not near_twins(h100, h20, "fp16")


def test_bands_of_two_and_three_sizes_join():
    assert union_of_bands([[-1, 1], [-2, 2]], [[-3, 0], [-1, 1], [-1, 4]]) == [[-3, 1], [-2, 2], [-2, 4]]


def test_a_blend_shares_the_answer_among_head_constant_and_roofline():
    known = operators.load()
    head, where = known.class_surrogate("gemm"), chip("nvidia-a100-sxm4-80gb")
    choice = known.choose("gemm", "Linear", "fp16", where, "event", None, None)
    spec = {**head.spec, "blend": {f"{choice.level}/cuda": [0.5, 0.0, 0.5]}}
    blend = ClassSurrogate.__new__(ClassSurrogate)
    blend.spec, blend._range = spec, head._range
    sizes = {"m": 512, "n": 512, "k": 512}
    made = features("gemm", canonical_dims("Linear", sizes, 2), chip_facts(where, "fp16", 0.01))
    roofline = np.log((made.roofline_ms + made.floor_ms) / made.base_ms)
    shared = blend.blended(np.array([1.0]), [choice], np.array([0]), made, where)
    assert shared[0] == pytest.approx(0.5 + 0.5 * roofline[0])


def test_a_shape_outside_the_rows_of_its_cell_takes_the_shares_of_outside_shapes():
    known = operators.load()
    head, where = known.class_surrogate("gemm"), chip("nvidia-a100-sxm4-80gb")
    choice = known.choose("gemm", "Linear", "fp16", where, "event", None, None)
    blend = ClassSurrogate.__new__(ClassSurrogate)
    blend.spec = {**head.spec, "blend": {f"{choice.level}/cuda": [1.0, 0.0, 0.0], "X/cuda": [0.0, 0.0, 1.0]}}
    blend._range = head._range
    sizes = {"m": np.array([512, 2**24]), "n": 512, "k": 512}
    made = features("gemm", canonical_dims("Linear", sizes, 2), chip_facts(where, "fp16", 0.01))
    shared = blend.blended(np.array([1.0, 1.0]), [choice], np.array([0, 0]), made, where)
    roofline = np.log((made.roofline_ms + made.floor_ms) / made.base_ms)
    assert shared[0] == 1.0
    assert shared[1] == pytest.approx(roofline[1])


def test_an_estimated_clock_and_peak_widen_the_interval_where_they_matter():
    known = operators.load()
    head, stated = known.class_surrogate("gemm"), replace(chip("amd-mi308x"), name="a chip", estimated=None)
    stated = replace(stated, family="mlu")  # whose chips differ most in what a unit does in a cycle
    guessed = replace(stated, estimated="fp16_tflops, boost_mhz")
    small, large, thin = {"m": 8, "n": 8, "k": 8}, {"m": 8192, "n": 8192, "k": 8192}, {"m": 1, "n": 16384, "k": 16384}
    width = {}
    for name, where in (("stated", stated), ("guessed", guessed)):
        choice = replace(known.choose("gemm", "Linear", "fp16", where, "kernel", None, None), protocol="kernel")
        for size, dims in (("small", small), ("large", large), ("thin", thin)):
            made = features("gemm", canonical_dims("Linear", dims, 2), chip_facts(where, "fp16", 0.01))
            low, high = head.interval([choice], np.array([0]), made, where, np.zeros(1))
            width[name, size] = float(high[0] - low[0])
    assert width["guessed", "small"] > width["stated", "small"]  # the clock scales the launch floor
    assert width["guessed", "large"] > width["stated", "large"]  # the peak bounds a large product
    assert width["guessed", "thin"] == width["stated", "thin"]  # the bandwidth is stated
