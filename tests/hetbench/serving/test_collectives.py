"""Collectives by hand-computed bytes on the wire, beside measured times, and refused where no link joins the chips."""

import pytest

from hetbench import HetBench
from hetbench.catalog.chips import chip
from hetbench.errors import InvalidInputError, RefusedError, UnknownNameError
from hetbench.serving.collectives import COLLECTIVES, collective, law_of, wire

H100, MIB = "nvidia-h100-sxm5-80gb", 2**20


@pytest.mark.parametrize(("op", "megabytes", "measured_us"), [
    ("AllReduce", 16, 121.9), ("AllReduce", 512, 2111.1), ("AllGather", 64, 208.1), ("ReduceScatter", 256, 721.7),
    ("AllToAll", 8, 41.4), ("AllReduce", 1 / 64, 19.0),
])  # fmt: skip
def test_collectives_of_eight_h100_take_about_what_nccl_was_measured_to_take(op, megabytes, measured_us):
    """ai-dynamo/aiconfigurator@095f58a5, NCCL 2.29.2, fp16."""
    found = collective(op, {"bytes": int(megabytes * MIB), "chips": 8}, chip(H100))
    assert found.value * 1e3 == pytest.approx(measured_us, rel=0.3)
    assert found.level == "B"


def test_a_ring_sends_an_all_reduce_twice_and_the_others_once():
    assert float(wire("AllReduce", 4)) == 2 * float(wire("AllGather", 4)) == 1.5


@pytest.mark.parametrize("op", COLLECTIVES)
def test_more_bytes_never_take_less_time_and_no_link_is_beaten(op: str):
    sizes = [2**n for n in range(8, 34, 3)]
    values = [collective(op, {"bytes": n, "chips": 8}, chip("amd-mi300x")).value for n in sizes]
    assert values == sorted(values)
    assert values[-1] / 1e3 > sizes[-1] * float(wire(op, 8)) / 448e9 / 1.5


def test_a_chip_without_rows_answers_at_level_d_with_a_wider_interval():
    asked = {"bytes": 16 * MIB, "chips": 8}
    known, never = (collective("AllReduce", asked, chip(name)) for name in (H100, "huawei-ascend-910b3"))
    assert (known.level, never.level) == ("B", "D")
    assert known.upper / known.lower < never.upper / never.lower
    assert "no rows of AllReduce on huawei-ascend-910b3" in never.notes[1]


def test_engines_reduce_small_tensors_faster_than_the_library():
    engine, library = (law_of("AllReduce", chip(H100), 8, kernel) for kernel in ("engine", "library"))
    assert engine.latency < library.latency / 2


def test_a_collective_is_asked_like_an_operator_in_single_queries_and_tables():
    api, dims = HetBench(), {"bytes": 4 * MIB, "chips": 4}
    one = api.query_operator("AllReduce", dims, device="nvidia-h200")
    table = {"op": ["AllReduce", "AllReduce"], "dims": [dims, {"bytes": 1, "chips": 1}], "dtype": ["bf16"] * 2,
             "phase": ["fwd"] * 2, "chip": ["nvidia-h200"] * 2}  # fmt: skip
    many = api.query_operators(table)
    assert many["value"][0] == one.value
    assert "at least 2 chips" in many["reason"][1]


@pytest.mark.parametrize(("dims", "on", "error", "match"), [
    ({"bytes": 8}, H100, InvalidInputError, "needs chips"),
    ({"bytes": 8, "chips": 16}, H100, RefusedError, "span nodes of 8"),
    ({"bytes": 8, "chips": 2}, "amd-radeon-8060s", RefusedError, "no link"),
])  # fmt: skip
def test_what_no_link_joins_is_refused(dims, on, error, match):
    with pytest.raises(error, match=match):
        collective("AllGather", dims, chip(on))


def test_an_unknown_kernel_names_the_known():
    with pytest.raises(UnknownNameError, match="library"):
        collective("AllGather", {"bytes": 8, "chips": 2}, chip(H100), "ncll")
