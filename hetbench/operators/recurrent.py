"""Gates of one step of a recurrent layer: everything between its matrix products.

A recurrent layer is a Linear over all time steps at once (the input projection), then at each step a Linear on the
state (the recurrent projection) and its gates. Operations an element of the state: LSTM adds the projections of four
gates (4), three sigmoids (12), two tanh (10), three products and a sum; GRU 3 + 8 + 5 + 1 + 3; a plain layer a sum
and a tanh.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from hetbench.operators._base import Dims, OperatorType, Size


def _flops(per_element: int, d: Dims) -> Size:
    return per_element * d["rows"] * d["cols"]


def _elements(tensors: int, d: Dims) -> Size:
    return tensors * d["rows"] * d["cols"]


def _lstm(d: Dims, torch: Any, dtype: Any, device: str) -> Callable[[], Any]:
    projected = torch.ones(2, d["rows"], 4 * d["cols"], dtype=dtype, device=device)
    cell = torch.ones(d["rows"], d["cols"], dtype=dtype, device=device)

    def run() -> Any:
        i, f, g, o = (projected[0] + projected[1]).chunk(4, -1)
        state = f.sigmoid() * cell + i.sigmoid() * g.tanh()
        return o.sigmoid() * state.tanh(), state

    return run


def _gru(d: Dims, torch: Any, dtype: Any, device: str) -> Callable[[], Any]:
    given, recurrent = torch.ones(2, d["rows"], 3 * d["cols"], dtype=dtype, device=device)
    state = torch.ones(d["rows"], d["cols"], dtype=dtype, device=device)

    def run() -> Any:
        (r, z, n), (hr, hz, hn) = given.chunk(3, -1), recurrent.chunk(3, -1)
        r, z = (r + hr).sigmoid(), (z + hz).sigmoid()
        n = (n + r * hn).tanh()
        return n + z * (state - n)

    return run


def _rnn(d: Dims, torch: Any, dtype: Any, device: str) -> Callable[[], Any]:
    given, recurrent = torch.ones(2, d["rows"], d["cols"], dtype=dtype, device=device)
    return lambda: (given + recurrent).tanh()


OPERATORS = tuple(
    OperatorType(name, "vector", ("rows", "cols"), partial(_flops, flops), partial(_elements, tensors), make)
    for name, flops, tensors, make in (
        ("LSTMGates", 30, 11, _lstm),  # reads 2 x 4 projections and the cell, writes state and cell
        ("GRUGates", 20, 8, _gru), ("RNNGates", 6, 3, _rnn),
    )
)
