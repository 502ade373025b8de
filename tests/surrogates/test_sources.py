"""Sources and versions left out, blends that yield to physics, bands that hold where nobody trained."""

from __future__ import annotations

import numpy as np
import pytest

pd = pytest.importorskip("pandas")
pytest.importorskip("duckdb")
pytest.importorskip("autogluon.tabular")

from hetbench.catalog.chips import chip  # noqa: E402
from hetbench.predict.class_surrogate import HUGE_MS  # noqa: E402
from hetbench.predict.operators import load  # noqa: E402
from surrogates import splits  # noqa: E402
from surrogates.intervals import size_bin  # noqa: E402
from surrogates.operators import bands, blends, reproducibility  # noqa: E402
from surrogates.operators.sources import superseded  # noqa: E402


def rows(groups: dict[str, float], spread: float = 0.05, n: int = 100, off: float = 1.0):
    """Rows of several groups: measured is the learned answer times the group's factor, give or take `spread`."""
    random, parts = np.random.default_rng(0), []
    for name, factor in groups.items():
        learned = np.exp(random.uniform(-3, 3, n))
        measured = learned * factor * np.exp(random.normal(0, spread, n))
        parts.append(pd.DataFrame({
            "group": name, "source": name, "version": "", "family": "cuda", "level": "B", "split": "source",
            "op": "Linear", "cls": "gemm",
            "latency_ms": measured, "learned": learned * off, "constant": learned * 1.5, "roofline": learned * 0.5,
            "base_ms": learned, "roofline_ms": learned * 0.8,
        }))  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def test_a_good_head_keeps_the_whole_answer():
    assert blends.best_blend(rows({"a": 1.0, "b": 1.0}, spread=0.01)) == (1.0, 0.0, 0.0)


def test_a_head_worse_than_constant_efficiency_yields_to_it():
    shares = blends.best_blend(rows({"a": 1.5, "b": 1.5}, off=9.0))
    assert shares[1] == 1.0


def test_one_source_left_out_counts_as_much_as_many_dies():
    source = rows({"a": 1.5}, off=9.0)  # constant efficiency is right, the head is not
    dies = rows({"b": 1.0, "c": 1.0, "d": 1.0}).assign(split="die", constant=lambda frame: frame.learned * 1.6)
    assert blends.best_blend(pd.concat([source, dies], ignore_index=True))[0] < 1.0


def test_a_blend_is_a_geometric_mean():
    table = rows({"a": 1.0}, n=3)
    told = blends.blended(table, (0.5, 0.0, 0.5))
    np.testing.assert_allclose(told, np.sqrt(table.learned * table.roofline))


def in_units(table):
    """The rows as bands take them, told by the head alone."""
    told = bands.prepared(table, table.learned.to_numpy())
    return bands.scaled(told, {"at": [0.0], "times": [1.0]})


def test_a_band_holds_nine_tenths_of_a_source_that_did_not_set_it():
    table = in_units(rows(dict(zip("abcdef", (0.8, 0.9, 1.0, 1.1, 1.2, 1.3), strict=True))))
    inside, width = bands.held(table, table)
    assert inside.mean() >= 0.85
    assert np.exp(np.median(width)) < 2.2


def test_groups_that_differ_need_a_wider_band_than_those_that_agree():
    alone, apart = in_units(rows({"a": 1.0, "b": 1.0})), in_units(rows({"a": 0.6, "b": 1.0, "c": 1.6}))
    narrow, wide = (bands.band(table, spread=0.05) for table in (alone, apart))
    assert wide[1][1] - wide[1][0] > 2 * (narrow[1][1] - narrow[1][0])


def test_few_sources_say_less_of_the_next_one_than_many_that_stand_as_far_apart():
    few = bands.band(in_units(rows({"a": 0.8, "b": 1.25})), spread=0.22)
    many = bands.band(in_units(rows({name: 0.8 if name < "e" else 1.25 for name in "abcdefgh"})), spread=0.22)
    assert few[1][1] > 1.1 * many[1][1]


def test_a_cell_of_one_source_is_as_wide_as_sources_stand_apart_elsewhere():
    one = in_units(rows({"a": 1.0}))
    near, far = (bands.band(one, spread=spread) for spread in (0.1, 0.5))
    assert far[1][1] > 2 * near[1][1]


