"""python -m data_collection.networks vision|text [NAME ...] [--corpus PATH] [--out FOLDER]

Builds compact graphs of measured networks outside the catalogue into `auxiliary-vision.zip` or `auxiliary-text.zip`.
Without names all graphs are rebuilt; with names only those, and the others in the file are kept. Text models need
transformers. Image models need timm, torchvision and a matching torch, best in a virtual environment of their own:
`torch==2.14.1 torchvision==0.29.1 timm==1.0.31 numpy pyarrow`, then this project by `pip install --no-deps`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from importlib.resources import files
from pathlib import Path

from data_collection.networks.archive import read, write
from hetbench.errors import RefusedError, exit_code


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m data_collection.networks", description=__doc__)
    parser.add_argument("kind", choices=("vision", "text"))
    parser.add_argument("names", nargs="*", metavar="NAME", help="graphs to build; all by default")
    parser.add_argument("--corpus", type=Path, default=Path("../shared/corpus"), help="has the measured image sizes")
    parser.add_argument("--out", type=Path, default=Path(str(files("hetbench"))) / "catalog")
    chosen = parser.parse_args(argv)
    return exit_code(partial(_run, chosen), "stopped; nothing was written.")


def _run(chosen: argparse.Namespace) -> int:
    """Build the graphs and write them beside those that are kept."""
    path = chosen.out / f"auxiliary-{chosen.kind}.zip"
    kept = [table for table in read(path) if table["name"] not in chosen.names] if chosen.names else []
    if chosen.kind == "vision":
        from data_collection.networks import vision

        made = list(vision.tables(chosen.corpus, chosen.names, say=print))
    else:
        from data_collection.networks import text

        made = text.tables(chosen.names, say=print)
    if not made:
        raise RefusedError("no graph was built, so nothing is written.")
    write([*kept, *made], path)
    print(f"{len(made)} graphs built, {len(kept)} kept: {path}, {path.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
