"""`hetbench download` and `hetbench artifacts`: fetch, list, select, verify and remove sets of surrogates.

Exit codes as in `hetbench.cli`; 4 is a set that cannot be fetched or is damaged, of another format or unsafe. After an
error the installed sets are as they were.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from hetbench.artifacts import hw_gpt_bench, integrity, manifest, sets
from hetbench.artifacts.remote import SOURCES
from hetbench.cli.options import Json
from hetbench.cli.output import print_json
from hetbench.cli.probe import probe
from hetbench.errors import ArtifactError, InvalidInputError
from hetbench.version import __version__

if TYPE_CHECKING:
    from hetbench.artifacts.sets import Installed

__all__ = ["app"]

PANEL = "Knowledge graph and surrogates"
app = typer.Typer()
sets_app = typer.Typer(no_args_is_help=True, help="Sets of surrogates: list, use, verify, remove.")
app.add_typer(sets_app, name="artifacts", rich_help_panel=PANEL)

Label = Annotated[str, typer.Argument(help="NAME or NAME@VERSION, as `hetbench artifacts list` prints it.")]


@app.command(rich_help_panel=PANEL)
def download(
    name: Annotated[
        str | None, typer.Argument(help="Name to install the set under. Default: the name in its manifest.")
    ] = None,
    source: Annotated[
        str | None, typer.Option(
            "--from", help=f"{escape(SOURCES)}; hw-gpt-bench for the perplexity surrogates of gpt-s, gpt-m and gpt-l. "
            "Default: $HETBENCH_ARTIFACTS_URL."
        )
    ] = None,
    as_json: Json = False,
) -> None:
    """Fetch a set of surrogates, verify it and install it; `hetbench artifacts use` then selects it."""
    from hetbench.artifacts.download import download as fetch
    from hetbench.artifacts.download import source_of

    if source == hw_gpt_bench.NAME:
        _fetch_perplexity(name, as_json)
        return
    if name is not None and "/" in name:
        raise InvalidInputError(
            f"{name!r} is not a valid name of a set. To fetch from there: hetbench download --from {name}"
        )
    found = fetch(source_of(source), name, say=lambda text: typer.echo(text, err=True), check=probe)
    if as_json:
        print_json(_row(found))
        return
    print(f"{found.label} is installed in {found.folder}")
    print(f"hetbench artifacts use {found.name}    HetBench(artifacts={found.name!r})")


def _fetch_perplexity(name: str | None, as_json: bool) -> None:
    """Fetch HW-GPT-Bench's perplexity surrogates, which are no set: they answer one metric of three spaces."""
    from hetbench.artifacts.hw_gpt_bench_fetch import fetch

    if name is not None:
        raise InvalidInputError(f"the surrogates of {hw_gpt_bench.NAME} are kept under that name: leave {name!r} out.")
    folder = fetch(say=lambda text: typer.echo(text, err=True))
    if as_json:
        files = {f"perplexity_{scale}.pt": pin.sha256 for scale, pin in hw_gpt_bench.PINS.items()}
        print_json({"name": hw_gpt_bench.NAME, "commit": hw_gpt_bench.COMMIT, "folder": str(folder), "files": files})
        return
    print(f"perplexity of gpt-s, gpt-m and gpt-l answers from {folder} (HW-GPT-Bench, Apache-2.0)")


@sets_app.command(name="list")
def list_sets(as_json: Json = False) -> None:
    """List the set in the package and the installed sets; the selected one is marked."""
    rows = [_packaged(), *map(_row, sets.installed())]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        marks = [text for name, text in (("in_use", "in use"), ("current", "current")) if row[name]]
        size = row["problem"] or f"{row['files']} files, {row['mb']} MB, from {row['source']}"
        print(f"{row['name']}@{row['version']}  {', '.join(marks) or 'older'}: {size}")


@sets_app.command()
def use(label: Label) -> None:
    """Select the set that shell commands answer from; `embedded` is the one in the package."""
    folder = sets.select(label)
    print(f"shell commands answer from {sets.selected() or manifest.PACKAGED}, {folder}")


@sets_app.command()
def verify(
    label: Annotated[str | None, typer.Argument(help="NAME or NAME@VERSION. Default: all sets.")] = None
) -> None:  # fmt: skip
    """Read every file of a set and compare it with the manifest."""
    known = sets.installed()
    if label not in (None, manifest.PACKAGED):
        known = [each for each in known if label == each.name] or [sets.find(str(label))]
    wrong = []
    if label in (None, manifest.PACKAGED):
        integrity.check_complete(sets.EMBEDDED)
        print(f"{manifest.PACKAGED}: complete, all formats readable")
    for each in () if label == manifest.PACKAGED else known:
        try:
            found = integrity.verify(each.folder, sniff=True)
            probe(each.folder)
            print(f"{each.label}: {len(found.files)} files, {found.bytes / 1e6:.1f} MB, match the manifest")
        except ArtifactError as error:
            wrong.append(f"{each.label}: {error}")
    if wrong:
        raise ArtifactError("\n".join(wrong))


@sets_app.command()
def remove(label: Label) -> None:
    """Delete an installed set: one version, or all versions of a name."""
    if label == manifest.PACKAGED:
        raise InvalidInputError(f"{manifest.PACKAGED!r} is the set in the package: it cannot be removed.")
    for each in sets.remove(label):
        print(f"removed {each.label}")


def _packaged() -> dict[str, Any]:
    """The set in the package as a row of the list."""
    sizes = [path.stat().st_size for path in sets.EMBEDDED.iterdir()]
    return {
        "name": manifest.PACKAGED, "version": __version__, "in_use": sets.selected() is None, "current": True,
        "files": len(sizes), "mb": round(sum(sizes) / 1e6, 1), "source": "the package", "revision": None,
        "installed": None, "folder": str(sets.EMBEDDED), "problem": None,
    }  # fmt: skip


def _row(each: Installed) -> dict[str, Any]:
    """An installed set as a row of the list; `problem` states why its manifest cannot be read."""
    row: dict[str, Any] = {
        "name": each.name, "version": each.version, "in_use": sets.selected() == each.label,
        "current": each.current, "files": None, "mb": None, "source": None, "revision": None, "installed": None,
        "folder": str(each.folder), "problem": None,
    }  # fmt: skip
    try:
        found = manifest.Manifest.read(each.folder / manifest.MANIFEST)
        row |= {"files": len(found.files), "mb": round(found.bytes / 1e6, 1)}
        row |= manifest.read_json(each.folder / manifest.ORIGIN)
    except ArtifactError as error:
        row["problem"] = str(error)
    return row
