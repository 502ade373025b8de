"""Every figure for which there are results; the others are named with the reason.

    python -m plotting.all --results runs --out runs/figures

Figures are found by their file: a module of `plotting` that has `draw`.
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
    """The modules that draw, by name."""
    modules = {name: plugins.load(plotting, name) for name in plugins.names(plotting)}
    return {name: module for name, module in modules.items() if hasattr(module, "draw")}


def draw_all(results: Path, out: Path) -> dict[str, str]:
    """Draw what can be drawn, print the files, and give why the others were skipped, by figure."""
    skipped = {}
    for name, module in figures().items():
        try:
            for path in written(name, module.read, module.draw, results / module.RESULTS, out):
                print(path)
        except HetBenchError as why:
            skipped[name] = str(why)
    return skipped


def main() -> None:
    """Draw all; what was skipped is no error."""
    chosen = options(__doc__, Path("runs"))
    for name, why in draw_all(chosen.results, chosen.out).items():
        print(f"skipped {name}: {why}")


if __name__ == "__main__":
    main()
