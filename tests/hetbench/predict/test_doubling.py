"""Twice the rows never take much less time, whatever a head learned."""

from __future__ import annotations

import numpy as np
import pytest

from hetbench.catalog.chips import chip
from hetbench.predict import operators
from hetbench.predict.doubling import LEAST, Halves, held_by_halves, rows_of_work, with_halves

DOUBLED = 2 ** np.arange(15)
OPERATORS = {
    "Linear": {"m": DOUBLED, "n": 620, "k": 4864}, "BMM": {"b": DOUBLED, "m": 17, "n": 128, "k": 64},
    "Attention": {"batch": DOUBLED[:9], "q_len": 64, "kv_len": 64, "heads": 3, "kv_heads": 3, "head_dim": 96},
    "Conv2d": {"n": DOUBLED[:9], "c": 128, "h": 7, "w": 7, "oc": 620, "kh": 7, "kw": 7, "pad": 3},
    "LayerNorm": {"rows": DOUBLED, "cols": 768}, "Add": {"numel": 37 * DOUBLED},
}  # fmt: skip


@pytest.mark.parametrize("op", OPERATORS)
@pytest.mark.parametrize("name", ["nvidia-a100-sxm4-80gb", "nvidia-b300-sxm", "amd-mi210", "huawei-ascend-910b3"])
def test_twice_the_rows_are_never_five_percent_faster(op: str, name: str):
    found = operators.load().predict(op, "fp16", OPERATORS[op], chip(name))
    most = np.maximum.accumulate(found.value)
    assert (found.value[1:] >= 0.95 * most[:-1]).all()
    assert (found.lower <= found.value).all()
    assert (found.value <= found.upper).all()


def test_an_operator_asked_alone_is_answered_as_among_others():
    known, where = operators.load(), chip("nvidia-b300-sxm")
    together = known.predict("Conv2d", "fp16", OPERATORS["Conv2d"], where)
    for at, batch in enumerate(OPERATORS["Conv2d"]["n"].tolist()):
        alone = known.predict("Conv2d", "fp16", {**OPERATORS["Conv2d"], "n": batch}, where)
        assert alone.value[0] == pytest.approx(together.value[at], rel=1e-6)


def test_a_slower_half_lifts_value_and_bounds_alike():
    _, halves = with_halves("Linear", {"m": 2, "n": 8, "k": 8})
    bounds = np.array([[1.0, 2.0], [0.5, 1.0], [2.0, 4.0]])
    held = held_by_halves(bounds, halves, np.array([0, 1]))
    np.testing.assert_allclose(held[:, 0], np.array([1.0, 0.5, 2.0]) * 2 * LEAST)


def test_a_half_whose_base_is_far_below_is_not_asked():
    halves = Halves(np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1]))
    assert halves.that_matter(np.array([1.0, 1.0, 0.5, 0.9])).tolist() == [0, 1, 3]


def test_batch_rows_or_elements_are_what_doubles_the_work():
    assert [rows_of_work(op) for op in ("BMM", "Attention", "MaxPool2d", "RoPE")] == ["b", "batch", "n", "tokens"]
