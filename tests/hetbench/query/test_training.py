"""Questions about training steps, through the public API."""

from __future__ import annotations

import pytest

from hetbench import HetBench
from hetbench.errors import InvalidInputError, RefusedError
from hetbench.training.surrogate import load

A100 = "nvidia-a100-sxm4-80gb"


@pytest.fixture(scope="module")
def api() -> HetBench:
    return HetBench()


def step(api: HetBench, metric: str = "latency", model: str = "resnet-50", **options: object):
    return api.query(model, target=A100, metric=metric, **{"phase": "training", "batch": 32, **options})


def test_a_step_takes_longer_than_the_pass_that_it_holds(api: HetBench):
    alone = api.query("resnet-50", target=A100, metric="latency", batch=32, precision="fp32")
    found = step(api, precision="fp32", optimizer="none")
    assert found.kind == "predicted"
    assert found.lower < found.value < found.upper
    assert found.value > 1.8 * alone.value


def test_adamw_takes_longer_than_sgd_and_more_memory(api: HetBench):
    for metric in ("latency", "memory"):
        plain, moments = (step(api, metric, "gpt2", batch=1, optimizer=name) for name in ("sgd", "adamw"))
        assert moments.value > plain.value
    # two moments of four bytes
    assert moments.value - plain.value >= 8e-6 * 124_439_808


def test_a_larger_batch_takes_longer(api: HetBench):
    values = [step(api, batch=batch, precision="fp32").value for batch in (8, 32, 128)]
    assert values == sorted(values)


def test_no_step_is_faster_than_its_work_at_the_peak(api: HetBench):
    found = step(api, batch=1024, model="bert-base", precision="fp16", confidence=0.98)
    work = step(api, "flops", batch=1024, model="bert-base", precision="fp16").value
    assert found.lower >= 1e3 * work / 312e12


def test_the_metrics_of_a_step_agree(api: HetBench):
    found = api.query("resnet-50", target=A100, phase="training", batch=32, precision="fp16", optimizer="sgd")
    assert found["throughput"].value == pytest.approx(32e3 / found["latency"].value)
    assert found["energy"].value == pytest.approx(found["power"].value * found["latency"].value / 1e3, rel=1e-6)
    assert found["flops"].value == pytest.approx(3 * 32 * 8.2e9, rel=0.05)


def test_parts_of_the_latency_add_up(api: HetBench):
    found = step(api)
    assert sum(found.shares.values()) == pytest.approx(found.value)


def test_data_parallel_steps_wait_for_gradients_and_do_more_samples(api: HetBench):
    one, eight = (step(api, model="gpt2", batch=8, chips=chips) for chips in (1, 8))
    assert eight.value > one.value
    assert eight.upper - eight.value > one.upper - one.value
    assert any("AllReduce" in note for note in eight.notes)
    rate = [step(api, "throughput", "gpt2", batch=8, chips=chips).value for chips in (1, 8)]
    assert 6 < rate[1] / rate[0] <= 8


def test_memory_is_at_least_that_of_the_tensors(api: HetBench):
    found = step(api, "memory", "gpt2", batch=8, optimizer="adamw")
    assert found.value > 16e-6 * 124_439_808
    assert found.lower <= found.value <= found.upper


def test_an_explanation_adds_up_to_the_step(api: HetBench):
    found = api.explain("bert-tiny", target=A100, phase="training", batch=8)
    assert sum(group.value_ms for group in found.groups) == pytest.approx(found.target.value)


def test_chips_are_ranked_for_a_step(api: HetBench):
    found = api.migrate("gpt2", targets=f"{A100},nvidia-t4", phase="training", batch=4)
    assert [each.chip for each in found.candidates] == [A100, "nvidia-t4"]


def test_tables_take_training_rows(api: HetBench):
    table = {"model": ["gpt2"] * 2, "chip": [A100] * 2, "phase": ["training", "inference"],
             "optimizer": ["sgd", None], "batch": [4, 4]}  # fmt: skip
    found = api.query_models(table)
    assert list(found["reason"]) == ["", ""]
    assert found["value"][0] > found["value"][1]


def test_an_optimizer_outside_training_is_refused_in_words(api: HetBench):
    with pytest.raises(InvalidInputError, match='add phase="training"'):
        api.query("gpt2", target=A100, metric="latency", optimizer="sgd")


def test_a_stack_without_measured_steps_is_refused_with_those_that_have_them(api: HetBench):
    with pytest.raises(RefusedError, match="eager"):
        step(api, stack="tensorrt")


def test_plans_are_for_inference(api: HetBench):
    with pytest.raises(InvalidInputError, match="training"):
        api.advise("bert-tiny", A100, phase="training")


def test_factors_of_the_package_are_read_with_their_cells():
    known = load()
    assert {"eager", "mindspore"} <= set(known.stacks)
    assert all(rows >= networks > 0 for rows, networks in known.cells.values())


def test_an_observed_step_moves_later_steps_on_its_chip_and_no_pass(api: HetBench):
    own = HetBench()
    asked = {"target": "nvidia-l4", "metric": "latency", "batch": 8, "precision": "fp32"}
    pass_before, before = own.query("bert-tiny", **asked), own.query("bert-tiny", phase="training", **asked)
    own.observe({"model": ["bert-tiny"], "chip": ["nvidia-l4"], "phase": ["training"], "batch": [8],
                 "precision": ["fp32"], "metric": ["latency"], "value": [1.5 * before.value]})  # fmt: skip
    after = own.query("bert-tiny", phase="training", **asked)
    assert before.value < after.value < 1.5 * before.value
    assert own.query("bert-tiny", **asked).value == pass_before.value
    assert own.query("gpt2", phase="training", **asked).value > api.query("gpt2", phase="training", **asked).value
