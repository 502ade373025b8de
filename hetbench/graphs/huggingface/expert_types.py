"""Model types of language models with mixtures of experts or latent attention; see `dense_types` for dense ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from hetbench.graphs.huggingface.attention import Attention
from hetbench.graphs.huggingface.config import Config
from hetbench.graphs.huggingface.decoder import Decoder, Layer
from hetbench.graphs.huggingface.dense_types import attention, gated, llama_like, windows
from hetbench.graphs.huggingface.feedforward import Experts, Mlp
from hetbench.graphs.huggingface.latent import Latent

__all__ = ["TYPES"]


def _experts(c: Config, router: str, **other: Any) -> Experts:
    """The usual names of the sizes; a width of the experts that is not stated is that of a dense layer."""
    usual: dict[str, Any] = {
        "count": c.size("num_local_experts" if c.value("num_local_experts") else "num_experts"),
        "chosen": c.size("num_experts_per_tok"),
        "inner": c.size("moe_intermediate_size", c.count("intermediate_size")),
        "activation": c.text("hidden_act", "silu"),
    }  # fmt: skip
    made = {**usual, **other}
    return Experts(router=router, **{**made, "chosen": min(made["chosen"], made["count"])})


def _mixtral(c: Config) -> Decoder:
    experts = _experts(c, "mixtral", inner=c.size("intermediate_size"))
    return llama_like(c, [
        Layer(attention(c, bias=0, out_bias=0, window=window), experts) for window in windows(c)
    ])  # fmt: skip


def _of_qwen(c: Config, mixing: Attention, experts: Experts) -> Decoder:
    step, dense = c.size("decoder_sparse_step", 1), set(c.value("mlp_only_layers") or ())
    sparse = [index not in dense and (index + 1) % step == 0 for index in range(c.depth)]
    return llama_like(c, [Layer(mixing, experts if each else gated(c)) for each in sparse])


def _qwen2_moe(c: Config) -> Decoder:
    shared = Mlp(c.size("shared_expert_intermediate_size"), c.text("hidden_act"))
    experts = _experts(c, "qwen", count=c.size("num_experts"), shared=shared, shared_gate=True,
                       normalised=c.flag("norm_topk_prob"))  # fmt: skip
    return _of_qwen(c, attention(c, bias=c.bit("qkv_bias", True), out_bias=0), experts)


def _qwen3_moe(c: Config) -> Decoder:
    experts = _experts(c, "qwen", normalised=c.flag("norm_topk_prob"))
    return _of_qwen(c, attention(c, qk_norm="head"), experts)


def _olmoe(c: Config) -> Decoder:
    experts = _experts(c, "qwen", inner=c.size("intermediate_size"), normalised=c.flag("norm_topk_prob"))
    return llama_like(c, [Layer(attention(c, qk_norm="whole"), experts)] * c.depth)


def _granitemoe(c: Config) -> Decoder:
    experts = _experts(c, "granite", inner=c.size("intermediate_size"))
    layer = Layer(attention(c), experts, residual=True)
    return llama_like(c, [layer] * c.depth, embed_ops=("MulScalar",), head_ops=("DivScalar",))


def _gpt_oss(c: Config) -> Decoder:
    """Each head has a sink, one parameter; queries and keys are turned pair by pair."""
    experts = _experts(c, "gpt-oss", inner=c.size("intermediate_size"), bias=1)
    bias = c.bit("attention_bias", True)
    layers = [Layer(attention(c, bias=bias, out_bias=bias, window=window, sinks=True), experts)
              for window in windows(c, 2)]  # fmt: skip
    return llama_like(c, layers, tables="halved")


def _minimax_m2(c: Config) -> Decoder:
    experts = _experts(c, "minimax", inner=c.size("intermediate_size"))
    rope = c.count("rotary_dim") or c.rotated(1.0)
    mixing = attention(c, bias=0, out_bias=0, qk_norm="whole", rope=rope, rotary="joined")
    return llama_like(c, [Layer(mixing, experts)] * c.depth)


def _grouped(c: Config, router: str = "deepseek") -> Experts:
    """DeepSeek's experts: routed ones, and shared ones that are one wide part."""
    act, inner = c.text("hidden_act", "silu"), c.size("moe_intermediate_size")
    shared = c.count("n_shared_experts")
    return _experts(
        c, router, count=c.size("n_routed_experts"), inner=inner, shared_first=False,
        shared=Mlp(shared * inner, act) if shared else None, normalised=c.flag("norm_topk_prob"),
        groups=c.count("n_group") or 1, chosen_groups=c.count("topk_group") or 1,
    )  # fmt: skip


def _first_dense(c: Config, mixing: Attention | Latent, experts: Experts, **other: Any) -> Decoder:
    """The first layers are dense, and every `moe_layer_freq`th after them has experts."""
    first, step = c.count("first_k_dense_replace"), c.size("moe_layer_freq", 1)
    kinds, dense = c.value("mlp_layer_types"), gated(c, bias=0)
    sparse = [index >= first and index % step == 0 for index in range(c.depth)]
    if kinds:
        sparse = [str(kind) == "sparse" for kind in kinds]
    return llama_like(c, [Layer(mixing, experts if each else dense) for each in sparse], **other)


