"""`hetbench download` and `hetbench artifacts`: fetch sets of surrogates, list, choose, check and delete them.

Exit codes as in `hetbench.cli.app`: 0 done, 2 a name or source that cannot be meant, 4 a set that cannot be fetched or
is damaged, of another format or unsafe; then the installed sets are as they were.
"""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.markup import escape

from hetbench.api import HetBench
from hetbench.artifacts import sets as artifacts
from hetbench.artifacts.download import URL, source_of
from hetbench.artifacts.download import download as fetched
from hetbench.artifacts.integrity import check_complete
from hetbench.artifacts.integrity import verify as verify_set
from hetbench.artifacts.manifest import MANIFEST, ORIGIN, PACKAGED, Manifest, read_json
from hetbench.artifacts.remote import SOURCES
from hetbench.artifacts.sets import Installed
from hetbench.errors import ArtifactError, InvalidInputError
from hetbench.version import __version__

__all__ = ["api", "app"]

app = typer.Typer()
sets = typer.Typer(no_args_is_help=True, help="Sets of surrogates: list, use, verify, remove.")
app.add_typer(sets, name="artifacts")

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Label = Annotated[str, typer.Argument(help="NAME or NAME@VERSION of `hetbench artifacts list`.")]


def api() -> HetBench:
    """What the shell's commands ask: the set of `hetbench artifacts use`, else the one in the package."""
    return HetBench(artifacts=artifacts.selected())


@app.command()
def download(
    name: Annotated[str | None, typer.Argument(help="Name to install it under; its own if left out.")] = None,
    source: Annotated[str | None, typer.Option("--from", help=f"{escape(SOURCES)}; else ${URL}.")] = None,
    as_json: Json = False,
) -> None:
    """Fetch a set of surrogates, check it against its manifest and install it; answers stay with the set in use."""
    if name is not None and "/" in name:
        raise InvalidInputError(f"{name!r} is no name of a set. If the set lies there: hetbench download --from {name}")
    found = fetched(source_of(source), name, say=lambda text: typer.echo(text, err=True))
    if as_json:
        _print_json(_row(found))
        return
    print(f"{found.label} is installed in {found.folder}")
    print(f"hetbench artifacts use {found.name}    HetBench(artifacts={found.name!r})")


@sets.command(name="list")
def list_sets(as_json: Json = False) -> None:
    """The set in the package and those that were downloaded; the one in use is marked."""
    rows = [_packaged(), *map(_row, artifacts.installed())]
    if as_json:
        _print_json(rows)
        return
    for row in rows:
        marks = [text for name, text in (("in_use", "in use"), ("current", "current")) if row[name]]
        size = row["problem"] or f"{row['files']} files, {row['mb']} MB, from {row['source']}"
        print(f"{row['name']}@{row['version']}  {', '.join(marks) or 'older'}: {size}")


@sets.command()
def use(label: Label) -> None:
    """Answer the shell's commands from a set; `embedded` is the one in the package."""
    folder = artifacts.select(label)
    print(f"the shell now answers from {artifacts.selected() or PACKAGED}, {folder}")


@sets.command()
def verify(label: Annotated[str | None, typer.Argument(help="NAME or NAME@VERSION; all if left out.")] = None) -> None:
    """Read every file of a set again and compare it with the manifest."""
    known = artifacts.installed()
    if label not in (None, PACKAGED):
        known = [each for each in known if label == each.name] or [artifacts.find(str(label))]
    wrong = []
    if label in (None, PACKAGED):
        check_complete(artifacts.EMBEDDED)
        print(f"{PACKAGED}: all parts are there, in formats that are read")
    for each in () if label == PACKAGED else known:
        try:
            found = verify_set(each.folder, sniff=True)
            print(f"{each.label}: {len(found.files)} files, {found.bytes / 1e6:.1f} MB, as the manifest says")
        except ArtifactError as error:
            wrong.append(f"{each.label}: {error}")
    if wrong:
        raise ArtifactError("\n".join(wrong))


@sets.command()
def remove(label: Label) -> None:
    """Delete a downloaded set: one version, or all versions of a name."""
    if label == PACKAGED:
        raise InvalidInputError(f"{PACKAGED!r} is the set in the package: it cannot be removed.")
    for each in artifacts.remove(label):
        print(f"removed {each.label}")


def _packaged() -> dict[str, Any]:
    sizes = [path.stat().st_size for path in artifacts.EMBEDDED.iterdir()]
    return {
        "name": PACKAGED, "version": __version__, "in_use": artifacts.selected() is None, "current": True,
        "files": len(sizes), "mb": round(sum(sizes) / 1e6, 1), "source": "the package", "revision": None,
        "installed": None, "folder": str(artifacts.EMBEDDED), "problem": None,
    }  # fmt: skip


def _row(each: Installed) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": each.name, "version": each.version, "in_use": artifacts.selected() == each.label,
        "current": each.current, "files": None, "mb": None, "source": None, "revision": None, "installed": None,
        "folder": str(each.folder), "problem": None,
    }  # fmt: skip
    try:
        found = Manifest.read(each.folder / MANIFEST)
        row |= {"files": len(found.files), "mb": round(found.bytes / 1e6, 1)}
        row |= read_json(each.folder / ORIGIN)
    except ArtifactError as error:
        row["problem"] = str(error)
    return row


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, allow_nan=False))
