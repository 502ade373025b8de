"""Tuned GEMM sizes of rocBLAS: Tensile logic files with the GFLOPS of the best kernel, warm."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from data_collection.importers._tensile import chips_of, logic_rows
from data_collection.sources.upstream import Tree

__all__ = ["rows"]

_CHIPS = {
    "aldebaran_104cu": "amd-gfx90a-104cu", "arcturus": "amd-mi100", "navi21": "amd-gfx1030", "navi33": "amd-gfx1102",
    "vega10": "amd-gfx900", "vega20": "amd-gfx906",
}  # fmt: skip


def rows(tree: Tree) -> Iterator[dict[str, Any]]:
    for path in tree.paths():
        chip = chips_of(_CHIPS, path)
        if chip is None:
            tree.bad(path, 0, "a folder of no known chip")
        yield from logic_rows(tree, path, chip, "rocBLAS/Tensile tuned kernel (rocm-6.3 tree)")
