"""Model types with an encoder and a decoder: T5, BART and their kin, Whisper.

inference: both read `seq_len` tokens (Whisper's encoder 30 s of sound), and all positions are scored; prefill: the
same with scores of the last position; decode: one step of the decoder, the encoder's keys and values cached.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from hetbench.graphs.huggingface.attention import Attention
from hetbench.graphs.huggingface.config import Config
from hetbench.graphs.huggingface.feedforward import Mlp, feed_forward
from hetbench.graphs.huggingface.graph import Network
from hetbench.graphs.huggingface.tape import Piece, Sizes, Tape
from hetbench.graphs.setting import Setting

__all__ = ["TYPES"]

_USUAL, _LONGEST = 128, 2**16
MEL_FRAMES = 3000  # 30 s


@dataclass(frozen=True, slots=True)
class _Stack:
    """One of the two halves."""

    depth: int
    attention: Attention
    mlp: Mlp
    key_bias: int = 1


@dataclass(frozen=True, slots=True)
class _Pair:
    """A whole network."""

    vocab: int
    hidden: int
    encoder: _Stack
    decoder: _Stack
    norm: str
    first: bool
    """Norms stand before the parts, and one at the end of each half."""
    scale: str = ""
    """What is done to the embedding."""
    embed_norm: bool = False
    positions: int = 0
    encoder_rows: bool = False
    """The encoder looks positions up for every sample (mBART)."""
    buckets: int = 0
    """Rows of T5's table of distances; 0: none."""
    every_layer: bool = False
    """Each layer has a table of its own (UMT5)."""
    tied: bool = True
    head_scale: str = ""
    score_bias: bool = False
    mels: int = 0
    """Channels of Whisper's spectrogram; 0: the encoder reads tokens."""
    frames: int = 0
    """Positions of Whisper's encoder."""
    decoder_positions: int = 0


def _network(p: _Pair, longest: int) -> Network:
    def sizes(s: Setting) -> tuple[Sizes, Sizes]:
        batch, length = s.batch or 0, s.seq_len or 0
        context = p.frames or length
        if s.phase == "decode":
            return Sizes(batch, context, 0, 0), Sizes(batch, 1, length, 1, context=context)
        scored = 1 if s.phase == "prefill" else length
        return Sizes(batch, context, 0, 0), Sizes(batch, length, 0, scored, context=context)

    def pieces(s: Setting) -> list[Piece]:
        return list(_pieces(p, *sizes(s), s.phase == "decode"))

    def inputs(s: Setting) -> list[tuple[int, str]]:
        reads, writes = sizes(s)
        sound = (reads.batch * p.mels * MEL_FRAMES, "data") if p.mels else (reads.rows, "int64")
        return [(writes.rows, "int64")] if s.phase == "decode" else [sound, (writes.rows, "int64")]

    limits = {"batch": 1, "seq_len": [1, longest, 1, min(_USUAL, longest)]}
    return Network(("inference", "prefill", "decode"), limits, pieces, inputs)


def _pieces(p: _Pair, reads: Sizes, writes: Sizes, decode: bool) -> Iterator[Piece]:
    """Without the encoder a decoding step still needs its weights: pieces that run zero times hold them."""
    for piece in (_encoder_stem(p, reads), _encoder_layer(p, reads), _end(p, reads)):
        if decode:
            piece = _weights_only(piece)
        yield piece
    yield _decoder_stem(p, writes)
    yield _decoder_layer(p, writes, decode)
    yield _head(p, writes)


def _weights_only(piece: Piece) -> Piece:
    tape = Tape()
    tape.params, tape.active = piece.block.params, piece.active
    return tape.piece(piece.times)


def _bias(tape: Tape, p: _Pair, queries: int, keys: int, heads: int) -> None:
    tape.lookup(queries * keys, heads, p.buckets)


def _encoder_stem(p: _Pair, s: Sizes) -> Piece:
    tape, numel = Tape(), s.rows * p.hidden
    if p.mels:
        for channels, length, stride in ((p.mels, MEL_FRAMES, 1), (p.hidden, MEL_FRAMES, 2)):
            dims = {"n": s.batch, "c": channels, "l": length, "oc": p.hidden, "k": 3, "stride": stride, "pad": 1,
                    "groups": 1}  # fmt: skip
            out = s.batch * p.hidden * length // stride
            tape.add("Conv1d", dims, out, (tape.last,), params=(3 * channels + 1) * p.hidden)
            tape.each("GELU", out)
        made = tape.last
        tape.each("Add", numel, made, tape.lookup(p.frames, p.hidden, p.frames))
        return tape.piece()
    made = tape.lookup(s.rows, p.hidden, p.vocab)
    _positioned(tape, p, s, made, p.encoder_rows)
    if p.buckets and not p.every_layer:
        _bias(tape, p, s.tokens, s.tokens, p.encoder.attention.heads)
    return tape.piece()


