"""Feed-forward parts of transformer layers: dense, gated, and mixtures of experts.

Of a mixture the operators are those of expected routing: with E experts of which each of T tokens takes k at random,
E (1 - (1 - k/E)^T) experts are expected to have work, and share T k rows as evenly as whole numbers allow. Each
product of all experts is a `BMM` over the experts that have work (two where some have a row more than others), with the
flops and bytes of one `GroupedMatMul` over as many groups.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from hetbench.graphs.huggingface.tape import Sizes, Tape

__all__ = ["ROUTERS", "Experts", "Mlp", "expected_experts", "feed_forward", "routed_experts"]


@dataclass(frozen=True, slots=True)
class Mlp:
    """A dense feed-forward part."""

    inner: int
    activation: str
    kind: str = "gated"
    """`gated`: gate and up projection; `fused`: both as one product; `plain`: up and down only."""
    bias: int = 0
    out_bias: int | None = None
    """Where the last projection differs from `bias`."""
    loose_bias: bool = False
    """The bias is an operator of its own (Falcon)."""


@dataclass(frozen=True, slots=True)
class Experts:
    """A mixture of experts."""

    count: int
    chosen: int
    """Experts of one token."""
    inner: int
    activation: str
    router: str
    """One of `ROUTERS`."""
    shared: Mlp | None = None
    """What every token passes besides."""
    shared_gate: bool = False
    """The shared part is weighted by a gate of its own (Qwen)."""
    shared_first: bool = True
    bias: int = 0
    """1 where router and experts have biases (gpt-oss)."""
    normalised: bool = True
    """The weights of the chosen experts are divided by their sum."""
    groups: int = 1
    """Groups of experts of which `chosen_groups` are kept first."""
    chosen_groups: int = 1


def expected_experts(count: int, chosen: int, tokens: int) -> int:
    """How many experts are expected to have work when each token takes `chosen` of them at random.

    >>> expected_experts(8, 2, 1), expected_experts(8, 2, 4), expected_experts(256, 8, 64)
    (2, 5, 222)
    """
    expected = count * (1 - (1 - chosen / count) ** tokens)
    return max(min(chosen, count), min(round(expected), count, chosen * tokens))


def feed_forward(tape: Tape, s: Sizes, part: Mlp | Experts, hidden: int, given: int) -> int:
    """The operators of the part on step `given`; the index of the last."""
    if isinstance(part, Mlp):
        return _dense(tape, s.rows, part, hidden, given)
    return _mixture(tape, s, part, hidden, given)


def _dense(tape: Tape, rows: int, m: Mlp, hidden: int, given: int) -> int:
    numel = rows * m.inner
    out_bias = m.bias if m.out_bias is None else m.out_bias
    if m.kind == "plain":
        _biased(tape, rows, m.inner, hidden, m, m.bias, given)
        tape.activate(m.activation, numel)
        return _biased(tape, rows, hidden, m.inner, m, out_bias, tape.last)
    if m.kind == "fused":
        both = tape.linear(rows, 2 * m.inner, hidden, given, bias=m.bias)
        gate = tape.activate(m.activation, numel, both)
        tape.each("Mul", numel, both, gate)
    else:
        tape.linear(rows, m.inner, hidden, given, bias=m.bias)
        gate = tape.activate(m.activation, numel)
        up = tape.linear(rows, m.inner, hidden, given, bias=m.bias)
        tape.each("Mul", numel, gate, up)
    return tape.linear(rows, hidden, m.inner, bias=out_bias)


def _biased(tape: Tape, rows: int, n: int, k: int, m: Mlp, bias: int, given: int) -> int:
    made = tape.linear(rows, n, k, given, bias=0 if m.loose_bias else bias)
    return tape.add("Add", {"numel": rows * n}, rows * n, (made,), params=n) if m.loose_bias and bias else made


def _mixture(tape: Tape, s: Sizes, e: Experts, hidden: int, given: int) -> int:
    shared = _shared(tape, s, e, hidden, given) if e.shared and e.shared_first else -1
    weights = ROUTERS[e.router](tape, s.rows, e, hidden, given)
    routed = routed_experts(tape, s.rows, e, hidden, given, weights)
    if e.shared is None:
        return routed
    if not e.shared_first:
        shared = _shared(tape, s, e, hidden, given)
    if e.shared_gate:
        tape.linear(s.rows, 1, hidden, given)
        gate = tape.each("Sigmoid", s.rows)
        shared = tape.each("Mul", s.rows * hidden, gate, shared)
    return tape.each("Add", s.rows * hidden, routed, shared)


def _shared(tape: Tape, s: Sizes, e: Experts, hidden: int, given: int) -> int:
    assert e.shared is not None
    return _dense(tape, s.rows, e.shared, hidden, given)


def routed_experts(tape: Tape, rows: int, e: Experts, hidden: int, given: int, weights: int) -> int:
    """The products of the experts that have work, and what weights and sums their results."""
    routed, busy = rows * e.chosen, expected_experts(e.count, e.chosen, rows)
    tape.each("Copy", routed * hidden, given, weights)  # the rows of each expert, side by side
    up = _grouped(tape, routed, busy, 2 * e.inner, hidden, e)
    gate = tape.activate(e.activation, routed * e.inner, up)
    tape.each("Mul", routed * e.inner, up, gate)
    _grouped(tape, routed, busy, hidden, e.inner, e)
    tape.each("Mul", routed * hidden, tape.last, weights)
    return tape.add("Sum", {"rows": rows * hidden, "cols": e.chosen}, rows * hidden)


def _grouped(tape: Tape, routed: int, busy: int, n: int, k: int, e: Experts) -> int:
    """One product for each expert that has work; two groups where the rows do not share out evenly."""
    each, more = divmod(routed, busy)
    given, params = tape.last, e.count * (n * k + e.bias * n)
    active = e.chosen * (n * k + e.bias * n)
    for experts, rows in ((busy - more, each), (more, each + 1)):
        if experts and rows:
            dims = {"b": experts, "m": rows, "n": n, "k": k}
            tape.add("BMM", dims, experts * rows * n, (given,), params=params, active=active, stored=True)
            params = active = 0
    return tape.each("Add", routed * n) if e.bias else tape.last


# ---- routers: scores of all experts, the chosen ones, their weights ----


def _best(tape: Tape, rows: int, cols: int, k: int, dtype: str = "fp32") -> int:
    """The `k` largest scores of each row, and where they are."""
    return tape.add("TopK", {"rows": rows, "cols": cols, "k": k}, rows * k, dtype=dtype)


def _chosen(tape: Tape, rows: int, e: Experts, *, gathered: bool = False) -> int:
    """The best experts of each token; their weights are `gathered` where other scores than the weights order them."""
    _best(tape, rows, e.count, e.chosen)
    return tape.each("Copy", rows * e.chosen, dtype="fp32") if gathered else tape.last


def _normalise(tape: Tape, rows: int, e: Experts, epsilon: str = "") -> int:
    if e.normalised:
        given = tape.last
        tape.add("Sum", {"rows": rows, "cols": e.chosen}, rows, dtype="fp32")
        if epsilon:
            tape.each(epsilon, rows, dtype="fp32")
        tape.each("Div", rows * e.chosen, given, tape.last, dtype="fp32")
    return tape.last


def _softmax(tape: Tape, rows: int, cols: int, dtype: str = "fp32") -> int:
    return tape.add("Softmax", {"rows": rows, "cols": cols}, rows * cols, dtype=dtype)


def _mixtral(tape: Tape, rows: int, e: Experts, hidden: int, given: int) -> int:
    tape.linear(rows, e.count, hidden, given, bias=e.bias)
    tape.each("Cast", rows * e.count, dtype="fp32")
    _softmax(tape, rows, e.count)
    _chosen(tape, rows, e)
    return _normalise(tape, rows, e)


def _qwen(tape: Tape, rows: int, e: Experts, hidden: int, given: int) -> int:
    tape.linear(rows, e.count, hidden, given)
    _softmax(tape, rows, e.count, "data")
    _chosen(tape, rows, e)
    _normalise(tape, rows, e)
    return tape.each("Cast", rows * e.chosen, dtype="fp32")


def _granite(tape: Tape, rows: int, e: Experts, hidden: int, given: int) -> int:
    tape.linear(rows, e.count, hidden, given)
    tape.each("Cast", rows * e.count, dtype="fp32")
    _chosen(tape, rows, e)
    _softmax(tape, rows, e.chosen)
    return tape.each("Cast", rows * e.chosen, dtype="fp32")


def _gpt_oss(tape: Tape, rows: int, e: Experts, hidden: int, given: int) -> int:
    tape.linear(rows, e.count, hidden, given, bias=e.bias)
    _best(tape, rows, e.count, e.chosen, "data")
    return _softmax(tape, rows, e.chosen, "data")


def _minimax(tape: Tape, rows: int, e: Experts, hidden: int, given: int) -> int:
    """Sigmoid scores with a bias of each expert, which is a buffer and no parameter."""
    tape.linear(rows, e.count, hidden, given)
    tape.each("Cast", rows * e.count, dtype="fp32")
    tape.each("Sigmoid", rows * e.count, dtype="fp32")
    tape.each("Add", rows * e.count, dtype="fp32")
    _chosen(tape, rows, e, gathered=True)
    return _normalise(tape, rows, e)


def _deepseek(tape: Tape, rows: int, e: Experts, hidden: int, given: int) -> int:
    """Sigmoid scores in fp32; the best groups by the sum of their two best experts, then the best of those."""
    scores = _scores_fp32(tape, rows, e, hidden, given)
    tape.each("Sigmoid", scores, dtype="fp32")
    tape.each("Add", scores, dtype="fp32")
    _best(tape, rows * e.groups, e.count // e.groups, 2)
    tape.add("Sum", {"rows": rows * e.groups, "cols": 2}, rows * e.groups, dtype="fp32")
    _best(tape, rows, e.groups, e.chosen_groups)
    tape.each("Copy", rows * e.groups, dtype="fp32")
    if e.groups > 1:
        tape.each("Copy", scores, dtype="fp32")
    tape.each("Cast", scores, dtype="fp32")
    tape.each("Compare", scores, dtype="bool")
    tape.each("Where", scores, dtype="fp32")
    _chosen(tape, rows, e, gathered=True)
    _normalise(tape, rows, e, "AddScalar")
    return tape.each("MulScalar", rows * e.chosen, dtype="fp32")


def _deepseek_v2(tape: Tape, rows: int, e: Experts, hidden: int, given: int) -> int:
    """Softmax scores in fp32; with groups the best of each group come first."""
    scores = _scores_fp32(tape, rows, e, hidden, given)
    _softmax(tape, rows, e.count)
    if e.groups > 1:
        tape.add("Max", {"rows": rows * e.groups, "cols": e.count // e.groups}, rows * e.groups, dtype="fp32")
        _best(tape, rows, e.groups, e.chosen_groups)
        tape.each("Copy", rows * e.groups, dtype="fp32")
        tape.each("Copy", scores, dtype="fp32")
        tape.each("Cast", scores, dtype="fp32")
        tape.each("Compare", scores, dtype="bool")
        tape.each("Where", scores, dtype="fp32")
    _chosen(tape, rows, e)
    return tape.each("MulScalar", rows * e.chosen, dtype="fp32")


def _ernie(tape: Tape, rows: int, e: Experts, hidden: int, given: int) -> int:
    scores = _scores_fp32(tape, rows, e, hidden, given)
    _softmax(tape, rows, e.count)
    tape.add("Add", {"numel": scores}, scores, params=e.count, dtype="fp32")
    _chosen(tape, rows, e, gathered=True)
    _normalise(tape, rows, e, "Clamp")
    return tape.each("Cast", rows * e.chosen, dtype="fp32")


def _scores_fp32(tape: Tape, rows: int, e: Experts, hidden: int, given: int) -> int:
    """The router's product in fp32; elements of the scores."""
    cast = tape.each("Cast", rows * hidden, given, dtype="fp32")
    tape.each("Cast", e.count * hidden, -1, dtype="fp32")
    tape.linear(rows, e.count, hidden, cast, dtype="fp32")
    return rows * e.count


def _llama4(tape: Tape, rows: int, e: Experts, hidden: int, given: int) -> int:
    tape.linear(rows, e.count, hidden, given)
    _best(tape, rows, e.count, e.chosen, "data")
    tape.each("Copy", rows * e.count)
    tape.each("Cast", rows * e.count, dtype="fp32")
    tape.each("Sigmoid", rows * e.count, dtype="fp32")
    return tape.each("Cast", rows * e.count, dtype="fp32")


Router = Callable[[Tape, int, Experts, int, int], int]
ROUTERS: Mapping[str, Router] = MappingProxyType({
    "mixtral": _mixtral, "qwen": _qwen, "granite": _granite, "gpt-oss": _gpt_oss, "minimax": _minimax,
    "deepseek": _deepseek, "deepseek-v2": _deepseek_v2, "ernie": _ernie, "llama4": _llama4,
})  # fmt: skip
"""How tokens choose experts, by name."""
