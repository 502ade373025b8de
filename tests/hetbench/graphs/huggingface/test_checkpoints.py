"""Shipped checkpoints: their sources, and parameters against counts that others publish."""

from __future__ import annotations

import re
import time

import pytest

from hetbench import HetBench
from hetbench.graphs.huggingface import checkpoints, compose, model_types
from hetbench.graphs.huggingface.feedforward import Experts, expected_experts, routed_experts
from hetbench.graphs.huggingface.tape import Tape

HUB = "keras-team/keras-hub@71453d08:keras_hub/src/models"
OPENAI = "openai/gpt-oss model card: 20.9B total, 3.61B active without the embedding; 116.8B and 5.13B"
PUBLISHED = {
    "Qwen/Qwen3-0.6B": (596_049_920, f"{HUB}/qwen3/qwen3_presets.py"),
    "Qwen/Qwen3-1.7B": (1_720_574_976, f"{HUB}/qwen3/qwen3_presets.py"),
    "Qwen/Qwen3-4B": (4_022_468_096, f"{HUB}/qwen3/qwen3_presets.py"),
    "Qwen/Qwen3-8B": (8_190_735_360, f"{HUB}/qwen3/qwen3_presets.py"),
    "Qwen/Qwen3-14B": (14_768_307_200, f"{HUB}/qwen3/qwen3_presets.py"),
    "google-bert/bert-base-multilingual-cased": (177_853_440, f"{HUB}/bert/bert_presets.py"),
    "google-bert/bert-large-uncased": (335_141_888, f"{HUB}/bert/bert_presets.py"),
    "microsoft/deberta-v3-base": (183_831_552, f"{HUB}/deberta_v3/deberta_v3_presets.py"),
    "google/gemma-2b": (2_506_172_416, f"{HUB}/gemma/gemma_presets.py"),
    "google/gemma-7b": (8_537_680_896, f"{HUB}/gemma/gemma_presets.py"),
    "google/gemma-2-9b": (9_241_705_984, f"{HUB}/gemma/gemma_presets.py"),
    "google/gemma-2-27b": (27_227_128_320, f"{HUB}/gemma/gemma_presets.py"),
    "meta-llama/Llama-2-7b-hf": (6_738_415_616, f"{HUB}/llama/llama_presets.py"),
    "meta-llama/Meta-Llama-3-8B": (8_030_261_248, f"{HUB}/llama3/llama3_presets.py"),
    "mistralai/Mistral-7B-v0.1": (7_241_732_096, f"{HUB}/mistral/mistral_presets.py"),
    "mistralai/Mixtral-8x7B-v0.1": (46_702_792_704, f"{HUB}/mixtral/mixtral_presets.py"),
    "openai-community/gpt2-xl": (1_557_611_200, f"{HUB}/gpt2/gpt2_presets.py"),
    "openai/gpt-oss-20b": (20_914_757_184, OPENAI), "openai/gpt-oss-120b": (116_829_156_672, OPENAI),
}  # fmt: skip
ACTIVE = {"Qwen/Qwen3-30B-A3B": 3.3, "Qwen/Qwen3-235B-A22B": 22.2, "deepseek-ai/DeepSeek-V3": 37, "zai-org/GLM-5": 40,
          "moonshotai/Kimi-K2-Instruct": 32, "mistralai/Mixtral-8x7B-v0.1": 12.9}  # fmt: skip
"""1e9 parameters of one token, as the model cards and the names state them, rounded there."""


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_are_those_that_others_publish(name: str):
    count, _ = PUBLISHED[name]
    assert compose(checkpoints()[name].config).params == count


@pytest.mark.parametrize("name", ACTIVE)
def test_active_parameters_are_those_of_the_model_cards(name: str):
    assert compose(checkpoints()[name].config).active_params / 1e9 == pytest.approx(ACTIVE[name], rel=0.05)


