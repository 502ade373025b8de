"""From a configuration to its graph: which model types are known, and what an unknown one is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hetbench.errors import RefusedError, nearest, shown
from hetbench.graphs.huggingface.config import Config, read
from hetbench.graphs.huggingface.generation import generating
from hetbench.graphs.huggingface.graph import ConfigGraph, Network

__all__ = ["GENERATING", "MODULES", "SAME", "WRAPPED", "compose", "model_types"]

Build = Callable[[Config], Network]
WRAPPED = ("text_config", "language_config", "llm_config", "thinker_config")
"""Where a configuration of several networks keeps that of its language model."""
_LIKE = {
    "kimi_k2": "deepseek_v3", "deepseek_v32": "deepseek_v3", "internlm": "llama", "internlm2": "llama",
    "baichuan": "llama", "qwen": "llama",
}  # fmt: skip
"""Types that transformers does not hold, and the one whose defaults and names they share."""
SAME = {"RefinedWeb": "falcon", "RefinedWebModel": "falcon", "phi-msft": "phi", "mistral3_text": "mistral",
        "gemma3": "gemma3_text", "llama4": "llama4_text",
        "qwen3_vl_text": "qwen3", "qwen3_vl_moe_text": "qwen3_moe"}  # fmt: skip
"""Other names of the same type; those of several networks mean the language model."""
GENERATING = ("dense_types", "older_types", "expert_types")
"""Modules whose `TYPES` give a `Decoder`; the others give a `Network`."""
MODULES = (*GENERATING, "encoder_types", "deberta_types", "seq2seq_types", "vision_types", "swin_types", "speech_types")
"""Modules of this package that each hold some model types; loaded when the first configuration is composed."""


@lru_cache(maxsize=1)
def _types() -> Mapping[str, Build]:
    found: dict[str, Build] = {}
    for name in MODULES:
        types = import_module(f"{__package__}.{name}").TYPES
        found |= {kind: partial(generating, plan) for kind, plan in types.items()} if name in GENERATING else types
    return MappingProxyType(found)


def model_types() -> tuple[str, ...]:
    """Every model type that can be composed, sorted.

    >>> {"llama", "deepseek_v3", "bert"} <= set(model_types())
    True
    """
    return tuple(sorted({*_types(), *SAME}))


def compose(source: Mapping[str, Any] | str | Path, name: str = "", ref: str = "") -> ConfigGraph:
    """The graph of a configuration: a mapping, a JSON file, or the folder that holds `config.json`.

    Of a configuration of several networks it is the language model alone, and the graph's notes say so. Raises
    `RefusedError` for a model type that cannot be composed, `InvalidInputError` for a size that is missing or absurd.

    >>> compose({"model_type": "bert"}).params
    109482240
    """
    values = read(source)
    given, note = str(values["model_type"]), ""
    wrapper = next((key for key in WRAPPED if isinstance(values.get(key), Mapping)), None)
    if (wrapper and SAME.get(given, given) not in _types()) or (wrapper and given in SAME):
        inner = {"tie_word_embeddings": values.get("tie_word_embeddings"), **values[wrapper]}
        note = f"the language model of {given} alone: what reads images or sound is left out"
        values = {**inner, "model_type": inner.get("model_type") or given}
    kind = str(values["model_type"])
    kind = SAME.get(kind, kind)
    if kind not in _types():
        raise RefusedError(_unknown(given if not wrapper else f"{given} / {kind}", kind))
    config = Config({**values, "model_type": kind}, _LIKE.get(kind, kind))
    network = _types()[kind](config)
    title = name or str(values.get("_name_or_path") or "") or kind
    return ConfigGraph(title, network, ref=ref, notes=(note,) if note else ())


def _unknown(given: str, kind: str) -> str:
    near = nearest(kind, model_types(), 3)
    hint = f" Nearest known types: {', '.join(near)}." if near else ""
    return (
        f"no graph can be composed for model_type {shown(given)}.{hint} {len(model_types())} types are known "
        "(hetbench.graphs.huggingface.model_types()). Trace the module instead: graph = api.trace(module, inputs), "
        "then api.query(graph, ...)."
    )
