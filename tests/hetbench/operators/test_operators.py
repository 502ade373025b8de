"""Operator costs against values computed by hand, and against running the operators."""

import numpy as np
import pytest

from hetbench.errors import InvalidInputError, UnknownNameError
from hetbench.operators import operator_type, operator_types
from hetbench.operators.attention import attended_pairs

ATTENTION = {"batch": 2, "q_len": 4, "kv_len": 4, "heads": 8, "kv_heads": 2, "head_dim": 16}


def example(name):
    kind = operator_type(name)
    dims = dict.fromkeys(kind.dims, 4)
    return dims | {dim: 8 for dim in ("h", "w", "l", "head_dim", "cols") if dim in dims}


def test_a_linear_layer_costs_two_flops_a_multiply_add_plus_its_bias():
    linear = operator_type("Linear")
    assert linear.flops({"m": 128, "n": 3072, "k": 768}) == 2 * 128 * 3072 * 768
    assert linear.flops({"m": 2, "n": 3, "k": 5, "bias": 1}) == 60 + 6
    assert linear.bytes_moved({"m": 2, "n": 3, "k": 5}, 4) == 4 * (10 + 15 + 6)


def test_the_first_convolution_of_resnet_50_costs_236_million_flops():
    stem = {"n": 1, "c": 3, "h": 224, "w": 224, "oc": 64, "kh": 7, "kw": 7, "stride": 2, "pad": 3}
    assert operator_type("Conv2d").flops(stem) == 2 * 64 * 112 * 112 * 3 * 49


def test_a_depthwise_convolution_counts_one_channel_a_group():
    depthwise = {"n": 1, "c": 32, "h": 8, "w": 8, "oc": 32, "kh": 3, "kw": 3, "stride": 1, "pad": 1, "groups": 32}
    assert operator_type("Conv2d").flops(depthwise) == 2 * 32 * 64 * 9
    assert operator_type("Conv2d").bytes_moved(depthwise, 2) == 2 * (32 * 64 + 32 * 9 + 32 * 64)


def test_a_one_dimensional_convolution_equals_a_two_dimensional_one_of_height_one():
    one = operator_type("Conv1d").flops({"n": 2, "c": 4, "l": 100, "oc": 8, "k": 10, "stride": 5})
    two = operator_type("Conv2d").flops({"n": 2, "c": 4, "h": 1, "w": 100, "oc": 8, "kh": 1, "kw": 10, "stride": 5})
    assert two == 2 * 2 * 8 * 4 * 10 * 19  # stride 5 leaves height 1
    assert one == two


def test_full_attention_counts_every_pair_and_causal_attention_the_triangle():
    attention = operator_type("Attention")
    assert attention.flops(ATTENTION) == 4 * 2 * 8 * 16 * 16
    assert attention.flops({**ATTENTION, "causal": 1}) == 4 * 2 * 8 * 16 * 10
    assert attention.bytes_moved(ATTENTION, 2) == 2 * 2 * 16 * (2 * 4 * 8 + 2 * 4 * 2)


@pytest.mark.parametrize(
    ("q", "kv", "causal", "window"), [(1, 129, 1, 0), (7, 7, 1, 3), (5, 12, 1, 4), (3, 9, 0, 4), (6, 6, 1, 99)]
)
def test_attended_pairs_equal_a_count_over_an_explicit_mask(q, kv, causal, window):
    expected = 0
    for query in range(q):
        position = kv - q + query
        keys = range(position + 1) if causal else range(kv)
        expected += min(len(keys), window or kv)
    assert attended_pairs(q, kv, causal, window) == expected


def test_costs_take_arrays_and_agree_with_integers():
    rows = {"m": np.array([1, 128]), "n": np.array([768, 3072]), "k": np.array([768, 768])}
    flops = operator_type("Linear").flops(rows)
    assert flops.tolist() == [2 * 768 * 768, 2 * 128 * 3072 * 768]
    pairs = operator_type("Attention").flops({k: np.array([v, v]) for k, v in ATTENTION.items()})
    assert pairs.tolist() == [operator_type("Attention").flops(ATTENTION)] * 2


def test_dropout_is_free_at_inference():
    assert operator_type("Dropout").flops({"numel": 1000}) == 0
    assert operator_type("Dropout").bytes_moved({"numel": 1000}, 4) == 0


@pytest.mark.parametrize("name", sorted(operator_types()))
def test_every_type_has_whole_positive_costs_and_runs_on_the_cpu(name):
    torch = pytest.importorskip("torch")
    kind, dims = operator_type(name), example(name)
    if kind.cost_class != "free":
        assert int(kind.bytes_moved(dims, 4)) == kind.bytes_moved(dims, 4) > 0
    assert kind.flops(dims) >= 0
    kind.build(dims, torch.float32)()


def test_flops_agree_with_torch_where_torch_counts_them():
    torch = pytest.importorskip("torch")
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    cases = {
        "Linear": {"m": 8, "n": 12, "k": 16}, "BMM": {"b": 3, "m": 8, "n": 12, "k": 16},
        "Conv2d": {"n": 2, "c": 8, "h": 9, "w": 9, "oc": 4, "kh": 3, "kw": 3, "stride": 2, "pad": 1, "groups": 2},
        "Attention": {**ATTENTION, "kv_heads": 8},
    }  # fmt: skip
    for name, dims in cases.items():
        run = operator_type(name).build(dims, torch.float32)
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            run()
        assert counter.get_total_flops() == operator_type(name).flops(dims), name


def test_an_unknown_operator_names_the_nearest():
    with pytest.raises(UnknownNameError, match=r"unknown operator 'Liner'\. Did you mean 'Linear'"):
        operator_type("Liner")


@pytest.mark.parametrize(("dims", "message"), [
    ({"m": 1, "n": 2}, "Linear needs k"), ({"m": 1, "n": 2, "q": 3}, "no dim 'q'"),
    ({"m": 0, "n": 2, "k": 3}, "m=0 must be a whole number from 1"), ({"m": 1.5, "n": 2, "k": 3}, "m=1.5"),
    ({"m": "a", "n": 2, "k": 3}, "m='a'"), ({"m": 2**50, "n": 2, "k": 3}, "to 1e"),
])  # fmt: skip
def test_bad_dims_say_which_dim_is_wrong(dims, message):
    with pytest.raises(InvalidInputError, match=message):
        operator_type("Linear").check(dims)
