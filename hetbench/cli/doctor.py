"""`hetbench doctor`: whether this installation works, and which optional parts it has."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

import typer

from hetbench.artifacts.integrity import HomelessError, home
from hetbench.cli.options import Json
from hetbench.cli.output import print_table
from hetbench.cli.probe import probe
from hetbench.errors import ArtifactError, HetBenchError
from hetbench.version import __version__

__all__ = ["app"]

app = typer.Typer()


@app.command(rich_help_panel="Installation")
def doctor(as_json: Json = False) -> None:
    """Check this installation: surrogates, data folder, and which optional parts are installed.

    Exit code 0 where questions are answered, 4 where a set of surrogates is missing or damaged.
    """
    checks = list(_checks())
    print_table(("check", "state", "what"), ([name, state, what] for name, state, what in checks), as_json)
    if any(state == "fails" for _, state, _ in checks):
        raise typer.Exit(ArtifactError.exit_code)


def _checks() -> Iterator[tuple[str, str, str]]:
    """Name, state (ok, missing or fails) and details of each check."""
    yield "hetbench", "ok", f"{__version__} in {Path(__file__).parents[1]}"
    yield "python", "ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}, {sys.executable}"
    yield "numpy", "ok", version("numpy")
    yield from _surrogates()
    yield _data_folder()
    yield from _extras()


def _surrogates() -> Iterator[tuple[str, str, str]]:
    from hetbench.artifacts.sets import EMBEDDED, folder_of, selected

    name = selected()
    for what, found in ("surrogates in the package", "embedded"), ("surrogates in use", name or "embedded"):
        try:
            folder = folder_of(found)
            if what.endswith("package") or folder != EMBEDDED:
                probe(folder)
        except HetBenchError as why:
            yield what, "fails", str(why)
        else:
            yield what, "ok", f"{folder} answers for all families"


def _data_folder() -> tuple[str, str, str]:
    try:
        folder = home()
    except HomelessError as why:
        return "data folder", "missing", str(why)
    there = next(each for each in (folder, *folder.parents) if each.exists())
    writable = os.access(there, os.W_OK)
    return "data folder", "ok" if writable else "missing", f"{folder}{'' if writable else ' cannot be written'}"


def _extras() -> Iterator[tuple[str, str, str]]:
    """Each extra of the package with what it lacks."""
    wanted: dict[str, list[Any]] = {}
    for line in requires("hetbench") or ():
        requirement, _, marker = line.partition("; extra == ")
        if marker and not requirement.startswith("hetbench"):
            wanted.setdefault(marker.strip("'\""), []).append(requirement)
    for extra, requirements in sorted(wanted.items()):
        missing = [name for name in map(_name, requirements) if not _installed(name)]
        what = f"pip install 'hetbench[{extra}]' adds {', '.join(missing)}" if missing else "complete"
        yield f"extra {extra}", "missing" if missing else "ok", what


def _name(requirement: str) -> str:
    """The name of the distribution that a requirement asks for.

    >>> _name("autogluon.tabular[lightgbm]==1.6.3"), _name("torch<2.14,>=2.10")
    ('autogluon.tabular', 'torch')
    """
    end = next((at for at, each in enumerate(requirement) if not (each.isalnum() or each in "._-")), len(requirement))
    return requirement[:end]


def _installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True
