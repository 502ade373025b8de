"""Row-wise operators over [rows, cols]: normalisations, softmax and reductions; BatchNorm2d over [n, c, h, w].

At inference a batch norm is one scale and one shift a channel. GroupNorm has rows = n * groups and
cols = (c / groups) * h * w.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from hetbench.operators._base import Dims, OperatorType, Size


def _flops(per_element: int, d: Dims) -> Size:
    return per_element * d["rows"] * d["cols"]


def _elements(parameters: int, d: Dims) -> Size:
    return 2 * d["rows"] * d["cols"] + parameters * d["cols"]


def _reduced(d: Dims) -> Size:
    return d["rows"] * d["cols"] + d["rows"]


def _pixels(d: Dims) -> Size:
    return d["n"] * d["c"] * d["h"] * d["w"]


def _make(call: str, d: Dims, torch: Any, dtype: Any, device: str) -> Callable[[], Any]:
    x = torch.ones(d["rows"], d["cols"], dtype=dtype, device=device)
    weight = torch.ones(d["cols"], dtype=dtype, device=device)
    functional, shape = torch.nn.functional, (d["cols"],)
    calls: dict[str, Callable[[], Any]] = {
        "layer_norm": lambda: functional.layer_norm(x, shape, weight, weight),
        "rms_norm": lambda: functional.rms_norm(x, shape, weight),
        "group_norm": lambda: functional.group_norm(x[None], d["rows"]),  # [1, rows, cols], a group a row
        "softmax": lambda: functional.softmax(x, -1), "log_softmax": lambda: functional.log_softmax(x, -1),
        "mean": lambda: x.mean(-1), "sum": lambda: x.sum(-1), "max": lambda: x.amax(-1),
        "argmax": lambda: x.argmax(-1), "cumsum": lambda: x.cumsum(-1), "norm": lambda: x.norm(dim=-1),
    }
    calls["var_mean"] = lambda: torch.var_mean(x, -1)
    return calls[call]


def _batch_norm(d: Dims, torch: Any, dtype: Any, device: str) -> Callable[[], Any]:
    x = torch.ones(d["n"], d["c"], d["h"], d["w"], dtype=dtype, device=device)
    stats = torch.ones(d["c"], dtype=dtype, device=device)
    return lambda: torch.nn.functional.batch_norm(x, stats, stats, stats, stats, False)


_SAME_SIZE = (  # name, operations an element, parameter vectors, torch call
    ("LayerNorm", 8, 2, "layer_norm"), ("RMSNorm", 5, 1, "rms_norm"), ("GroupNorm", 8, 0, "group_norm"),
    ("Softmax", 6, 0, "softmax"), ("LogSoftmax", 7, 0, "log_softmax"), ("CumSum", 1, 0, "cumsum"),
)
_REDUCTIONS = (
    ("Mean", 1, "mean"), ("Sum", 1, "sum"), ("Max", 1, "max"), ("ArgMax", 1, "argmax"), ("VectorNorm", 2, "norm"),
)

OPERATORS = (
    *(
        OperatorType(
            name, "vector", ("rows", "cols"), partial(_flops, per_element), partial(_elements, parameters),
            partial(_make, call),
        )
        for name, per_element, parameters, call in _SAME_SIZE
    ),
    *(
        OperatorType(name, "vector", ("rows", "cols"), partial(_flops, per_element), _reduced, partial(_make, call))
        for name, per_element, call in _REDUCTIONS
    ),
    # one pass for the mean, three operations an element for the squared deviations; two results a row
    OperatorType(
        "VarMean", "vector", ("rows", "cols"), partial(_flops, 4), lambda d: d["rows"] * d["cols"] + 2 * d["rows"],
        partial(_make, "var_mean"),
    ),
    OperatorType(
        "BatchNorm2d", "vector", ("n", "c", "h", "w"), lambda d: 2 * _pixels(d),
        lambda d: 2 * _pixels(d) + 4 * d["c"], _batch_norm,
    ),
)
