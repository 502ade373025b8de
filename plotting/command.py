"""The command line of every figure: read results, draw, write PNG and PDF.

A figure is a module of `plotting` with `RESULTS` (its subfolder of the results), `read(folder)`, `draw(table)` and
`main()`. `read` returns one table per drawing, by the suffix of its file name ("" for a single drawing).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from hetbench.errors import HetBenchError, RefusedError
from plotting import style

__all__ = ["by_model", "files", "options", "run", "written"]

Read = Callable[[Path], Mapping[str, Any]]
Draw = Callable[[Any], Any]


def files(folder: Path, pattern: str, made_by: str) -> list[Path]:
    """Sorted result files in a folder. Raises `RefusedError` with the command that writes them if there are none."""
    found = sorted(folder.glob(pattern))
    if not found:
        raise RefusedError(f"no {pattern} in {folder}. Run: {made_by}")
    return found


def by_model(folder: Path, name: str) -> dict[str, Any]:
    """A table of `plotting.tables`, split by model in the order of the file."""
    import pandas as pd

    frame = pd.read_parquet(files(folder, name, "python -m plotting.tables")[0])
    return dict(list(frame.groupby("model", sort=False)))


def written(name: str, read: Read, draw: Draw, results: Path, out: Path) -> Iterator[Path]:
    """Draw every table of one figure and yield the files."""
    for suffix, table in read(results).items():
        yield from style.save(draw(table), out, f"{name}-{suffix}" if suffix else name)


def options(doc: str | None, results: Path) -> argparse.Namespace:
    """Parse `--results` and `--out`."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=results, help="result folder; default: %(default)s")
    parser.add_argument("--out", type=Path, default=Path("runs/figures"), help="output folder; default: %(default)s")
    return parser.parse_args()


def run(file: str, doc: str | None, read: Read, draw: Draw, results: str) -> None:
    """The `main` of one figure. Without results it prints the reason to stderr and returns exit code 3."""
    chosen = options(doc, Path("runs") / results)
    try:
        for path in written(Path(file).stem, read, draw, chosen.results, chosen.out):
            print(path)
    except HetBenchError as why:
        print(why, file=sys.stderr)
        raise SystemExit(why.exit_code) from None
