"""Products of matrices: those of numpy, and to the last bit the same for any number of BLAS threads."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from hetbench.predict.products import inverse, product

DIGESTS = """
import hashlib
import numpy as np
from hetbench import HetBench
from hetbench.predict.products import inverse, product

draw = np.random.default_rng(0)
a, b = draw.normal(size=(3000, 96)).astype(np.float32), draw.normal(size=(96, 128)).astype(np.float32)
wide = draw.normal(size=(300, 900))
spread = np.exp(-0.01 * np.subtract.outer(np.arange(300), np.arange(300)) ** 2) + np.eye(300)
made = [product(a, b), product(a, b[:, :1]), product(a, b[:, 0]), product(wide.T, wide), inverse(spread)]
api = HetBench()
table = {"op": ["Conv2d"] * 700, "dtype": ["fp32"] * 700, "phase": ["fwd"] * 700, "chip": ["nvidia-l40"] * 700,
         "dims": [{"n": 1, "c": 8 + i, "h": 56, "w": 56, "oc": 64, "kh": 3, "kw": 3, "pad": 1} for i in range(700)]}
made.append(api.query_operators(table)["value"])
print(*(hashlib.sha256(np.ascontiguousarray(each).tobytes()).hexdigest() for each in made))
"""


@pytest.mark.parametrize(("rows", "inner", "columns"), [
    (1, 1, 1), (7, 64, 96), (3000, 64, 96), (2, 500, 3000), (1000, 700, 1), (0, 3, 4), (5, 0, 2),
])  # fmt: skip
def test_a_product_is_that_of_numpy(rows: int, inner: int, columns: int):
    draw = np.random.default_rng(0)
    left, right = draw.normal(size=(rows, inner)), draw.normal(size=(inner, columns))
    assert product(left, right) == pytest.approx(left @ right)
    assert product(left, right[:, 0]) == pytest.approx(left @ right[:, 0])
    assert product(np.asfortranarray(left), right.T.copy().T) == pytest.approx(left @ right)


@pytest.mark.parametrize("size", [1, 96, 97, 401])
def test_an_inverse_is_that_of_numpy(size: int):
    draw = np.random.default_rng(0).normal(size=(size, size))
    matrix = draw @ draw.T / size + np.eye(size)
    assert inverse(matrix) == pytest.approx(np.linalg.inv(matrix), abs=1e-12)


def test_answers_are_the_same_for_any_number_of_threads():
    found = {
        subprocess.run(
            [sys.executable, "-c", DIGESTS], capture_output=True, text=True, check=True,
            env={**os.environ, "OMP_NUM_THREADS": count, "OPENBLAS_NUM_THREADS": count, "MKL_NUM_THREADS": count},
        ).stdout
        for count in ("1", "2", "3")
    }  # fmt: skip
    assert len(found) == 1
