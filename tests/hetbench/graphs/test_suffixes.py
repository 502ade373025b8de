"""Ends of names: formats of weights, files and their parts, tuned copies."""

from __future__ import annotations

import pytest

from hetbench.graphs.suffixes import readings


@pytest.mark.parametrize(
    ("given", "bare", "precision"),
    [
        ("llama-2-7b.Q4_K_M.gguf", "llama-2-7b", "q4_k_m"), ("Qwen3-32B-Q8_0.gguf", "Qwen3-32B", "q8_0"),
        ("GLM-4.5-Air-UD-Q4_K_XL-00001-of-00002.gguf", "GLM-4.5-Air", "q4_k_m"),
        ("shisa-v2-llama3.3-70b.i1-Q4_K_M.gguf", "shisa-v2-llama3.3-70b", "q4_k_m"),
        ("Qwen2.5-7B-Instruct-AWQ", "Qwen2.5-7B", "w4a16"), ("Qwen2.5-7B-Instruct-GPTQ-Int8", "Qwen2.5-7B", "w8a16"),
        ("Qwen2.5-7B-Instruct-GPTQ-Int4", "Qwen2.5-7B", "w4a16"), ("Qwen2.5-72B-Instruct-w8a8", "Qwen2.5-72B", "int8"),
        ("Meta-Llama-3.1-8B-Instruct-bnb-4bit", "Meta-Llama-3.1-8B", "nf4"),
        ("Meta-Llama-3.1-8B-Instruct-quantized.w4a16", "Meta-Llama-3.1-8B", "w4a16"),
        ("Llama-3.3-70B-Instruct-FP8-dynamic", "Llama-3.3-70B", "fp8"), ("Qwen3-8B-NVFP4", "Qwen3-8B", "nvfp4"),
        ("gpt-oss-20b-F16.gguf", "gpt-oss-20b", "fp16"), ("Llama-2-7b-chat-hf", "Llama-2-7b", None),
        ("Meta-Llama-3.1-8B-Instruct-GGUF", "Meta-Llama-3.1-8B", None), ("resnet50", "resnet50", None),
    ],
)  # fmt: skip
def test_the_last_reading_has_the_bare_name_and_the_format(given: str, bare: str, precision: str | None):
    *_, last = readings(given)
    assert (last.name, last.precision) == (bare, precision)


def test_every_suffix_that_says_something_leaves_a_note():
    *_, last = readings("Qwen2.5-7B-Instruct-AWQ")
    assert last.notes == ("-AWQ names the format of the weights", "-Instruct changes no operator")
