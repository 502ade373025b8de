"""Collections of upstream configurations in public repositories: files, dictionaries in a module, and summaries."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["files", "maxtext", "presets", "summaries"]

Found = Iterator[tuple[str, dict[str, Any], str]]
"""Hub name, configuration, precision of the weights where it is not the network's."""

PRESETS = {
    "codellama_7b": "codellama/CodeLlama-7b-hf", "gpt2_medium": "openai-community/gpt2-medium",
    "internlm": "internlm/internlm-chat-7b", "internlm2_5_7b": "internlm/internlm2_5-7b-chat",
    "deepseek_v2_lite": "deepseek-ai/DeepSeek-V2-Lite-Chat", "qwen2moe": "Qwen/Qwen1.5-MoE-A2.7B-Chat",
    "baichuan": "baichuan-inc/Baichuan2-7B-Chat", "qwen2_7b": "Qwen/Qwen2-7B",
    "qwen2_0_5b": "Qwen/Qwen2-0.5B", "qwen2_1_5b": "Qwen/Qwen2-1.5B", "smollm_1_7b": "HuggingFaceTB/SmolLM-1.7B",
    "smollm_360m": "HuggingFaceTB/SmolLM-360M", "smollm_135m": "HuggingFaceTB/SmolLM-135M",
    "aya-23": "CohereLabs/aya-23-8B", "gpt_j": "EleutherAI/gpt-j-6b", "olmo2_32b": "allenai/OLMo-2-0325-32B",
    "snowflake-arctic-embed-m": "Snowflake/snowflake-arctic-embed-m",
    "stablelm-2-zephyr-1_6b": "stabilityai/stablelm-2-zephyr-1_6b", "gemma2_2b-jpn": "google/gemma-2-2b-jpn-it",
    "gemma3_1b_it": "google/gemma-3-1b-it", "gpt_bigcode": "bigcode/gpt_bigcode-santacoder",
    "starcoder2": "bigcode/starcoder2-7b",
}  # fmt: skip
"""Presets whose network their name tells, and their names on the hub."""
MAXTEXT = {
    "gemma3_4b": "google/gemma-3-4b-it", "gemma3_12b": "google/gemma-3-12b-it", "gemma3_27b": "google/gemma-3-27b-it",
    "qwen25_1_5b": "Qwen/Qwen2.5-1.5B", "qwen3_4b": "Qwen/Qwen3-4B", "qwen3_14b": "Qwen/Qwen3-14B",
    "qwen3_30b_a3b_thinking_2507": "Qwen/Qwen3-30B-A3B-Thinking-2507", "qwen3_30b_a3b_base": "Qwen/Qwen3-30B-A3B-Base",
    "qwen3_235b_a22b_thinking_2507": "Qwen/Qwen3-235B-A22B-Thinking-2507",
    "deepseek2_16b": "deepseek-ai/DeepSeek-V2-Lite",
    "olmo3_7b": "allenai/Olmo-3-1025-7B", "olmo3_32b": "allenai/Olmo-3-1125-32B",
}  # fmt: skip
SUMMARIES = {
    "bert-base-cased": "google-bert/bert-base-cased",
    "bert-base-multilingual-cased": "google-bert/bert-base-multilingual-cased",
    "dslim_bert-base-NER": "dslim/bert-base-NER",
    "allenai_scibert_scivocab_uncased": "allenai/scibert_scivocab_uncased",
    "facebook_opt-125m": "facebook/opt-125m", "facebook_opt-6.7b": "facebook/opt-6.7b",
    "facebook_opt-13b": "facebook/opt-13b", "facebook_opt-66b": "facebook/opt-66b",
    "EleutherAI_gpt-neo-2.7B": "EleutherAI/gpt-neo-2.7B", "EleutherAI_gpt-neo-125m": "EleutherAI/gpt-neo-125m",
    "bigscience_bloomz-560m": "bigscience/bloomz-560m", "bigscience_bloomz-7b1-mt": "bigscience/bloomz-7b1-mt",
    "gpt2-large": "openai-community/gpt2-large", "gpt2-xl": "openai-community/gpt2-xl",
    "sentence-transformers_all-MiniLM-L6-v2": "sentence-transformers/all-MiniLM-L6-v2",
}  # fmt: skip
_FORMATS = {"fp8": "fp8", "nvfp4": "nvfp4", "modelopt": "nvfp4", "mxfp4": "mxfp4"}


