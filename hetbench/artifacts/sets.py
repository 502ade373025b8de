"""Find, select and remove sets of surrogates: the packaged set, downloaded ones, and folders given by path.

A set is a folder of plain files with a `manifest.json` that states the size and sha256 of each. Downloaded sets are in

    HOME/artifacts/NAME/VERSION        HOME: $HETBENCH_HOME, else $XDG_CACHE_HOME/hetbench, else ~/.cache/hetbench

where VERSION is a digest of the manifest's list of files. NAME without a version means the one that `NAME/current`
holds: the version installed last.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from hetbench.artifacts.integrity import EMBEDDED, HomelessError, check_complete, home, verify
from hetbench.artifacts.manifest import MANIFEST, NAME_PATTERN, ORIGIN, PACKAGED, SELECTED, read_json
from hetbench.errors import ArtifactError, InvalidInputError, UnknownNameError

__all__ = [
    "EMBEDDED", "Installed", "find", "folder_of", "installed", "make_current", "remove", "select", "selected",
    "unwritable", "write_line",
]  # fmt: skip

_CURRENT = "current"
_ELSEWHERE = "set HETBENCH_HOME to another directory"


@dataclass(frozen=True, slots=True)
class Installed:
    """A downloaded set."""

    name: str
    version: str
    folder: Path
    current: bool
    """Whether NAME without a version means this one."""

    @property
    def label(self) -> str:
        """The full name, NAME@VERSION."""
        return f"{self.name}@{self.version}"

    @property
    def source(self) -> str:
        """The source it was downloaded from, as given to `hetbench download --from`; empty where not recorded."""
        return str(read_json(self.folder / ORIGIN).get("source", "")) if (self.folder / ORIGIN).exists() else ""


def installed() -> list[Installed]:
    """All downloaded sets, sorted by name and version."""
    found = []
    try:
        listed = sorted(home().glob(f"*/*/{MANIFEST}"))
    except HomelessError:
        return []
    for path in listed:
        name, version = path.parent.parent.name, path.parent.name
        if NAME_PATTERN.fullmatch(name) and NAME_PATTERN.fullmatch(version):
            found.append(Installed(name, version, path.parent, _text(path.parent.parent / _CURRENT) == version))
    return found


def _text(path: Path) -> str:
    """The one line of a file; empty where there is no file."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise ArtifactError(f"{path} cannot be read: {why}. Make it readable, or {_ELSEWHERE}.") from None


def find(label: str) -> Installed:
    """The installed set called NAME or NAME@VERSION; raises `UnknownNameError` for any other name."""
    known = installed()
    for each in known:
        if label == each.label or (label == each.name and each.current):
            return each
    names = sorted({PACKAGED, *(each.name for each in known), *(each.label for each in known)})
    hint = f"To use the folder {label}, write ./{label}." if label and Path(label).is_dir() else (
        "`hetbench artifacts list` lists the installed sets, `hetbench download --from SOURCE` installs one."
    )  # fmt: skip
    if label == selected():
        hint += f" {label} is the selected set: `hetbench artifacts use {PACKAGED}` selects the packaged one."
    raise UnknownNameError("artefact set", label, names, hint)


def folder_of(given: str | Path) -> Path:
    """The folder of a set given by NAME, NAME@VERSION or path; its files are verified once per process.

    Raises `UnknownNameError`, `InvalidInputError` for a path that is no folder, `ArtifactError` for damaged files.

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
    """Verify a set against its manifest; a folder written by training has none, and is checked for completeness."""
    (verify if (folder / MANIFEST).exists() else check_complete)(folder)


def select(label: str) -> Path:
    """Select the set that the shell commands use, and return its folder; `embedded` selects the packaged one."""
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
    """Make this version the one that NAME without a version means."""
    write_line(found.folder.parent / _CURRENT, found.version)


def write_line(path: Path, text: str) -> None:
    """Write a file of one line atomically; raises `ArtifactError` where it cannot be written."""
    partial = path.with_name(f".{path.name}.new{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(f"{text}\n", encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise unwritable(path, error) from None


def unwritable(path: Path, error: OSError) -> ArtifactError:
    """The error for a path under `home()` that cannot be written."""
    return ArtifactError(
        f"cannot write {path}: {error.strerror or error}. Free disk space or make it writable, or {_ELSEWHERE}."
    )


def selected() -> str | None:
    """NAME@VERSION of the set that the shell commands use; None for the packaged one."""
    try:
        return _text(home() / SELECTED) or None
    except HomelessError:
        return None


def remove(label: str) -> list[Installed]:
    """Delete one version (NAME@VERSION) or all versions of a name, and return them.

    Where a deleted set was selected, the packaged one is selected; where it was current, the latest version left is.
    """
    gone = [each for each in installed() if label in (each.name, each.label)] or [find(label)]
    for each in gone:
        aside = each.folder.with_name(f".{each.version}.gone{os.getpid()}")  # disappears at once
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
