"""Self-attention of transformer layers: projections, norms of queries and keys, rotary positions, the attention itself.

Rotary positions are one `RoPE` operator for queries and keys; how a network slices, widens or casts what it rotates
differs, and shows as the copies, joins and casts around it (`ROTARY`).
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from hetbench.graphs.huggingface.tape import Sizes, Tape

__all__ = ["ROTARY", "Attention", "attend", "self_attention"]


@dataclass(frozen=True, slots=True)
class Attention:
    """What one layer's attention is made of."""

    heads: int
    kv_heads: int
    head_dim: int
    bias: int = 0
    """1 where the projections of queries, keys and values have one; so for the output."""
    out_bias: int = 0
    loose_bias: bool = False
    """The bias is an operator of its own (Falcon)."""
    fused: bool = False
    """Queries, keys and values come from one product."""
    rope: int = 0
    """Rotated width of each head; 0: no rotary positions."""
    rotary: str = "plain"
    """One of `ROTARY`."""
    qk_norm: str = ""
    """`head`: over each head; `whole`: over all of a token's; `unit`: over each head, without weights; none."""
    scale_queries: bool = False
    """Queries are scaled before the product, by an operator of their own (OPT)."""
    repeat_keys: bool = False
    """Keys and values are copied for the queries that share them (Falcon)."""
    window: int = 0
    """Tokens that a query sees; 0: all before it."""
    sinks: bool = False
    """Each head has a parameter that takes part in the softmax (gpt-oss)."""

    @property
    def wide(self) -> int:
        """Elements of a token's queries."""
        return self.heads * self.head_dim

    @property
    def narrow(self) -> int:
        """Elements of a token's keys."""
        return self.kv_heads * self.head_dim


def self_attention(tape: Tape, s: Sizes, a: Attention, hidden: int, given: int) -> int:
    """Project step `given`, rotate, attend and project back; the index of the last step."""
    query, key, value = _project(tape, s, a, hidden, given)
    if a.qk_norm and not a.qk_norm.endswith("after"):
        query, key = _norm_heads(tape, s, a, query, key)
    if a.rope:
        query, key = ROTARY[a.rotary](tape, s, a, query, key)
    if a.qk_norm.endswith("after"):
        query, key = _norm_heads(tape, s, a, query, key)
    attend(tape, s, a, query, key, value)
    out = tape.linear(s.rows, hidden, a.wide, bias=0 if a.loose_bias else a.out_bias)
    return _loose(tape, s.rows * hidden, hidden, out) if a.loose_bias and a.out_bias else out


def _loose(tape: Tape, numel: int, width: int, product: int) -> int:
    return tape.add("Add", {"numel": numel}, numel, (product,), params=width)


def _project(tape: Tape, s: Sizes, a: Attention, hidden: int, given: int) -> tuple[int, int, int]:
    if a.fused:
        width = a.wide + 2 * a.narrow
        made = tape.linear(s.rows, width, hidden, given, bias=0 if a.loose_bias else a.bias)
        if a.loose_bias and a.bias:
            made = _loose(tape, s.rows * width, width, made)
        if a.repeat_keys:
            tape.each("Copy", s.rows * a.narrow, made)
            for _ in range(2):
                made = tape.each("Copy", s.rows * a.wide, made)
        return made, made, made
    query = tape.linear(s.rows, a.wide, hidden, given, bias=a.bias)
    if a.scale_queries:
        query = tape.each("MulScalar", s.rows * a.wide, query)
    key = tape.linear(s.rows, a.narrow, hidden, given, bias=a.bias)
    return query, key, tape.linear(s.rows, a.narrow, hidden, given, bias=a.bias)


def _norm_heads(tape: Tape, s: Sizes, a: Attention, query: int, key: int) -> tuple[int, int]:
    kind = a.qk_norm.removesuffix("-after")
    if kind == "whole":
        return tape.norm("rms", s.rows, a.wide, query), tape.norm("rms", s.rows, a.narrow, key)
    if kind == "unit":
        for heads, reads in ((a.heads, query), (a.kv_heads, key)):
            dims = {"rows": s.rows * heads, "cols": a.head_dim}
            tape.add("RMSNorm", dims, s.rows * heads * a.head_dim, (reads,))
        return tape.last - 1, tape.last
    style = "rms" if kind == "head" else "layer"
    made = [
        tape.norm(style, s.rows * heads, a.head_dim, reads, bias=False)
        for heads, reads in ((a.heads, query), (a.kv_heads, key))
    ]
    return made[0], made[1]


