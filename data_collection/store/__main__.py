"""python -m data_collection.store sql "SELECT ..." | check | views | publish FILE  [--store DIR] [--json]

Read this project's own measurements with SQL (DuckDB). Views: `rows` (everything, with its status), `operators` and
`models` (figures of rows that are ok, columns named as in the corpus), `runs` (manifests: command, environment).
`check` verifies every file, reports damaged ones, and recovers the journals of killed runs. `publish` writes the newest
latency of every setting, with its environments, to one compact Parquet file.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from data_collection.store.publish import publish
from data_collection.store.read import DEFAULT_STORE, VIEWS, Contents, connect, read
from data_collection.store.write import recover
from hetbench.errors import HetBenchError, InvalidInputError


def main(argv: Sequence[str] | None = None) -> int:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m data_collection.store", description=__doc__, formatter_class=raw)
    commands = parser.add_subparsers(dest="command", required=True)
    texts = {"sql": "run a query", "check": "verify and recover", "views": "list the columns",
             "publish": "write one file of figures"}  # fmt: skip
    for name, text in texts.items():
        command = commands.add_parser(name, help=text)
        command.add_argument("--store", type=Path, default=DEFAULT_STORE, help="default: %(default)s")
        if name == "sql":
            command.add_argument("query")
            command.add_argument("--json", action="store_true", help="one JSON object a row")
        if name == "publish":
            command.add_argument("out", type=Path)
    chosen = parser.parse_args(argv)
    try:
        if chosen.command == "check":
            for run, rows in recover(chosen.store).items():
                print(f"recovered {rows} rows of run {run}")
        contents = read(chosen.store)
        for line in contents.skipped:
            print(f"skipped: {line}", file=sys.stderr)
        if chosen.command == "sql":
            print(_answer(contents, chosen.query, as_json=chosen.json))
        elif chosen.command == "publish":
            print(f"{publish(contents, chosen.out):,} rows in {chosen.out}")
        elif chosen.command == "views":
            print(_answer(contents, "SELECT table_name, column_name, data_type FROM information_schema.columns "
                          f"WHERE table_name IN {(*VIEWS, 'runs')} ORDER BY ALL", as_json=False))  # fmt: skip
        else:
            print(_answer(contents, "SELECT kind, status, count(*) AS rows FROM rows GROUP BY ALL ORDER BY ALL",
                          as_json=False))  # fmt: skip
    except HetBenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return int(bool(contents.skipped) and chosen.command == "check")


def _answer(contents: Contents, query: str, *, as_json: bool) -> str:
    """The result as JSON lines, or as a tab-separated table with a header in which unknown values are empty."""
    import duckdb

    try:
        result = connect(contents).execute(query)
    except duckdb.Error as error:
        views = ", ".join((*VIEWS, "runs"))
        raise InvalidInputError(f"{error}\nViews: {views}. `store views` lists their columns.") from None
    names = [column[0] for column in result.description or ()]
    rows = result.fetchall()
    if as_json:
        return "\n".join(json.dumps(dict(zip(names, row, strict=True)), default=str) for row in rows)
    lines = ["\t".join(names), *("\t".join("" if cell is None else str(cell) for cell in row) for row in rows)]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
