"""Tables of Het-Benchmark from today's answers, the compatibility matrix, and the charts of efficiency and memory."""

from __future__ import annotations

import json

import pytest

pd = pytest.importorskip("pandas")
pytest.importorskip("pyarrow")
pytest.importorskip("matplotlib")

from hetbench import HetBench  # noqa: E402
from hetbench.catalog.chips import chip, default_chip  # noqa: E402
from hetbench.schema import FAMILIES  # noqa: E402
from plotting import efficiency, memory_scaling, seed, tables  # noqa: E402


@pytest.fixture(scope="module")
def api() -> HetBench:
    return HetBench()


def test_the_table_of_operators_has_the_answers_of_queries_and_exact_bytes(
    api: HetBench, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(seed, "OPERATORS", (("Linear", {"m": 512, "n": 768, "k": 768}),))
    found = seed.operators_table(api)
    assert found.family.tolist() == list(FAMILIES)
    asked = api.query_operator("Linear", {"m": 512, "n": 768, "k": 768}, device="rocm", precision="fp16")
    row = found[found.family == "rocm"].iloc[0]
    assert (row.latency_ms, row.lower_ms, row.level) == (asked.value, asked.lower, asked.level)
    assert row.calls_per_s == pytest.approx(1e3 / asked.value)
    assert row.moved_mb == pytest.approx(2 * (512 * 768 + 768 * 768 + 512 * 768) / 1e6)


def test_the_matrix_says_what_runs_and_how_many_times_slower_than_the_best(api: HetBench):
    found = json.loads(json.dumps(seed.compatibility(api, ["bert-base", "falcon-7b"])))
    assert set(found["models"]) == {"bert-base", "falcon-7b"}
    for cells in found["models"].values():
        assert list(cells) == list(FAMILIES)
        times = [cell["times_best"] for cell in cells.values() if cell["times_best"] is not None]
        assert min(times) == 1
        for family, cell in cells.items():
            assert cell["fits"] == (cell["needs_mb"] * 1e6 <= 0.9 * (default_chip(family)[0].memory_bytes or 0))
            assert cell["runs"] == (cell["fits"] and cell["coverage_percent"] == 100)


def test_efficiency_is_the_flops_of_a_call_over_its_time_and_the_peak(api: HetBench):
    found = tables.efficiency(api, ["bert-base"], [8])
    row = found[found.chip == "amd-mi210"].iloc[0]
    latency = api.query("bert-base", target="rocm", metric="latency", batch=8)
    flops = api.query("bert-base", target="rocm", metric="flops", batch=8).value
    peak = chip("amd-mi210").peak_flops(row.precision)
    assert row.value == pytest.approx(100 * flops / (latency.value / 1e3) / peak)
    assert row.lower < row.value < row.upper <= 101
    assert len(efficiency.draw(found).axes) == found.family.nunique()


def test_memory_grows_with_batch_and_length_from_above_the_weights(api: HetBench):
    found = tables.memory_scaling(api, ["gpt2"])
    assert found.weights.unique().tolist() == [124439808 * 2 / 1e6]
    for axis, most in (("batch", 128), ("seq_len", 1024)):  # gpt2 has 1,024 positions
        part = found[found.axis == axis]
        assert part["size"].max() == most
        assert part.value.is_monotonic_increasing
        assert (part.value > part.weights).all()
    assert [axis.get_xlabel() for axis in memory_scaling.draw(found).axes] == list(memory_scaling._AXES.values())
