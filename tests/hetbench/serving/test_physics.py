"""Sharded iterations by hand-computed bytes and flops, and what must hold for every plan and load."""

import numpy as np
import pytest

from hetbench.catalog.chips import chip
from hetbench.errors import InvalidInputError, RefusedError, UnknownNameError
from hetbench.serving import Plan, named, weight_format
from hetbench.serving.effects import EXTRA, Factors
from hetbench.serving.engines import chunk_of
from hetbench.serving.links import link_of
from hetbench.serving.memory import memory
from hetbench.serving.physics import TERMS, decode_terms, prefill_terms
from hetbench.serving.settings import Settings, Stage
from hetbench.serving.steady import Load, rising, steady_state

H100 = "nvidia-h100-sxm5-80gb"
LLAMA_70B = "meta-llama/Meta-Llama-3.1-70B"


def _stage(model: str, on: str = H100, form: str = "bf16", kv: str = "bf16") -> Stage:
    return Stage(named(model), chip(on), weight_format(form), kv)


def _settings(on: str, plan: str, loads: list[int], input_len: int = 1024, output_len: int = 1024) -> Settings:
    n = len(loads)
    return Settings.of(chip(on), [Plan.parse(plan)] * n, [input_len] * n, [output_len] * n, loads)


def _term(terms: np.ndarray, name: str) -> np.ndarray:
    return terms[:, TERMS.index(name)]


@pytest.mark.parametrize(("name", "total", "active"), [
    ("meta-llama/Meta-Llama-3.1-8B", 8.03e9, 8.03e9),  # 8.03B, model card
    ("meta-llama/Meta-Llama-3.1-70B", 70.6e9, 70.6e9),  # 70.6B, model card
    ("meta-llama/Meta-Llama-3.1-405B", 405.9e9, 405.9e9),
    ("mistralai/Mixtral-8x7B-v0.1", 46.7e9, 12.9e9),  # arXiv 2401.04088
    ("deepseek-ai/DeepSeek-R1", 671e9, 37.6e9),  # 671B, 37B active without the embedding; arXiv 2412.19437
    ("openai/gpt-oss-120b", 116.8e9, 5.71e9),  # 116.83B, 5.13B active without the embedding; arXiv 2508.10925
    ("Qwen/Qwen3-235B-A22B", 235.1e9, 22.2e9),
])  # fmt: skip
def test_parameters_are_those_that_the_makers_publish(name: str, total: float, active: float):
    model = named(name)
    assert (model.params, model.active_params) == pytest.approx((total, active), rel=3e-3)


@pytest.mark.parametrize(("name", "elements"), [
    (LLAMA_70B, 80 * 2 * 8 * 128),
    ("Qwen/Qwen3-32B", 64 * 2 * 8 * 128),
    ("deepseek-ai/DeepSeek-R1", 61 * (512 + 64)),  # one latent vector and one rotary key a token and layer
])  # fmt: skip
def test_a_token_adds_its_keys_and_values_to_the_cache(name: str, elements: int):
    assert named(name).cached_elements == elements


def test_a_decode_step_reads_its_share_of_the_weights_and_of_the_cache():
    terms = decode_terms(_stage(LLAMA_70B), _settings(H100, "tp8", [16]), np.array([16.0]), np.array([2048.0]))
    weights = (70_552_387_584 - 8192 * 128256) * 2 / 8  # all but the embedding, in bf16
    assert _term(terms, "weights")[0] == pytest.approx(weights / 3.35e12)
    assert _term(terms, "kv")[0] == pytest.approx(16 * 2048 * 163_840 * 2 / 8 / 3.35e12)
    assert _term(terms, "flops")[0] == pytest.approx(2 * 16 * weights / 2 / 989.4e12)


def test_keys_of_few_heads_are_copied_and_latent_ones_on_every_chip():
    at = np.array([8.0]), np.array([1000.0])
    few, latent = _stage("Qwen/Qwen3-235B-A22B"), _stage("deepseek-ai/DeepSeek-R1", form="fp8")
    step = [_term(decode_terms(few, _settings(H100, plan, [8]), *at), "kv")[0] for plan in ("tp4", "tp8")]
    assert step[0] == step[1]  # four heads of keys and values
    step = [_term(decode_terms(latent, _settings(H100, plan, [8]), *at), "kv")[0] for plan in ("tp1", "tp8")]
    assert step[0] == step[1]