def _positioned(tape: Tape, p: _Pair, s: Sizes, made: int, rows: bool) -> None:
    if p.scale:
        made = tape.each(p.scale, s.rows * p.hidden, made)
    if p.positions:
        looked = tape.lookup(s.rows if rows else s.tokens, p.hidden, p.positions)
        tape.each("Add", s.rows * p.hidden, made, looked)
    if p.embed_norm:
        tape.norm(p.norm, s.rows, p.hidden)


def _decoder_stem(p: _Pair, s: Sizes) -> Piece:
    tape = Tape()
    made = tape.lookup(s.rows, p.hidden, p.vocab, tied=not p.mels)
    if p.mels:  # Whisper's learned positions are a slice of the table, copied for the batch
        copied = tape.add("Copy", {"numel": s.rows * p.hidden}, s.rows * p.hidden, (-1,),
                          params=p.decoder_positions * p.hidden)  # fmt: skip
        tape.each("Add", s.rows * p.hidden, made, copied)
        return tape.piece()
    _positioned(tape, p, s, made, False)
    if p.buckets and not p.every_layer:
        _bias(tape, p, s.tokens, s.cached + s.tokens, p.decoder.attention.heads)
    return tape.piece()


def _encoder_layer(p: _Pair, s: Sizes) -> Piece:
    tape = Tape(s.rows * p.hidden)
    end = _part(tape, p, s, -1, lambda given: _self(tape, p, p.encoder, s, given, causal=0))
    _part(tape, p, s, end, lambda given: feed_forward(tape, s, p.encoder.mlp, p.hidden, given))
    tape.cached = 0  # an encoder keeps none
    return tape.piece(p.encoder.depth)


def _decoder_layer(p: _Pair, s: Sizes, decode: bool) -> Piece:
    tape = Tape(s.rows * p.hidden)
    end = _part(tape, p, s, -1, lambda given: _self(tape, p, p.decoder, s, given, causal=1))
    end = _part(tape, p, s, end, lambda given: _cross(tape, p, s, given, decode))
    _part(tape, p, s, end, lambda given: feed_forward(tape, s, p.decoder.mlp, p.hidden, given))
    return tape.piece(p.decoder.depth)


def _part(tape: Tape, p: _Pair, s: Sizes, given: int, part: Callable[[int], int]) -> int:
    if p.first:
        made = part(tape.norm(p.norm, s.rows, p.hidden, given))
        return tape.each("Add", s.rows * p.hidden, given, made)
    tape.each("Add", s.rows * p.hidden, given, part(given))
    return tape.norm(p.norm, s.rows, p.hidden)


def _self(tape: Tape, p: _Pair, stack: _Stack, s: Sizes, given: int, causal: int) -> int:
    a = stack.attention
    query = tape.linear(s.rows, a.wide, p.hidden, given, bias=a.bias)
    if a.scale_queries:
        query = tape.each("MulScalar", s.rows * a.wide, query)
    key = tape.linear(s.rows, a.wide, p.hidden, given, bias=stack.key_bias)
    value = tape.linear(s.rows, a.wide, p.hidden, given, bias=a.bias)
    if p.buckets:
        pairs = a.heads * s.tokens * (s.cached + s.tokens)
        if p.every_layer:
            _bias(tape, p, s.tokens, s.cached + s.tokens, a.heads)
        if causal and s.tokens > 1:
            tape.each("Where", pairs)
        tape.each("Copy", pairs)
    return _attended(tape, p, s, a, (query, key, value), s.cached + s.tokens, causal)


def _cross(tape: Tape, p: _Pair, s: Sizes, given: int, decode: bool) -> int:
    a, rows = p.decoder.attention, s.batch * s.context
    query = tape.linear(s.rows, a.wide, p.hidden, given, bias=a.bias)
    if a.scale_queries:
        query = tape.each("MulScalar", s.rows * a.wide, query)
    biases = p.decoder.key_bias, a.bias
    if decode:  # keys and values are cached, their weights are there all the same
        tape.params += sum(a.wide * (p.hidden + bias) for bias in biases)
        tape.active += sum(a.wide * (p.hidden + bias) for bias in biases)
        reads: tuple[int, ...] = (query,)
    else:
        reads = (query, *(tape.linear(rows, a.wide, p.hidden, -1, bias=bias) for bias in biases))
    return _attended(tape, p, s, a, reads, s.context, 0)


