"""Sets of surrogates: the one in the package, those that `hetbench download` installed, and folders of the caller's.

A set is a folder of plain files and a `manifest.json` that states the size and sha256 of each. Installed ones lie in

    HOME/artifacts/NAME/VERSION        HOME: $HETBENCH_HOME, else $XDG_CACHE_HOME/hetbench, else ~/.cache/hetbench

where VERSION is a digest of the manifest's list of files: the same files are the same version, whoever published them.
`NAME/current` says which version the bare name means: the one that was installed last.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from hetbench.artifacts.integrity import check_complete, home, verify
from hetbench.artifacts.manifest import MANIFEST, NAME_PATTERN, ORIGIN, PACKAGED, SELECTED, read_json
from hetbench.errors import ArtifactError, InvalidInputError, UnknownNameError

__all__ = [
    "EMBEDDED", "Installed", "find", "folder_of", "installed", "make_current", "remove", "select", "selected",
    "unwritable", "write_line",
]  # fmt: skip

EMBEDDED = Path(str(files("hetbench") / "catalog" / "surrogates"))
"""Folder of the set in the package, which answers where no other is chosen."""
_CURRENT = "current"
_ELSEWHERE = "set HETBENCH_HOME to another directory"


@dataclass(frozen=True, slots=True)
class Installed:
    """A set that was downloaded."""

    name: str
    version: str
    folder: Path
    current: bool
    """Whether the bare name means this version."""

    @property
    def label(self) -> str:
        """NAME@VERSION."""
        return f"{self.name}@{self.version}"

    @property
    def source(self) -> str:
        """Where it came from, as it was asked for."""
        return str(read_json(self.folder / ORIGIN).get("source", "")) if (self.folder / ORIGIN).exists() else ""


def installed() -> list[Installed]:
    """Every installed set, by name and version."""
    found = []
    for path in sorted(home().glob(f"*/*/{MANIFEST}")):
        name, version = path.parent.parent.name, path.parent.name
        if NAME_PATTERN.fullmatch(name) and NAME_PATTERN.fullmatch(version):
            found.append(Installed(name, version, path.parent, _text(path.parent.parent / _CURRENT) == version))
    return found


def _text(path: Path) -> str:
    """The line that a file holds; empty where there is none."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise ArtifactError(f"{path} cannot be read: {why}. Make it readable, or {_ELSEWHERE}.") from None


def find(label: str) -> Installed:
    """The installed set called NAME or NAME@VERSION; `UnknownNameError` names the nearest."""
    known = installed()
    for each in known:
        if label == each.label or (label == each.name and each.current):
            return each
    names = sorted({PACKAGED, *(each.name for each in known), *(each.label for each in known)})
    hint = f"The folder {label} is named as ./{label}." if Path(label).is_dir() else (
        "`hetbench artifacts list` lists the installed sets, `hetbench download --from SOURCE` installs one."
    )  # fmt: skip
    if label == selected():
        hint += f" The shell answers from {label}: `hetbench artifacts use {PACKAGED}` goes back to the package's set."
    raise UnknownNameError("artefact set", label, names, hint)


def folder_of(given: str | Path) -> Path:
    """The folder of a set by its name, NAME or NAME@VERSION, or by a path; what it holds is checked once a process.

    >>> folder_of("embedded") == EMBEDDED
    True
    """
    if given == PACKAGED:
        return EMBEDDED
    if isinstance(given, Path) or "/" in given or os.sep in given or given.startswith("."):
        folder = Path(given).expanduser().resolve()
        if not folder.is_dir():
            raise InvalidInputError(f"there is no folder {folder}. `hetbench artifacts list` lists the installed sets.")
    else:
        folder = find(given).folder
    _checked(folder)
    return folder


@lru_cache(maxsize=16)
def _checked(folder: Path) -> None:
    """A set with a manifest holds what it says; what training wrote, without one, is whole."""
    (verify if (folder / MANIFEST).exists() else check_complete)(folder)


def select(label: str) -> Path:
    """Make a set the one that the shell's commands answer from; `embedded` goes back to the package's."""
    if label == PACKAGED:
        try:
            (home() / SELECTED).unlink(missing_ok=True)
        except OSError as error:
            raise unwritable(home() / SELECTED, error) from None
        return EMBEDDED
    chosen = find(label)
    _checked(chosen.folder)
    write_line(home() / SELECTED, chosen.label)
    return chosen.folder


def make_current(found: Installed) -> None:
    """Let the bare name mean this version."""
    write_line(found.folder.parent / _CURRENT, found.version)


def write_line(path: Path, text: str) -> None:
    """Write a file of one line, in full or not at all; `ArtifactError` where it cannot be written."""
    partial = path.with_name(f".{path.name}.new{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(f"{text}\n", encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise unwritable(path, error) from None


def unwritable(path: Path, error: OSError) -> ArtifactError:
    """The error for a place under `home` that cannot be written."""
    return ArtifactError(
        f"cannot write {path}: {error.strerror or error}. Give it room and the right to write, or {_ELSEWHERE}."
    )


def selected() -> str | None:
    """NAME@VERSION of the set that the shell answers from; None for the package's."""
    return _text(home() / SELECTED) or None


def remove(label: str) -> list[Installed]:
    """Delete a version (NAME@VERSION) or all of a name, and what selected it; what was deleted."""
    gone = [each for each in installed() if label in (each.name, each.label)] or [find(label)]
    for each in gone:
        aside = each.folder.with_name(f".{each.version}.gone{os.getpid()}")  # gone at once, deleted after
        try:
            each.folder.rename(aside)
        except OSError as error:
            raise unwritable(each.folder, error) from None
        shutil.rmtree(aside, ignore_errors=True)
        if selected() == each.label:
            select(PACKAGED)
    left = [each for each in installed() if each.name == gone[0].name]
    if not left:
        shutil.rmtree(gone[0].folder.parent, ignore_errors=True)
    elif not any(each.current for each in left):
        make_current(max(left, key=lambda each: (each.folder / ORIGIN).stat().st_mtime))
    return gone
