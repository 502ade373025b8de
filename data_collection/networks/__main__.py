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
from importlib.resources import files
from pathlib import Path

from data_collection.networks.archive import read, write
from hetbench.errors import HetBenchError


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m data_collection.networks", description=__doc__)
    parser.add_argument("kind", choices=("vision", "text"))
    parser.add_argument("names", nargs="*", metavar="NAME", help="graphs to build; all by default")
    parser.add_argument("--corpus", type=Path, default=Path("../shared/corpus"), help="has the measured image sizes")
    parser.add_argument("--out", type=Path, default=Path(str(files("hetbench"))) / "catalog")
    chosen = parser.parse_args(argv)
    path = chosen.out / f"auxiliary-{chosen.kind}.zip"
    try:
        kept = [table for table in read(path) if table["name"] not in chosen.names] if chosen.names else []
        if chosen.kind == "vision":
            from data_collection.networks import vision

            made = list(vision.tables(chosen.corpus, chosen.names, say=print))
        else:
            from data_collection.networks import text

            made = text.tables(chosen.names, say=print)
        write([*kept, *made], path)
    except HetBenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(f"{len(made)} graphs built, {len(kept)} kept: {path}, {path.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
