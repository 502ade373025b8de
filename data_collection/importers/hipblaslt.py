"""Tuned GEMM sizes of hipBLASLt: TensileLite logic files with the GFLOPS of the best kernel, warm."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from data_collection.importers._tensile import chips_of, logic_rows
from data_collection.upstream.differences import Known
from data_collection.upstream.files import Tree

__all__ = ["KNOWN", "rows"]

KNOWN = (Known("here", "the same figure stands in the table of aldebaran, so that its chip is not sure",
               lambda row: row["chip"] == "amd-gfx942-mi300x"),)  # fmt: skip

_CHIPS = {
    "aldebaran/104CU": "amd-gfx90a-104cu", "aldebaran/110CU": "amd-gfx90a-110cu",
    "aquavanjaram/gfx942": "amd-gfx942-mi300x", "arcturus": "amd-mi100", "navi31": "amd-gfx1100",
}  # fmt: skip


def rows(tree: Tree) -> Iterator[dict[str, Any]]:
    for path in tree.paths():
        chip = chips_of(_CHIPS, path)
        if chip is None:
            tree.bad(path, 0, "a folder of no known chip")
        yield from logic_rows(tree, path, chip, "hipBLASLt/TensileLite tuned kernel (rocm-6.3 tree)")
