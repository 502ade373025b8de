"""Latent attention of DeepSeek: queries, keys and values come from narrow vectors; the cache keeps one a token.

As in transformers, every step expands the cached vectors to keys and values again; engines that fold the expansion
into queries and output run less in a decoding step. DeepSeek-V3.2 and GLM-5 add an indexer
that scores all cached tokens, so that the attention sees the best `index_best` of them only.
"""

from __future__ import annotations

from dataclasses import dataclass

from hetbench.graphs.huggingface.tape import Sizes, Tape

__all__ = ["Latent", "latent_attention"]


@dataclass(frozen=True, slots=True)
class Latent:
    """What one layer's latent attention is made of."""

    heads: int
    query_rank: int
    """0: queries are projected at once."""
    rank: int
    plain: int
    """Width of a head's query and key without positions."""
    rope: int
    value: int
    bias: int = 0
    index_heads: int = 0
    """Heads of the indexer; 0: none."""
    index_dim: int = 0
    index_best: int = 0
    interleaved: bool = True
    """Pairs to rotate lie side by side."""

    @property
    def wide(self) -> int:
        """Width of a head's query."""
        return self.plain + self.rope


def latent_attention(tape: Tape, s: Sizes, a: Latent, hidden: int, given: int) -> int:
    """Project, rotate, attend and project back; the index of the last step."""
    narrow = given
    if a.query_rank:
        tape.linear(s.rows, a.query_rank, hidden, given, bias=a.bias)
        narrow = tape.norm("rms", s.rows, a.query_rank)
    query = tape.linear(s.rows, a.heads * a.wide, a.query_rank or hidden, narrow)
    joint = tape.linear(s.rows, a.rank + a.rope, hidden, given, bias=a.bias)
    tape.norm("rms", s.rows, a.rank, joint)
    length = s.cached + s.tokens
    expanded = tape.linear(s.batch * length, a.heads * (a.plain + a.value), a.rank)
    rope = {"tokens": s.rows, "heads": a.heads, "kv_heads": 1, "head_dim": a.rope}
    turned = tape.add("RoPE", rope, s.rows * (a.heads + 1) * a.rope, (query, joint))
    query = tape.each("Concat", s.rows * a.heads * a.wide, query, turned)
    key = tape.each("Concat", s.batch * length * a.heads * a.wide, expanded, turned)
    if a.index_heads:
        _index(tape, s, a, hidden, given, narrow)
    dims = {"batch": s.batch, "q_len": s.tokens, "kv_len": length, "heads": a.heads, "kv_heads": a.heads,
            "head_dim": a.wide, "causal": 1,
            "window": a.index_best if a.index_heads and length > a.index_best else 0}  # fmt: skip
    tape.add("Attention", dims, s.rows * a.heads * a.value, (query, key, expanded))
    tape.cached += s.batch * length * (a.rank + a.rope + a.index_dim)
    return tape.linear(s.rows, hidden, a.heads * a.value, bias=a.bias)


def _index(tape: Tape, s: Sizes, a: Latent, hidden: int, given: int, narrow: int) -> int:
    """Scores of every cached token for every query, in fp32."""
    length = s.cached + s.tokens
    query = tape.linear(s.rows, a.index_heads * a.index_dim, a.query_rank, narrow)
    tape.linear(s.rows, a.index_dim, hidden, given)
    key = tape.norm("layer", s.rows, a.index_dim)
    rope = {"tokens": s.rows, "heads": a.index_heads, "kv_heads": 1, "head_dim": a.rope}
    tape.add("RoPE", rope, s.rows * (a.index_heads + 1) * a.rope, (query, key))
    tape.each("Cast", s.rows * a.index_heads * a.index_dim, dtype="fp32")
    scores = s.rows * a.index_heads * length
    tape.add("BMM", {"b": s.rows, "m": a.index_heads, "n": length, "k": a.index_dim}, scores, dtype="fp32")
    tape.each("MulScalar", scores, dtype="fp32")
    relu = tape.each("ReLU", scores, dtype="fp32")
    weights = tape.linear(s.rows, a.index_heads, hidden, given)
    tape.each("Cast", s.rows * a.index_heads, dtype="fp32")
    tape.each("MulScalar", s.rows * a.index_heads, dtype="fp32")
    total = {"b": s.rows, "m": 1, "n": length, "k": a.index_heads}
    tape.add("BMM", total, s.rows * length, (relu, weights), dtype="fp32")
    best = min(a.index_best, length)
    return tape.add("TopK", {"rows": s.rows, "cols": length, "k": best}, s.rows * best, dtype="fp32")
