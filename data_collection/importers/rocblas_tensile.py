"""Tuned GEMM sizes of rocBLAS: Tensile logic files with the GFLOPS of the best kernel, warm.

Files of one chip repeat the figures of others; a figure of the same size, transposes and precision is read once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from data_collection.importers._tensile import chips_of, logic_rows
from data_collection.upstream.differences import Known
from data_collection.upstream.files import Tree

__all__ = ["KNOWN", "rows"]

KNOWN = (Known("here", "the same figure stands in the table of another chip, so that its chip is not sure",
               lambda row: row["chip"] in ("amd-gfx900", "amd-gfx906", "amd-mi100")),)  # fmt: skip

_CHIPS = {
    "aldebaran_104cu": "amd-gfx90a-104cu", "arcturus": "amd-mi100", "navi21": "amd-gfx1030", "navi33": "amd-gfx1102",
    "vega10": "amd-gfx900", "vega20": "amd-gfx906",
}  # fmt: skip


def rows(tree: Tree) -> Iterator[dict[str, Any]]:
    seen = set()
    for path in tree.paths():
        chip = chips_of(_CHIPS, path)
        if chip is None:
            tree.bad(path, 0, "a folder of no known chip")
        for row in logic_rows(tree, path, chip, "rocBLAS/Tensile tuned kernel (rocm-6.3 tree)"):
            extra = row["extra"]
            kind = path.rsplit("k_", 1)[1].split("_")[0].removesuffix(".yaml")  # SB, or SBIIc of tuned strides
            figure = (chip, *row["dims"].values(), extra["trans"], kind, extra["gflops"])
            if figure not in seen:
                seen.add(figure)
                yield row
