"""Import published data sets as tables of the corpus, each from the commits that configs/sources.toml pins.

    python -m data_collection.sources list
    python -m data_collection.sources import NAME --out FILE.parquet [--from DIR]
    python -m data_collection.sources check NAME --corpus ../shared/corpus [--from DIR]
    python -m data_collection.sources build --out corpus/ [--from-root DIR] [--only NAME ...] [--include-restricted]

Without --from, the files are fetched by git (with --via archive: as a tar archive) into --cache. `check` compares with
a prepared table and prints the reasons of differences. Sources without a stated licence, or with a restrictive one, are
built only with --include-restricted.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from data_collection.sources import build, check, tables
from data_collection.upstream.files import Tree, UpstreamError, open_trees
from data_collection.upstream.pins import Pin, not_imported, pin, pins
from hetbench.errors import exit_code

_FAILED = 2


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="list the sources with their pins and licences")
    one = commands.add_parser("import", help="import one source into a Parquet file")
    one.add_argument("--out", type=Path, required=True)
    compared = commands.add_parser("check", help="compare one source with a prepared table")
    compared.add_argument("--corpus", type=Path, required=True)
    for command in (one, compared):
        command.add_argument("name")
        command.add_argument("--from", dest="folder", type=Path, help="clone, bare repository or unpacked archive")
    many = commands.add_parser("build", help="build a corpus with its manifest")
    many.add_argument("--out", type=Path, required=True)
    many.add_argument("--only", nargs="+", default=[], metavar="NAME")
    many.add_argument("--jobs", type=int, default=2, help="number of processes; default: %(default)s")
    many.add_argument("--offline", action="store_true", help="fail instead of fetching")
    for command in (one, compared, many):
        command.add_argument("--from-root", type=Path, help="folder of clones or unpacked archives")
        command.add_argument("--cache", type=Path, default=build.Place().cache, help="folder for fetched files")
        command.add_argument("--via", choices=("git", "archive"), default="git")
        command.add_argument("--host", help="host to use instead of GitHub, such as a mirror or file:///DIR")
        command.add_argument("--include-restricted", action="store_true")
    options = parser.parse_args(words)
    return exit_code(lambda: _COMMANDS[options.command](options), "stopped; the same command goes on from here")


def _list(options: argparse.Namespace) -> int:
    for source in pins().values():
        commits = ", ".join(commit.sha[:10] for commit in source.commits[:3]) + (" ..." if source.commits[3:] else "")
        flag = " RESTRICTED" if source.restricted else ""
        print(f"{source.name:26} {source.kind:6}{source.repository}@{commits} [{source.licence}{flag}]")
        if source.note:
            print(f"{'':33}{source.note}")
    for name, why in not_imported().items():
        print(f"{name:26} {'-':6}{why}")
    return 0


def _import(options: argparse.Namespace) -> int:
    source = _allowed(options)
    trees = _trees(options, source)
    rows = tables.write(source, tables.imported(source, trees), options.out)
    print(f"{options.out}: {rows:,} rows of {source.citation}")
    for reason, many in tables.left_out(trees).items():
        print(f"  left out: {many:,}, {reason}")
    return 0


def _check(options: argparse.Namespace) -> int:
    source = pin(options.name)
    path = options.corpus / source.table
    if not path.exists():
        raise UpstreamError(f"{path} is not there; --corpus takes a folder with {source.table}.")
    trees = _trees(options, source)
    made = check.compare(source.kind, lambda: tables.imported(source, trees), lambda: check.prepared(path))
    print("\n".join(check.report(source, made)))
    return 0


def _build(options: argparse.Namespace) -> int:
    sources, left = build.chosen(pins().values(), options.only, options.include_restricted)
    for each in left:
        print(f"left out: {each.name} ({each.licence}); --include-restricted builds it")
    failed = build.build(sources, options.out, _place(options), jobs=options.jobs)
    print(f"{options.out / build.MANIFEST}: {sum(e['rows'] for e in build.manifest(options.out).values()):,} rows")
    if failed:
        print(f"{len(failed)} of {len(sources)} sources failed: {', '.join(failed)}")
    return _FAILED if failed else 0


def _allowed(options: argparse.Namespace) -> Pin:
    return build.chosen((), [options.name], options.include_restricted)[0][0]


def _place(options: argparse.Namespace) -> build.Place:
    offline = getattr(options, "offline", False)
    return build.Place(options.from_root, options.cache, options.via, options.host, offline)


def _trees(options: argparse.Namespace, source: Pin) -> list[Tree]:
    return open_trees(source, options.folder) if options.folder else _place(options).trees(source)


_COMMANDS = {"list": _list, "import": _import, "check": _check, "build": _build}

if __name__ == "__main__":
    raise SystemExit(main())
