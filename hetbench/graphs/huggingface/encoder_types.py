"""Model types of text encoders: one pass over all tokens, no output layer but the pooler where the class has one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from hetbench.graphs.huggingface.attention import Attention, attend
from hetbench.graphs.huggingface.config import Config
from hetbench.graphs.huggingface.decoder import rotary_tables
from hetbench.graphs.huggingface.graph import Network
from hetbench.graphs.huggingface.tape import Piece, Sizes, Tape
from hetbench.graphs.setting import Setting

__all__ = ["TYPES", "Embedding", "embedded", "encoding", "post_norm_layer"]

_USUAL = 128
_LONGEST = 2**21


@dataclass(frozen=True, slots=True)
class Embedding:
    """What the sum of the embeddings is made of."""

    vocab: int
    width: int
    types: int
    """Rows of the table of token types; 0: none."""
    positions: int
    position_rows: bool
    """Every sample looks its positions up (RoBERTa)."""


def encoding(longest: int, pieces: Callable[[Sizes], Iterator[Piece]]) -> Network:
    """A network of one phase that reads tokens."""

    def sizes(s: Setting) -> Sizes:
        return Sizes(s.batch or 0, s.seq_len or 0, 0, s.seq_len or 0)

    limits = {"batch": 1, "seq_len": [1, longest, 1, min(_USUAL, longest)]}
    return Network(("inference",), limits, lambda s: list(pieces(sizes(s))), lambda s: [(sizes(s).rows, "int64")])


def embedded(tape: Tape, s: Sizes, e: Embedding) -> int:
    """The sum of the embeddings and its norm; the index of the norm."""
    numel = s.rows * e.width
    made = tape.lookup(s.rows, e.width, e.vocab)
    if e.types:
        made = tape.each("Add", numel, made, tape.lookup(s.rows, e.width, e.types))
    if e.positions:
        rows = s.rows if e.position_rows else s.tokens
        made = tape.each("Add", numel, made, tape.lookup(rows, e.width, e.positions))
    return tape.norm("layer", s.rows, e.width, made)


def post_norm_layer(s: Sizes, c: Config, inner: int, act: str, times: int = 1, tied: bool = False) -> Piece:
    """attention, sum, norm, feed-forward, sum, norm, as BERT has them; `tied`: its weights are another layer's."""
    tape, hidden = Tape(s.rows * c.hidden), c.hidden
    query, key, value = (tape.linear(s.rows, hidden, hidden, -1, bias=1) for _ in range(3))
    attend(tape, s, Attention(c.heads, c.heads, c.head_dim), query, key, value, causal=0)
    tape.linear(s.rows, hidden, hidden, bias=1)
    tape.each("Add", s.rows * hidden, tape.last, -1)
    middle = tape.norm("layer", s.rows, hidden)
    tape.linear(s.rows, inner, hidden, bias=1)
    tape.activate(act, s.rows * inner)
    tape.linear(s.rows, hidden, inner, bias=1)
    tape.each("Add", s.rows * hidden, tape.last, middle)
    tape.norm("layer", s.rows, hidden)
    if tied:
        tape.params = tape.active = 0
    return tape.piece(times)


def _pooler(s: Sizes, hidden: int) -> Piece:
    tape = Tape(s.rows * hidden)
    tape.linear(s.batch, hidden, hidden, bias=1)
    tape.each("Tanh", s.batch * hidden)
    return tape.piece()


def _bert_like(c: Config, *, types: bool = True, position_rows: bool = False, pooled: bool = True) -> Network:
    width = c.size("embedding_size", c.hidden)
    table = Embedding(c.size("vocab_size"), width, c.count("type_vocab_size") if types else 0,
                       c.size("max_position_embeddings"), position_rows)  # fmt: skip
    inner, act = c.size("intermediate_size"), c.text("hidden_act", "gelu")

    def pieces(s: Sizes) -> Iterator[Piece]:
        tape = Tape()
        embedded(tape, s, table)
        if width != c.hidden:
            tape.linear(s.rows, c.hidden, width, bias=1)
        yield tape.piece()
        yield post_norm_layer(s, c, inner, act, c.depth)
        if pooled:
            yield _pooler(s, c.hidden)

    offset = c.count("pad_token_id", 1) + 1 if position_rows else 0  # positions start behind the padding index
    return encoding(table.positions - offset, pieces)


def _bert(c: Config) -> Network:
    return _bert_like(c)


def _roberta(c: Config) -> Network:
    return _bert_like(c, position_rows=True)


def _electra(c: Config) -> Network:
    return _bert_like(c, pooled=False)


def _distilbert(c: Config) -> Network:
    table = Embedding(c.size("vocab_size"), c.hidden, 0, c.size("max_position_embeddings"), False)

    def pieces(s: Sizes) -> Iterator[Piece]:
        tape = Tape()
        embedded(tape, s, table)
        yield tape.piece()
        yield post_norm_layer(s, c, c.size("hidden_dim"), c.text("activation", "gelu"), c.depth)

    return encoding(table.positions, pieces)