def files(texts: Mapping[str, str]) -> Found:
    """Files named owner--name_config.json, each a configuration as upstream has it."""
    for path, text in sorted(texts.items()):
        stem = path.rsplit("/", 1)[-1].removesuffix("_config.json")
        owner, _, name = stem.partition("--")
        if not name or stem.endswith("_hf_quant"):
            continue
        values = json.loads(text)
        how = values.get("quantization_config") or {}
        method = str(how.get("quant_algo") or how.get("quant_method") or "").lower()
        precision = next((short for word, short in _FORMATS.items() if word in method), "")
        if not precision and name.endswith(("-NVFP4", "-FP8")):
            precision = name.rsplit("-", 1)[-1].lower()
        yield f"{owner}/{name}", values, precision


def presets(source: str) -> Found:
    """The dictionary MODEL_PRESETS of mlc-llm."""
    for key, values in _assigned(source)["MODEL_PRESETS"].items():
        if key in PRESETS:
            yield PRESETS[key], values, ""


def maxtext(source: str) -> Found:
    """Configurations that maxtext builds by keyword or from a dictionary."""
    known = _assigned(source)
    for key, name in MAXTEXT.items():
        values = known.get(f"{key}_config") or known.get(f"{key}_dict")
        if values:
            yield name, values, ""


def summaries(texts: Mapping[str, str], widths: Mapping[str, str]) -> Found:
    """Summaries of llm-analysis: sizes only; all else is the default of the class. `widths`: type -> its own key."""
    for path, text in sorted(texts.items()):
        given = json.loads(text)
        name = SUMMARIES.get(path.rsplit("/", 1)[-1].removesuffix(".json"))
        if name is None:
            continue
        values = {
            "model_type": given["model_type"], "vocab_size": given["vocab_size"], "hidden_size": given["hidden_dim"],
            "num_attention_heads": given["n_head"], "num_hidden_layers": given["num_layers"],
            "max_position_embeddings": given["max_seq_len"],
        }  # fmt: skip
        if given.get("ffn_embed_dim"):
            values[widths.get(given["model_type"], "intermediate_size")] = given["ffn_embed_dim"]
        yield name, values, ""


def _assigned(source: str) -> dict[str, Any]:
    """Plain dictionaries of a module by name: literals, copies with updates left out, and calls by keyword."""
    found: dict[str, Any] = {}
    for node in ast.parse(source).body:
        target = node.target if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [None])[0]
        value = getattr(node, "value", None)
        if not isinstance(target, ast.Name) or value is None:
            continue
        made = _literal(value)
        if isinstance(made, dict):
            found[target.id] = made
    return found


def _literal(value: ast.expr) -> Any:
    if isinstance(value, ast.Call) and value.keywords and all(each.arg for each in value.keywords):
        kind = getattr(value.func, "attr", getattr(value.func, "id", ""))
        made = {str(each.arg): _literal(each.value) for each in value.keywords}
        return {"model_type": _TYPES.get(str(kind).removesuffix("Config"), ""), **made}
    try:
        return ast.literal_eval(value)
    except ValueError:
        return None


_TYPES = {"Gemma3": "gemma3", "Gemma3Text": "gemma3_text", "Qwen2": "qwen2", "Qwen3": "qwen3", "Qwen3Moe": "qwen3_moe",
          "Olmo3": "olmo3"}  # fmt: skip
