"""python -m data_collection.report [--store DIR] --output DIR [--reference eager/fp32] [--chips NAME ...]

Writes report.md and report.html (self-contained): machines, latency and throughput, batch scaling, speed-up over a
reference, memory, operators, failures, and a compatibility matrix of models and chips with its rating rule. Values are
rows of the store, or answers of hetbench with their level; a dash means unknown.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from data_collection.backends import installed
from data_collection.pages import Heading, Part, Table, Text, html, markdown
from data_collection.profile.stacks import STACKS
from data_collection.report import charts
from data_collection.report.compatibility import RULE, matrix
from data_collection.report.tables import Tables
from data_collection.store import DEFAULT_STORE
from data_collection.store.read import connect, read
from hetbench.artifacts.atomic import staged
from hetbench.catalog.chips import default_chip
from hetbench.catalog.models import model, models
from hetbench.catalog.own_chips import any_chip
from hetbench.errors import RefusedError, UnknownNameError, exit_code
from hetbench.schema import FAMILIES, precision

WRITTEN = ("report.md", "report.html")
TITLE = "hetbench: measured on this machine"


def main(argv: Sequence[str] | None = None) -> int:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m data_collection.report", description=__doc__, formatter_class=raw)
    parser.add_argument("--store", type=Path, default=DEFAULT_STORE, help="default: %(default)s")
    parser.add_argument("--output", type=Path, default=Path("runs") / "report", help="default: %(default)s")
    parser.add_argument("--reference", default="eager/fp32", help="baseline of speed-ups; default: %(default)s")
    parser.add_argument("--models", nargs="+", default=["all"], help="models of the matrix; default: all")
    parser.add_argument("--chips", nargs="+", help="chips of the matrix; default: each family's and the store's")
    chosen = parser.parse_args(argv)
    return exit_code(partial(run, chosen), "stopped; no report was written.")


def run(chosen: argparse.Namespace) -> int:
    """Read the store and write the report."""
    stack, _, kind = chosen.reference.partition("/")
    if stack not in STACKS:
        raise UnknownNameError("stack", stack, STACKS)
    reference = stack, precision(kind or "fp32")
    names = list(models()) if chosen.models == ["all"] else [model(name).name for name in chosen.models]
    if not installed("plotly"):
        raise RefusedError("the charts need Plotly. Run: pip install --editable '.[collect,plot]'")
    contents = read(chosen.store)
    connection = connect(contents)
    seen = [each for (each,) in connection.execute("SELECT DISTINCT chip FROM rows ORDER BY chip").fetchall()]
    if not seen:
        raise RefusedError(
            f"the store {chosen.store} holds no rows, so there is nothing to report. "
            f"Measure first: python -m data_collection.profile models bert-tiny --store {chosen.store}"
        )
    named = chosen.chips or [*(default_chip(each)[0].name for each in FAMILIES), *seen]
    chips = [any_chip(name).name for name in named]
    with staged(chosen.output, WRITTEN) as folder:
        parts = _parts(Tables(connection), reference, contents.skipped)
        parts += [Heading("Compatibility"), Text(RULE), *matrix(names, dict.fromkeys(chips))]
        (folder / "report.md").write_text(markdown(TITLE, parts), encoding="utf-8")
        (folder / "report.html").write_text(html(TITLE, parts), encoding="utf-8")
    for line in contents.skipped:
        print(f"skipped: {line}", file=sys.stderr)
    print(f"{chosen.output}: {', '.join(WRITTEN)}")
    return 0


def _parts(tables: Tables, reference: tuple[str, str], skipped: Sequence[str]) -> list[Part]:
    """The parts that come from the store."""
    rows, groups = tables.models, tables.scaling()
    parts: list[Part] = [Heading("System"), *tables.system()]
    if skipped:
        parts.append(Table("Left out", ["file and fault"], [[line] for line in skipped]))
    parts.append(Heading("Latency and throughput"))
    parts += [tables.latency(), charts.latency(rows)] if rows else [_nothing("row of a whole model that is ok")]
    parts.append(Heading("Batch scaling"))
    parts += [tables.batches(), charts.scaling(groups)] if groups else [_nothing("setting with ok rows of two batches")]
    parts.append(Heading("Speed-up"))
    speedups = tables.speedups(*reference)
    parts.append(speedups if speedups.rows else _nothing(f"setting with ok rows of {'/'.join(reference)} and another"))
    parts.append(Heading("Memory"))
    memory = tables.memory()
    parts += [memory, charts.memory(rows)] if memory.rows else [_nothing("ok row that tells its peak memory")]
    for title, table in (("Operators", tables.operators()), ("What gave no figure", tables.failures())):
        parts += [Heading(title), table if table.rows else _nothing("such row")]
    return parts


def _nothing(what: str) -> Text:
    return Text(f"The store has no {what}.")


if __name__ == "__main__":
    sys.exit(main())
