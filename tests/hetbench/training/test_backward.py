"""Backward operators: twice the work of products and convolutions, two and a half times that of attention."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hetbench.operators import operator_type, operator_types
from hetbench.training.backward import backward_of, beside_forward

SIZE = st.integers(1, 512)


def work(op: str, dims: dict[str, int]) -> int:
    return sum(int(operator_type(name).flops(sizes)) for name, sizes in backward_of(op, dims))


@given(SIZE, SIZE, SIZE)
def test_the_backward_of_a_product_is_two_products_of_the_same_work(m: int, n: int, k: int):
    for op, dims in (("Linear", {"m": m, "n": n, "k": k}), ("MatMul", {"m": m, "n": n, "k": k}),
                     ("BMM", {"b": 3, "m": m, "n": n, "k": k})):  # fmt: skip
        assert work(op, dims) == 2 * operator_type(op).flops(dims)
        assert len(backward_of(op, dims)) == 2


@given(SIZE, SIZE, st.integers(3, 64), st.sampled_from((1, 3)), st.integers(1, 2))
def test_the_backward_of_a_convolution_is_twice_its_work(c: int, oc: int, side: int, kernel: int, stride: int):
    dims = {"n": 2, "c": c, "h": side, "w": side, "oc": oc, "kh": kernel, "kw": kernel, "stride": stride, "pad": 1}
    assert work("Conv2d", dims) == 2 * operator_type("Conv2d").flops(dims)


@pytest.mark.parametrize("causal", [0, 1])
def test_the_backward_of_attention_does_five_products_where_the_forward_does_two(causal: int):
    dims = {"batch": 2, "q_len": 64, "kv_len": 64, "heads": 4, "kv_heads": 4, "head_dim": 32, "causal": causal}
    assert work("Attention", dims) == 2.5 * operator_type("Attention").flops(dims)


def test_the_gradients_of_a_product_have_the_shapes_of_its_operands():
    (_, left), (_, right) = backward_of("MatMul", {"m": 2, "n": 3, "k": 4})
    assert (left["m"], left["n"]) == (2, 4)  # dA [m, k]
    assert (right["m"], right["n"]) == (4, 3)  # dB [k, n]


def test_the_gradient_of_a_bias_sums_over_the_rows():
    assert ("Sum", {"rows": 3, "cols": 2}) in backward_of("Linear", {"m": 2, "n": 3, "k": 4, "bias": 1})


@pytest.mark.parametrize("name", sorted(operator_types()))
def test_every_operator_has_a_backward_whose_dims_its_type_accepts(name: str):
    kind = operator_type(name)
    dims = dict.fromkeys(kind.dims, 8)
    for op, sizes in (*backward_of(name, dims), *beside_forward(name, dims)):
        assert operator_type(op).check(sizes) == {**sizes}


def test_what_only_moves_values_has_a_backward_of_the_same_size():
    assert backward_of("Concat", {"numel": 7}) == [("Copy", {"numel": 7})]


def test_comparisons_have_no_gradient():
    assert backward_of("Compare", {"numel": 7}) == []
