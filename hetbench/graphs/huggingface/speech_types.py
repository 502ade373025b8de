"""Model types that read the sound itself: wav2vec 2.0, HuBERT. `seq_len` counts frames of 20 ms behind the
convolutions; a clip of n frames has 320 n + 80 samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from hetbench.graphs.huggingface.attention import Attention, attend
from hetbench.graphs.huggingface.config import Config
from hetbench.graphs.huggingface.graph import Network
from hetbench.graphs.huggingface.tape import Piece, Sizes, Tape
from hetbench.graphs.setting import Setting
from hetbench.operators.conv import conv_out

__all__ = ["TYPES"]

_SECOND, _LONGEST = 50, 6000  # frames: one second, two minutes


def _samples(frames: int) -> int:
    return 320 * frames + 80


def _hearing(c: Config) -> Network:
    def sizes(s: Setting) -> Sizes:
        return Sizes(s.batch or 0, s.seq_len or 0, 0, 0)

    def pieces(s: Setting) -> list[Piece]:
        return list(_pieces(c, sizes(s)))

    limits = {"batch": 1, "seq_len": [1, _LONGEST, 1, 5 * _SECOND]}
    return Network(("inference",), limits, pieces,
                   lambda s: [((s.batch or 0) * _samples(s.seq_len or 0), "data")])  # fmt: skip


def _pieces(c: Config, s: Sizes) -> Iterator[Piece]:
    stable = c.flag("do_stable_layer_norm")
    yield _convolutions(c, s)
    yield _positions(c, s, stable)
    yield _layer(c, s, stable)
    if stable:
        tape = Tape(s.rows * c.hidden)
        tape.norm("layer", s.rows, c.hidden)
        yield tape.piece()


def _convolutions(c: Config, s: Sizes) -> Piece:
    tape, length, before = Tape(), _samples(s.tokens), 1
    widths, strides = c.value("conv_dim"), c.value("conv_stride")
    for place, (width, stride, taps) in enumerate(zip(widths, strides, c.value("conv_kernel"), strict=True)):
        dims = {"n": s.batch, "c": before, "l": length, "oc": width, "k": taps, "stride": stride, "pad": 0, "groups": 1}
        length = conv_out(length, taps, stride, 0)
        out = s.batch * width * length
        own = before * width * taps + (width if c.flag("conv_bias") else 0)
        tape.add("Conv1d", dims, out, (tape.last,), params=own)
        if c.text("feat_extract_norm", "group") == "layer":
            tape.norm("layer", s.batch * length, width)
        elif place == 0:
            tape.add("GroupNorm", {"rows": s.batch * width, "cols": length}, out, params=2 * width)
        tape.activate(c.text("feat_extract_activation", "gelu"), out)
        before = width
    tape.norm("layer", s.rows, before)
    tape.linear(s.rows, c.hidden, before, bias=1)
    return tape.piece()


def _positions(c: Config, s: Sizes, stable: bool) -> Piece:
    """A wide grouped convolution with weight norm tells positions apart."""
    tape, hidden, numel = Tape(s.rows * c.hidden), c.hidden, s.rows * c.hidden
    taps, groups = c.size("num_conv_pos_embeddings"), c.size("num_conv_pos_embedding_groups")
    weights = hidden * (hidden // groups)
    tape.add("VectorNorm", {"rows": taps, "cols": weights}, weights * taps, (-1,), params=weights * taps + taps)
    dims = {"n": s.batch, "c": hidden, "l": s.tokens, "oc": hidden, "k": taps, "stride": 1, "pad": taps // 2,
            "groups": groups}  # fmt: skip
    tape.add("Conv1d", dims, numel + s.batch * hidden, (-1, tape.last), params=hidden)
    tape.activate(c.text("feat_extract_activation", "gelu"), numel)
    tape.each("Add", numel, tape.last, -1)
    if not stable:
        tape.norm("layer", s.rows, hidden)
    masked = hidden if c.number("mask_time_prob", 0.05) > 0 or c.number("mask_feature_prob", 0.0) > 0 else 0
    tape.params += masked
    tape.active += masked
    return tape.piece()


def _layer(c: Config, s: Sizes, first: bool) -> Piece:
    tape, hidden, numel, inner = Tape(s.rows * c.hidden), c.hidden, s.rows * c.hidden, c.size("intermediate_size")
    given = tape.norm("layer", s.rows, hidden, -1) if first else -1
    reads = [tape.linear(s.rows, hidden, hidden, given, bias=1) for _ in range(3)]
    attend(tape, s, Attention(c.heads, c.heads, c.head_dim), *reads, causal=0)
    middle = tape.each("Add", numel, tape.linear(s.rows, hidden, hidden, bias=1), -1)
    normed = tape.norm("layer", s.rows, hidden, middle)
    kept = middle if first else normed
    tape.linear(s.rows, inner, hidden, normed, bias=1)
    tape.activate(c.text("hidden_act", "gelu"), s.rows * inner)
    tape.each("Add", numel, tape.linear(s.rows, hidden, inner, bias=1), kept)
    if not first:
        tape.norm("layer", s.rows, hidden)
    return tape.piece(c.depth)


TYPES: Mapping[str, Callable[[Config], Network]] = MappingProxyType({"wav2vec2": _hearing, "hubert": _hearing})
