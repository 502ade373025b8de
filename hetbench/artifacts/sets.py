"""Sets of surrogates: the one in the package, those that `hetbench download` installed, and folders of the caller's.

A set is a folder of plain files and a `manifest.json` that states the size and sha256 of each. Installed ones lie in

    HOME/artifacts/NAME/VERSION        HOME: $HETBENCH_HOME, else $XDG_CACHE_HOME/hetbench, else ~/.cache/hetbench

where VERSION is a digest of the manifest's list of files: the same files are the same version, whoever published them.
`NAME/current` says which version the bare name means: the one that was installed last.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hetbench.artifacts.file_types import MAX_BYTES, MAX_FILES, check_file, check_name
from hetbench.errors import ArtifactError, InvalidInputError, UnknownNameError

__all__ = [
    "EMBEDDED", "FORMATS", "MANIFEST", "ORIGIN", "PACKAGED", "Entry", "Installed", "Manifest", "complete", "find",
    "folder_of", "home", "installed", "make_current", "read_json", "remove", "select", "selected", "set_name",
    "sha256_of", "unwritable", "verify", "write_line",
]  # fmt: skip

EMBEDDED = Path(str(files("hetbench") / "catalog" / "surrogates"))
"""The set in the package, which answers where none is chosen."""
PACKAGED = "embedded"
"""What that set is called where a name is asked for."""
FORMATS: Mapping[str, int] = MappingProxyType(
    {"operators.json": 1, "sums.json": 1, "whole.json": 2, "rgat.json": 1, "power.json": 1, "transfer.json": 1}
)
"""What a set must hold, and the format of each that this hetbench reads."""
SCHEMA = 1
MANIFEST, ORIGIN = "manifest.json", "origin.json"
_PARTS = {"operators.json": ("classes", ""), "whole.json": ("groups", "whole-")}  # key of the arrays, their prefix
_BESIDE = (MANIFEST, ORIGIN)  # in the folder, but not in the list of the manifest
_CURRENT, _SELECTED = "current", "selected"
_SET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_ELSEWHERE = "set HETBENCH_HOME to another directory"
_UPGRADE = "Install the hetbench that it was published for, or a set published for this one."


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a set."""

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a set says of itself."""

    name: str
    hetbench: str
    """Version that published it."""
    commit: str
    """Of the checkout that published it."""
    files: Mapping[str, Entry]
    schema: int = SCHEMA

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """The manifest of a set; `ArtifactError` where it is none, or of another schema."""
        data = read_json(path)
        if data.get("schema") != SCHEMA:
            raise ArtifactError(
                f"{path} has schema {data.get('schema')!r}; this hetbench reads schema {SCHEMA}. {_UPGRADE}"
            )
        try:
            entries = {check_name(name): Entry(**entry) for name, entry in data["files"].items()}
            found = cls(set_name(data["name"]), str(data["hetbench"]), str(data["commit"]), MappingProxyType(entries))
            fine = all(type(one.bytes) is int and one.bytes >= 0 and len(one.sha256) == 64 for one in entries.values())
        except KeyError as error:
            raise ArtifactError(f"{path} is no manifest of a set: it lacks {error}.") from None
        except (TypeError, AttributeError, InvalidInputError) as error:
            raise ArtifactError(f"{path} is no manifest of a set: {error}.") from None
        if not fine or not set(_BESIDE).isdisjoint(entries):
            raise ArtifactError(f"{path} is no manifest of a set: each file needs its bytes and sha256.")
        if len(entries) > MAX_FILES or found.bytes > MAX_BYTES:
            raise ArtifactError(
                f"{path} lists {len(entries)} files of {found.bytes} bytes; read: at most {MAX_FILES} of {MAX_BYTES}."
            )
        return found

    @classmethod
    def of(cls, folder: Path, name: str, hetbench: str, commit: str) -> Manifest:
        """The manifest of the files that lie in a folder."""
        paths = sorted(path for path in folder.iterdir() if path.name not in _BESIDE)
        listed = {check_name(path.name): Entry(path.stat().st_size, sha256_of(path)) for path in paths}
        return cls(set_name(name), hetbench, commit, MappingProxyType(listed))

    @property
    def version(self) -> str:
        """Twelve digits over the names, sizes and sha256 of the files."""
        lines = (f"{name} {entry.bytes} {entry.sha256}\n" for name, entry in sorted(self.files.items()))
        return hashlib.sha256("".join(lines).encode()).hexdigest()[:12]

    @property
    def bytes(self) -> int:
        """Of all files together."""
        return sum(entry.bytes for entry in self.files.values())

    def to_json(self) -> str:
        """The text of `manifest.json`."""
        fields = {name: getattr(self, name) for name in ("schema", "name", "version", "hetbench", "commit")}
        listed = {name: asdict(entry) for name, entry in sorted(self.files.items())}
        return json.dumps({**fields, "files": listed}, indent=1) + "\n"


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


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; `ArtifactError` where there is none."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.") from None
    if not isinstance(data, dict):
        raise ArtifactError(f"{path} holds no JSON object.")
    return data


def sha256_of(path: Path) -> str:
    """The sha256 of a file, 64 digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def set_name(name: object) -> str:
    """A name that a set may have; `InvalidInputError` otherwise.

    >>> set_name("lab-2026")
    'lab-2026'
    """
    if not isinstance(name, str) or not _SET.fullmatch(name) or name in (PACKAGED, _SELECTED):
        raise InvalidInputError(
            f"a set is named by letters, digits, '.', '_' and '-', at most 64, and not {PACKAGED!r} or {_SELECTED!r}; "
            f"given: {name!r}."
        )
    return name


