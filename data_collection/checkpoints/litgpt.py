"""Lightning-AI/litgpt restates upstream configurations of language models in names of its own; here they become the
names of Hugging Face.

Whether a network's output layer shares the weights of the embedding is not in them: `TIED` says for which it does,
and where that was read.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

__all__ = ["PATH", "TIED", "configurations"]

PATH = "litgpt/config.py"
TIED = {
    r"Llama-3\.2-[13]B": "pytorch/torchtune@bd2a0fc7:torchtune/models/llama3_2/_model_builders.py",
    r"Qwen2\.5(-Coder|-Math)?-(0\.5|1\.5|3)B": "pytorch/torchtune@bd2a0fc7:torchtune/models/qwen2_5/_model_builders.py",
    r"Qwen3-(0\.6|1\.7|4)B": (
        "AI-Hypercomputer/maxtext@e591f30c:src/maxtext/checkpoint_conversion/utils/hf_model_configs.py"
    ),
    r"SmolLM2-": "mlc-ai/mlc-llm@79d603f0:python/mlc_llm/model/model_preset.py",
    r"Phi-4-mini": "Lightning-AI/litgpt@26857050:litgpt/scripts/convert_hf_checkpoint.py",
}  # fmt: skip
_LEFT_OUT = ("falcon-40b", "falcon-180B", "OLMo-1B-hf", "SmolLM2-1.7B", "OLMo-7B-Instruct", "Platypus2-70B")
"""Of these it was not found whether they tie their weights, or the sizes stated are of no such network."""


def configurations(source: str) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Hub name, configuration, and where the tie was read, of every network in the text of `litgpt/config.py`."""
    for each in _evaluated(source):
        hub, name = each["hf_config"], each["name"]
        if name.startswith(_LEFT_OUT):
            continue
        kind, made = _translated(each)
        tie = next((ref for pattern, ref in TIED.items() if re.match(pattern, hub["name"])), "")
        if tie:
            made["tie_word_embeddings"] = True
        yield f"{hub['org']}/{hub['name']}", {"model_type": kind, **made}, tie


def _evaluated(source: str) -> list[dict[str, Any]]:
    """The list `configs` of the module; yaml, which only its class needs, is stood in for."""
    module = ModuleType("litgpt_config")
    sys.modules[module.__name__] = module
    missing = "yaml" not in sys.modules
    if missing:
        sys.modules["yaml"] = ModuleType("yaml")
    try:
        exec(compile(source, PATH, "exec"), module.__dict__)
    finally:
        sys.modules.pop(module.__name__)
        if missing:
            sys.modules.pop("yaml")
    return list(module.__dict__["configs"])


def _translated(each: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Model type and hyper-parameters."""
    hidden, heads = each.get("n_embd", 4096), each.get("n_head", 32)
    layers = each.get("n_layer", 16)
    made: dict[str, Any] = {
        "hidden_size": hidden, "num_attention_heads": heads, "num_hidden_layers": layers,
        "vocab_size": _padded(each), "max_position_embeddings": each.get("block_size", 4096),
    }  # fmt: skip
    if each.get("n_query_groups"):
        made["num_key_value_heads"] = each["n_query_groups"]
    if each.get("head_size"):
        made["head_dim"] = each["head_size"]
    made["intermediate_size"] = each.get("intermediate_size", 4 * hidden)
    kind = _kind(each)
    return kind, made | _EXTRA.get(kind, lambda _: {})(each)


def _padded(each: Mapping[str, Any]) -> int:
    if each.get("padded_vocab_size"):
        return int(each["padded_vocab_size"])
    vocab, multiple = each.get("vocab_size", 50254), each.get("padding_multiple", 512)
    return int(-(-vocab // multiple) * multiple)


def _kind(each: Mapping[str, Any]) -> str:
    """The model type follows from the classes of norm and feed-forward part, then from the family's name."""
    name = each["hf_config"]["name"]
    if each.get("norm_class_name") != "RMSNorm":
        if each.get("mlp_class_name") == "LLaMAMLP":
            return "olmo" if name.startswith("OLMo") else "stablelm"
        for family in ("falcon", "phi"):
            if name.startswith(family):
                return family
        return "gpt_neox"
    if each.get("n_expert"):
        return "mixtral" if name.startswith("Mixtral") else "qwen3_moe"
    for pattern, kind in _FAMILIES:
        if re.match(pattern, name, re.IGNORECASE):
            return kind
    return "llama"


_FAMILIES = (
    (r"(code)?gemma-[27]b|codegemma", "gemma"), (r"gemma-2-", "gemma2"), (r"gemma-3-", "gemma3_text"),
    (r"OLMo-2", "olmo2"), (r"Phi-[34]", "phi3"), (r"Qwen2\.5|QwQ", "qwen2"), (r"Qwen3", "qwen3"),
    (r"Mistral-|Mathstral", "mistral"),
)  # fmt: skip


def _window(each: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"sliding_window": each.get("sliding_window_size")}
    seen = each.get("sliding_window_indices")
    if seen:
        kinds = ("full_attention", "sliding_attention")
        found["layer_types"] = [kinds[bool(each_)] for each_ in seen[: each.get("n_layer", 16)]]
    return found


_EXTRA: dict[str, Any] = {
    "gpt_neox": lambda e: {"rotary_pct": e.get("rotary_percentage", 0.25),
                           "use_parallel_residual": e.get("parallel_residual", True)},
    "stablelm": lambda e: {"partial_rotary_factor": e.get("rotary_percentage", 0.25)},
    "phi": lambda e: {"partial_rotary_factor": e.get("rotary_percentage", 0.25)},
    "phi3": lambda e: {"partial_rotary_factor": e.get("rotary_percentage", 1.0), **_window(e)},
    "mistral": _window, "gemma2": lambda e: {**_window(e), "final_logit_softcapping": e.get("final_logit_softcapping")},
    "gemma3_text": _window,
    "mixtral": lambda e: {"num_local_experts": e["n_expert"], "num_experts_per_tok": e["n_expert_per_token"],
                          "sliding_window": None},
    "qwen3_moe": lambda e: {"num_experts": e["n_expert"], "num_experts_per_tok": e["n_expert_per_token"],
                            "moe_intermediate_size": e["moe_intermediate_size"],
                            "norm_topk_prob": e.get("norm_topk_prob", False)},
}  # fmt: skip