def _attended(
    tape: Tape, p: _Pair, s: Sizes, a: Attention, reads: tuple[int, ...], length: int, causal: int
) -> int:
    dims = {"batch": s.batch, "q_len": s.tokens, "kv_len": length, "heads": a.heads, "kv_heads": a.heads,
            "head_dim": a.head_dim, "causal": causal, "window": 0}  # fmt: skip
    tape.cached += 2 * s.batch * length * a.wide
    tape.add("Attention", dims, s.rows * a.wide, reads)
    return tape.linear(s.rows, p.hidden, a.wide, bias=a.out_bias)


def _end(p: _Pair, s: Sizes) -> Piece:
    tape = Tape(s.rows * p.hidden)
    if p.first:
        tape.norm(p.norm, s.rows, p.hidden)
    return tape.piece()


def _head(p: _Pair, s: Sizes) -> Piece:
    tape, scored = Tape(s.rows * p.hidden), s.batch * s.scored
    if p.first:
        tape.norm(p.norm, s.rows, p.hidden)
    if p.head_scale:
        tape.each(p.head_scale, s.rows * p.hidden)
    tape.linear(scored, p.vocab, p.hidden, tied=p.tied)
    if p.score_bias:
        tape.each("Add", scored * p.vocab)
    return tape.piece()


def _t5(c: Config, every_layer: bool = False, scales: bool = True) -> Network:
    gate, _, act = c.text("feed_forward_proj", "relu").rpartition("-")
    mlp = Mlp(c.size("d_ff"), act, "gated" if gate == "gated" else "plain")
    mixing = Attention(c.size("num_heads"), c.size("num_heads"), c.size("d_kv"))
    tied = c.flag("tie_word_embeddings", True)
    stack = _Stack(c.size("num_layers"), mixing, mlp, 0)
    below = _Stack(c.size("num_decoder_layers", stack.depth), mixing, mlp, 0)
    scaled = "MulScalar" if scales and c.flag("scale_decoder_outputs", tied) else ""
    return _network(_Pair(c.size("vocab_size"), c.size("d_model"), stack, below, "rms", True, tied=tied,
                          buckets=c.size("relative_attention_num_buckets"), every_layer=every_layer,
                          head_scale=scaled), _LONGEST)  # fmt: skip


def _umt5(c: Config) -> Network:
    return _t5(c, every_layer=True)


def _halves(c: Config, scale_queries: bool = False, key_bias: int = 1) -> tuple[_Stack, _Stack]:
    act = c.text("activation_function", "gelu")

    def half(name: str) -> _Stack:
        heads = c.size(f"{name}_attention_heads")
        mixing = Attention(heads, heads, c.size("d_model") // heads, 1, 1, scale_queries=scale_queries)
        return _Stack(c.size(f"{name}_layers"), mixing, Mlp(c.size(f"{name}_ffn_dim"), act, "plain", 1), key_bias)

    return half("encoder"), half("decoder")


def _bart_like(c: Config, first: bool, offset: int, **other: Any) -> Network:
    longest = c.size("max_position_embeddings")
    return _network(_Pair(c.size("vocab_size"), c.size("d_model"), *_halves(c), "layer", first, "MulScalar",
                          positions=longest + offset, score_bias=True, **other), longest)  # fmt: skip


def _bart(c: Config) -> Network:
    return _bart_like(c, False, 2, embed_norm=True, encoder_rows=True)


def _mbart(c: Config) -> Network:
    return _bart_like(c, True, 2, embed_norm=True, encoder_rows=True)


def _pegasus(c: Config) -> Network:
    return _bart_like(c, True, 0)


def _marian(c: Config) -> Network:
    return _bart_like(c, False, 0)


def _whisper(c: Config) -> Network:
    longest = c.size("max_target_positions")
    return _network(_Pair(c.size("vocab_size"), c.size("d_model"), *_halves(c, scale_queries=True, key_bias=0),
                          "layer", True, mels=c.size("num_mel_bins"), frames=c.size("max_source_positions"),
                          decoder_positions=longest), longest)  # fmt: skip


TYPES: Mapping[str, Callable[[Config], Network]] = MappingProxyType({
    "t5": _t5, "mt5": lambda c: _t5(c, scales=False), "umt5": _umt5, "bart": _bart, "mbart": _mbart,
    "pegasus": _pegasus, "marian": _marian, "whisper": _whisper,
})  # fmt: skip
