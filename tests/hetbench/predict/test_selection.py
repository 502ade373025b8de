"""Selection of the measurement cell by library and layout."""

from __future__ import annotations

import pytest

from hetbench.catalog.chips import chip
from hetbench.errors import UnknownNameError
from hetbench.predict.operators import load

LINEAR = {"m": 64, "n": 64, "k": 64}


@pytest.mark.parametrize("cls", ["gemm", "conv", "prefill", "decode", "vector"])
def test_every_cell_can_be_asked_for_by_its_own_labels(cls: str):
    surrogate = load()
    for (name, op, dtype), cells in surrogate.class_surrogate(cls).cells.by_name.items():
        for cell in cells:
            found = surrogate.choose(cls, op, dtype, chip(name), cell.protocol, cell.library, cell.layout, "autogluon")
            assert (found.head, found.cell, found.level) == ("full", cell.index, "B")


@pytest.mark.parametrize("label", ["library", "layout"])
def test_a_label_that_no_row_has_is_refused(label: str):
    with pytest.raises(UnknownNameError, match=f"unknown {label} 'NHCW'"):
        load().predict("Linear", "fp16", LINEAR, chip("cuda"), **{label: "NHCW"})
