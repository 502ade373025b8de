"""A language model that generates: embedding, layers, output layer, composed from what one layer is made of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hetbench.graphs.huggingface.attention import Attention, self_attention
from hetbench.graphs.huggingface.feedforward import Experts, Mlp, feed_forward
from hetbench.graphs.huggingface.latent import Latent, latent_attention
from hetbench.graphs.huggingface.tape import Piece, Sizes, Tape

__all__ = ["Decoder", "Layer", "rotary_tables"]


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer."""

    attention: Attention | Latent
    mlp: Mlp | Experts
    norm: str = "rms"
    """A kind of `Tape.norm`."""
    norm_bias: bool = True
    order: str = "pre"
    """Where norms and sums stand: one of `_ORDERS`."""
    residual: bool = False
    """What a part adds is scaled first (Granite)."""


@dataclass(frozen=True, slots=True)
class Decoder:
    """A whole network. See `pieces`."""

    vocab: int
    hidden: int
    layers: tuple[tuple[Layer, int], ...]
    """Kinds of layer and how many of each."""
    tied: bool
    """The output layer uses the weights of the embedding."""
    norm: str = "rms"
    """The last norm; empty: none."""
    norm_bias: bool = True
    embed_ops: tuple[str, ...] = ()
    """What is done to the embedding, as elementwise operators."""
    embed_norm: bool = False
    """The embedding is normalised (BLOOM)."""
    positions: int = 0
    """Rows of the table of learned positions; 0: none."""
    position_rows: bool = False
    """Every sample looks its positions up (OPT); otherwise they are looked up once."""
    embed_width: int = 0
    """Width of the embedding where it is projected to `hidden` and back (OPT-350M); 0: the same."""
    rotary: tuple[int, ...] = ()
    """Width of each pair of rotary tables."""
    tables: str = "plain"
    """How rotary tables are made; one of `_TABLES`."""
    head_bias: int = 0
    head_ops: tuple[str, ...] = ()
    """What is done to the scores, as elementwise operators."""

    def pieces(self, s: Sizes) -> Iterator[Piece]:
        """The blocks of one pass: everything before the layers, each kind of layer, everything after."""
        yield self._stem(s)
        for layer, times in self.layers:
            yield _layer(layer, s, self.hidden, times)
        yield self._head(s)

    def _stem(self, s: Sizes) -> Piece:
        tape, width = Tape(), self.embed_width or self.hidden
        made = tape.lookup(s.rows, width, self.vocab)
        for op in self.embed_ops:
            made = tape.each(op, s.rows * width, made)
        if self.embed_norm:
            made = tape.norm("layer", s.rows, width, made)
        if width != self.hidden:
            made = tape.linear(s.rows, self.hidden, width, made)
        if self.positions:
            looked = tape.lookup(s.rows if self.position_rows else s.tokens, self.hidden, self.positions)
            made = tape.each("Add", s.rows * self.hidden, made, looked)
        for rope in self.rotary:
            _TABLES[self.tables](tape, s.tokens, rope)
        return tape.piece()

    def _head(self, s: Sizes) -> Piece:
        rows, scored, width = s.rows, s.batch * s.scored, self.embed_width or self.hidden
        tape = Tape(rows * self.hidden)
        if self.norm:
            tape.norm(self.norm, rows, self.hidden, bias=self.norm_bias)
        if width != self.hidden:
            tape.linear(rows, width, self.hidden)
        tape.linear(scored, self.vocab, width, bias=self.head_bias, tied=self.tied)
        for op in self.head_ops:
            tape.each(op, scored * self.vocab)
        return tape.piece()


