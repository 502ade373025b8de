"""Which of the functions that networks call at inference have an operator type."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from hetbench.errors import InvalidInputError  # noqa: E402
from hetbench.operators import operator_type  # noqa: E402
from hetbench.tracing import trace  # noqa: E402
from tests.hetbench.tracing.inference_functions import FUNCTIONS, MODULES  # noqa: E402

REFUSED = ("svd", "eigh")


class Call(torch.nn.Module):
    """A function as a module."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, *given: Any) -> Any:
        return self.function(*given)


CASES = {
    **{name: (Call(function), given) for name, (function, given) in FUNCTIONS.items()},
    **{name: (make(), given) for name, (make, given) in MODULES.items()},
}


def test_138_functions_are_tried():
    assert len(CASES) == 138


@pytest.mark.parametrize("name", sorted(set(CASES) - set(REFUSED)))
def test_a_function_of_inference_has_operators_with_sound_dims_and_positive_traffic(name: str):
    rows = trace(*CASES[name]).operators().rows()
    assert rows
    for row in rows:
        kind = operator_type(row["op"])
        assert kind.check(row["dims"]) == row["dims"]
        assert kind.bytes_moved(row["dims"], 4) > 0


@pytest.mark.parametrize("name", REFUSED)
def test_a_function_without_a_type_is_named(name: str):
    with pytest.raises(InvalidInputError, match=f"no operator type covers 1 .* _linalg_{name}"):
        trace(*CASES[name])
