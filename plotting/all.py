"""Draws every figure whose results exist, and prints why the others were skipped.

    python -m plotting.all --results runs --out runs/figures

A figure is any module of `plotting` with a function `draw`.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import plotting
from hetbench import plugins
from hetbench.errors import HetBenchError
from plotting.command import options, written

__all__ = ["draw_all", "figures", "main"]


def figures() -> dict[str, ModuleType]:
    """Name -> module of every figure."""
    modules = {name: plugins.load(plotting, name) for name in plugins.names(plotting)}
    return {name: module for name, module in modules.items() if hasattr(module, "draw")}


def draw_all(results: Path, out: Path) -> dict[str, str]:
    """Draw the figures and print their files. Returns the reason of each skipped figure by name."""
    skipped = {}
    for name, module in figures().items():
        try:
            for path in written(name, module.read, module.draw, results / module.RESULTS, out):
                print(path)
        except HetBenchError as why:
            skipped[name] = str(why)
    return skipped


def main() -> None:
    """Draw all figures; a skipped figure is not an error."""
    chosen = options(__doc__, Path("runs"))
    for name, why in draw_all(chosen.results, chosen.out).items():
        print(f"skipped {name}: {why}")


if __name__ == "__main__":
    main()
