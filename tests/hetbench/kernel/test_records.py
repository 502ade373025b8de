import numpy as np

from hetbench.kernel.library import library
from hetbench.kernel.records import address, forest_record, network_record
from hetbench.predict.trees import Forest


def small_forest(depth: int = 3) -> Forest:
    """Four trees over two of three columns, leaves 0, 1, 2 ..."""
    borders = np.array([0.0, 1.0], dtype=np.float32), np.array([0.5], dtype=np.float32)
    column = np.array([[0, 1, 0, 1]] * depth, dtype=np.int64)
    rank = np.array([[level % 2, 0, level % 2, 0] for level in range(depth)], dtype=np.uint8)[:, :, None]
    leaves = np.arange(4 * 2**depth, dtype=np.float32)
    return Forest(np.array([0, 2]), borders, column, rank, leaves, 0.25)


def test_a_forest_answers_as_in_numpy_at_borders_and_for_unknown_values():
    forest = small_forest()
    matrix = np.array([[0, 9, 0.5], [1, 9, 0.6], [1.5, 9, np.nan], [np.nan, 9, 2], [-1, 9, -1]] * 30, dtype=np.float32)
    made = forest_record(
        forest.columns, forest.borders, forest.split_column, forest.split_rank, forest.leaves, forest.bias
    )  # fmt: skip
    assert made is not None
    out = np.empty(len(matrix))
    kernel = library()
    if kernel is None:
        return
    for wide in (1, 0):  # both variants of the library
        kernel.hetbench_use_wide(wide)
        kernel.hetbench_forest(made.address, address(matrix), 3, len(matrix), address(out))
        assert (out == forest(matrix)).all()
    kernel.hetbench_use_wide(1)


def test_what_the_kernel_has_no_room_for_gets_no_record():
    deep = small_forest(depth=9)
    assert forest_record(deep.columns, deep.borders, deep.split_column, deep.split_rank, deep.leaves, 0.0) is None
    narrow = network_record((np.zeros(2), np.ones(2)), np.zeros((2, 10)), [], (np.zeros(10), 0.0), clip=5.0)
    assert narrow is None