def test_less_evidence_is_never_surer():
    known, unknown = rows({"a": 0.6, "b": 1.6}), rows(dict.fromkeys("cdefgh", 1.0)).assign(level="D")
    found = bands.by_level(in_units(pd.concat([known, unknown], ignore_index=True)), "gemm", "cuda")
    assert found["B/cuda"] == found["D/cuda"]
    apart = bands.by_level(in_units(pd.concat([known.assign(level="D"), unknown.assign(level="B")])), "gemm", "cuda")
    assert apart["D/cuda"][1][1] > 2 * apart["B/cuda"][1][1]


def test_what_runs_far_from_its_roofline_is_told_less_surely():
    table = rows({"a": 1.0, "b": 1.0}, n=2000)
    random = np.random.default_rng(1)
    far = random.uniform(0, 2, len(table))
    table = table.assign(base_ms=table.learned / np.exp(far),
                         latency_ms=table.learned * np.exp(random.normal(0, 0.05 + 0.2 * far)))  # fmt: skip
    curve = bands.slowness(bands.prepared(table, table.learned.to_numpy()))
    assert curve["times"][-1] > 2 * curve["times"][0]
    assert sorted(curve["times"]) == curve["times"]


def test_the_ends_are_those_of_the_central_nine_tenths():
    low, high = bands.weighted_quantiles(np.arange(1001.0), np.ones(1001), (0.05, 0.95))
    assert (low, high) == pytest.approx((50, 950), abs=1)


def test_a_band_has_three_sizes():
    assert size_bin(np.array([0.1, 0.9, 9.0]), np.array([1.0 * HUGE_MS / 2, 0.95 * HUGE_MS, 9.5])).tolist() == [0, 1, 2]


def test_calibration_says_bands_and_blends_of_every_level_and_family():
    left_out = rows({"a": 1.0, "b": 1.1})
    dies = rows({"x": 1.0, "y": 1.4}).assign(surrogate=lambda frame: frame.learned, level="D")
    both = pd.concat([left_out, dies.assign(split="die")], ignore_index=True)
    found = blends.calibrated({"gemm": both})["gemm"]
    assert set(found["blend"]) >= {"B/cuda", "D/cuda"}
    assert all(low < 0 < high for band in found["intervals"].values() for low, high in band)


def test_rows_of_older_software_than_what_answers_are_another_question():
    known = load()
    choice = known.choose("gemm", "Linear", "bf16", chip("nvidia-h100-sxm5-80gb"), "graph", None, None)
    libraries = pd.Series(["vllm 0.1.0", "vllm 99.0", "neusight", "sglang 0.1.1"])
    assert superseded(libraries, choice, known.classes["gemm"]["cells"]).tolist() == [True, False, False, True]


def test_sources_of_one_family_leave_one_by_one():
    frame = pd.DataFrame({"family": ["cuda"] * 5 + ["rocm"], "source": ["a", "a", "b", "b", "b", "a"]})
    fold = splits.source_folds(frame)
    assert fold.tolist() == [1, 1, 0, 0, 0, 0]


def test_the_newest_version_of_a_chip_leaves_first():
    frame = pd.DataFrame({
        "chip": ["b60"] * 3 + ["h100"], "source": ["aiconfigurator/vllm"] * 4,
        "version": ["vllm 0.9.1", "vllm 0.20.1", "vllm 0.20.1", "vllm 0.24.0"],
    })  # fmt: skip
    assert splits.version_folds(frame).tolist() == [1, 0, 0, -1]


def test_two_sources_of_the_same_operators_are_compared_in_both_directions():
    sizes = pd.DataFrame({name: np.arange(1, 31) for name in reproducibility.DIMS})
    cell = {"op": "Linear", "dtype": "fp16", "chip": "nvidia-l4", "version": "", "protocol": "kernel"}
    one = sizes.assign(**cell, source="a", latency_ms=1.0)
    found = reproducibility.pairs(pd.concat([one, one.assign(source="b", latency_ms=2.0)], ignore_index=True))
    assert len(found) == 1
    assert found[0]["n"] == 30
    assert found[0]["ratio"] == 2.0
    assert found[0]["difference"] == pytest.approx(np.log(2), abs=1e-3)


def test_of_an_engine_on_a_chip_the_newest_version_counts():
    libraries = ["vllm 0.9.1", "vllm 0.28.0/decode/fa2", "vllm 0.28.0", "trtllm 1.0", "miopen"]
    frame = pd.DataFrame({"chip": ["b60"] * 5 + ["h100"], "library": [*libraries, "vllm 0.9.1"]})
    assert blends.is_newest(frame).tolist() == [False, True, True, True, True, True]
