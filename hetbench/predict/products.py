"""Matrix products whose result does not depend on the number of threads that numpy's BLAS may use.

A BLAS divides a large product among its threads, and rounding differs with the division. Products below a fixed number
of multiplications stay on one thread (OpenBLAS: 2^18, for vectors 9,216), so large ones are cut into such pieces.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["inverse", "product"]

_MOST = 200_000  # multiplications of a piece
_MOST_OF_VECTOR = 9_000
_WHOLE = 96  # rows of a matrix that is inverted at once: LAPACK keeps 10,000 entries on one thread


def product(left: NDArray[Any], right: NDArray[Any]) -> NDArray[Any]:
    """`left @ right` of a matrix [rows, inner] and a matrix [inner, columns] or a vector [inner].

    >>> product(np.ones((2, 3)), np.ones(3)).tolist()
    [3.0, 3.0]
    """
    if right.ndim == 1 or right.shape[1] == 1:
        return _cut(left, right, _MOST_OF_VECTOR)
    columns = max(_MOST // max(len(right), 1), 1)
    if right.shape[1] <= columns:
        return _cut(left, right, _MOST)
    return np.concatenate(
        [product(left, right[:, at : at + columns]) for at in range(0, right.shape[1], columns)], axis=1
    )


def _cut(left: NDArray[Any], right: NDArray[Any], most: int) -> NDArray[Any]:
    """The product by pieces of as many rows as `most` multiplications have."""
    rows = max(most // max(right.size, 1), 1)
    if len(left) <= rows:
        out: NDArray[Any] = left @ right
        return out
    whole = len(left) // rows * rows
    pieces = np.ascontiguousarray(left[:whole]).reshape(-1, rows, left.shape[1]) @ right
    out = pieces.reshape(whole, *right.shape[1:])
    return out if whole == len(left) else np.concatenate((out, left[whole:] @ right))


def inverse(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """The inverse of a symmetric positive definite matrix, by halves until a half is small.

    >>> inverse(np.diag([2.0, 4.0])).tolist()
    [[0.5, 0.0], [0.0, 0.25]]
    """
    if len(matrix) <= _WHOLE:
        return np.asarray(np.linalg.inv(matrix), dtype=np.float64)
    half = len(matrix) // 2
    across, last = matrix[:half, half:], matrix[half:, half:]
    first = inverse(matrix[:half, :half])
    solved = product(first, across)
    rest = inverse(last - product(solved.T, across))
    beside = -product(solved, rest)
    return np.block([[first - product(beside, solved.T), beside], [beside.T, rest]])
