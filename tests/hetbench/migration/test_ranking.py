"""The migration search: ranks, chances, what is left out and why, fleets."""

from __future__ import annotations

import json
from math import exp, log
from statistics import NormalDist

import pytest

from hetbench import HetBench, InvalidInputError, UnknownNameError, chips
from hetbench.answers import Answer
from hetbench.migration.fleet import Fleet
from hetbench.migration.ranking import deadline_probability, pareto
from hetbench.migration.results import Migration


@pytest.fixture(scope="module")
def api() -> HetBench:
    return HetBench()


@pytest.fixture(scope="module")
def gpt2(api: HetBench) -> Migration:
    found = api.migrate("gpt2", "cuda", slo_ms=5.0)
    assert isinstance(found, Migration)
    return found


def test_every_chip_is_ranked_or_left_out_with_a_reason(gpt2: Migration):
    names = [each.chip for each in (*gpt2.candidates, *gpt2.dropped)]
    assert sorted(names) == sorted(chips())
    assert all(each.reason in ("memory", "operators", "evidence") and each.why for each in gpt2.dropped)


def test_the_latencies_are_those_of_query_and_rank_from_the_fastest(api: HetBench, gpt2: Migration):
    values = [each.latency.value for each in gpt2.candidates]
    assert values == sorted(values)
    for each in gpt2.candidates[::20]:
        known = api.query("gpt2", "cuda", each.chip, "latency", precision=each.latency.precision)
        assert each.latency.value == pytest.approx(known.value)
        assert each.latency.precision == "fp32" or each.latency == known
        assert each.energy is None or each.energy == api.query(
            "gpt2", target=each.chip, metric="energy", precision=each.latency.precision
        )  # fmt: skip


def test_all_chips_are_set_against_one_figure_of_the_source(gpt2: Migration):
    sides = [each.latency.source for each in gpt2.candidates]
    assert {side.precision for side in sides if side} == {"fp16"}
    assert {each.latency.precision for each in gpt2.candidates} == {"fp16", "fp32"}  # what each chip has
    assert len({side.value for side in sides if side}) == 1


def test_the_chance_is_that_of_a_law_with_two_widths():
    answer = Answer(10.0, "ms", 8.0, 20.0, 0.9)
    law, z = NormalDist(), NormalDist().inv_cdf(0.95)
    assert deadline_probability(answer, 15.0) == pytest.approx(law.cdf(z * log(1.5) / log(2.0)))
    assert deadline_probability(answer, 9.0) == pytest.approx(law.cdf(z * log(0.9) / log(10 / 8)))
    assert deadline_probability(answer, 20.0) == pytest.approx(0.95)
    assert deadline_probability(answer, 8.0) == pytest.approx(0.05)


def test_the_chance_grows_with_the_deadline_and_a_measured_answer_is_sure():
    answer = Answer(10.0, "ms", 6.0, 30.0)
    chances = [deadline_probability(answer, 10.0 * exp(step / 5)) for step in range(-10, 11)]
    assert chances == sorted(chances)
    measured = Answer(10.0, "ms", kind="measured", level="A")
    assert (deadline_probability(measured, 10.0), deadline_probability(measured, 9.99)) == (1.0, 0.0)


def test_those_that_meet_the_deadline_come_first_whatever_the_objective(api: HetBench):
    found = api.migrate("gpt2", targets="cuda", slo_ms=6.0, objective="energy")
    assert isinstance(found, Migration)
    late = [each.latency.value > 6.0 for each in found.candidates]
    assert late == sorted(late)
    met = [each.score for each in found.candidates if each.latency.value <= 6.0]
    assert met == sorted(met)


def test_throughput_per_watt_is_samples_per_joule_and_more_is_better(api: HetBench):
    found = api.migrate("resnet-50", targets="rocm", objective="throughput-per-watt", batch=8)
    assert isinstance(found, Migration)
    scores = [each.score for each in found.candidates]
    assert scores == sorted(scores, reverse=True)
    for each in found.candidates:
        assert each.energy is not None
        assert each.score == pytest.approx(8 / each.energy.value)
    assert any(each.reason == "evidence" and "TDP" in each.why for each in found.dropped)


def test_what_does_not_fit_is_left_out(api: HetBench):
    found = api.migrate("mistral-7b", targets="nvidia-rtx-3080-10gb,nvidia-rtx-4090")
    assert isinstance(found, Migration)
    assert [each.chip for each in found.candidates] == ["nvidia-rtx-4090"]
    assert (found.dropped[0].reason, found.dropped[0].why) == ("memory", "needs 14.5 GB of 10 GB")


