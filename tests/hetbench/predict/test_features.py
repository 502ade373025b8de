"""Features: physics first, and no absolute property of a chip in the ratio columns."""

import numpy as np
import pytest

from hetbench.catalog.chips import Chip, chip
from hetbench.predict.canonical import canonical_dims
from hetbench.predict.features import chip_facts, class_of, features

A100 = chip("nvidia-a100-sxm4-80gb")
HEADS = {"heads": 32, "kv_heads": 8, "head_dim": 128, "causal": 1}
CASES = {
    "gemm": ("Linear", {"m": 4096, "n": 4096, "k": 4096}),
    "vector": ("Add", {"numel": 2**26}),
    "conv": ("Conv2d", {"n": 8, "c": 64, "h": 56, "w": 56, "oc": 64, "kh": 3, "kw": 3, "stride": 1, "pad": 1}),
    "prefill": ("Attention", {"batch": 2, "q_len": 512, "kv_len": 512, **HEADS}),
    "decode": ("Attention", {"batch": 8, "q_len": 1, "kv_len": 4096, **HEADS}),
}


def made(cls, device, floor=0.01):
    op, dims = CASES[cls]
    assert class_of(op, dims) == cls
    return features(cls, canonical_dims(op, dims, 2), chip_facts(device, "fp16", floor))


def test_a_large_matrix_product_is_bound_by_the_peak():
    assert made("gemm", A100).roofline_ms[0] == pytest.approx(1e3 * 2 * 4096**3 / 312e12)


def test_a_large_addition_is_bound_by_the_memory():
    assert made("vector", A100).roofline_ms[0] == pytest.approx(1e3 * 3 * 2**26 * 2 / 2039e9)


def test_what_fits_the_cache_has_a_faster_base_than_the_memory_allows():
    small = features("vector", canonical_dims("Add", {"numel": 2**20}, 2), chip_facts(A100, "fp16", 1e-9))
    assert small.base_ms[0] < small.roofline_ms[0]


@pytest.mark.parametrize("cls", sorted(CASES))
def test_a_chip_twice_as_fast_changes_no_ratio_column(cls):
    """Double the peaks, the bandwidth and the clock and halve the floor: every ratio stays."""
    facts = {k: getattr(A100, k) for k in ("fp16_tflops", "fp32_tflops", "mem_bw_gbs", "boost_mhz")}
    twice = Chip(
        name="twice", family="cuda", compute_units=108, l2_mb=A100.l2_mb, **{k: 2 * v for k, v in facts.items()}
    )
    once, double = made(cls, A100), made(cls, twice, floor=0.005)
    np.testing.assert_allclose(double.ratio, once.ratio, rtol=1e-6)
    np.testing.assert_allclose(double.base_ms, once.base_ms / 2)
    assert not np.allclose(once.absolute, double.absolute, equal_nan=True)


@pytest.mark.parametrize("cls", sorted(CASES))
def test_features_of_many_rows_are_those_of_each_row(cls):
    op, dims = CASES[cls]
    many = {
        name: np.array([value, value * 2 if name in ("m", "n", "numel", "batch") else value])
        for name, value in dims.items()
    }
    facts = chip_facts(A100, "fp16", 0.01)
    both = features(cls, canonical_dims(op, many, 2), facts)
    first = features(cls, canonical_dims(op, dims, 2), facts)
    np.testing.assert_array_equal(both.ratio[0], first.ratio[0])
    np.testing.assert_array_equal(both.absolute[0], first.absolute[0])


def test_an_unknown_fact_is_nan_and_never_zero():
    bare = Chip.from_mapping({"name": "bare", "family": "cann", "fp16_tflops": 100, "mem_bw_gbs": 500})
    facts = chip_facts(bare, "fp16", 0.01)
    assert np.isnan(facts.compute_units)
    assert np.isnan(facts.l2_bytes)
    answer = features("gemm", canonical_dims("Linear", CASES["gemm"][1], 2), facts)
    assert np.isfinite(answer.base_ms).all()