def test_gpt_oss_has_the_active_parameters_of_its_card_without_the_embedding():
    graph = compose(checkpoints()["openai/gpt-oss-20b"].config)
    assert (graph.active_params - 201_088 * 2880) / 1e9 == pytest.approx(3.61, abs=0.005)


def test_three_hundred_checkpoints_of_sixty_types_ship_each_with_its_source():
    assert len(checkpoints()) >= 300
    assert len(model_types()) >= 60
    for each in checkpoints().values():
        assert re.search(r"\w/\w.*:\S+", each.ref), each  # repository:path, mostly with a commit


def test_every_checkpoint_composes_and_a_new_one_is_answered_in_twenty_milliseconds():
    api = HetBench()
    api.query("gpt2", target="cuda", metric="latency", precision="fp16")
    spent = []
    for name, each in list(checkpoints().items())[::12]:
        start = time.perf_counter()
        graph = compose(each.config, name)
        api.query(graph, target="cuda", metric="latency", precision="fp16")
        spent.append(time.perf_counter() - start)
        assert graph.memory(1, precision="fp16").weights_bytes == 2 * graph.params
    assert sorted(spent)[len(spent) // 2] < 0.02  # the median, on a machine that does other things too


def test_experts_share_the_rows_that_tokens_send_them():
    experts = Experts(count=8, chosen=2, inner=32, activation="silu", router="qwen")
    tape = Tape()
    routed_experts(tape, 5, experts, 64, -1, -1)
    products = [step.dims for step in tape.steps if step.op == "BMM"]
    assert sum(d["b"] for d in products) == 2 * expected_experts(8, 2, 5)  # up and down
    assert sum(d["b"] * d["m"] for d in products) == 2 * 5 * 2
    assert tape.params == 8 * 3 * 64 * 32
    assert tape.active == 2 * 3 * 64 * 32


@pytest.mark.parametrize(("tokens", "busy"), [(1, 8), (1024, 128)])
def test_one_token_wakes_its_own_experts_and_many_wake_all(tokens: int, busy: int):
    assert expected_experts(128, 8, tokens) == busy


def test_a_decoding_step_reads_the_cache_and_scores_one_position():
    graph = compose(checkpoints()["Qwen/Qwen3-8B"].config)
    step, fill = (graph.memory(2, 1024, precision="bf16", phase=phase) for phase in ("decode", "prefill"))
    assert step.kv_cache_bytes == 2 * 36 * 2 * 8 * 1025 * 128 * 2  # K and V, layers, batch, heads, tokens, width, bytes
    assert fill.kv_cache_bytes == 2 * 36 * 2 * 8 * 1024 * 128 * 2
    assert step.activations_peak_bytes < fill.activations_peak_bytes


def test_latent_attention_caches_one_narrow_vector_a_token():
    graph = compose(checkpoints()["deepseek-ai/DeepSeek-V3"].config)
    assert graph.memory(1, 999, precision="bf16", phase="decode").kv_cache_bytes == 61 * 1000 * (512 + 64) * 2


def test_bytes_of_single_operators_add_up_to_those_of_the_network():
    graph = compose(checkpoints()["Qwen/Qwen3-8B"].config)
    sizes = (2, 128, None, "bf16", "decode")
    parts, whole = graph.node_bytes(*sizes), graph.memory(*sizes)
    assert len(parts.results) == len(graph.nodes(*sizes))
    assert round(parts.weights.sum()) == whole.weights_bytes
    assert parts.cache.sum() == whole.kv_cache_bytes


def test_a_composed_network_is_explained_by_its_operators():
    found = HetBench().explain("Qwen/Qwen3-8B", target="cuda", precision="fp16")
    assert found.groups[0].name == "Linear"


def test_of_a_network_that_also_sees_the_language_model_is_composed_and_a_note_says_so():
    graph = compose(checkpoints()["meta-llama/Llama-4-Scout-17B-16E-Instruct"].config)
    assert graph.notes == ("the language model of llama4 alone: what reads images or sound is left out",)
