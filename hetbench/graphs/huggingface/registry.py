"""From a configuration to its graph: which model types are known, and what an unknown one is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hetbench.errors import RefusedError, nearest
from hetbench.graphs.huggingface import (
    dense_types,
    encoder_types,
    expert_types,
    older_types,
    seq2seq_types,
    speech_types,
    swin_types,
    vision_types,
)
from hetbench.graphs.huggingface.config import Config, read
from hetbench.graphs.huggingface.decoder import Decoder
from hetbench.graphs.huggingface.graph import ConfigGraph, Network
from hetbench.graphs.huggingface.tape import Piece, Sizes
from hetbench.graphs.model_graph import Setting

__all__ = ["MODULES", "SAME", "WRAPPED", "compose", "model_types"]

Build = Callable[[Config], Network]
_LONGEST = 2**21
_USUAL = 512
WRAPPED = ("text_config", "language_config", "llm_config", "thinker_config")
"""Where a configuration of several networks keeps that of its language model."""
_LIKE = {
    "kimi_k2": "deepseek_v3", "deepseek_v32": "deepseek_v3", "internlm": "llama", "internlm2": "llama",
    "baichuan": "llama", "qwen": "llama",
}  # fmt: skip
"""Types that transformers does not hold, and the one whose defaults and names they share."""
SAME = {"RefinedWeb": "falcon", "RefinedWebModel": "falcon", "phi-msft": "phi", "mistral3_text": "mistral",
         "gemma3": "gemma3_text", "llama4": "llama4_text", "glm4_moe_lite": "deepseek_v3",
        "qwen3_vl_text": "qwen3", "qwen3_vl_moe_text": "qwen3_moe"}  # fmt: skip
"""Other names of the same type; those of several networks mean the language model."""
MODULES = (dense_types, older_types, expert_types, encoder_types, seq2seq_types, vision_types, swin_types, speech_types)


def _generating(plan: Callable[[Config], Decoder], c: Config) -> Network:
    """A language model: scores of all positions, of the last after a prefill, or of one new token."""
    decoder = plan(c)
    longest = decoder.positions - (2 if decoder.position_rows else 0) or _LONGEST

    def sizes(s: Setting) -> Sizes:
        batch, length = s.batch or 0, s.seq_len or 0
        if s.phase == "decode":
            return Sizes(batch, 1, length, 1)
        return Sizes(batch, length, 0, 1 if s.phase == "prefill" else length)

    def pieces(s: Setting) -> list[Piece]:
        return list(decoder.pieces(sizes(s)))

    def inputs(s: Setting) -> list[tuple[int, str]]:
        return [(sizes(s).rows, "int64")]

    limits = {"batch": 1, "seq_len": [1, longest, 1, min(_USUAL, longest)]}
    return Network(("inference", "prefill", "decode"), limits, pieces, inputs, decoder)


@lru_cache(maxsize=1)
def _types() -> Mapping[str, Build]:
    generating = {**dense_types.TYPES, **older_types.TYPES, **expert_types.TYPES}
    found: dict[str, Build] = {name: partial(_generating, plan) for name, plan in generating.items()}
    for module in MODULES[3:]:
        found |= module.TYPES
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
        f"no graph can be composed for model_type {given!r}.{hint} {len(model_types())} types are known "
        "(hetbench.graphs.huggingface.model_types()). Trace the module instead: graph = api.trace(module, inputs), "
        "then api.query(graph, ...)."
    )
