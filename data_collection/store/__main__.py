"""python -m data_collection.store sql "SELECT ..." | check | views | publish FILE | merge DIR ...  [--store DIR]

Read this project's own measurements with SQL (DuckDB). Views: `rows` (everything, with its status), `operators` and
`models` (figures of rows that are ok or noisy, with a `weight`; columns named as in the corpus), `runs` (manifests:
command, environment). A query reaches these views and no file; `--unsafe` lets it read, write and attach files, those
of the store included. `check` verifies every file, reports damaged ones, and recovers the journals of killed runs.
`publish` writes the newest latency of every setting, with its environments, to one compact Parquet file. `merge`
copies the runs of other stores into this one.

Exit codes: 0 done; 1 `check`: something is damaged or in quarantine; 2 wrong usage, or a store or file that cannot be
read or written; 3 refused.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from data_collection.store.merge import merge
from data_collection.store.publish import publish
from data_collection.store.read import DEFAULT_STORE, VIEWS, Contents, connect, read, why_empty
from data_collection.store.write import recover
from hetbench.errors import InvalidInputError, escaped, exit_code

_COLUMNS = f"""SELECT table_name, column_name, data_type FROM information_schema.columns
    WHERE table_name IN {(*VIEWS, 'runs')} ORDER BY ALL"""
_COUNTS = "SELECT kind, status, count(*) AS rows FROM rows GROUP BY ALL ORDER BY ALL"


def main(argv: Sequence[str] | None = None) -> int:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m data_collection.store", description=__doc__, formatter_class=raw)
    commands = parser.add_subparsers(dest="command", required=True)
    texts = {"sql": "run a query", "check": "verify and recover", "views": "list the columns",
             "publish": "write one file of figures", "merge": "copy the runs of other stores"}  # fmt: skip
    for name, text in texts.items():
        command = commands.add_parser(name, help=text)
        command.add_argument("--store", type=Path, default=DEFAULT_STORE, help="default: %(default)s")
        if name == "sql":
            command.add_argument("query")
            command.add_argument("--json", action="store_true", help="one JSON object a row")
            command.add_argument("--unsafe", action="store_true", help="let the query read, write and attach files")
        if name == "publish":
            command.add_argument("out", type=Path)
        if name == "merge":
            command.add_argument("others", type=Path, nargs="+", metavar="DIR", help="stores to copy from; they stay")
    return exit_code(partial(_run, parser.parse_args(argv)), "stopped")


def _run(chosen: argparse.Namespace) -> int:
    """Carry out one command; returns its exit code."""
    if chosen.command == "check":
        for run, rows in recover(chosen.store).items():
            print(f"recovered {rows} rows of run {run}")
    if chosen.command == "merge":
        for other in chosen.others:
            runs, rows = merge(chosen.store, other)
            print(f"{other}: {runs} runs with {rows} rows copied into {chosen.store}")
        return 0
    contents = read(chosen.store)
    for line in contents.skipped:
        print(f"skipped: {escaped(line)}", file=sys.stderr)
    if chosen.command == "sql":
        print(_answer(contents, chosen.query, as_json=chosen.json, unsafe=chosen.unsafe))
        for view, why in why_empty(connect(contents)).items():
            if re.search(rf"\b{view}\b", chosen.query):
                print(f"{view} is empty: {why}", file=sys.stderr)
    elif chosen.command == "publish":
        print(f"{publish(contents, chosen.out):,} rows in {chosen.out}")
    else:
        print(_answer(contents, _COLUMNS if chosen.command == "views" else _COUNTS))
    return int(bool(contents.skipped) and chosen.command == "check")


def _answer(contents: Contents, query: str, *, as_json: bool = False, unsafe: bool = False) -> str:
    """The result as JSON lines, or as a tab-separated table with a header in which unknown values are empty."""
    import duckdb

    try:
        result = connect(contents, unsafe=unsafe).execute(query)
        if result is None:
            raise InvalidInputError("the query holds no statement, such as SELECT count(*) FROM rows.")
        names = [column[0] for column in result.description or ()]
        rows = result.fetchall() if names else []
    except (duckdb.Error, UnicodeError, OverflowError) as error:
        views = ", ".join((*VIEWS, "runs"))
        hint = f"Views: {views}. `store views` lists their columns."
        if isinstance(error, duckdb.PermissionException) and not unsafe:
            hint += " A query reaches these views alone; --unsafe lets it read and write files."
        raise InvalidInputError(f"{error}\n{hint}") from None
    if as_json:
        return "\n".join(json.dumps(dict(zip(names, row, strict=True)), default=str) for row in rows)
    lines = [names, *(["" if cell is None else str(cell) for cell in row] for row in rows)]
    return "\n".join("\t".join(map(escaped, line)) for line in lines)


if __name__ == "__main__":
    sys.exit(main())
