import numpy as np
import pytest

from hetbench.kernel.programs import MOST_REGISTERS, record_formula
from hetbench.operators import operator_types
from hetbench.predict.canonical import canonical_columns
from hetbench.predict.compiled import COLUMNS


@pytest.mark.parametrize("name", [name for name, kind in operator_types().items() if kind.cost_class != "free"])
def test_the_formulas_of_every_operator_type_can_be_recorded(name: str):
    kind = operator_types()[name]
    cls = "prefill" if kind.cost_class == "attention" else kind.cost_class
    made = record_formula(lambda d: canonical_columns(name, d, 2), kind.dims, kind.optional, COLUMNS[cls])
    assert made is not None
    assert len(made.outputs) == len(COLUMNS[cls])


def test_equal_steps_are_taken_once_and_unused_ones_not_at_all():
    made = record_formula(lambda d: {"y": d["a"] * d["b"] + d["a"] * d["b"], "z": d["a"] // 7}, ["a", "b"], {}, ["y"])
    assert made is not None
    assert len(made.steps.values) == 2


@pytest.mark.parametrize("formula", [
    lambda d: {"y": d["a"] if d["a"] > 3 else d["b"]},
    lambda d: {"y": np.arctan(d["a"])},
    lambda d: {"y": np.asarray(d["a"])},
    lambda d: {"y": d["a"] & d["b"]},
    lambda d: {"y": np.sort(d["a"])},
    lambda d: {"y": d["a"].tolist()},
])  # fmt: skip
def test_a_formula_that_decides_by_a_value_or_needs_more_than_the_kernel_has_is_not_recorded(formula):
    assert record_formula(formula, ["a", "b"], {}, ["y"]) is None


def test_a_formula_of_too_many_steps_is_not_recorded():
    def long(d):
        total = d["a"]
        for step in range(MOST_REGISTERS):
            total = total * (step + 2) + 1
        return {"y": total}

    assert record_formula(long, ["a"], {}, ["y"]) is None