def attend(tape: Tape, s: Sizes, a: Attention, *reads: int, causal: int = 1) -> int:
    """The attention over cached and new tokens; the cache keeps no more than the window."""
    kv_heads = a.heads if a.repeat_keys else a.kv_heads
    length = s.cached + s.tokens
    dims = {"batch": s.batch, "q_len": s.tokens, "kv_len": length, "heads": a.heads, "kv_heads": kv_heads,
            "head_dim": a.head_dim, "causal": causal, "window": a.window}  # fmt: skip
    kept = min(length, a.window) if a.window else length
    tape.cached += 2 * s.batch * a.kv_heads * kept * a.head_dim
    return tape.add(
        "Attention", dims, s.rows * a.wide, tuple(dict.fromkeys(reads)), params=a.heads if a.sinks else 0
    )  # fmt: skip


def _rotate(tape: Tape, s: Sizes, a: Attention, query: int, key: int, dtype: str = "data") -> tuple[int, int]:
    heads = a.heads if a.repeat_keys else a.kv_heads
    dims = {"tokens": s.rows, "heads": a.heads, "kv_heads": heads, "head_dim": a.rope}
    made = tape.add("RoPE", dims, s.rows * (a.heads + heads) * a.rope, tuple({query, key}), dtype=dtype)
    return made, made


def _joined(tape: Tape, s: Sizes, a: Attention, query: int, key: int) -> tuple[int, int]:
    """The rotated part is joined with what is left as it is."""
    made, _ = _rotate(tape, s, a, query, key)
    return tape.each("Concat", s.rows * a.wide, query, made), tape.each("Concat", s.rows * a.narrow, key, made)


def _widened(tape: Tape, s: Sizes, a: Attention, query: int, key: int) -> tuple[int, int]:
    """Interleaved pairs: the tables are repeated first."""
    for _ in range(2):
        tape.each("Copy", s.tokens * a.rope, -1)
    return (_joined if a.rope < a.head_dim else _rotate)(tape, s, a, query, key)


def _by_pairs(tape: Tape, s: Sizes, a: Attention, query: int, key: int) -> tuple[int, int]:
    """GPT-J: sine and cosine are repeated for queries and for keys."""
    for _ in range(4):
        tape.each("Copy", s.tokens * a.rope, -1)
    return _joined(tape, s, a, query, key)


def _cast(tape: Tape, s: Sizes, a: Attention, query: int, key: int) -> tuple[int, int]:
    """Cohere: queries and keys are rotated in fp32."""
    query = tape.each("Cast", s.rows * a.wide, query, dtype="fp32")
    key = tape.each("Cast", s.rows * a.narrow, key, dtype="fp32")
    return _rotate(tape, s, a, query, key, dtype="fp32")


def _copied(tape: Tape, s: Sizes, a: Attention, query: int, key: int) -> tuple[int, int]:
    """Falcon with one key head: a copy brings it to the queries' layout."""
    key = tape.each("Copy", s.rows * a.narrow, key)
    return _rotate(tape, s, a, query, key)


def _mixed(tape: Tape, s: Sizes, a: Attention, query: int, key: int) -> tuple[int, int]:
    """ERNIE: tables in fp32 are repeated, and half-precision queries and keys are rotated with them."""
    for _ in range(2):
        tape.each("Copy", s.tokens * a.head_dim, -1, dtype="fp32")
    made = []
    for numel, given in ((s.rows * a.wide, query), (s.rows * a.narrow, key)):
        tape.each("Cast", numel, given, dtype="fp32")
        straight = tape.each("Mul", numel, dtype="fp32")
        tape.each("Neg", numel // 2, given)
        tape.each("Concat", numel)
        tape.each("Cast", numel, dtype="fp32")
        turned = tape.each("Mul", numel, dtype="fp32")
        made.append(tape.each("Add", numel, straight, turned, dtype="fp32"))
    return made[0], made[1]


def _complex(tape: Tape, s: Sizes, a: Attention, query: int, key: int) -> tuple[int, int]:
    """Pairs are turned by real and imaginary part: four products, a difference and a sum of half the width."""
    made = []
    for numel, given in ((s.rows * a.wide, query), (s.rows * a.narrow, key)):
        half = numel // 2
        products = [tape.each("Mul", half, given) for _ in range(2)]
        first = tape.each("Sub", half, *products)
        products = [tape.each("Mul", half, given) for _ in range(2)]
        made.append(tape.each("Concat", numel, first, tape.each("Add", half, *products)))
    return made[0], made[1]


ROTARY = MappingProxyType({
    "plain": _rotate, "joined": _joined, "widened": _widened, "pairs": _by_pairs, "cast": _cast, "copied": _copied,
    "mixed": _mixed, "complex": _complex,
})  # fmt: skip
"""How rotary positions are applied, by name."""
