"""Recurrent layers and cells as the products and gates that they run, step by step."""

from __future__ import annotations

from typing import Any

from hetbench.tracing.functions import bare
from hetbench.tracing.lowered import Lowered, lowered_type
from hetbench.tracing.recording import Call

__all__ = ["RECURRENT", "recurrent"]

RECURRENT = {
    "lstm": "LSTMGates", "gru": "GRUGates", "rnn_tanh": "RNNGates", "rnn_relu": "RNNGates", "lstm_cell": "LSTMGates",
    "gru_cell": "GRUGates", "rnn_tanh_cell": "RNNGates", "rnn_relu_cell": "RNNGates",
}  # fmt: skip
"""torch function -> the operator type of one step's gates."""


def recurrent(call: Call) -> list[Lowered]:
    """All layers and directions: the projection of the inputs at once, then each step's projection and gates."""
    gates, dtype = RECURRENT[bare(call.name)], lowered_type(call.inputs[0].dtype)
    if call.name.endswith("_cell"):
        weights = [each for each in call.inputs if each.dim() == 2 and _is_parameter_like(call, each)]
        return _layer(weights[-2], weights[-1], None, gates, [_rows_of(call.inputs[0])], dtype, len(call.inputs) > 4)
    packed = isinstance(call.args[3], tuple | list)  # batch sizes by step come second, then state and weights
    groups = call.args[3] if packed else call.args[2]
    biased, layers, both = (call.args[4], call.args[5], call.args[8]) if packed else (*call.args[3:5], call.args[7])
    rows = _rows_by_step(call, packed)
    each = len(groups) // (layers * (2 if both else 1))  # weights of one layer and direction
    found: list[Lowered] = []
    for start in range(0, len(groups), each):
        own = groups[start : start + each]
        projection = own[-1] if each % 2 else None  # LSTM with a projected state
        found += _layer(own[0], own[1], projection, gates, rows, dtype, bool(biased))
    return found


def _is_parameter_like(call: Call, tensor: Any) -> bool:
    """Weights follow the input and the state, which are tensors or a pair of them."""
    given = call.args[:2]
    state = given[1] if isinstance(given[1], tuple | list) else (given[1],)
    return all(tensor is not each for each in (given[0], *state))


def _rows_of(tensor: Any) -> int:
    return int(tensor.shape[0]) if tensor.dim() > 1 else 1


def _rows_by_step(call: Call, packed: bool) -> list[int]:
    """Sequences that run at each step."""
    x = call.args[0]
    if packed:
        steps, total = int(call.args[1].numel()), int(x.shape[0])
        return [total // steps + (step < total % steps) for step in range(steps)]
    first = bool(call.args[8])
    steps, batch = (x.shape[1], x.shape[0]) if first else (x.shape[0], x.shape[1])
    return [int(batch)] * int(steps)


def _layer(
    given: Any, state: Any, projection: Any, gates: str, rows: list[int], dtype: str, biased: bool
) -> list[Lowered]:
    """One layer in one direction; `given` [gates x hidden, input] and `state` [gates x hidden, state] are weights."""
    wide, bias = int(given.shape[0]), int(biased)
    hidden = wide // {"LSTMGates": 4, "GRUGates": 3}.get(gates, 1)
    found = [Lowered("Linear", {"m": sum(rows), "n": wide, "k": int(given.shape[1]), "bias": bias}, dtype)]
    for batch in rows:
        found.append(Lowered("Linear", {"m": batch, "n": wide, "k": int(state.shape[1]), "bias": bias}, dtype))
        found.append(Lowered(gates, {"rows": batch, "cols": hidden}, dtype))
        if projection is not None:
            dims = {"m": batch, "n": int(projection.shape[0]), "k": hidden, "bias": 0}
            found.append(Lowered("Linear", dims, dtype))
    return found
