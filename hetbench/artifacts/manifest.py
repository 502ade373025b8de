"""The manifest of a set of surrogates: its name, its files with size and sha256, and the version they result in.

The version is a digest of the list of files, so the same files have the same version, whoever published them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hetbench.artifacts.file_types import MAX_BYTES, MAX_FILES, check_name, largest
from hetbench.errors import ArtifactError, InvalidInputError

__all__ = [
    "BESIDE_FILES", "MANIFEST", "NAME_PATTERN", "ORIGIN", "PACKAGED", "SELECTED", "UPGRADE", "Entry", "Manifest",
    "read_json", "set_name", "sha256_of",
]  # fmt: skip

SCHEMA = 1
MANIFEST, ORIGIN = "manifest.json", "origin.json"
"""File that lists the others, and file that a download adds: where the set came from and when."""
BESIDE_FILES = (MANIFEST, ORIGIN)
"""Files that lie in the folder of a set without being listed in its manifest."""
PACKAGED = "embedded"
"""Name of the set in the package."""
SELECTED = "selected"
"""File beside the installed sets that names the one the shell answers from."""
NAME_PATTERN = re.compile(
    r"(?!(?i:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|$))"  # devices on Windows
    r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9_-])?"
)
_DIGEST = re.compile("[0-9a-f]{64}")
UPGRADE = "Install the hetbench that it was published for, or a set published for this one."


@dataclass(frozen=True, slots=True)
class Entry:
    """Size and digest of one file of a set."""

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """The contents of `manifest.json`."""

    name: str
    hetbench: str
    """Version of hetbench that published the set."""
    commit: str
    """Commit of the checkout that published the set."""
    files: Mapping[str, Entry]
    schema: int = SCHEMA

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Read a manifest; raises `ArtifactError` where the file is not one, or is of another schema."""
        data = read_json(path)
        if data.get("schema") != SCHEMA:
            raise ArtifactError(
                f"{path} has schema {data.get('schema')!r}; this hetbench reads schema {SCHEMA}. {UPGRADE}"
            )
        try:
            entries = {check_name(name): Entry(**entry) for name, entry in data["files"].items()}
            found = cls(set_name(data["name"]), str(data["hetbench"]), str(data["commit"]), MappingProxyType(entries))
            fine = all(
                type(one.bytes) is int and 0 <= one.bytes <= largest(name) and _DIGEST.fullmatch(str(one.sha256))
                for name, one in entries.items()
            )  # fmt: skip
        except KeyError as error:
            raise ArtifactError(f"{path} is not the manifest of a set: it lacks {error}.") from None
        except (TypeError, AttributeError, InvalidInputError) as error:
            raise ArtifactError(f"{path} is not the manifest of a set: {str(error).rstrip('.')}.") from None
        if not fine or not set(BESIDE_FILES).isdisjoint(entries):
            raise ArtifactError(
                f"{path} is not the manifest of a set: each file needs its sha256 and bytes within the limits."
            )
        if len({name.lower() for name in entries}) < len(entries):
            raise ArtifactError(f"{path} lists two files whose names differ in case alone.")
        if data.get("version", found.version) != found.version:
            raise ArtifactError(f"{path} states version {data['version']!r:.40}; its files make {found.version}.")
        if len(entries) > MAX_FILES or found.bytes > MAX_BYTES:
            raise ArtifactError(
                f"{path} lists {len(entries)} files of {found.bytes} bytes; the limit is {MAX_FILES} files of "
                f"{MAX_BYTES} bytes."
            )
        return found

    @classmethod
    def of(cls, folder: Path, name: str, hetbench: str, commit: str) -> Manifest:
        """Make the manifest of the files in a folder."""
        paths = sorted(path for path in folder.iterdir() if path.name not in BESIDE_FILES)
        listed = {check_name(path.name): Entry(path.stat().st_size, sha256_of(path)) for path in paths}
        return cls(set_name(name), hetbench, commit, MappingProxyType(listed))

    @property
    def version(self) -> str:
        """Twelve hexadecimal digits of a digest over the names, sizes and sha256 of the files."""
        lines = (f"{name} {entry.bytes} {entry.sha256}\n" for name, entry in sorted(self.files.items()))
        return hashlib.sha256("".join(lines).encode()).hexdigest()[:12]

    @property
    def bytes(self) -> int:
        """Total size of the files."""
        return sum(entry.bytes for entry in self.files.values())

    def to_json(self) -> str:
        """The text of `manifest.json`."""
        fields = {name: getattr(self, name) for name in ("schema", "name", "version", "hetbench", "commit")}
        listed = {name: asdict(entry) for name, entry in sorted(self.files.items())}
        return json.dumps({**fields, "files": listed}, indent=1) + "\n"


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; raises `ArtifactError` where it cannot be read or holds no object."""
    try:
        if path.stat().st_size > largest(path.name):
            raise ArtifactError(f"{path} has more than {largest(path.name):,} bytes: it is not read.")
        text = path.read_text(encoding="utf-8")
        data = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_unique_keys)
    except (OSError, ValueError, RecursionError) as error:
        raise ArtifactError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.") from None
    if not isinstance(data, dict):
        raise ArtifactError(f"{path} does not hold a JSON object.")
    return data


def _refuse_constant(name: str) -> float:
    raise ValueError(f"it holds {name}, which is no number")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("an object in it has two entries of one name")
    return made


def sha256_of(path: Path) -> str:
    """The sha256 of a file, 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def set_name(name: object) -> str:
    """Check the name of a set and return it; raises `InvalidInputError` for one that is not allowed.

    >>> set_name("lab-2026")
    'lab-2026'
    """
    if not isinstance(name, str) or not NAME_PATTERN.fullmatch(name) or name in (PACKAGED, SELECTED):
        raise InvalidInputError(
            f"the name of a set has at most 64 letters, digits, '.', '_' and '-', and is not {PACKAGED!r} or "
            f"{SELECTED!r}; given: {name!r}."
        )
    return name