def _latent(c: Config, **other: Any) -> Latent:
    return Latent(c.heads, c.count("q_lora_rank"), c.size("kv_lora_rank"), c.size("qk_nope_head_dim"),
                  c.size("qk_rope_head_dim"), c.size("v_head_dim"), c.bit("attention_bias"), **other)  # fmt: skip


def _deepseek_v2(c: Config) -> Decoder:
    grouped = c.text("topk_method", "greedy") == "group_limited_greedy"
    experts = _grouped(c, "deepseek-v2")
    return _first_dense(c, _latent(c), experts if grouped else replace(experts, groups=1))


def _deepseek_v3(c: Config) -> Decoder:
    return _first_dense(c, _latent(c), _grouped(c))


def _indexed(c: Config) -> Decoder:
    """DeepSeek-V3.2 and GLM-5: an indexer picks the tokens that the attention sees."""
    index = {"index_heads": c.size("index_n_heads"), "index_dim": c.size("index_head_dim"),
             "index_best": c.size("index_topk")}  # fmt: skip
    return _first_dense(c, _latent(c, **index), _grouped(c))


def _glm4_moe(c: Config) -> Decoder:
    norm = "head" if c.flag("use_qk_norm") else ""
    mixing = attention(c, out_bias=0, rope=c.rotated(0.5), rotary="joined", qk_norm=norm)
    return _first_dense(c, mixing, _grouped(c))


def _dots1(c: Config) -> Decoder:
    return _first_dense(c, attention(c, qk_norm="head"), _grouped(c))


def _ernie_moe(c: Config) -> Decoder:
    shared, inner = c.count("moe_num_shared_experts"), c.size("moe_intermediate_size")
    bias, act = c.bit("use_bias"), c.text("hidden_act", "silu")
    experts = _experts(c, "ernie", count=c.size("moe_num_experts"), chosen=c.size("moe_k"), inner=inner,
                       shared=Mlp(shared * inner, act, bias=bias) if shared else None)  # fmt: skip
    first, last = c.count("moe_layer_start_index"), c.value("moe_layer_end_index", -1)
    last = c.depth - 1 if last == -1 else int(last)
    step = c.size("moe_layer_interval", 1)
    sparse = [first <= index <= last and (index + 1) % step == 0 for index in range(c.depth)]
    mixing = attention(c, bias=bias, out_bias=bias, rotary="mixed")
    layers = [Layer(mixing, experts if each else gated(c, bias=bias)) for each in sparse]
    return llama_like(c, layers, tables="kept-wide", tied=c.flag("tie_word_embeddings", True))


def _hunyuan_moe(c: Config) -> Decoder:
    chosen = c.value("moe_topk", 1)
    chosen = int(chosen[0]) if isinstance(chosen, list) else int(chosen)
    experts = _experts(c, "qwen", chosen=chosen, inner=c.size("intermediate_size"), shared=gated(c, bias=0))
    return llama_like(c, [Layer(attention(c, qk_norm="head-after"), experts)] * c.depth)


def _llama4(c: Config) -> Decoder:
    """Chunks of the attention are taken as a window of their mean reach: none where the context is one chunk."""
    step, every = c.size("interleave_moe_layer_step", 1), c.size("no_rope_layer_interval", 4)
    turned = c.value("no_rope_layers") or [int((index + 1) % every != 0) for index in range(c.depth)]
    sparse = c.value("moe_layers")
    sparse = set(range(step - 1, c.depth, step)) if sparse is None else set(sparse)
    experts = _experts(c, "llama4", inner=c.size("intermediate_size"), shared=gated(c, bias=0), shared_first=False)
    dense = Mlp(c.size("intermediate_size_mlp"), c.text("hidden_act", "silu"))
    norm = "unit-after" if c.flag("use_qk_norm") else ""
    layers = [
        Layer(attention(c, rope=c.head_dim if turn else 0, qk_norm=norm if turn else "",
                        window=c.count("attention_chunk_size") if turn else 0), experts if index in sparse else dense)
        for index, turn in enumerate(turned)
    ]  # fmt: skip
    return llama_like(c, layers, rotary=(c.head_dim,))


TYPES: Mapping[str, Callable[[Config], Decoder]] = MappingProxyType({
    "mixtral": _mixtral, "qwen2_moe": _qwen2_moe, "qwen3_moe": _qwen3_moe, "olmoe": _olmoe,
    "granitemoe": _granitemoe, "gpt_oss": _gpt_oss, "minimax_m2": _minimax_m2, "deepseek_v2": _deepseek_v2,
    "deepseek_v3": _deepseek_v3, "kimi_k2": _deepseek_v3, "deepseek_v32": _indexed, "glm_moe_dsa": _indexed,
    "glm4_moe": _glm4_moe, "dots1": _dots1, "ernie4_5_moe": _ernie_moe, "hunyuan_v1_moe": _hunyuan_moe,
    "llama4_text": _llama4,
})  # fmt: skip