def test_a_step_of_one_token_reads_its_chosen_experts_and_a_large_batch_reads_all():
    stage, model = _stage("openai/gpt-oss-120b", form="mxfp4"), named("openai/gpt-oss-120b")
    batches = np.array([1.0, 10_000.0])
    terms = decode_terms(stage, _settings(H100, "tp1", [1, 10_000]), batches, np.array([1.0, 1.0]))
    assert _term(terms, "weights") * 3.35e12 == pytest.approx([(model.dense_weights + model.head) * 2] * 2)
    read = _term(terms, "expert_weights") * 3.35e12
    assert read[0] == pytest.approx(model.chosen_weights * 4.25 / 8)
    assert read[1] == pytest.approx(model.expert_weights * 4.25 / 8)


def test_a_prompt_costs_two_flops_a_weight_and_token_and_attends_to_half_of_the_pairs():
    stage, model = _stage("meta-llama/Meta-Llama-3.1-8B"), named("meta-llama/Meta-Llama-3.1-8B")
    terms = prefill_terms(stage, _settings(H100, "tp1", [1]), np.array([4096.0]), np.array([1.0]))
    expected = 2 * (model.dense_weights * 4096 + model.head) / 989.4e12
    assert _term(terms, "prompt_flops")[0] == pytest.approx(expected)
    pairs = 32 * 32 * (128 + 128) * 4096**2 / 2
    assert _term(terms, "prompt_attention")[0] == pytest.approx(2 * pairs / 989.4e12)


def test_a_prompt_works_its_experts_apart_from_what_every_token_uses():
    stage, model = _stage("openai/gpt-oss-120b"), named("openai/gpt-oss-120b")
    terms = prefill_terms(stage, _settings(H100, "tp1", [1]), np.array([1000.0]), np.array([1.0]))
    assert _term(terms, "prompt_experts")[0] == pytest.approx(2 * model.chosen_weights * 1000 / 989.4e12)
    dense = 2 * (model.dense_weights * 1000 + model.head) / 989.4e12
    assert _term(terms, "prompt_flops")[0] == pytest.approx(dense, rel=1e-6)


def test_a_prompt_moves_the_activations_of_every_token_through_every_layer():
    stage = _stage("meta-llama/Meta-Llama-3.1-8B")
    terms = prefill_terms(stage, _settings(H100, "tp1", [1]), np.array([1000.0]), np.array([1.0]))
    expected = 1000 * 32 * (10 * 4096 + 3 * 14336) * 2 / 3.35e12  # 32 layers, 16 bit
    assert _term(terms, "activations")[0] == pytest.approx(expected)


def test_a_smaller_chunk_reads_the_weights_more_often():
    stage, one = _stage("meta-llama/Meta-Llama-3.1-8B"), np.array([1.0])
    whole, parts = (prefill_terms(stage, _settings(H100, "tp1", [1]), np.array([4096.0]), one, chunk)
                    for chunk in (8192, chunk_of("llama.cpp")))  # fmt: skip
    assert _term(parts, "weights")[0] == pytest.approx(8 * _term(whole, "weights")[0])


def test_the_mean_of_a_run_counts_the_requests_of_its_start_and_the_median_does_not():
    stage, s = _stage("meta-llama/Meta-Llama-3.1-8B"), _settings(H100, "tp1", [1, 65], input_len=8192)
    extra = dict.fromkeys(EXTRA, 0.0) | {"first_wave": 0.1, "cold": 40.0}
    factors = Factors(np.ones(len(TERMS)), extra, 1.0, 1.0, 1.0)
    mean, median = (steady_state(stage, s, factors, mean=each).ttft for each in (True, False))
    prompt = prefill_terms(stage, s, s.input_len, np.ones(2)).sum(1)
    assert mean - median == pytest.approx(0.04 + 0.1 * np.array([0, 32]) * prompt)


def test_more_tensor_parallel_chips_read_no_more_bytes_and_exchange_no_less():
    settings = [_settings(H100, plan, [32]) for plan in ("tp1", "tp2", "tp4", "tp8")]
    at = np.array([32.0]), np.array([1500.0])
    steps = [decode_terms(_stage(LLAMA_70B), s, *at) for s in settings]
    for name in ("weights", "kv", "flops", "attention"):
        assert all(np.diff([_term(step, name)[0] for step in steps]) <= 0), name
    assert all(np.diff([_term(step, "exchange")[0] for step in steps]) >= 0)


def test_a_link_is_half_of_what_the_datasheet_sums_over_both_directions():
    assert link_of(chip("amd-mi300x"), 8).rate == 448e9


def test_a_deployment_over_several_nodes_is_refused():
    with pytest.raises(RefusedError, match="span nodes of 8"):
        link_of(chip(H100), 16)


