"""Board power: published rows lie in the interval, and watts behave as watts must."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from hetbench.catalog.chips import chip, chips
from hetbench.errors import InvalidInputError, RefusedError
from hetbench.graphs import model_graph
from hetbench.predict.power import HIGHEST, Law, joules, load, utilisation, watts

MEASURED = (  # chip, precision, flops, bytes, ms, watts
    ("nvidia-h200-sxm-141gb", "bf16", 58982400000.0, 286336000.0, 0.107837, 693.7),  # aiconfigurator, Linear
    ("nvidia-a100-sxm4-40gb", "fp16", 1099511627776.0, 402653184.0, 4.26803, 396.67),  # flagperf, MatMul 8192 x 8192
    ("nvidia-a40", "fp16", 6833325097152.0, 6836967392568.0, 15030.91, 254.65),  # ML.ENERGY 2023, koala-13b
    ("nvidia-a100-sxm4-40gb", "fp16", 681993636480.0, 12655568896.0, 72.6494, 158.76),  # ML.ENERGY 2024, gemma-2-2b
)
A100 = chip("nvidia-a100-sxm4-80gb")


@pytest.mark.parametrize(("name", "precision", "flops", "moved", "ms", "drawn"), MEASURED)
def test_published_watts_lie_in_the_interval(name, precision, flops, moved, ms, drawn):
    found = watts(flops, moved, ms, chip(name), precision)
    assert found.lower <= drawn <= found.upper


@pytest.mark.parametrize(("name", "precision", "flops", "moved", "ms", "drawn"), MEASURED)
def test_published_watts_are_nearer_than_the_tdp_or_as_near(name, precision, flops, moved, ms, drawn):
    value = watts(flops, moved, ms, chip(name), precision).value
    assert abs(math.log(value / drawn)) <= max(0.12, abs(math.log(chip(name).tdp_w / drawn)))


def test_the_law_by_hand():
    law = Law(floor=0.3, compute=2.0, memory=1.0, lowest=0.1)
    assert float(law.share(0.5, 0.25)) == pytest.approx(0.3 + 0.7 * (1 - math.exp(-1.25)))


def test_power_rises_with_either_utilisation():
    grid = np.linspace(0, 1, 21)
    shares = load().law.share(grid[:, None], grid[None, :])  # [compute, memory]
    assert (np.diff(shares, axis=0) >= 0).all()
    assert (np.diff(shares, axis=1) >= 0).all()


def test_utilisation_above_one_counts_as_one():
    assert load().law.share(0.1, 3.0) == load().law.share(0.1, 1.0)


@pytest.mark.parametrize("name", [name for name, each in chips().items() if each.tdp_w and each.bandwidth])
@pytest.mark.parametrize("ms", [1e-6, 1.0, 1e6])
def test_power_stays_between_idle_and_the_limit(name, ms):
    one = chip(name)
    try:
        found = watts(1e12, 1e9, ms, one, "fp16")
    except RefusedError:
        assert not any(one.peak_flops(precision) for precision in ("fp16", "bf16", "fp32"))
        return
    assert load().law.lowest * one.tdp_w <= found.lower <= found.value <= found.upper <= HIGHEST * one.tdp_w


def test_energy_is_power_times_time():
    case = 1e12, 2e9, 8.0, A100, "fp16"
    assert joules(*case).value == pytest.approx(watts(*case).value * 8e-3)


def test_a_longer_pass_of_the_same_work_draws_less_and_costs_more():
    short, long = (watts(1e12, 2e9, ms, A100, "fp16").value for ms in (5.0, 50.0))
    assert long < short
    assert joules(1e12, 2e9, 50.0, A100, "fp16").value > joules(1e12, 2e9, 5.0, A100, "fp16").value


def test_an_uncertain_latency_widens_both_intervals():
    for of in (watts, joules):
        sure = of(1e12, 2e9, 60.0, A100, "fp16")
        unsure = of(1e12, 2e9, 60.0, A100, "fp16", between_ms=(40.0, 90.0))
        assert unsure.value == sure.value
        assert unsure.lower < sure.lower < sure.upper < unsure.upper


def test_levels_say_what_was_measured_on_the_chip():
    case = 1e12, 2e9, 10.0
    named = {"nvidia-h200-sxm": "B", "nvidia-v100": "C", "nvidia-l4": "D", "amd-mi210": "D"}
    assert {name: watts(*case, chip(name), "fp16").level for name in named} == named


def test_a_family_without_measured_watts_says_so():
    found = watts(1e12, 2e9, 10.0, chip("amd-mi210"), "fp16")
    assert found.support == 0
    assert "not validated on rocm chips" in found.note


def test_level_d_is_the_widest():
    widths = {level: high - low for level, (low, high) in load().bands.items()}
    assert max(widths, key=widths.__getitem__) == "D"


def test_a_chip_without_tdp_is_refused():
    with pytest.raises(RefusedError, match="share of the TDP, and that of mine is unknown"):
        watts(1e12, 2e9, 10.0, replace(A100, name="mine", tdp_w=None), "fp16")


@pytest.mark.parametrize("fact", ["mem_bw_gbs", "fp16_tflops"])
def test_a_chip_without_peak_or_bandwidth_is_refused(fact):
    others = dict.fromkeys(("bf16_tflops", "fp32_tflops", "fp32_vector_tflops", "int8_tops"))
    bare = replace(A100, **{**others, fact: None})  # no other peak tells the missing one
    with pytest.raises(RefusedError, match="and the peak or bandwidth of"):
        joules(1e12, 2e9, 10.0, bare, "fp16")


@pytest.mark.parametrize(("flops", "ms", "precision"), [(1e12, 0.0, "fp16"), (-1.0, 1.0, "fp16"), (1e12, 1.0, "fp7")])
def test_impossible_passes_are_rejected(flops, ms, precision):
    with pytest.raises(InvalidInputError):
        watts(flops, 2e9, ms, A100, precision)


def test_a_model_pass_takes_its_graph_and_a_latency():
    table = model_graph.load("resnet-50").operators(64, None, 224, "fp16", "inference")
    compute, memory = utilisation(table.flops, table.bytes, 20.0, A100, "fp16")
    assert 0 < compute < 1
    assert 0 < memory < 1
    assert 60 < watts(table.flops, table.bytes, 20.0, A100, "fp16").value < 400


def test_the_fit_recovers_the_law_that_made_the_rows():
    pd = pytest.importorskip("pandas")
    pytest.importorskip("scipy")
    from surrogates.power.train import fit

    made = Law(0.3, 3.0, 0.8, 0.1)
    compute, memory = (side.ravel() for side in np.meshgrid(np.linspace(0, 0.8, 9), np.linspace(0, 0.9, 9)))
    frame = pd.DataFrame({
        "source": "made", "chip": "nvidia-a40", "compute": compute, "memory": memory,
        "fraction": made.share(compute, memory),
    })  # fmt: skip
    found = fit(frame)
    assert (found.floor, found.compute, found.memory) == pytest.approx((0.3, 3.0, 0.8), rel=1e-3)


def test_the_band_gives_every_chip_the_same_say():
    pd = pytest.importorskip("pandas")
    from surrogates.power.train import band

    calm = pd.DataFrame({"source": "s", "chip": "many", "fraction": 0.5, "surrogate": 0.5}, index=range(900))
    wild = calm.head(100).assign(chip="few", fraction=1.0)
    assert band(pd.concat([calm, wild])) == pytest.approx([0.0, math.log(2)], abs=1e-3)
