"""The array forms of both members answer as a plain loop does."""

import numpy as np

from hetbench.predict.perceptron import Perceptron
from hetbench.predict.trees import Forest


def tiny_forest():
    """Two trees of depth two over columns 0 and 2."""
    return Forest(
        columns=np.array([0, 2]), borders=(np.array([0.5, 1.5], np.float32), np.array([-1.0], np.float32)),
        split_column=np.array([[0, 1], [0, 0]]), split_rank=np.array([[0, 0], [1, 0]], np.uint8)[:, :, None],
        leaves=np.array([1, 2, 3, 4, 10, 20, 30, 40], np.float32), bias=0.25,
    )  # fmt: skip


def test_a_row_falls_into_the_leaf_its_bits_name():
    rows = np.array([[0.0, 9, -2.0], [1.0, 9, 0.0], [2.0, 9, 0.0]], np.float32)
    # tree 1: x0 > 0.5 (bit 0), x0 > 1.5 (bit 1); tree 2: x2 > -1 (bit 0), x0 > 0.5 (bit 1)
    assert tiny_forest()(rows).tolist() == [1 + 10 + 0.25, 2 + 40 + 0.25, 4 + 40 + 0.25]


def test_a_missing_value_lies_below_every_border():
    assert tiny_forest()(np.full((1, 3), np.nan, np.float32)).tolist() == [11.25]


def test_a_forest_survives_the_way_through_arrays():
    rows = np.random.default_rng(0).normal(size=(5000, 3)).astype(np.float32)
    again = Forest.from_arrays(tiny_forest().to_arrays("f"), "f")
    np.testing.assert_array_equal(again(rows), tiny_forest()(rows))


def test_the_answer_of_a_row_does_not_depend_on_its_batch():
    rows = np.random.default_rng(0).normal(size=(5000, 3)).astype(np.float32)
    assert tiny_forest()(rows)[4321] == tiny_forest()(rows[4321:4322])[0]


def test_a_perceptron_equals_the_formula_written_out():
    random = np.random.default_rng(0)
    weights = tuple(random.normal(size=shape).astype(np.float32) for shape in ((3, 4), (4, 4), (4, 1)))
    biases = tuple(random.normal(size=shape).astype(np.float32) for shape in (4, 1))
    cells = random.normal(size=(2, 4)).astype(np.float32)
    network = Perceptron(np.ones(3, np.float32), np.full(3, 2, np.float32), cells, weights, biases, 0.5)
    row = np.array([[3.0, np.nan, -1.0]], np.float32)

    def silu(value):
        return value / (1 + np.exp(-value))

    hidden = silu(np.array([1.0, 0.0, -1.0]) @ weights[0] + network.cells[1])
    hidden = hidden + silu(hidden @ weights[1] + biases[0])
    assert abs(network(row, 1)[0] - (hidden @ weights[2] + biases[1] + 0.5)[0]) < 1e-6
    again = Perceptron.from_arrays(network.to_arrays("p"), "p")
    assert again(row, np.array([1])) == network(row, 1)