@pytest.mark.parametrize("text", ["tp8x", "tp0", "tp8tp4", "tp8ep4", "8"])
def test_a_plan_that_means_nothing_is_refused(text: str):
    with pytest.raises(InvalidInputError, match=text):
        Plan.parse(text)


def test_the_chips_of_a_plan_must_be_those_given():
    with pytest.raises(InvalidInputError, match="takes 8 chips, and chips=4"):
        Plan.parse("tp4dp2", 4)


def test_an_unknown_format_names_the_known():
    with pytest.raises(UnknownNameError, match="nvfp4"):
        weight_format("nvfp5")


def _published_log(model: str, plan: str, form: str) -> tuple[float, float]:
    """Weights in GiB on each chip, and bytes of cache that a token takes on each chip."""
    held = memory(_stage(model, form=form), _settings(H100, plan, [1], 1024, 1024))
    return float(held.weights[0]) / 2**30, float(held.request[0]) / 2048


def test_weights_are_those_of_the_log_of_llama_70b_in_w8a8_on_one_h100():
    """vllm-project/vllm#12569: "Loading model weights took 67.7229 GB"."""
    assert _published_log(LLAMA_70B, "tp1", "w8a8")[0] == pytest.approx(67.7229, rel=0.005)


def test_weights_are_those_of_the_log_of_llama_405b_in_fp8_on_eight_h100():
    """vllm-project/vllm#6746: "Loading model weights took 57.7520 GB"; that checkpoint keeps attention, and the
    first and last layer, in bf16."""
    model = named("meta-llama/Meta-Llama-3.1-405B")
    kept = sum(m.times * m.weights for m in model.mixings) / 8 / 2**30
    assert _published_log("meta-llama/Meta-Llama-3.1-405B", "tp8", "fp8")[0] + kept == pytest.approx(57.752, rel=0.03)


def test_requests_that_fit_are_about_those_of_a_log_of_llama_70b():
    """vllm-project/vllm#12569, 0.98 of an H100: 10.79 requests of 2,048 tokens beside 67.7 GB of weights."""
    weights, token = _published_log(LLAMA_70B, "tp1", "w8a8")
    room = 0.98 * 79.1 * 2**30 - weights * 2**30  # an H100 reports 79.1 GiB to PyTorch
    assert 10.79 < room / token / 2048 < 1.5 * 10.79  # activations and CUDA graphs take the rest


def test_requests_that_fit_are_those_of_a_log_of_llama_8b_on_one_a100():
    """vllm-project/vllm#12330, Meta-Llama-3-8B on an A100 of 40 GB: "Loading model weights took 14.9595 GB", "the rest
    of the memory reserved for KV Cache is 11.12GiB", "Maximum concurrency for 8192 tokens per request: 11.12x"."""
    model = "meta-llama/Meta-Llama-3-8B"
    held = memory(_stage(model, "nvidia-a100-sxm4-40gb"), _settings("nvidia-a100-sxm4-40gb", "tp1", [1], 8191, 1))
    assert float(held.weights[0]) / 2**30 == pytest.approx(14.9595, rel=0.002)
    assert 11.12 * 2**30 / float(held.request[0]) == pytest.approx(11.12, rel=0.002)
    assert 11.12 < float(held.most[0]) < 2 * 11.12  # that run kept 9.4 GiB for activations of many requests


def test_requests_that_fit_are_about_those_of_a_log_of_deepseek_r1():
    """Anyscale documentation of Ray Serve LLM: 29.06 requests of 32,768 tokens on 2 x 8 H100, tp8 pp2."""
    model = named("deepseek-ai/DeepSeek-R1")
    weights = (model.params - 2 * model.head + 4 * model.head) / 16
    room = 0.9 * 79.1 * 2**30 - weights
    assert room / (model.cached_elements / 2 * 2) / 32768 == pytest.approx(29.06, rel=0.25)


def test_a_first_token_never_comes_sooner_because_others_wait_too():
    n = np.arange(1.0, 4.0)
    load = Load(n[::-1].copy(), n, n[::-1] + n * 1023, n, n, n, n, np.zeros((3, len(TERMS))))
    found = rising(load, _settings(H100, "tp1", [2, 1, 4]))  # TTFT 3, 2, 1 at 2, 1 and 4 requests
    assert found.ttft.tolist() == [3, 2, 3]
    assert found.latency == pytest.approx(found.ttft + 1023 * n)
    assert found.throughput == pytest.approx(load.throughput * load.latency / found.latency)
