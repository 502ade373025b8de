"""DeBERTa: text encoders whose scores by distance come from a table that the layers project like queries and keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from hetbench.graphs.huggingface.attention import Attention, attend
from hetbench.graphs.huggingface.config import Config
from hetbench.graphs.huggingface.encoder_types import Embedding, embedded, encoding
from hetbench.graphs.huggingface.graph import Network
from hetbench.graphs.huggingface.tape import Piece, Sizes, Tape

__all__ = ["TYPES"]


def _table(c: Config) -> Embedding:
    positions = c.size("max_position_embeddings") if c.flag("position_biased_input", True) else 0
    return Embedding(c.size("vocab_size"), c.hidden, c.count("type_vocab_size"), positions, False)


def _kinds(c: Config) -> tuple[str, ...]:
    """Which scores by distance there are, `c2p` and `p2c`; none without relative attention."""
    kinds = c.value("pos_att_type") or ()
    return tuple(kinds.split("|") if isinstance(kinds, str) else kinds) if c.flag("relative_attention") else ()


def _started(s: Sizes, c: Config, span: int) -> Tape:
    """The embeddings under their mask, and the parameters of the table of distances up to `span` either way."""
    tape = Tape()
    embedded(tape, s, _table(c))
    tape.each("Mul", s.rows * c.hidden)
    if c.flag("relative_attention"):
        tape.params += 2 * span * c.hidden
        tape.active += 2 * span * c.hidden
    return tape


def _deberta(c: Config) -> Network:
    """One projection for queries, keys and values; the table has a row for each distance."""
    stated = int(c.number("max_relative_positions", -1))
    farthest = stated if stated > 0 else c.size("max_position_embeddings")

    def pieces(s: Sizes) -> Iterator[Piece]:
        yield _started(s, c, farthest).piece()
        yield _joint(s, c, min(s.tokens, farthest))

    return encoding(c.size("max_position_embeddings"), pieces)


def _joint(s: Sizes, c: Config, span: int) -> Piece:
    tape, hidden, numel, scores = Tape(s.rows * c.hidden), c.hidden, s.rows * c.hidden, s.rows * s.tokens * c.heads
    joint = tape.linear(s.rows, 3 * hidden, hidden, -1)
    query, value = (tape.add("Add", {"numel": numel}, numel, (joint,), params=hidden) for _ in range(2))
    query = tape.each("DivScalar", numel, query)
    for place, kind in enumerate(_kinds(c)):
        bias = int(kind == "p2c")
        tape.linear(2 * span, hidden, hidden, -1, bias=bias)
        if bias:
            tape.each("DivScalar", 2 * span * hidden)
        dims = {"b": s.batch * c.heads, "m": s.tokens, "n": 2 * span, "k": c.head_dim}
        tape.add("BMM", dims, s.rows * c.heads * 2 * span, (query, tape.last))
        tape.each("Copy", scores)
        tape.each("Add" if place else "AddScalar", scores)
    attend(tape, s, Attention(c.heads, c.heads, c.head_dim), query, joint, value, causal=0)
    return _closed(tape, s, c)


def _deberta_v2(c: Config) -> Network:
    """Scores by distance come from a table that the layers project like queries and keys."""
    span = c.count("position_buckets") if c.number("position_buckets", -1) > 0 else c.size("max_position_embeddings")

    def pieces(s: Sizes) -> Iterator[Piece]:
        tape = _started(s, c, span)
        if "layer_norm" in c.text("norm_rel_ebd", "none"):
            tape.norm("layer", 2 * span, c.hidden, -1)
        yield tape.piece()
        yield _disentangled(s, c, span)

    return encoding(c.size("max_position_embeddings"), pieces)


def _disentangled(s: Sizes, c: Config, span: int) -> Piece:
    tape, hidden, numel, scores = Tape(s.rows * c.hidden), c.hidden, s.rows * c.hidden, s.rows * s.tokens * c.heads
    query = tape.linear(s.rows, hidden, hidden, -1, bias=1)
    query = tape.each("Copy", numel, query)
    key = tape.linear(s.rows, hidden, hidden, -1, bias=1)
    key = tape.each("Copy", numel, key)
    value = tape.linear(s.rows, hidden, hidden, -1, bias=1)
    scaled = tape.each("DivScalar", numel, key)
    own = not c.flag("share_att_key")
    added = 0
    for kind, given in (("c2p", query), ("p2c", key)):
        if kind not in _kinds(c):
            continue
        tape.linear(2 * span, hidden, hidden, -1, bias=1, tied=not own)
        tape.params -= 0 if own else hidden
        tape.active -= 0 if own else hidden
        tape.each("Copy", 2 * span * hidden)
        table = tape.each("Repeat", 2 * span * hidden * s.batch)
        dims = {"b": s.batch * c.heads, "m": s.tokens, "n": 2 * span, "k": c.head_dim}
        tape.add("BMM", dims, s.rows * c.heads * 2 * span, (table, given))
        tape.each("Copy", scores)
        tape.each("DivScalar", scores)
        tape.each("Add" if added else "AddScalar", scores)
        added += 1
    attend(tape, s, Attention(c.heads, c.heads, c.head_dim), query, scaled, value, causal=0)
    return _closed(tape, s, c)


def _closed(tape: Tape, s: Sizes, c: Config) -> Piece:
    """The rest of a layer after its attention."""
    hidden, inner = c.hidden, c.size("intermediate_size")
    tape.linear(s.rows, hidden, hidden, bias=1)
    tape.each("Add", s.rows * hidden, tape.last, -1)
    middle = tape.norm("layer", s.rows, hidden)
    tape.linear(s.rows, inner, hidden, bias=1)
    tape.activate(c.text("hidden_act", "gelu"), s.rows * inner)
    tape.linear(s.rows, hidden, inner, bias=1)
    tape.each("Add", s.rows * hidden, tape.last, middle)
    tape.norm("layer", s.rows, hidden)
    return tape.piece(c.depth)


TYPES: Mapping[str, Callable[[Config], Network]] = MappingProxyType({"deberta": _deberta, "deberta-v2": _deberta_v2})
