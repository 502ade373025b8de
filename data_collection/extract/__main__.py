"""python -m data_collection.extract NAME ... | --all [--check] [--out FOLDER]

Builds each model from its configuration, traces it and writes its graph into the catalogue; --check compares the
existing graphs with fresh traces at settings that were not used for fitting.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from functools import partial
from importlib.resources import files
from pathlib import Path

from data_collection.extract.assemble import extract, write
from data_collection.extract.check import check
from hetbench.catalog.models import model, models
from hetbench.errors import InvalidInputError, exit_code


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m data_collection.extract", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="catalogue models, in any spelling")
    parser.add_argument("--all", action="store_true", help="every model of the catalogue")
    parser.add_argument("--check", action="store_true", help="compare with fresh traces at unseen settings")
    parser.add_argument("--out", type=Path, default=Path(str(files("hetbench"))) / "catalog" / "graphs")
    chosen = parser.parse_args(argv)
    names = list(models()) if chosen.all else chosen.names
    return exit_code(partial(run, names, chosen.out, checking=chosen.check), "stopped; the models before are written.")


def run(names: Sequence[str], folder: Path, *, checking: bool) -> int:
    """Extract or check each model; exit code 1 if a check found a difference."""
    if not names:
        raise InvalidInputError("name at least one model, or give --all. `hetbench models` lists them.")
    records = [model(name) for name in names]
    wrong = 0
    for place, record in enumerate(records, 1):
        start, head = time.monotonic(), f"[{place}/{len(records)}] {record.name}"
        if checking:
            differences = check(record)
            wrong += bool(differences)
            for difference in differences:
                print(f"{head}: {difference}", flush=True)
            said = "differs" if differences else "equal to fresh traces"
        else:
            table = extract(record)
            path = write(table, folder)
            said = f"{len(table['variants'])} structures, {path.stat().st_size:,} bytes"
        print(f"{head}: {said}, {time.monotonic() - start:.1f} s", flush=True)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
