"""Answers about deployments: consistent, monotone, honest about what they rest on, and refused where nothing does."""

import time

import pytest

from hetbench import HetBench
from hetbench.catalog.chips import chip
from hetbench.errors import InvalidInputError, RefusedError, UnknownNameError
from hetbench.serving import Plan, build, load, named, serve_plan
from hetbench.serving.planner import parse_slo

H100, MI300X = "nvidia-h100-sxm5-80gb", "amd-mi300x"
LLAMA = {"model": "meta-llama/Llama-3.1-70B-Instruct", "phase": "serving", "precision": "fp8", "chips": 8}
LOAD = {"input_len": 1024, "output_len": 512, "concurrency": 32}


@pytest.fixture(scope="module")
def api() -> HetBench:
    return HetBench()


@pytest.mark.parametrize("target", [H100, MI300X, "nvidia-b200-sxm-180gb", "huawei-ascend-910b3"])
def test_a_deployment_answers_every_metric_with_an_interval_around_it(api: HetBench, target: str):
    precision = "w8a8" if "ascend" in target else "fp8"
    found = api.query(**{**LLAMA, "precision": precision}, target=target, **LOAD)
    expected = {"ttft", "tpot", "latency", "throughput", "total_throughput", "memory"}
    assert expected <= set(found) | set(found.refused)
    assert all(found[name].lower < found[name].value < found[name].upper for name in expected - {"memory"})


def test_throughput_is_requests_in_flight_times_tokens_over_the_latency(api: HetBench):
    found = api.query(**LLAMA, target=H100, **LOAD)
    assert found["latency"].value == pytest.approx(found["ttft"].value + 511 * found["tpot"].value)
    assert found["throughput"].value == pytest.approx(32 * 512 / (found["latency"].value / 1e3))
    assert found["total_throughput"].value == pytest.approx(3 * found["throughput"].value)


def test_more_requests_in_flight_wait_longer_for_each_token_and_complete_more(api: HetBench):
    loads = [1, 4, 16, 64, 256]
    found = [api.query(**LLAMA, target=H100, **{**LOAD, "concurrency": n}) for n in loads]
    for metric in ("tpot", "ttft", "throughput"):
        values = [each[metric].value for each in found]
        assert values == sorted(values), metric


def test_longer_prompts_wait_longer_for_the_first_token(api: HetBench):
    values = [api.query(**LLAMA, target=H100, metric="ttft", **{**LOAD, "input_len": n}).value
              for n in (128, 1024, 8192, 32768)]  # fmt: skip
    assert values == sorted(values)


def test_eight_chips_generate_a_token_of_one_request_faster_than_two(api: HetBench):
    tpot = {n: api.query(**{**LLAMA, "chips": n}, target=H100, metric="tpot").value for n in (2, 8)}
    assert tpot[8] < tpot[2]


def test_an_engine_measured_on_the_chip_has_narrower_intervals_than_one_never_seen_there(api: HetBench):
    known = api.query(**LLAMA, target=H100, metric="tpot", stack="vllm")
    never = api.query(**LLAMA, target=H100, metric="tpot", stack="tgi")
    assert (known.level, never.level) == ("C", "D")
    assert known.upper / known.lower < never.upper / never.lower
    assert known.support > 0


def test_memory_says_what_it_is_made_of_and_how_many_requests_fit(api: HetBench):
    answer = api.query(**LLAMA, target=H100, metric="memory", **LOAD)
    assert answer.kind == "derived"
    assert any("at most" in note and "fit" in note for note in answer.notes)


def test_requests_that_the_cache_does_not_hold_wait(api: HetBench):
    answer = api.query(**{**LLAMA, "chips": 1}, target=H100, metric="ttft", **{**LOAD, "concurrency": 512})
    assert any("the others wait" in note for note in answer.notes)
    fewer = api.query(**{**LLAMA, "chips": 1}, target=H100, metric="throughput", **{**LOAD, "concurrency": 16})
    more = api.query(**{**LLAMA, "chips": 1}, target=H100, metric="throughput", **{**LOAD, "concurrency": 512})
    assert more.value < 3 * fewer.value


