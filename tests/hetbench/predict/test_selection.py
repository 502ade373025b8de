"""Selection of the measurement cell by library and layout."""

from __future__ import annotations

import numpy as np
import pytest

from hetbench.catalog.chips import chip
from hetbench.errors import UnknownNameError
from hetbench.predict.operators import load

LINEAR = {"m": 64, "n": 64, "k": 64}
SIZES = {"m": 2048, "n": 4096, "k": 4096}


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


def test_where_no_library_is_named_the_answer_is_the_mean_of_the_engines():
    surrogate, where = load(), chip("nvidia-h100-sxm5-80gb")
    surrogate = type(surrogate)(surrogate.folder)
    surrogate.doublings = 0
    choice = surrogate.choose("gemm", "Linear", "bf16", where, "graph", None, None, "autogluon")
    assert choice.peers
    assert choice.source.endswith("engines")
    head = surrogate.class_surrogate("gemm").cells.by_name[where.name, "Linear", "bf16"]
    cells = [cell for cell in head if cell.index in (choice.cell, *(peer.index for peer in choice.peers))]
    assert len({cell.library.split()[0] for cell in cells}) == len(cells)  # one version of each

    def told(**labels: str) -> float:
        return float(surrogate.predict("Linear", "bf16", SIZES, where, protocol="graph", predictor="autogluon",
                                       **labels).value[0])  # fmt: skip

    each = [told(library=cell.library, layout=cell.layout) for cell in cells]
    assert told() == pytest.approx(np.exp(np.mean(np.log(each))), rel=1e-6)
    assert choice.support == sum(cell.rows for cell in cells)