def test_what_the_back_end_lacks_is_left_out(api: HetBench):
    torch = pytest.importorskip("torch")
    traced = api.trace(torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Mish()).eval(), torch.zeros(2, 8))
    found = api.migrate(traced, targets="cambricon-mlu370-x4,huawei-ascend-910b3", precision="fp32")
    assert isinstance(found, Migration)
    assert [each.chip for each in found.candidates] == ["huawei-ascend-910b3"]
    assert (found.dropped[0].reason, found.dropped[0].why) == ("operators", "does not register mish")


def test_a_measurement_on_the_source_corrects_as_in_query(api: HetBench):
    found = api.migrate("gpt2", "cuda", "nvidia-l4,mlu", source_value=10.0)
    assert isinstance(found, Migration)
    alike = [each for each in found.candidates if each.latency.precision == "fp16"]
    assert len(alike) >= 3
    for each in alike:
        assert each.latency == api.query("gpt2", "cuda", each.chip, "latency", source_value=10.0)


def test_targets_are_all_chips_of_a_family_or_chips(api: HetBench):
    found = api.migrate("gpt2", targets=["mlu", "NVIDIA_L4"])
    assert isinstance(found, Migration)
    families = [each.family for each in found.candidates]
    assert (families.count("mlu"), families.count("cuda")) == (7, 1)  # the MLU590-H8 states no peak at all
    with pytest.raises(UnknownNameError, match="unknown chip 'mluu'"):
        api.migrate("gpt2", targets="mluu")


def test_an_added_chip_is_searched_too():
    own = HetBench()
    own.add_chip({"name": "npu", "family": "cann", "fp16_tflops": 900, "mem_bw_gbs": 4000, "mem_gb": 96, "tdp_w": 300})
    found = own.migrate("gpt2", targets="cann")
    assert isinstance(found, Migration)
    assert "npu" in [each.chip for each in found.candidates]


def test_the_pareto_set_by_hand():
    points = [(1.0, 5.0, 1.0), (2.0, 4.0, 1.0), (2.0, 5.0, 1.0), (1.0, 5.0, 1.0), None]
    assert pareto(points) == [True, True, False, True, None]


def test_marks_are_of_the_three_figures(gpt2: Migration):
    best = min((each for each in gpt2.candidates if each.pareto is not None), key=lambda each: each.latency.value)
    assert best.pareto
    assert all(each.pareto is None for each in gpt2.candidates if each.energy is None or each.memory_share is None)


def test_a_fleet_sums_its_models_and_names_the_slowest(api: HetBench):
    names = ["gpt2", "resnet-50", "bert-base"]
    found = api.migrate(names, targets="mlu,cann", slo_ms=7.0)
    assert isinstance(found, Fleet)
    for row in found.chips:
        each = [next(c for c in one.candidates if c.chip == row.chip) for one in found.migrations]
        times = [candidate.latency.value for candidate in each]
        assert row.total_ms == pytest.approx(sum(times))
        assert (row.worst_ms, row.worst) == (max(times), names[times.index(max(times))])
        assert row.meets == sum(ms <= 7.0 for ms in times) / 3
        assert row.expected == pytest.approx(sum(candidate.meets or 0.0 for candidate in each) / 3)
    met = [row.meets for row in found.chips]
    assert met == sorted(met, reverse=True)


def test_a_chip_that_lacks_room_for_one_model_is_left_out_of_the_fleet(api: HetBench):
    found = api.migrate(["gpt2", "mistral-7b"], targets="nvidia-rtx-3080-10gb,cuda")
    assert isinstance(found, Fleet)
    assert "nvidia-rtx-3080-10gb" not in [row.chip for row in found.chips]
    assert any(each.why == "mistral-7b: needs 14.5 GB of 10 GB" for each in found.dropped)


def test_all_of_it_goes_through_json(api: HetBench, gpt2: Migration):
    read = json.loads(json.dumps(gpt2.to_dict(), allow_nan=False))
    assert read["candidates"][0]["meets"] == gpt2.candidates[0].meets
    together = api.migrate(["gpt2", "bert-base"], targets="mlu")
    assert json.loads(json.dumps(together.to_dict(), allow_nan=False))["models"] == ["gpt2", "bert-base"]


def test_what_cannot_be_meant_is_said(api: HetBench):
    with pytest.raises(UnknownNameError, match="unknown objective 'speed'"):
        api.migrate("gpt2", targets="mlu", objective="speed")
    with pytest.raises(InvalidInputError, match=r"slo_ms must be above 0 ms; given: -1\.0"):
        api.migrate("gpt2", targets="mlu", slo_ms=-1.0)
    with pytest.raises(InvalidInputError, match="give it with a single model"):
        api.migrate(["gpt2", "bert-base"], "cuda", source_value=3.0)
    with pytest.raises(InvalidInputError, match="a fleet needs at least one model"):
        api.migrate([])
