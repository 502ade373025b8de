"""Chips of one die are answered by the evidence of one of them, each on its own roofline."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from hetbench.catalog.chips import chip, chips
from hetbench.graphs import load
from hetbench.predict import operators
from hetbench.predict.model_features import composition
from hetbench.predict.protocols import asked_floor
from hetbench.predict.speakers import chips_of_die, equal_datasheets, speaker

H100, H200, H800 = (chip(f"nvidia-{name}") for name in ("h100-sxm5-80gb", "h200-sxm-141gb", "h800-sxm5-80gb"))
LINEAR = {"m": np.array([1, 128, 4096]), "n": 4096, "k": 4096, "b": 1, "bias": 0}


def test_a_chip_with_evidence_speaks_for_itself_and_for_equal_datasheets():
    assert speaker(H100, {H100.name: 5, H200.name: 900}) is H100
    assert speaker(H800, {H100.name: 5, H200.name: 900}) is H100


def test_without_enough_evidence_the_richest_chip_of_the_die_speaks():
    assert speaker(H100, {H100.name: 5, H200.name: 900}, enough=10) is H200
    assert speaker(H100, {}) is speaker(H200, {})


def test_equal_datasheets_are_equal_both_ways_and_never_of_two_dies():
    for one, other in itertools.combinations(chips().values(), 2):
        if equal_datasheets(one, other):
            assert equal_datasheets(other, one)
            assert one.die == other.die


def test_a_chip_of_the_callers_own_is_answered_like_the_chip_that_it_equals():
    mine = replace(H100, name="mine", aliases={})
    assert mine in chips_of_die(mine)
    assert speaker(mine, {H100.name: 1}) is H100


@pytest.mark.parametrize("dtype", ["fp16", "bf16"])
def test_operators_of_equal_datasheets_take_the_same_time(dtype: str):
    known = operators.load()
    one, other = (known.predict("Linear", dtype, LINEAR, each).value for each in (H100, H800))
    assert one == pytest.approx(other, rel=1e-9)


def test_a_chip_without_rows_takes_the_efficiency_of_its_die_on_its_own_roofline():
    known, unmeasured = operators.load(), chip("nvidia-h100-nvl-94gb")
    on = known.speaker("gemm", unmeasured)
    assert on.die == unmeasured.die
    assert on.name != unmeasured.name
    slow, fast = (known.predict("Linear", "fp16", LINEAR, each) for each in (unmeasured, on))
    assert (slow.value >= fast.value * 0.999).all() == (on.fp16_tflops >= unmeasured.fp16_tflops)
    assert slow.level == "C"


def test_the_roofline_speaks_for_each_chip_by_itself():
    assert operators.load().speaker("gemm", H800, "roofline") is H800


@pytest.mark.parametrize("protocol", ["event", "wall"])
def test_what_a_launch_costs_the_host_is_the_same_on_all_chips_of_a_die(protocol: str):
    known = operators.load()
    floors = {asked_floor(known.floors, chips_of_die(each), each, "gemm", protocol) for each in chips_of_die(H100)}
    assert len(floors) == 1


def test_a_composition_has_the_matrix_of_the_speaker_and_the_base_of_the_chip():
    calls = [(1.0, load("bert-tiny").operators(1, 8, precision="fp16"))]
    own, said = composition(calls, H200), composition(calls, H200, H100)
    assert said.own_ms == pytest.approx(own.base_ms @ own.count)
    assert said.base_ms @ said.count > said.own_ms
    assert (said.matrix == composition(calls, H100).matrix).all()
