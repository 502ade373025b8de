"""A GPT with rotary positions and a choice of MLP ratio and heads for each layer, as a real torch module."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

HEAD_DIM, ROTARY = 64, 16


class Attention(nn.Module):
    def __init__(self, embed: int, heads: int, bias: bool) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(embed, 3 * heads * HEAD_DIM, bias=bias)
        self.out = nn.Linear(heads * HEAD_DIM, embed, bias=bias)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        batch, tokens, _ = x.shape
        q, k, v = self.qkv(x).view(batch, tokens, self.heads, 3 * HEAD_DIM).transpose(1, 2).chunk(3, -1)
        q, k = rotate(q, k, cos, sin)
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(mixed.transpose(1, 2).reshape(batch, tokens, -1))


def half(x: Tensor) -> Tensor:
    first, second = x.chunk(2, -1)
    return torch.cat((-second, first), -1)


def rotate(q: Tensor, k: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor]:
    q_turned, q_kept = q[..., :ROTARY], q[..., ROTARY:]
    k_turned, k_kept = k[..., :ROTARY], k[..., ROTARY:]
    q_turned = q_turned * cos + half(q_turned) * sin
    k_turned = k_turned * cos + half(k_turned) * sin
    return torch.cat((q_turned, q_kept), -1), torch.cat((k_turned, k_kept), -1)


class Layer(nn.Module):
    def __init__(self, embed: int, ratio: int, heads: int, bias: bool) -> None:
        super().__init__()
        self.before, self.after = nn.LayerNorm(embed), nn.LayerNorm(embed)
        self.attention = Attention(embed, heads, bias)
        self.up, self.down = nn.Linear(embed, ratio * embed, bias=bias), nn.Linear(ratio * embed, embed, bias=bias)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        x = x + self.attention(self.before(x), cos, sin)
        return x + self.down(functional.gelu(self.up(self.after(x))))


class GPT(nn.Module):
    def __init__(
        self, embed: int, ratios: Sequence[int], heads: Sequence[int], bias: bool, context: int = 1024,
        vocabulary: int = 50304,
    ) -> None:  # fmt: skip
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, embed)
        self.layers = nn.ModuleList(Layer(embed, *chosen, bias) for chosen in zip(ratios, heads, strict=True))
        self.norm, self.head = nn.LayerNorm(embed), nn.Linear(embed, vocabulary, bias=False)
        self.register_buffer("cos", torch.empty(context, ROTARY), persistent=False)
        self.register_buffer("sin", torch.empty(context, ROTARY), persistent=False)

    def forward(self, ids: Tensor) -> Tensor:
        length = ids.shape[1]
        x = self.tokens(ids)
        for layer in self.layers:
            x = layer(x, self.cos[:length], self.sin[:length])
        return self.head(self.norm(x))
