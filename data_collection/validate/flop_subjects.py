"""Twenty small networks with the FLOPs of their products counted by hand.

A multiply-add is two operations; biases, activations and norms are left out on both sides. Causal attention counts the
pairs of query and key that are attended: half of the square and half of the diagonal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Subject", "subjects"]


@dataclass(frozen=True, slots=True)
class Subject:
    """One network, its inputs, and the FLOPs of its products."""

    name: str
    build: Callable[[], Any]
    shapes: tuple[tuple[int, ...], ...]
    """Of the positional inputs."""
    by_hand: int
    tokens: bool = False
    """Whether the input is token numbers."""


def _projections(tokens: int, width: int, inner: int) -> int:
    """q, k, v, o and a feed-forward layer of two products."""
    return 2 * tokens * (4 * width * width + 2 * width * inner)


def _attention(batch: int, heads: int, length: int, width: int, *, causal: bool = False) -> int:
    pairs = length * (length + 1) // 2 if causal else length * length
    return 4 * batch * heads * pairs * width


def _recurrent(gates: int, steps: int, batch: int, given: int, hidden: int) -> int:
    return 2 * steps * batch * gates * hidden * (given + hidden)


def subjects() -> list[Subject]:
    """The networks, in the order of the table."""
    return [*_layers(), *_attentions(), *_transformers()]


def _layers() -> list[Subject]:
    from torch import nn

    depthwise = 2 * 32 * 14 * 14 * 9 + 2 * 32 * 64 * 14 * 14
    bottleneck = 2 * 14 * 14 * (256 * 64 + 64 * 64 * 9 + 64 * 256)
    return [
        Subject("MLP", lambda: nn.Sequential(nn.Linear(256, 512), nn.ReLU(), nn.Linear(512, 256)), ((8, 256),),
                2 * 8 * 2 * 256 * 512),
        Subject("Conv2d, padding='same'", lambda: nn.Conv2d(3, 16, 3, padding="same"), ((1, 3, 32, 32),),
                2 * 16 * 32 * 32 * 27),
        Subject("Depthwise and pointwise Conv2d", lambda: nn.Sequential(
            nn.Conv2d(32, 32, 3, padding=1, groups=32), nn.Conv2d(32, 64, 1)), ((1, 32, 14, 14),), depthwise),
        Subject("ResNet bottleneck", lambda: nn.Sequential(
            nn.Conv2d(256, 64, 1), nn.BatchNorm2d(64), nn.ReLU(), nn.Conv2d(64, 64, 3, padding=1), nn.BatchNorm2d(64),
            nn.ReLU(), nn.Conv2d(64, 256, 1), nn.BatchNorm2d(256)), ((1, 256, 14, 14),), bottleneck),
        Subject("Conv3d", lambda: nn.Conv3d(3, 16, 3), ((1, 3, 8, 32, 32),), 2 * 16 * 6 * 30 * 30 * 81),
        Subject("ConvTranspose2d", lambda: nn.ConvTranspose2d(16, 8, 2, 2), ((1, 16, 14, 14),),
                2 * 16 * 14 * 14 * 8 * 4),
        Subject("LSTM", lambda: nn.LSTM(32, 64, batch_first=True), ((2, 10, 32),), _recurrent(4, 10, 2, 32, 64)),
        Subject("LSTM, 2 layers, both directions", lambda: nn.LSTM(32, 64, 2, bidirectional=True), ((10, 2, 32),),
                2 * _recurrent(4, 10, 2, 32, 64) + 2 * _recurrent(4, 10, 2, 128, 64)),
        Subject("GRU", lambda: nn.GRU(32, 64, batch_first=True), ((2, 10, 32),), _recurrent(3, 10, 2, 32, 64)),
        Subject("Bilinear", lambda: nn.Bilinear(32, 32, 16), ((8, 32), (8, 32)), 2 * 8 * 16 * 32 * 32),
    ]  # fmt: skip


def _attentions() -> list[Subject]:
    from torch import nn

    class Attend(nn.Module):
        """Fused attention of given queries, keys and values."""

        def __init__(self, **options: bool) -> None:
            super().__init__()
            self.options = options

        def forward(self, query: Any, key: Any, value: Any) -> Any:
            return nn.functional.scaled_dot_product_attention(query, key, value, **self.options)

    class Einsum(nn.Module):
        """Scores of all pairs, written by einsum."""

        def forward(self, query: Any, key: Any) -> Any:
            import torch

            return torch.einsum("bqd,bkd->bqk", query, key)

    def layer() -> Any:
        return nn.TransformerEncoderLayer(64, 4, 128, batch_first=True)

    square, one = (1, 8, 128, 64), _projections(32, 64, 128) + _attention(2, 4, 16, 16)
    return [
        Subject("Attention", Attend, (square,) * 3, _attention(1, 8, 128, 64)),
        Subject("Attention, causal", lambda: Attend(is_causal=True), (square,) * 3,
                _attention(1, 8, 128, 64, causal=True)),
        Subject("Attention, 2 KV heads", lambda: Attend(enable_gqa=True), (square, (1, 2, 128, 64), (1, 2, 128, 64)),
                _attention(1, 8, 128, 64)),
        Subject("Products by einsum", Einsum, ((2, 16, 64), (2, 16, 64)), 2 * 2 * 16 * 16 * 64),
        Subject("nn.TransformerEncoderLayer", layer, ((2, 16, 64),), one),
        Subject("nn.TransformerEncoder, 2 layers", lambda: nn.TransformerEncoder(layer(), 2), ((2, 16, 64),), 2 * one),
    ]  # fmt: skip


def _transformers() -> list[Subject]:
    import transformers

    sizes: dict[str, Any] = {
        "hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 2, "num_attention_heads": 8,
        "vocab_size": 1000,
    }  # fmt: skip
    grouped = {**sizes, "num_key_value_heads": 2, "head_dim": 32}
    tokens, head = 32, 2 * 32 * 256 * 1000
    projections = 2 * tokens * (2 * 256 * 256 + 2 * 256 * 64)  # q and o, k and v of two heads
    mixer = projections + _attention(1, 8, tokens, 32, causal=True)
    gated, router = 2 * tokens * 3 * 256 * 512, 2 * tokens * 256 * 4  # gate, up and down
    bert = 2 * (_projections(tokens, 256, 512) + _attention(1, 8, tokens, 32)) + 2 * 256 * 256
    qwen = {**grouped, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 512}
    mixtral = {**grouped, "num_local_experts": 4, "num_experts_per_tok": 2}
    experts = 2 * (mixer + router + 2 * gated) + head
    return [
        Subject("BERT", lambda: transformers.BertModel(transformers.BertConfig(**sizes)), ((1, 32),), bert, True),
        Subject("Llama", lambda: transformers.LlamaForCausalLM(transformers.LlamaConfig(**grouped)), ((1, 32),),
                2 * (mixer + gated) + head, True),
        Subject("Mixtral, 2 of 4 experts", lambda: transformers.MixtralForCausalLM(
            transformers.MixtralConfig(**mixtral)), ((1, 32),), experts, True),
        Subject("Qwen3-MoE, 2 of 4 experts", lambda: transformers.Qwen3MoeForCausalLM(
            transformers.Qwen3MoeConfig(**qwen)), ((1, 32),), experts, True),
    ]  # fmt: skip