def _albert(c: Config) -> Network:
    """All layers of a group share their weights."""
    table = Embedding(c.size("vocab_size"), c.size("embedding_size"), c.count("type_vocab_size"),
                       c.size("max_position_embeddings"), False)  # fmt: skip
    groups, inner = c.size("num_hidden_groups", 1), c.size("intermediate_size")

    def pieces(s: Sizes) -> Iterator[Piece]:
        tape = Tape()
        embedded(tape, s, table)
        tape.linear(s.rows, c.hidden, table.width, bias=1)
        yield tape.piece()
        yield post_norm_layer(s, c, inner, c.text("hidden_act"), groups)
        if c.depth > groups:
            yield post_norm_layer(s, c, inner, c.text("hidden_act"), c.depth - groups, tied=True)
        yield _pooler(s, c.hidden)

    return encoding(table.positions, pieces)


def _mpnet(c: Config) -> Network:
    """Positions count twice: a table as in RoBERTa, and a bias by distance that all layers share."""
    table = Embedding(c.size("vocab_size"), c.hidden, 0, c.size("max_position_embeddings"), True)

    def pieces(s: Sizes) -> Iterator[Piece]:
        tape = Tape()
        embedded(tape, s, table)
        tape.lookup(s.tokens**2, c.heads, c.size("relative_attention_num_buckets"))
        tape.each("Copy", s.rows * s.tokens * c.heads)
        yield tape.piece()
        yield post_norm_layer(s, c, c.size("intermediate_size"), c.text("hidden_act", "gelu"), c.depth)
        yield _pooler(s, c.hidden)

    return encoding(table.positions - 2, pieces)


def _modernbert(c: Config) -> Network:
    """Rotary positions; of three layers two see a window; the first has no norm before its attention."""
    kinds, every = c.value("layer_types"), c.size("global_attn_every_n_layers", 3)
    local = [str(kind) == "sliding_attention" for kind in kinds] if kinds else [i % every != 0 for i in range(c.depth)]

    def pieces(s: Sizes) -> Iterator[Piece]:
        tape = Tape()
        tape.lookup(s.rows, c.hidden, c.size("vocab_size"))
        tape.norm("layer", s.rows, c.hidden, bias=c.flag("norm_bias"))
        for _ in set(local):
            rotary_tables(tape, s.tokens, c.head_dim)
        yield tape.piece()
        yield _modern_layer(s, c, local[0], 1, first=True)
        for kind in (True, False):
            if times := local[1:].count(kind):
                yield _modern_layer(s, c, kind, times)
        tape = Tape(s.rows * c.hidden)
        tape.norm("layer", s.rows, c.hidden, bias=c.flag("norm_bias"))
        yield tape.piece()

    return encoding(_LONGEST, pieces)


def _modern_layer(s: Sizes, c: Config, local: bool, times: int, first: bool = False) -> Piece:
    tape, hidden, numel, bias = Tape(s.rows * c.hidden), c.hidden, s.rows * c.hidden, c.flag("norm_bias")
    given = -1 if first else tape.norm("layer", s.rows, hidden, -1, bias=bias)
    joint = tape.linear(s.rows, 3 * hidden, hidden, given, bias=c.bit("attention_bias"))
    for _ in range(2):
        tape.each("Cast", numel, joint, dtype="fp32")
    dims = {"tokens": s.rows, "heads": c.heads, "kv_heads": c.heads, "head_dim": c.head_dim}
    turned = tape.add("RoPE", dims, 2 * numel, (tape.last, tape.last - 1), dtype="fp32")
    for _ in range(2):
        tape.each("Cast", numel, turned, dtype="fp32")
    window = c.count("local_attention") if local else 0
    attend(tape, s, Attention(c.heads, c.heads, c.head_dim, window=window), joint, tape.last, tape.last - 1, causal=0)
    tape.linear(s.rows, hidden, hidden, bias=c.bit("attention_bias"))
    middle = tape.each("Add", numel, tape.last, -1)
    tape.norm("layer", s.rows, hidden, middle, bias=bias)
    inner = c.size("intermediate_size")
    both = tape.linear(s.rows, 2 * inner, hidden, bias=c.bit("mlp_bias"))
    gate = tape.activate(c.text("hidden_activation", "gelu"), s.rows * inner, both)
    tape.each("Mul", s.rows * inner, both, gate)
    tape.linear(s.rows, hidden, inner, bias=c.bit("mlp_bias"))
    tape.each("Add", numel, tape.last, middle)
    return tape.piece(times)


TYPES: Mapping[str, Callable[[Config], Network]] = MappingProxyType({
    "bert": _bert, "roberta": _roberta, "xlm-roberta": _roberta, "camembert": _roberta, "electra": _electra,
    "distilbert": _distilbert, "albert": _albert, "mpnet": _mpnet, "modernbert": _modernbert,
})  # fmt: skip
