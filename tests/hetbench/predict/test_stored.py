"""Stored formats are of the weights of matrix products."""

from __future__ import annotations

import pytest

from hetbench import HetBench, RefusedError


@pytest.mark.parametrize(("op", "dims"), [
    ("Softmax", {"rows": 8, "cols": 8}), ("TopK", {"rows": 8, "cols": 8, "k": 2}),
    ("Conv1d", {"n": 1, "c": 8, "l": 8, "oc": 8, "k": 3}),
])  # fmt: skip
def test_an_operator_without_such_weights_has_no_stored_format(op: str, dims: dict[str, int]):
    with pytest.raises(RefusedError, match=f"{op} has no weights in w4a16"):
        HetBench().query_operator(op, dims, device="cuda", precision="w4a16")