def rotary_tables(tape: Tape, tokens: int, rope: int, join: str = "Concat") -> None:
    """Cosine and sine of every position, in fp32."""
    tape.each("Cast", rope // 2, -1, dtype="fp32")
    tape.each("Mul", tokens * rope // 2, dtype="fp32")
    angles = tape.each(join, tokens * rope, dtype="fp32")
    made = []
    for op in ("Cos", "Sin"):
        tape.each(op, tokens * rope, angles, dtype="fp32")
        made.append(tape.each("MulScalar", tokens * rope, dtype="fp32"))
    for each in made:
        tape.each("Cast", tokens * rope, each, dtype="fp32")


def _repeated(tape: Tape, tokens: int, rope: int) -> None:
    """Cohere's tables hold every entry twice, side by side."""
    rotary_tables(tape, tokens, rope, join="Copy")


def _kept_wide(tape: Tape, tokens: int, rope: int) -> None:
    """OLMo's and ERNIE's tables stay in fp32."""
    start = len(tape.steps)
    rotary_tables(tape, tokens, rope)
    del tape.steps[start + 7 :]


def _halved(tape: Tape, tokens: int, rope: int) -> None:
    """gpt-oss keeps an entry for every pair only."""
    tape.each("Cast", rope // 2, -1, dtype="fp32")
    angles = tape.each("Mul", tokens * rope // 2, dtype="fp32")
    made = []
    for op in ("Cos", "Sin"):
        tape.each(op, tokens * rope // 2, angles, dtype="fp32")
        made.append(tape.each("MulScalar", tokens * rope // 2, dtype="fp32"))
    for each in made:
        tape.each("Cast", tokens * rope // 2, each, dtype="fp32")


def _looked_up(tape: Tape, tokens: int, rope: int) -> None:
    """GPT-J looks its rotary tables up."""
    tape.each("Copy", tokens * rope, -1)


_TABLES = {
    "plain": rotary_tables, "repeated": _repeated, "kept-wide": _kept_wide, "halved": _halved, "looked-up": _looked_up
}  # fmt: skip


# ---- one layer -------------------------------------------------------------------------------------------------------


def _layer(layer: Layer, s: Sizes, hidden: int, times: int) -> Piece:
    tape = Tape(s.rows * hidden)
    _ORDERS[layer.order](tape, s, layer, hidden)
    return tape.piece(times)


def _norm(tape: Tape, s: Sizes, layer: Layer, hidden: int, given: int) -> int:
    return tape.norm(layer.norm, s.rows, hidden, given, bias=layer.norm_bias)


def _mix(tape: Tape, s: Sizes, layer: Layer, hidden: int, given: int) -> int:
    if isinstance(layer.attention, Latent):
        return latent_attention(tape, s, layer.attention, hidden, given)
    return self_attention(tape, s, layer.attention, hidden, given)


def _sum(tape: Tape, s: Sizes, layer: Layer, hidden: int, kept: int, part: int) -> int:
    if layer.residual:
        part = tape.each("MulScalar", s.rows * hidden, part)
    return tape.each("Add", s.rows * hidden, kept, part)


def _pre(tape: Tape, s: Sizes, layer: Layer, hidden: int) -> None:
    """norm, attention, sum, norm, feed-forward, sum."""
    part = _mix(tape, s, layer, hidden, _norm(tape, s, layer, hidden, -1))
    middle = _sum(tape, s, layer, hidden, -1, part)
    part = feed_forward(tape, s, layer.mlp, hidden, _norm(tape, s, layer, hidden, middle))
    _sum(tape, s, layer, hidden, middle, part)


def _post(tape: Tape, s: Sizes, layer: Layer, hidden: int) -> None:
    """attention, norm, sum, feed-forward, norm, sum (OLMo 2)."""
    part = _norm(tape, s, layer, hidden, _mix(tape, s, layer, hidden, -1))
    middle = _sum(tape, s, layer, hidden, -1, part)
    part = _norm(tape, s, layer, hidden, feed_forward(tape, s, layer.mlp, hidden, middle))
    _sum(tape, s, layer, hidden, middle, part)


def _last(tape: Tape, s: Sizes, layer: Layer, hidden: int) -> None:
    """attention, sum, norm, feed-forward, sum, norm (OPT-350M)."""
    middle = _sum(tape, s, layer, hidden, -1, _mix(tape, s, layer, hidden, -1))
    middle = _norm(tape, s, layer, hidden, middle)
    part = feed_forward(tape, s, layer.mlp, hidden, middle)
    _norm(tape, s, layer, hidden, _sum(tape, s, layer, hidden, middle, part))


def _sandwich(tape: Tape, s: Sizes, layer: Layer, hidden: int) -> None:
    """A norm before and after each part (Gemma 2)."""
    part = _mix(tape, s, layer, hidden, _norm(tape, s, layer, hidden, -1))
    middle = _sum(tape, s, layer, hidden, -1, _norm(tape, s, layer, hidden, part))
    part = feed_forward(tape, s, layer.mlp, hidden, _norm(tape, s, layer, hidden, middle))
    _sum(tape, s, layer, hidden, middle, _norm(tape, s, layer, hidden, part))


def _parallel(tape: Tape, s: Sizes, layer: Layer, hidden: int) -> None:
    """One norm before attention and feed-forward, which run side by side (Phi)."""
    given = _norm(tape, s, layer, hidden, -1)
    _beside(tape, s, layer, hidden, given, given)


def _parallel_two(tape: Tape, s: Sizes, layer: Layer, hidden: int) -> None:
    """Side by side, each with its own norm (GPT-NeoX)."""
    first = _norm(tape, s, layer, hidden, -1)
    _beside(tape, s, layer, hidden, first, _norm(tape, s, layer, hidden, -1))


def _beside(tape: Tape, s: Sizes, layer: Layer, hidden: int, first: int, second: int) -> None:
    part = _mix(tape, s, layer, hidden, first)
    other = feed_forward(tape, s, layer.mlp, hidden, second)
    both = tape.each("Add", s.rows * hidden, part, other)
    tape.each("Add", s.rows * hidden, both, -1)


_ORDERS = {
    "pre": _pre, "post": _post, "last": _last, "sandwich": _sandwich, "parallel": _parallel,
    "parallel-two": _parallel_two,
}  # fmt: skip
