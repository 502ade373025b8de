"""Transformer spaces with MLP ratio and number of heads per layer: gpt-s, gpt-m, gpt-l, bert and vit.

The gpt spaces have the parameters of HW-GPT-Bench: heads of a fixed size, rotary positions on a quarter of each head, a
vocabulary padded to 50,304. The width of attention in a layer is heads x head size, independent of the embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetbench.graphs import Setting
from hetbench.graphs.blocks import Block, Step
from hetbench.spaces._blocks import BlockSpace
from hetbench.spaces._space import Parameter

__all__ = ["SPACES", "Transformer"]

HEAD_DIM = 64
ROTARY = HEAD_DIM // 4
PATCH = 16
CLASSES = 1000


@dataclass(frozen=True, slots=True)
class Sizes:
    """Sizes that determine the operators of one block."""

    batch: int
    tokens: int
    """Tokens of one sample."""
    embed: int
    bias: int
    image_size: int


class Transformer(BlockSpace):
    """A space of embedding width, number of layers, and MLP ratio and heads of each layer."""

    def __init__(
        self, name: str, title: str, kind: str, embed: Sequence[int], layers: Sequence[int], heads: Sequence[int],
        ratios: Sequence[int] = (2, 3, 4), block: int = 1024,
    ) -> None:  # fmt: skip
        self.kind, self.block_size, self.most = kind, block, max(layers)
        self.quality = "capacity_proxy" if kind == "vit" else "loss_proxy"
        biases = (Parameter("bias", (False, True)),) if kind == "gpt" else ()
        each = (("mlp_ratio", tuple(ratios)), ("heads", tuple(heads)))
        super().__init__(name, title, (
            Parameter("embed", tuple(embed)), Parameter("layers", tuple(layers)), *biases,
            *(Parameter(f"{what}.{layer}", choices, ("layers", layer) if layer >= min(layers) else None)
              for what, choices in each for layer in range(self.most)),
        ))  # fmt: skip
        self.widths, self.ratios, self.heads = tuple(embed), tuple(ratios), tuple(heads)
        self.biases = (False, True) if biases else (True,)
        self._stems = len(self.widths) * len(self.biases)
        self.vocabulary = self._stems * (2 + len(self.ratios) * len(self.heads))

    @property
    def qualities(self) -> tuple[str, ...]:
        return (*super().qualities, *(("perplexity",) if self.kind == "gpt" else ()))

    @property
    def limits(self) -> dict[str, Any]:
        if self.kind == "vit":
            return {"batch": 1, "image_size": (2 * PATCH, 64 * PATCH, PATCH, 224)}
        return {"batch": 1, "seq_len": (1, self.block_size, 1, self.block_size)}

    def slots(self, codes: NDArray[np.int64]) -> NDArray[np.int64]:
        # block ids: a stem and a head for each (embed, bias), then layers by (embed, bias, ratio, heads)
        stem = codes[:, 0] * len(self.biases) + (codes[:, 2] if len(self.biases) > 1 else 0)
        first = 3 if len(self.biases) > 1 else 2
        ratio, heads = codes[:, first : first + self.most], codes[:, first + self.most : first + 2 * self.most]
        layers = 2 * self._stems + (stem[:, None] * len(self.ratios) + ratio) * len(self.heads) + heads
        depth = self.values(codes, "layers").astype(np.int64)
        layers = np.where(np.arange(self.most) < depth[:, None], layers, -1)
        return np.concatenate((stem[:, None], layers, self._stems + stem[:, None]), axis=1)

    def inputs(self, setting: Setting) -> tuple[tuple[int, str], ...]:
        batch, seq_len, image = setting.batch or 0, setting.seq_len or 0, setting.image_size or 0
        if self.kind == "vit":
            return ((3 * batch * image**2, "data"),)
        return ((batch * seq_len, "int64"),)

    def build(self, index: int, setting: Setting) -> Block:
        part, rest = divmod(index, self._stems) if index < 2 * self._stems else (2, index - 2 * self._stems)
        layer = rest if part == 2 else rest * len(self.ratios) * len(self.heads)
        stem, choice = divmod(layer, len(self.ratios) * len(self.heads))
        width, bias = divmod(stem, len(self.biases))
        image = setting.image_size or 0
        tokens = (image // PATCH) ** 2 + 1 if self.kind == "vit" else setting.seq_len or 0
        sizes = Sizes(setting.batch or 0, tokens, self.widths[width], int(self.biases[bias]), image)
        if part < 2:
            return (_STEMS if part == 0 else _HEADS)[self.kind](sizes)
        ratio, heads = divmod(choice, len(self.heads))
        return _LAYERS[self.kind](sizes, self.ratios[ratio], self.heads[heads])

    def embedding_params(self, codes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Number of parameters of the embedding and output projection, which scaling laws exclude, [n]."""
        usual = Setting(1, 1, None, "fp32", "inference")
        each = np.array([self._table_params(index, usual) for index in range(2 * self._stems)])
        stem = self.slots(codes)[:, 0]
        return np.asarray(each[stem] + each[self._stems + stem], dtype=np.float64)

    def _table_params(self, index: int, setting: Setting) -> int:
        return sum(
            step.dims["vocab"] * step.dims["dim"] if step.op == "Embedding" else 0
            for step in self.block(index, setting).steps
        ) + sum(
            step.dims["n"] * step.dims["k"] for step in self.block(index, setting).steps
            if self.kind == "gpt" and step.op == "Linear"
        )  # fmt: skip


