"""Model types of dense language models with rotary positions: what each configuration says about its layers.

A type is one function from a configuration to a `Decoder`; `TYPES` names them. Figures in them are those that the
class of transformers holds in code and no configuration states.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from hetbench.graphs.huggingface.attention import Attention
from hetbench.graphs.huggingface.config import Config
from hetbench.graphs.huggingface.decoder import Decoder, Layer
from hetbench.graphs.huggingface.feedforward import Mlp

__all__ = ["TYPES", "attention", "equal", "gated", "llama_like", "stacked", "windows"]


def attention(c: Config, **other: Any) -> Attention:
    """The usual attention: grouped heads, rotary positions over the whole head."""
    bias = c.bit("attention_bias")
    usual = {"bias": bias, "out_bias": bias, "rope": c.head_dim}
    return Attention(c.heads, c.kv_heads, c.head_dim, **{**usual, **other})


def gated(c: Config, act: str = "hidden_act", **other: Any) -> Mlp:
    """The usual feed-forward part: gate, up and down."""
    return Mlp(c.size("intermediate_size"), c.text(act, "silu"), **{"bias": c.bit("mlp_bias"), **other})


def stacked(layers: Iterable[Layer]) -> tuple[tuple[Layer, int], ...]:
    """Layers by kind, each with how often it occurs."""
    return tuple(Counter(layers).items())


def equal(layer: Layer, c: Config) -> tuple[tuple[Layer, int], ...]:
    """As many equal layers as the configuration has."""
    return ((layer, c.depth),)


def windows(c: Config, full_every: int = 0, first_full: bool = False) -> list[int]:
    """Window of each layer, 0 where it sees everything: by `layer_types`, else every `full_every`th is full."""
    window, kinds = c.count("sliding_window"), c.value("layer_types")
    if not window or not c.flag("use_sliding_window", True):
        return [0] * c.depth
    if kinds:
        return [window if str(kind) == "sliding_attention" else 0 for kind in kinds][: c.depth]
    if not full_every:
        return [window] * c.depth
    start = 0 if first_full else full_every - 1
    return [0 if index % full_every == start else window for index in range(c.depth)]


def llama_like(c: Config, layers: Iterable[Layer] | None = None, **other: Any) -> Decoder:
    """Embedding, rotary positions, layers, norm and output layer as Llama has them."""
    kinds = stacked(layers) if layers is not None else equal(Layer(attention(c), gated(c)), c)
    rope = kinds[0][0].attention.rope
    usual: dict[str, Any] = {"rotary": (rope,) if rope else (), "tied": c.flag("tie_word_embeddings")}
    return Decoder(c.size("vocab_size"), c.hidden, kinds, **{**usual, **other})


def _windowed(c: Config, base: Layer, full_every: int = 0, first_full: bool = False) -> list[Layer]:
    assert isinstance(base.attention, Attention)
    return [replace(base, attention=replace(base.attention, window=window))
            for window in windows(c, full_every, first_full)]  # fmt: skip


def _mistral(c: Config) -> Decoder:
    return llama_like(c, _windowed(c, Layer(attention(c, bias=0, out_bias=0), gated(c))))


def _qwen2(c: Config) -> Decoder:
    layer = Layer(attention(c, bias=1, out_bias=0), gated(c))
    seen = [window if index >= c.count("max_window_layers") else 0 for index, window in enumerate(windows(c))]
    if c.value("layer_types"):
        seen = windows(c)
    return llama_like(c, [replace(layer, attention=attention(c, bias=1, out_bias=0, window=each)) for each in seen])


def _qwen3(c: Config) -> Decoder:
    seen = [window if index >= c.count("max_window_layers") else 0 for index, window in enumerate(windows(c))]
    return llama_like(c, [Layer(attention(c, qk_norm="head", window=each), gated(c)) for each in seen])


def _gemma(c: Config) -> Decoder:
    act = "hidden_activation" if c.given("hidden_activation") else "hidden_act"
    layer = Layer(attention(c), gated(c, act))
    return llama_like(c, [layer] * c.depth, embed_ops=("MulScalar",), tied=c.flag("tie_word_embeddings", True))


def _gemma2(c: Config) -> Decoder:
    layer = Layer(attention(c), gated(c, "hidden_activation"), order="sandwich")
    return llama_like(c, _windowed(c, layer, 2), **_softened(c))


def _softened(c: Config) -> dict[str, Any]:
    capped = ("DivScalar", "Tanh", "MulScalar") if c.value("final_logit_softcapping") else ()
    return {"embed_ops": ("MulScalar",), "head_ops": capped, "tied": c.flag("tie_word_embeddings", True)}


def _gemma3(c: Config) -> Decoder:
    layer = Layer(attention(c, qk_norm="head"), gated(c, "hidden_activation"), order="sandwich")
    layers = _windowed(c, layer, c.size("sliding_window_pattern", 6))
    tables = len({layer.attention for layer in layers})
    return llama_like(c, layers, rotary=(c.head_dim,) * tables, **_softened(c))


def _phi(c: Config) -> Decoder:
    rope = c.rotated(0.5)
    mixing = attention(c, bias=1, out_bias=1, rope=rope, rotary="joined", qk_norm="")
    layer = Layer(mixing, Mlp(c.size("intermediate_size"), c.text("hidden_act"), "plain", 1), "layer", order="parallel")
    return llama_like(c, [layer] * c.depth, norm="layer", head_bias=1)


def _phi3(c: Config) -> Decoder:
    mixing = attention(c, bias=0, out_bias=0, fused=True, rope=c.rotated(1.0), rotary="joined")
    layer = Layer(mixing, gated(c, kind="fused", bias=0))
    return llama_like(c, _windowed(c, layer))


def _olmo(c: Config) -> Decoder:
    return llama_like(c, [Layer(attention(c), gated(c), "upcast")] * c.depth, norm="upcast", tables="kept-wide")


def _olmo2(c: Config) -> Decoder:
    layer = Layer(attention(c, qk_norm="whole"), gated(c), order="post")
    return llama_like(c, [layer] * c.depth, tables="kept-wide")


def _olmo3(c: Config) -> Decoder:
    layers = _windowed(c, Layer(attention(c, qk_norm="whole"), gated(c), order="post"), 4)
    return llama_like(c, layers, tables="kept-wide", rotary=(c.head_dim,) * len(set(layers)))


def _glm(c: Config) -> Decoder:
    return _of_glm(c, "pre")


def _glm4(c: Config) -> Decoder:
    return _of_glm(c, "sandwich")


def _of_glm(c: Config, order: str) -> Decoder:
    mixing = attention(c, out_bias=0, rope=c.rotated(0.5), rotary="widened")
    return llama_like(c, [Layer(mixing, gated(c, kind="fused", bias=0), order=order)] * c.depth)


def _stablelm(c: Config) -> Decoder:
    bias = c.bit("use_qkv_bias")
    norm = "layer-head" if c.flag("qk_layernorm") else ""
    mixing = attention(c, bias=bias, out_bias=0, rope=c.rotated(0.25), rotary="joined", qk_norm=norm)
    order = "parallel" if c.flag("use_parallel_residual") else "pre"
    return llama_like(c, [Layer(mixing, gated(c, bias=0), "layer", order=order)] * c.depth, norm="layer")


def _starcoder2(c: Config) -> Decoder:
    bias = c.bit("use_bias", True)
    layer = Layer(attention(c, bias=bias, out_bias=bias),
                  Mlp(c.size("intermediate_size"), c.text("hidden_act"), "plain", bias), "layer")  # fmt: skip
    return llama_like(c, _windowed(c, layer), norm="layer", tied=c.flag("tie_word_embeddings", True))


def _cohere(c: Config) -> Decoder:
    mixing = attention(c, rotary="cast", qk_norm="")
    layer = Layer(mixing, gated(c, bias=0), "written-out", order="parallel")
    return llama_like(c, [layer] * c.depth, norm="written-out", tables="repeated", head_ops=("MulScalar",),
                      tied=c.flag("tie_word_embeddings", True))  # fmt: skip


def _cohere2(c: Config) -> Decoder:
    layers = [
        Layer(attention(c, rotary="cast", rope=c.head_dim if window else 0, window=window), gated(c, bias=0),
              "written-out", order="parallel")
        for window in windows(c, c.size("sliding_window_pattern", 4))
    ]  # fmt: skip
    return llama_like(c, layers, norm="written-out", tables="repeated", head_ops=("MulScalar",), rotary=(c.head_dim,),
                      tied=c.flag("tie_word_embeddings", True))  # fmt: skip


def _granite(c: Config) -> Decoder:
    return llama_like(c, [Layer(attention(c), gated(c), residual=True)] * c.depth, embed_ops=("MulScalar",),
                      head_ops=("DivScalar",))  # fmt: skip


def _smollm3(c: Config) -> Decoder:
    every = c.size("no_rope_layer_interval", 4)
    turned = c.value("no_rope_layers") or [int((index + 1) % every != 0) for index in range(c.depth)]
    seen = windows(c)
    layers = [Layer(attention(c, rope=c.head_dim if turn else 0, window=each), gated(c))
              for turn, each in zip(turned, seen, strict=False)]  # fmt: skip
    return llama_like(c, layers, rotary=(c.head_dim,), tied=c.flag("tie_word_embeddings", True))


def _exaone4(c: Config) -> Decoder:
    seen = windows(c, c.count("sliding_window_pattern") or 4)
    local = c.count("sliding_window")
    layers = [Layer(attention(c, bias=0, out_bias=0, qk_norm="head", window=each,
                              rope=c.head_dim if each or not local else 0), gated(c, bias=0), order="post")
              for each in seen]  # fmt: skip
    return llama_like(c, layers, rotary=(c.head_dim,))


def _nemotron(c: Config) -> Decoder:
    mixing = attention(c, rope=c.rotated(0.5), rotary="joined")
    mlp = Mlp(c.size("intermediate_size"), c.text("hidden_act", "relu2"), "plain", c.bit("mlp_bias"))
    return llama_like(c, [Layer(mixing, mlp, "shifted")] * c.depth, norm="shifted")


def _arcee(c: Config) -> Decoder:
    mlp = Mlp(c.size("intermediate_size"), c.text("hidden_act", "relu2"), "plain", c.bit("mlp_bias"))
    return llama_like(c, [Layer(attention(c), mlp)] * c.depth)


def _ernie(c: Config) -> Decoder:
    bias = c.bit("use_bias")
    layer = Layer(attention(c, bias=bias, out_bias=bias, rotary="mixed"), gated(c, bias=bias))
    return llama_like(c, [layer] * c.depth, tables="kept-wide", tied=c.flag("tie_word_embeddings", True))


def _seed_oss(c: Config) -> Decoder:
    mixing = attention(c, bias=c.bit("attention_bias", True), out_bias=c.bit("attention_out_bias"))
    return llama_like(c, [Layer(mixing, gated(c))] * c.depth)


def _helium(c: Config) -> Decoder:
    return llama_like(c, [Layer(attention(c, out_bias=0, rotary="widened"), gated(c))] * c.depth)


def _hunyuan(c: Config) -> Decoder:
    return llama_like(c, [Layer(attention(c, qk_norm="head-after"), gated(c, bias=0))] * c.depth)


def _fused_llama(c: Config) -> Decoder:
    """Llama whose queries, keys and values come from one product: InternLM 2, Baichuan, Qwen 1."""
    bias = c.bit("bias")
    return llama_like(c, [Layer(attention(c, fused=True, bias=bias, out_bias=bias), gated(c, bias=0))] * c.depth)


def _biased_llama(c: Config) -> Decoder:
    """InternLM: Llama with biases where `bias` says so."""
    bias = c.bit("bias", True)
    return llama_like(c, [Layer(attention(c, bias=bias, out_bias=bias), gated(c, bias=0))] * c.depth)


def _qwen(c: Config) -> Decoder:
    """Qwen 1: a bias of queries, keys and values only, and a feed-forward part half as wide as stated."""
    inner = c.size("intermediate_size") // 2
    layer = Layer(attention(c, fused=True, bias=1, out_bias=0), Mlp(inner, "silu"))
    return llama_like(c, [layer] * c.depth)


TYPES: Mapping[str, Callable[[Config], Decoder]] = MappingProxyType({
    "llama": llama_like, "mistral": _mistral, "ministral": _mistral, "ministral3": _mistral, "qwen2": _qwen2,
    "qwen3": _qwen3, "gemma": _gemma, "gemma2": _gemma2, "gemma3_text": _gemma3, "phi": _phi, "phi3": _phi3,
    "olmo": _olmo, "olmo2": _olmo2, "olmo3": _olmo3, "glm": _glm, "glm4": _glm4, "stablelm": _stablelm,
    "starcoder2": _starcoder2, "cohere": _cohere, "cohere2": _cohere2, "granite": _granite, "smollm3": _smollm3,
    "exaone4": _exaone4, "nemotron": _nemotron, "arcee": _arcee, "ernie4_5": _ernie, "seed_oss": _seed_oss,
    "helium": _helium, "hunyuan_v1_dense": _hunyuan, "internlm": _biased_llama, "internlm2": _fused_llama,
    "baichuan": _fused_llama, "qwen": _qwen,
})  # fmt: skip
