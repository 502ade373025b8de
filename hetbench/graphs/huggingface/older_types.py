"""Model types of dense language models before Llama: learned positions, ALiBi, fused projections, biases."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from hetbench.graphs.huggingface.attention import Attention
from hetbench.graphs.huggingface.config import Config
from hetbench.graphs.huggingface.decoder import Decoder, Layer
from hetbench.graphs.huggingface.dense_types import attention, equal, llama_like, stacked
from hetbench.graphs.huggingface.feedforward import Mlp

__all__ = ["TYPES"]


def _gpt2(c: Config) -> Decoder:
    mixing = Attention(c.heads, c.heads, c.head_dim, 1, 1, fused=True)
    return _with_positions(c, mixing, c.size("n_inner", 4 * c.hidden), "activation_function")


def _gpt_bigcode(c: Config) -> Decoder:
    shared = 1 if c.flag("multi_query", True) else c.heads
    mixing = Attention(c.heads, shared, c.head_dim, 1, 1, fused=True)
    return _with_positions(c, mixing, c.size("n_inner", 4 * c.hidden), "activation_function")


def _with_positions(c: Config, mixing: Attention, inner: int, act: str) -> Decoder:
    """Learned positions, pre-norm layers with biases, as GPT-2 has them."""
    layer = Layer(mixing, Mlp(inner, c.text(act), "plain", 1), "layer")
    return Decoder(c.size("vocab_size"), c.hidden, equal(layer, c), c.flag("tie_word_embeddings", True), "layer",
                   positions=c.size("max_position_embeddings"))  # fmt: skip


def _gpt_neo(c: Config) -> Decoder:
    pattern = [kind for kinds, times in c.value("attention_types") or () for _ in range(times) for kind in kinds]
    inner, window = c.size("intermediate_size", 4 * c.hidden), c.count("window_size")
    layers = [
        Layer(Attention(c.heads, c.heads, c.head_dim, 0, 1, window=window if kind == "local" else 0),
              Mlp(inner, c.text("activation_function"), "plain", 1), "layer")
        for kind in (pattern or ["global", "local"] * c.depth)[: c.depth]
    ]  # fmt: skip
    return Decoder(c.size("vocab_size"), c.hidden, stacked(layers), c.flag("tie_word_embeddings", True), "layer",
                   positions=c.size("max_position_embeddings"))  # fmt: skip


def _gpt_neox(c: Config) -> Decoder:
    rope = c.rotated(c.number("rotary_pct", 0.25))
    bias = c.bit("attention_bias", True)
    rotary = "joined"
    mixing = attention(c, fused=True, bias=bias, out_bias=bias, rope=rope, rotary=rotary)
    order = "parallel-two" if c.flag("use_parallel_residual", True) else "pre"
    layer = Layer(mixing, Mlp(c.size("intermediate_size"), c.text("hidden_act"), "plain", 1), "layer", order=order)
    return llama_like(c, [layer] * c.depth, norm="layer")


def _gptj(c: Config) -> Decoder:
    return _of_gptj(c, fused=False)


def _codegen(c: Config) -> Decoder:
    return _of_gptj(c, fused=True)


def _of_gptj(c: Config, fused: bool) -> Decoder:
    mixing = Attention(c.heads, c.heads, c.head_dim, fused=fused, rope=c.size("rotary_dim"), rotary="pairs")
    inner = c.size("n_inner", 4 * c.hidden)
    layer = Layer(mixing, Mlp(inner, c.text("activation_function"), "plain", 1), "layer", order="parallel")
    return llama_like(c, [layer] * c.depth, norm="layer", head_bias=1, tables="looked-up")


def _opt(c: Config) -> Decoder:
    bias = c.bit("enable_bias", True)
    mixing = Attention(c.heads, c.heads, c.head_dim, bias, bias, scale_queries=True)
    inner, first = c.size("ffn_dim"), c.flag("do_layer_norm_before", True)
    layer = Layer(mixing, Mlp(inner, c.text("activation_function"), "plain", bias), "layer",
                  order="pre" if first else "last")  # fmt: skip
    return Decoder(c.size("vocab_size"), c.hidden, equal(layer, c), c.flag("tie_word_embeddings", True),
                   "layer" if first and not c.flag("_remove_final_layer_norm") else "",
                   positions=c.size("max_position_embeddings") + 2, position_rows=True,
                   embed_width=c.size("word_embed_proj_dim", c.hidden))  # fmt: skip


def _bloom(c: Config) -> Decoder:
    layer = Layer(Attention(c.heads, c.heads, c.head_dim, 1, 1, fused=True), Mlp(4 * c.hidden, "gelu", "plain", 1),
                  "layer")  # fmt: skip
    return Decoder(c.size("vocab_size"), c.hidden, equal(layer, c), c.flag("tie_word_embeddings", True), "layer",
                   embed_norm=True)  # fmt: skip


def _falcon(c: Config) -> Decoder:
    new, one = c.flag("new_decoder_architecture"), c.flag("multi_query", True)
    heads = c.size("num_kv_heads", c.heads) if new else 1 if one else c.heads
    alibi, bias = c.flag("alibi"), c.bit("bias")
    mixing = Attention(c.heads, heads, c.head_dim, bias, bias, loose_bias=True, fused=True,
                       rope=0 if alibi else c.head_dim, rotary="copied" if one and not new else "plain",
                       repeat_keys=new)  # fmt: skip
    beside = c.flag("parallel_attn", True)
    norms = c.count("num_ln_in_parallel_attn") or 2
    order = ("parallel-two" if new and norms == 2 else "parallel") if new or beside else "pre"
    inner = c.size("ffn_hidden_size", 4 * c.hidden)
    layer = Layer(mixing, Mlp(inner, c.text("activation", "gelu"), "plain", bias, loose_bias=True), "layer",
                  order=order)  # fmt: skip
    return llama_like(c, [layer] * c.depth, norm="layer", tied=c.flag("tie_word_embeddings", True),
                      rotary=(c.head_dim,))  # fmt: skip


def _mpt(c: Config) -> Decoder:
    inner = c.size("expansion_ratio", 4) * c.hidden
    layer = Layer(Attention(c.heads, c.heads, c.head_dim, fused=True), Mlp(inner, "gelu", "plain"), "layer", False)
    return Decoder(c.size("vocab_size"), c.hidden, equal(layer, c), c.flag("tie_word_embeddings", True), "layer",
                   False)  # fmt: skip


TYPES: Mapping[str, Callable[[Config], Decoder]] = MappingProxyType({
    "gpt2": _gpt2, "gpt_bigcode": _gpt_bigcode, "gpt_neo": _gpt_neo, "gpt_neox": _gpt_neox, "gptj": _gptj,
    "codegen": _codegen, "opt": _opt, "bloom": _bloom, "falcon": _falcon, "mpt": _mpt,
})  # fmt: skip