def _linear(rows: int, n: int, k: int, bias: int, reads: int) -> Step:
    return Step("Linear", {"m": rows, "n": n, "k": k, "bias": bias}, rows * n, (reads,))


def _norm(rows: int, cols: int, reads: int) -> Step:
    return Step("LayerNorm", {"rows": rows, "cols": cols}, rows * cols, (reads,))


def _each(op: str, numel: int, *reads: int) -> Step:
    return Step(op, {"numel": numel}, numel, reads)


def _attend(s: Sizes, heads: int, causal: int, *reads: int) -> Step:
    dims = {"batch": s.batch, "q_len": s.tokens, "kv_len": s.tokens, "heads": heads, "kv_heads": heads,
            "head_dim": HEAD_DIM, "causal": causal, "window": 0}  # fmt: skip
    return Step("Attention", dims, s.batch * s.tokens * heads * HEAD_DIM, reads)


def _lookup(tokens: int, dim: int, vocab: int) -> Step:
    return Step("Embedding", {"tokens": tokens, "dim": dim, "vocab": vocab}, tokens * dim, ())


def _layer_params(s: Sizes, ratio: int, heads: int) -> int:
    """Parameters of two norms, four attention projections and two MLP projections."""
    wide, inner = heads * HEAD_DIM, ratio * s.embed
    weights = 4 * s.embed * wide + 2 * s.embed * inner
    return 4 * s.embed + weights + s.bias * (3 * wide + s.embed + inner + s.embed)


def _gpt_stem(s: Sizes) -> Block:
    return Block((_lookup(s.batch * s.tokens, s.embed, 50304),), 50304 * s.embed, 0)


def _gpt_layer(s: Sizes, ratio: int, heads: int) -> Block:
    rows, wide, inner = s.batch * s.tokens, heads * HEAD_DIM, ratio * s.embed
    rope = {"tokens": rows, "heads": heads, "kv_heads": heads, "head_dim": ROTARY}
    steps = (
        _norm(rows, s.embed, -1), _linear(rows, 3 * wide, s.embed, s.bias, 0),
        Step("RoPE", rope, 2 * rows * heads * ROTARY, (1,)), _each("Concat", rows * wide, 1, 2),
        _each("Concat", rows * wide, 1, 2), _attend(s, heads, 1, 1, 3, 4), _linear(rows, s.embed, wide, s.bias, 5),
        _each("Add", rows * s.embed, -1, 6), _norm(rows, s.embed, 7), _linear(rows, inner, s.embed, s.bias, 8),
        _each("GELU", rows * inner, 9), _linear(rows, s.embed, inner, s.bias, 10), _each("Add", rows * s.embed, 7, 11),
    )  # fmt: skip
    return Block(steps, _layer_params(s, ratio, heads), rows * s.embed)


def _gpt_head(s: Sizes) -> Block:
    rows = s.batch * s.tokens
    steps = _norm(rows, s.embed, -1), _linear(rows, 50304, s.embed, 0, 0)
    return Block(steps, 2 * s.embed + 50304 * s.embed, rows * s.embed)


