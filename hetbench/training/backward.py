"""The operators that a training step runs beside those of inference: of each operator its backward, as real operators.

A product has two, one for each operand's gradient; a convolution two of its own size (data and weights); fused
attention takes five products where the forward takes two; what works element by element reads and writes tensors of the
same size. So every one is priced by the surrogates of operators. Backward formulas are those of PyTorch's autograd.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from hetbench.operators import operator_type

__all__ = ["backward_of", "beside_forward"]

Dims = Mapping[str, int]
Made = list[tuple[str, dict[str, int]]]
"""Operator type and dims of each operator."""


def backward_of(op: str, dims: Dims) -> Made:
    """The operators of the backward pass of one operator; all its inputs need a gradient.

    >>> [op for op, _ in backward_of("ReLU", {"numel": 8})]
    ['Mul']
    >>> backward_of("MatMul", {"m": 2, "n": 3, "k": 4})
    [('MatMul', {'m': 2, 'n': 4, 'k': 3}), ('MatMul', {'m': 4, 'n': 3, 'k': 2})]
    """
    kind = operator_type(op)
    full = {**kind.optional, **dims}
    if op in _RULES:
        return _RULES[op](full)
    if op in _NO_GRADIENT or kind.cost_class == "free":
        return []
    if kind.cost_class == "conv":
        return [(op, dict(dims))] * 2
    return [(op, dict(dims))]  # as many elements in the other direction


def beside_forward(op: str, dims: Dims) -> Made:
    """What the forward pass of a training step runs beside an operator of inference.

    >>> beside_forward("BatchNorm2d", {"n": 2, "c": 3, "h": 4, "w": 5})
    [('VarMean', {'rows': 3, 'cols': 40})]
    """
    if op == "BatchNorm2d":
        return [_over_channels(dims)]
    if op == "Dropout":  # reads its input, writes the result; the mask is a byte of each
        return [("MulScalar", {"numel": dims["numel"]})]
    return []


def operators_of(op: str, dims: Dims) -> Iterator[tuple[str, dict[str, int]]]:
    """All that an operator adds to a training step.

    >>> [op for op, _ in operators_of("Dropout", {"numel": 8})]
    ['MulScalar', 'Mul']
    """
    yield from beside_forward(op, dims)
    yield from backward_of(op, dims)


def _product(op: str, d: Dims, **more: int) -> Made:
    """dA[m, k] = dC[m, n] B' and dB[k, n] = A' dC."""
    m, n, k = d["m"], d["n"], d["k"]
    return [(op, {**more, "m": m, "n": k, "k": n}), (op, {**more, "m": k, "n": n, "k": m})]


def _linear(d: Dims) -> Made:
    bias: Made = [("Sum", {"rows": d["n"], "cols": d["m"]})] if d["bias"] else []
    return _product("Linear", d) + bias


def _grouped(d: Dims) -> Made:
    return [("GroupedMatMul", {"groups": d["groups"], "m": d["m"], "n": d["k"], "k": d["n"]})] * 2


def _attention(d: Dims) -> Made:
    """Scores again, and the gradients of values, probabilities, queries and keys: 5 products for 2."""
    names = ("batch", "q_len", "kv_len", "heads", "kv_heads", "head_dim", "causal", "window")
    whole = {name: d[name] for name in names}
    value = d["v_dim"] or d["head_dim"]
    half = whole | {"head_dim": max(d["head_dim"] // 2, 1), "v_dim": max(value // 2, 1)}
    return [("Attention", whole | {"v_dim": d["v_dim"]})] * 2 + [("Attention", half)]


def _rows_norm(parameters: bool, d: Dims) -> Made:
    """The input's gradient reads two tensors and writes one; those of scale and shift read both again."""
    numel = d["rows"] * d["cols"]
    weights: Made = [("VarMean", {"rows": d["cols"], "cols": d["rows"]})] * 2 if parameters else []
    return [("Mul", {"numel": numel}), *weights]


def _batch_norm(d: Dims) -> Made:
    return [_over_channels(d), _over_channels(d), ("Mul", {"numel": d["n"] * d["c"] * d["h"] * d["w"]})]


def _over_channels(d: Dims) -> tuple[str, dict[str, int]]:
    return "VarMean", {"rows": d["c"], "cols": d["n"] * d["h"] * d["w"]}


def _embedding(d: Dims) -> Made:
    """Rows of the result's gradient added to those of a table of zeros."""
    table, rows = d["vocab"] * d["dim"], d["tokens"] * d["dim"]
    return [("Fill", {"numel": table}), ("ScatterAdd", {"numel": rows, "touched": rows, "indices": d["tokens"]})]


def _flat(op: str, times: int = 1) -> Callable[[Dims], Made]:
    return lambda d: [(op, {"numel": d["numel"]})] * times


def _flat_rows(op: str) -> Callable[[Dims], Made]:
    return lambda d: [(op, {"numel": d["rows"] * d["cols"]})]


_NO_GRADIENT = frozenset({
    "AddScalar", "Neg", "Compare", "Fill", "ArgMax", "CumSum", "Sort", "TopK", "Sub",
})  # fmt: skip
"""Operators whose backward runs no kernel of its own: the gradient passes through, or there is none."""
_BY_RESULT = (
    "ReLU", "ReLU6", "GELU", "SiLU", "Sigmoid", "Tanh", "Hardswish", "Hardsigmoid", "LeakyReLU", "Clamp", "Exp", "Log",
    "Abs", "Sqrt", "Rsqrt", "Reciprocal", "Sin", "Cos", "PowScalar", "Dropout",
)  # fmt: skip
"""One input, whose gradient is that of the result times a function of a tensor that was kept."""
_RULES: dict[str, Callable[[Dims], Made]] = {
    "Linear": _linear, "MatMul": lambda d: _product("MatMul", d), "BMM": lambda d: _product("BMM", d, b=d["b"]),
    "GroupedMatMul": _grouped, "Attention": _attention,
    "LayerNorm": lambda d: _rows_norm(True, d), "RMSNorm": lambda d: _rows_norm(True, d),
    "GroupNorm": lambda d: _rows_norm(False, d), "BatchNorm2d": _batch_norm, "Embedding": _embedding,
    "Softmax": _flat_rows("Mul"), "LogSoftmax": _flat_rows("Mul"), "Mean": _flat_rows("Fill"),
    "Sum": _flat_rows("Fill"), "Max": _flat_rows("Where"), "VectorNorm": _flat_rows("Mul"),
    "VarMean": _flat_rows("Mul"),
    "Add": _flat("Add"),  # where both branches came from one tensor their gradients are added
    "Mul": _flat("Mul", 2), "Div": _flat("Mul", 2), "Pow": _flat("Mul", 2), "Maximum": _flat("Mul", 2),
    "Minimum": _flat("Mul", 2), "Addcmul": _flat("Mul", 2), "Addcdiv": _flat("Mul", 2), "Lerp": _flat("MulScalar", 2),
    "Where": _flat("Mul", 2), "Atan2": _flat("Mul", 2), "MulScalar": _flat("MulScalar"),
    "DivScalar": _flat("MulScalar"), "Concat": _flat("Copy"), "Pad": _flat("Copy"), "Repeat": _flat("Copy"),
    **dict.fromkeys(_BY_RESULT, _flat("Mul")),
}  # fmt: skip
