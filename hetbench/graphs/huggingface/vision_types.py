"""Model types that read images or sound: vision transformers, CLIP's towers, wav2vec 2.0 and HuBERT.

A classifier is part of the network where the configuration names its classes. Off the trained image size the table
of positions is resampled, which is counted as one operator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from hetbench.graphs.huggingface.attention import Attention, attend
from hetbench.graphs.huggingface.config import Config
from hetbench.graphs.huggingface.encoder_types import encoding
from hetbench.graphs.huggingface.graph import Network
from hetbench.graphs.huggingface.tape import Piece, Sizes, Tape
from hetbench.graphs.setting import Setting

__all__ = ["TYPES", "classes", "seeing"]

_LARGEST = 2048


def classes(c: Config) -> int:
    """Classes of the configuration's classifier; 0: it names none."""
    named = c.value("id2label")
    return len(named) if named else c.count("num_labels")


def seeing(c: Config, pieces: Callable[[Sizes], Iterator[Piece]], step: int | None = None) -> Network:
    """A network that reads square images, of a side that is a multiple of `step` (the patch unless stated)."""
    patch, channels = step or c.size("patch_size"), c.size("num_channels", 3)
    limits = {"batch": 1, "image_size": [patch, _LARGEST // patch * patch, patch, c.size("image_size", 224)]}

    def sizes(s: Setting) -> Sizes:
        return Sizes(s.batch or 0, 0, 0, 0, image=s.image_size or 0)

    return Network(("inference",), limits, lambda s: list(pieces(sizes(s))),
                   lambda s: [((s.batch or 0) * channels * (s.image_size or 0) ** 2, "data")])  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Vit:
    """What sets vision transformers apart."""

    extra: int = 1
    """Tokens besides the patches: class, distillation."""
    registers: int = 0
    positions: str = "added"
    """`added`: a table; `looked-up`: the same as an embedding (CLIP); `relative`: a bias of each layer (BEiT)."""
    patch_bias: bool = True
    key_bias: int = 1
    scaled: bool = False
    """A factor for every channel of what a part adds."""
    first_norm: bool = False
    mask_token: bool = False
    end: str = "norm"
    """After the layers: `norm` of all tokens; `pooled`: norm of the first; `mean`; `head`: attention pooling."""
    heads_out: int = 1
    """Classifiers whose scores are averaged (DeiT)."""
    inner: int = 0


def _vit(c: Config, v: _Vit) -> Network:
    patch, hidden, native = c.size("patch_size"), c.hidden, c.size("image_size", 224)
    side = native // patch

    def pieces(s: Sizes) -> Iterator[Piece]:
        grid = s.image // patch
        full = Sizes(s.batch, grid**2 + v.extra + v.registers, 0, 0, s.image)
        yield _patches(c, v, full, grid, side)
        if v.positions == "relative":
            yield from (_vit_layer(c, v, full, grid, side) for _ in range(c.depth))
        else:
            yield _vit_layer(c, v, full, grid, side, c.depth)
        yield _vit_end(c, v, full, grid)

    _ = hidden
    return seeing(c, pieces)


def _patches(c: Config, v: _Vit, s: Sizes, grid: int, side: int) -> Piece:
    tape, hidden, patch = Tape(), c.hidden, c.size("patch_size")
    channels = c.size("num_channels", 3)
    dims = {"n": s.batch, "c": channels, "h": s.image, "w": s.image, "oc": hidden, "kh": patch, "kw": patch,
            "stride": patch, "pad": 0, "groups": 1}  # fmt: skip
    weights = channels * patch**2 * hidden + (hidden if v.patch_bias else 0)
    tape.add("Conv2d", dims, s.batch * grid**2 * hidden, (-1,), params=weights)
    tokens = grid**2 + v.extra
    table = side**2 + v.extra
    extra = (v.extra + v.registers) * hidden + (hidden if v.mask_token else 0)
    tape.params += extra
    tape.active += extra
    if v.extra:
        tape.each("Concat", s.batch * tokens * hidden)
    made = tape.last
    if v.positions != "relative":
        if grid != side:
            dims = {"n": 1, "c": hidden, "h": side, "w": side, "oh": grid, "ow": grid}
            tape.add("Interpolate", dims, hidden * grid**2, (-1,))
            if v.extra:
                tape.each("Concat", tokens * hidden)
        if v.positions == "looked-up" and grid == side:
            tape.lookup(tokens, hidden, table)
        else:
            tape.params += table * hidden
            tape.active += table * hidden
        tape.each("Add", s.batch * tokens * hidden, made, tape.last)
    if v.registers:
        tape.each("Concat", s.rows * hidden)
    if v.first_norm:
        tape.norm("layer", s.rows, hidden)
    return tape.piece()


def _distances(tape: Tape, c: Config, s: Sizes, grid: int, side: int) -> None:
    """BEiT's bias of every pair of tokens: a table resampled, joined, read pair by pair."""
    size, target = 2 * side - 1, 2 * grid - 1
    dims = {"n": 1, "c": c.heads, "h": size, "w": size, "oh": target, "ow": target, "taps": 4}  # bilinear
    tape.add("Interpolate", dims, c.heads * target**2, (-1,), params=(size**2 + 3) * c.heads)
    tape.each("Concat", (target**2 + 3) * c.heads)
    for _ in range(2):
        tape.each("Copy", s.tokens**2 * c.heads)


def _vit_layer(c: Config, v: _Vit, s: Sizes, grid: int, side: int, times: int = 1) -> Piece:
    tape, hidden, numel = Tape(s.rows * c.hidden), c.hidden, s.rows * c.hidden
    if v.positions == "relative":
        _distances(tape, c, s, grid, side)
    given = tape.norm("layer", s.rows, hidden, -1)
    reads = [tape.linear(s.rows, hidden, hidden, given, bias=bias) for bias in (1, v.key_bias, 1)]
    attend(tape, s, Attention(c.heads, c.heads, c.head_dim), *reads, causal=0)
    middle = _added(tape, v, numel, hidden, tape.linear(s.rows, hidden, hidden, bias=1), -1)
    tape.norm("layer", s.rows, hidden, middle)
    inner = v.inner or c.size("intermediate_size", 4 * hidden)
    tape.linear(s.rows, inner, hidden, bias=1)
    tape.activate(c.text("hidden_act", "gelu"), s.rows * inner)
    _added(tape, v, numel, hidden, tape.linear(s.rows, hidden, inner, bias=1), middle)
    tape.cached = 0
    return tape.piece(times)


def _added(tape: Tape, v: _Vit, numel: int, hidden: int, part: int, kept: int) -> int:
    if v.scaled:
        part = tape.add("Mul", {"numel": numel}, numel, (part,), params=hidden)
    return tape.each("Add", numel, part, kept)


def _vit_end(c: Config, v: _Vit, s: Sizes, grid: int) -> Piece:
    tape, hidden = Tape(s.rows * c.hidden), c.hidden
    if v.end == "mean":
        tape.add("Mean", {"rows": s.batch * hidden, "cols": grid**2}, s.batch * hidden)
    tape.norm("layer", s.rows if v.end in ("norm", "head") else s.batch, hidden)
    if v.end == "head":
        _attention_pool(tape, c, s)
    scores = classes(c)
    if scores:
        made = [tape.linear(s.batch, scores, hidden, tape.last, bias=1) for _ in range(v.heads_out)]
        if v.heads_out > 1:
            tape.each("Add", s.batch * scores, *made)
            tape.each("DivScalar", s.batch * scores)
    return tape.piece()


def _attention_pool(tape: Tape, c: Config, s: Sizes) -> None:
    """SigLIP: one learned query attends to all patches, then a feed-forward part."""
    hidden, given, inner = c.hidden, tape.last, c.size("intermediate_size")
    tape.add("Repeat", {"numel": s.batch * hidden}, s.batch * hidden, (-1,), params=hidden)
    query = tape.linear(s.batch, hidden, hidden, bias=1)
    both = tape.linear(s.rows, 2 * hidden, hidden, given, bias=1)
    tape.each("Copy", s.rows * 2 * hidden, both)
    attend(tape, Sizes(s.batch, 1, s.tokens - 1, 0), Attention(c.heads, c.heads, c.head_dim), query, both, causal=0)
    middle = tape.linear(s.batch, hidden, hidden, bias=1)
    tape.norm("layer", s.batch, hidden)
    tape.linear(s.batch, inner, hidden, bias=1)
    tape.activate(c.text("hidden_act", "gelu"), s.batch * inner)
    tape.linear(s.batch, hidden, inner, bias=1)
    tape.each("Add", s.batch * hidden, middle, tape.last)


def _plain_vit(c: Config) -> Network:
    return _vit(c, _Vit())


def _deit(c: Config) -> Network:
    return _vit(c, _Vit(extra=2, heads_out=2))


def _beit(c: Config) -> Network:
    relative = "relative" if c.flag("use_relative_position_bias") else "added"
    mean = c.flag("use_mean_pooling", True)
    return _vit(c, _Vit(positions=relative, key_bias=0, scaled=c.number("layer_scale_init_value", 0.1) > 0,
                        mask_token=c.flag("use_mask_token"), end="mean" if mean else "norm"))  # fmt: skip


def _dinov2(c: Config, registers: int = 0) -> Network:
    return _vit(c, _Vit(registers=registers, scaled=True, mask_token=c.flag("use_mask_token", True),
                        inner=c.size("mlp_ratio", 4) * c.hidden))  # fmt: skip


def _dinov2_registers(c: Config) -> Network:
    return _dinov2(c, c.size("num_register_tokens", 4))


def _clip_vision(c: Config) -> Network:
    return _vit(c, _Vit(positions="looked-up", patch_bias=False, first_norm=True, end="pooled"))


def _siglip_vision(c: Config) -> Network:
    return _vit(c, _Vit(extra=0, positions="looked-up", end="head" if c.flag("vision_use_head", True) else "norm"))


def _clip_text(c: Config) -> Network:
    """CLIP's text tower: causal attention, learned positions."""
    longest, inner = c.size("max_position_embeddings"), c.size("intermediate_size")

    def pieces(s: Sizes) -> Iterator[Piece]:
        tape = Tape()
        made = tape.lookup(s.rows, c.hidden, c.size("vocab_size"))
        tape.each("Add", s.rows * c.hidden, made, tape.lookup(s.tokens, c.hidden, longest))
        yield tape.piece()
        yield _text_layer(c, s, inner)
        tape = Tape(s.rows * c.hidden)
        tape.norm("layer", s.rows, c.hidden)
        tape.each("Copy", s.batch * c.hidden)
        yield tape.piece()

    return encoding(longest, pieces)


def _text_layer(c: Config, s: Sizes, inner: int) -> Piece:
    tape, hidden, numel = Tape(s.rows * c.hidden), c.hidden, s.rows * c.hidden
    given = tape.norm("layer", s.rows, hidden, -1)
    reads = [tape.linear(s.rows, hidden, hidden, given, bias=1) for _ in range(3)]
    attend(tape, s, Attention(c.heads, c.heads, c.head_dim), *reads)
    middle = tape.each("Add", numel, tape.linear(s.rows, hidden, hidden, bias=1), -1)
    tape.norm("layer", s.rows, hidden, middle)
    tape.linear(s.rows, inner, hidden, bias=1)
    tape.activate(c.text("hidden_act", "quick_gelu"), s.rows * inner)
    tape.each("Add", numel, tape.linear(s.rows, hidden, inner, bias=1), middle)
    return tape.piece(c.depth)


TYPES: Mapping[str, Callable[[Config], Network]] = MappingProxyType({
    "vit": _plain_vit, "deit": _deit, "beit": _beit, "dinov2": _dinov2, "dinov2_with_registers": _dinov2_registers,
    "clip_vision_model": _clip_vision, "siglip_vision_model": _siglip_vision, "clip_text_model": _clip_text,
})  # fmt: skip