def _bert_stem(s: Sizes) -> Block:
    rows, numel = s.batch * s.tokens, s.batch * s.tokens * s.embed
    steps = (
        _lookup(rows, s.embed, 30522), _lookup(rows, s.embed, 2), _each("Add", numel, 0, 1),
        _lookup(s.tokens, s.embed, 512), _each("Add", numel, 2, 3), _norm(rows, s.embed, 4),
    )  # fmt: skip
    return Block(steps, (30522 + 2 + 512 + 2) * s.embed, 0)


def _bert_layer(s: Sizes, ratio: int, heads: int) -> Block:
    rows, wide, inner, numel = s.batch * s.tokens, heads * HEAD_DIM, ratio * s.embed, s.batch * s.tokens * s.embed
    steps = (
        *(_linear(rows, wide, s.embed, 1, -1) for _ in range(3)), _attend(s, heads, 0, 0, 1, 2),
        _linear(rows, s.embed, wide, 1, 3), _each("Add", numel, 4, -1), _norm(rows, s.embed, 5),
        _linear(rows, inner, s.embed, 1, 6), _each("GELU", rows * inner, 7), _linear(rows, s.embed, inner, 1, 8),
        _each("Add", numel, 9, 6), _norm(rows, s.embed, 10),
    )  # fmt: skip
    return Block(steps, _layer_params(s, ratio, heads), numel)


def _bert_head(s: Sizes) -> Block:
    steps = _linear(s.batch, s.embed, s.embed, 1, -1), _each("Tanh", s.batch * s.embed, 0)
    return Block(steps, (s.embed + 1) * s.embed, s.batch * s.tokens * s.embed)


def _vit_stem(s: Sizes) -> Block:
    dims = {"n": s.batch, "c": 3, "h": s.image_size, "w": s.image_size, "oc": s.embed, "kh": PATCH, "kw": PATCH,
            "stride": PATCH, "pad": 0, "groups": 1}  # fmt: skip
    numel = s.batch * s.tokens * s.embed
    steps = (
        Step("Conv2d", dims, s.batch * (s.tokens - 1) * s.embed, ()), _each("Concat", numel, 0), _each("Add", numel, 1),
    )  # fmt: skip
    return Block(steps, (3 * PATCH**2 + 1) * s.embed + s.embed + s.tokens * s.embed, 0)


def _vit_layer(s: Sizes, ratio: int, heads: int) -> Block:
    rows, wide, inner, numel = s.batch * s.tokens, heads * HEAD_DIM, ratio * s.embed, s.batch * s.tokens * s.embed
    steps = (
        _norm(rows, s.embed, -1), *(_linear(rows, wide, s.embed, 1, 0) for _ in range(3)),
        _attend(s, heads, 0, 1, 2, 3), _linear(rows, s.embed, wide, 1, 4), _each("Add", numel, 5, -1),
        _norm(rows, s.embed, 6), _linear(rows, inner, s.embed, 1, 7), _each("GELU", rows * inner, 8),
        _linear(rows, s.embed, inner, 1, 9), _each("Add", numel, 10, 6),
    )  # fmt: skip
    return Block(steps, _layer_params(s, ratio, heads), numel)


def _vit_head(s: Sizes) -> Block:
    rows = s.batch * s.tokens
    steps = _norm(rows, s.embed, -1), _linear(s.batch, CLASSES, s.embed, 1, 0)
    return Block(steps, 2 * s.embed + (s.embed + 1) * CLASSES, rows * s.embed)


_STEMS = {"gpt": _gpt_stem, "bert": _bert_stem, "vit": _vit_stem}
_LAYERS = {"gpt": _gpt_layer, "bert": _bert_layer, "vit": _vit_layer}
_HEADS = {"gpt": _gpt_head, "bert": _bert_head, "vit": _vit_head}

SPACES = (
    Transformer("gpt-s", "GPT, small (HW-GPT-Bench)", "gpt", (192, 384, 768), (10, 11, 12), (4, 8, 12)),
    Transformer("gpt-m", "GPT, medium (HW-GPT-Bench)", "gpt", (256, 512, 1024), (22, 23, 24), (8, 12, 16)),
    Transformer("gpt-l", "GPT, large (HW-GPT-Bench)", "gpt", (320, 640, 1280), (34, 35, 36), (8, 16, 20)),
    Transformer("bert", "BERT encoder", "bert", (256, 512, 768), (8, 10, 12), (4, 8, 12), block=512),
    Transformer("vit", "vision transformer, patch 16", "vit", (384, 576, 768), (10, 11, 12), (4, 8, 12)),
)