@pytest.mark.parametrize(("target", "precision", "least"), [(H100, "bf16", 2), ("huawei-ascend-910b3", "bf16", 4)])
def test_weights_that_do_not_fit_are_refused_with_the_least_chips_that_do(
    api: HetBench, target: str, precision: str, least: int
):
    asked = {**LLAMA, "precision": precision, "target": target, "metric": "tpot"}
    with pytest.raises(RefusedError, match=f"fit on {least} chips: chips={least};"):
        api.query(**{**asked, "chips": least // 2})
    assert api.query(**{**asked, "chips": least}).value > 0


def test_weights_beyond_a_node_are_refused_without_a_plan_that_would_be_refused_too(api: HetBench):
    asked = {"model": "deepseek-ai/DeepSeek-R1", "phase": "serving", "precision": "bf16", "target": H100}
    with pytest.raises(RefusedError, match="need 32 chips, and a node has 8"):
        api.query(**asked, metric="tpot")


@pytest.mark.parametrize(("options", "error", "match"), [
    ({"speculative": "mtp"}, RefusedError, "acceptance rate"),
    ({"parallel": "disagg"}, RefusedError, "disaggregated"),
    ({"chips": 16}, RefusedError, "span nodes"),
    ({"stack": "mindie"}, RefusedError, "runs on cann"),
    ({"stack": "vlllm"}, UnknownNameError, "vllm"),
    ({"precision": "fp7"}, UnknownNameError, "unknown precision"),
    ({"batch": 4}, InvalidInputError, "give concurrency="),
    ({"concurrency": 0}, InvalidInputError, "concurrency must be"),
    ({"parallel": "ep8"}, InvalidInputError, "has no experts"),
    ({"concurrency": 2, "request_rate": 1.0}, InvalidInputError, "give one of them"),
])  # fmt: skip
def test_what_cannot_be_meant_or_is_not_supported_is_refused(api: HetBench, options, error, match):
    with pytest.raises(error, match=match):
        api.query(**{**LLAMA, **options}, target=H100, metric="tpot")


def test_an_image_network_is_not_served(api: HetBench):
    with pytest.raises(RefusedError, match="generate"):
        api.query("resnet-50", target=H100, metric="tpot", phase="serving")


def test_a_serving_option_without_the_phase_says_so(api: HetBench):
    with pytest.raises(InvalidInputError, match='phase="serving"'):
        api.query("gpt2", target="cuda", metric="latency", concurrency=4)
    with pytest.raises(InvalidInputError, match="metric of deployments"):
        api.query("gpt2", target="cuda", metric="ttft")


def test_an_arrival_rate_becomes_requests_in_flight_by_littles_law(api: HetBench):
    answer = api.query(**LLAMA, target=H100, metric="throughput", request_rate=4.0, input_len=1024, output_len=512)
    assert answer.value == pytest.approx(4 * 512, rel=0.1)
    with pytest.raises(RefusedError, match="more than this deployment completes"):
        api.query(**LLAMA, target=H100, metric="throughput", request_rate=4000.0)


def test_a_table_asks_deployments_beside_other_questions(api: HetBench):
    table = {
        "model": [LLAMA["model"], "gpt2"], "chip": [H100, "cuda"], "metric": ["tpot", "params"],
        "phase": ["serving", None], "precision": ["fp8", None], "chips": [8.0, None], "concurrency": [16.0, None],
    }  # fmt: skip
    found = api.query_models(table)
    assert found["reason"].tolist() == ["", ""]
    assert found["value"][0] == api.query(**LLAMA, target=H100, metric="tpot", concurrency=16).value


def test_a_table_takes_engines_and_formats_as_published(api: HetBench):
    table = {
        "model": ["openai/gpt-oss-120b"] * 2, "chip": ["amd-mi355x"] * 2, "metric": ["tpot"] * 2,
        "phase": ["serving"] * 2, "software": ["ATOM 2026-05, ROCm 7.2.3", "unstated"],
        "precision": ["mxfp4 (native checkpoint)", "unstated"], "concurrency": [24, 24], "input_len": [900, 900],
    }  # fmt: skip
    found = api.query_models(table)
    assert found["reason"].tolist() == ["", ""]
    assert found["value"][0] != found["value"][1]


def test_the_cheapest_plan_meets_the_objective_and_none_on_the_front_beats_another(api: HetBench):
    found = api.serve_plan(LLAMA["model"], H100, slo="ttft=2s,tpot=30ms", precision="fp8")
    assert found.cheapest is not None
    assert found.cheapest.meets
    tpot, rate = ([getattr(p, name) for p in found.pareto] for name in ("tpot_ms", "throughput_per_chip"))
    assert tpot == sorted(tpot)
    assert rate == sorted(rate)


def test_an_objective_is_a_metric_and_a_time():
    assert parse_slo({"tpot": 30}) == {"tpot": 30.0}
    with pytest.raises(InvalidInputError, match="no objective"):
        parse_slo("speed=3")


def test_ten_thousand_points_take_less_than_a_second():
    loads = list(range(1, 201))
    plans = [Plan(tp, dp) for tp in (1, 2, 4, 8) for dp in (1, 2, 4, 8) if tp * dp <= 8] * 5
    known, model = load(), named("meta-llama/Llama-3.1-8B")
    start = time.process_time()
    found = serve_plan(model, chip(H100), {}, known, {}, plans, loads)
    assert found.points > 9_000
    assert time.process_time() - start < 1.0


def test_a_published_version_of_an_engine_has_its_own_speed(api: HetBench):
    question = {"model": "openai/gpt-oss-120b", "target": "amd-mi355x", "metric": "tpot", "phase": "serving",
                "concurrency": 24, "input_len": 900}  # fmt: skip
    mean, one = (api.query(**question, stack=name) for name in ("atom", "ATOM 2026-05, ROCm 7.2.3"))
    assert one.stack == mean.stack == "atom"
    assert one.value != mean.value
    assert any("no version of atom was named" in note for note in mean.notes)


def test_copies_of_their_own_may_be_on_several_nodes(api: HetBench):
    one, two = (api.query(**{**LLAMA, "chips": 8 * n}, parallel=f"tp8dp{n}", target=H100, metric="throughput",
                          **{**LOAD, "concurrency": 32 * n}) for n in (1, 2))  # fmt: skip
    assert two.value == pytest.approx(2 * one.value, rel=0.2)


def test_without_a_version_the_newest_measured_one_answers(api: HetBench):
    known, stage = load(), build(named("meta-llama/Llama-3.1-8B"), chip(H100), {"precision": "bf16"}).stage
    assert known.version("vllm", stage, "vllm 0.6.3") == "vllm 0.6.3"
    assert known.version("vllm", stage, "vllm") == known.version("vllm", stage, "")
    assert not known.version("vllm", stage, "").startswith("vLLM (2024)")


def test_a_published_row_answers_for_its_own_version_and_where_none_is_named(api: HetBench):
    question = {"model": "openai/gpt-oss-120b", "target": "amd-mi355x", "metric": "tpot", "phase": "serving",
                "concurrency": 16, "input_len": 1024, "output_len": 1024, "precision": "mxfp4"}  # fmt: skip
    newest, other = (api.query(**question, stack=name) for name in ("atom", "ATOM 2026-03"))
    assert (newest.kind, other.kind) == ("measured", "predicted")


def test_a_deployment_notes_the_defaults_it_took():
    made = build(named("deepseek-ai/DeepSeek-R1"), chip("amd-mi300x"), {"chips": 8})
    assert made.stage.form.name == "fp8"
    assert any("1024" in note for note in made.notes)