def home() -> Path:
    """Where sets are installed."""
    own = os.environ.get("HETBENCH_HOME")
    cache = os.environ.get("XDG_CACHE_HOME")
    base = Path(own) if own else (Path(cache) if cache else Path.home() / ".cache") / "hetbench"
    return base.expanduser() / "artifacts"


def installed() -> list[Installed]:
    """Every installed set, by name and version."""
    found = []
    for path in sorted(home().glob(f"*/*/{MANIFEST}")):
        name, version = path.parent.parent.name, path.parent.name
        if _SET.fullmatch(name) and _SET.fullmatch(version):
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
    (verify if (folder / MANIFEST).exists() else complete)(folder)


def verify(folder: Path, *, sniff: bool = False) -> Manifest:
    """The manifest of a folder that holds the files it lists, whole and no others; `ArtifactError` says what differs.

    `sniff` looks into the files too, as a download does.
    """
    manifest = Manifest.read(folder / MANIFEST)
    there = {path.name for path in folder.iterdir()} - set(_BESIDE)
    for name in sorted(there - set(manifest.files)):
        raise ArtifactError(
            f"{folder} holds {name!r}, which its manifest does not list. Publish it as a set of its own: "
            f"python -m surrogates.publish --from {folder} --to DIR"
        )
    for name, entry in manifest.files.items():
        path = folder / name
        if path.is_symlink() or not path.is_file():
            raise ArtifactError(f"{folder} lacks {name}, which its manifest lists. {_again(folder)}")
        size = path.stat().st_size
        digest = sha256_of(path) if size == entry.bytes else ""
        if digest != entry.sha256:
            has, listed = (f"sha256 {digest}", entry.sha256) if digest else (f"{size} bytes", entry.bytes)
            raise ArtifactError(f"{path} is damaged: it has {has}, its manifest says {listed}. {_again(folder)}")
        if sniff:
            check_file(path)
    complete(folder)
    return manifest


def _again(folder: Path) -> str:
    """What to run to have the set whole again."""
    if folder.is_relative_to(home()) and (folder / ORIGIN).exists():
        return f"Run: hetbench download {folder.parent.name} --from {read_json(folder / ORIGIN).get('source')}"
    return "Fetch it again."


def complete(folder: Path) -> None:
    """`ArtifactError` where a folder lacks a part of a set, or holds one in a format that is not read here."""
    for name in (*FORMATS, *sorted(path.name for path in folder.glob("chip-*.json"))):
        if not (folder / name).exists():
            raise ArtifactError(
                f"{folder} lacks {name}, so it is no whole set. A set holds: {', '.join(FORMATS)} and their arrays."
            )
        data, wanted = read_json(folder / name), FORMATS.get(name, 1)
        if data.get("format") != wanted:
            raise ArtifactError(
                f"{folder / name} has format {data.get('format')!r}; this hetbench reads {wanted}. {_UPGRADE}"
            )
        for array in _arrays(name, data):
            if not (folder / check_name(array)).exists():
                raise ArtifactError(f"{folder} lacks {array}, which {name} needs.")


def _arrays(name: str, data: Mapping[str, Any]) -> list[str]:
    """The npz files that go with a JSON file."""
    if name in _PARTS:
        key, prefix = _PARTS[name]
        if not isinstance(data.get(key), dict):
            raise ArtifactError(f"{name} lists no {key}.")
        return [f"{prefix}{part}.npz" for part in data[key]]
    return [f"{Path(name).stem}.npz"] if name == "rgat.json" or name.startswith("chip-") else []


def select(label: str) -> Path:
    """Make a set the one that the shell's commands answer from; `embedded` goes back to the package's."""
    if label == PACKAGED:
        try:
            (home() / _SELECTED).unlink(missing_ok=True)
        except OSError as error:
            raise unwritable(home() / _SELECTED, error) from None
        return EMBEDDED
    chosen = find(label)
    _checked(chosen.folder)
    write_line(home() / _SELECTED, chosen.label)
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
    return _text(home() / _SELECTED) or None


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
