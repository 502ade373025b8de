"""Checks of a set's folder: every listed file is there undamaged, nothing else is, and all formats can be read."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hetbench.artifacts.file_types import check_file, check_name
from hetbench.artifacts.manifest import BESIDE_FILES, MANIFEST, ORIGIN, UPGRADE, Manifest, read_json, sha256_of
from hetbench.artifacts.schemas import check_arrays, check_lengths, check_table
from hetbench.errors import ArtifactError

__all__ = ["EMBEDDED", "FORMATS", "HomelessError", "check_complete", "home", "verify"]

EMBEDDED = Path(str(files("hetbench") / "catalog" / "surrogates"))
"""Folder of the packaged set, which is used where no other is chosen."""

FORMATS: Mapping[str, int] = MappingProxyType(
    {"operators.json": 1, "sums.json": 1, "whole.json": 2, "rgat.json": 1, "power.json": 1, "transfer.json": 1}
)
"""Files that every set holds, with the format of each that this hetbench reads."""
_OPTIONAL = ("serving.json", "memory.json", "training.json")
_ARRAY_FILES = {"operators.json": ("classes", ""), "whole.json": ("groups", "whole-")}  # key of its arrays, prefix


class HomelessError(ArtifactError):
    """The user has no home directory, so that no set can be installed or found there."""


def home() -> Path:
    """The folder that sets are installed in: $HETBENCH_HOME/artifacts, else hetbench/artifacts in the user's cache."""
    own = os.environ.get("HETBENCH_HOME")
    cache = os.environ.get("XDG_CACHE_HOME")
    try:
        base = Path(own) if own else (Path(cache) if cache else Path.home() / ".cache") / "hetbench"
        return base.expanduser() / "artifacts"
    except RuntimeError as error:
        why = str(error).rstrip(".")
        raise HomelessError(f"{why}. Set HETBENCH_HOME to a directory for downloaded sets.") from None


def verify(folder: Path, *, sniff: bool = False) -> Manifest:
    """Check that a folder holds exactly the files of its manifest, undamaged, and return the manifest.

    With `sniff` the contents of the files are checked too, as after a download (see `file_types`). Raises
    `ArtifactError` that states the first difference.
    """
    manifest = Manifest.read(folder / MANIFEST)
    _check_unchanged(folder, manifest)
    there = {path.name for path in folder.iterdir()} - set(BESIDE_FILES)
    for name in sorted(there - set(manifest.files)):
        raise ArtifactError(
            f"{folder} holds {name!r}, which its manifest does not list. To publish the folder as a new set: "
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
            raise ArtifactError(f"{path} is damaged: it has {has}, its manifest states {listed}. {_again(folder)}")
        if sniff:
            check_file(path)
    check_complete(folder)
    return manifest


def _check_unchanged(folder: Path, manifest: Manifest) -> None:
    """Raise `ArtifactError` where the manifest of an installed set is not the one that was installed."""
    if not (folder / ORIGIN).exists() or not folder.resolve().is_relative_to(home().resolve()):
        return
    installed = read_json(folder / ORIGIN).get("manifest_sha256", "")
    digest = sha256_of(folder / MANIFEST)
    if manifest.version != folder.name or installed not in ("", digest):
        raise ArtifactError(f"{folder / MANIFEST} was changed after the set was installed. {_again(folder)}")


def _again(folder: Path) -> str:
    """The command that repairs the set."""
    if folder.is_relative_to(home()) and (folder / ORIGIN).exists():
        return f"Run: hetbench download {folder.parent.name} --from {read_json(folder / ORIGIN).get('source')}"
    return "Fetch it again."


def check_complete(folder: Path) -> None:
    """Check that a folder holds every part of a set, in formats that this hetbench reads; raises `ArtifactError`."""
    for name in (*FORMATS, *sorted(path.name for path in folder.glob("chip-*.json"))):
        if not (folder / name).exists():
            raise ArtifactError(
                f"{folder} is not a complete set: it lacks {name}. A set holds {', '.join(FORMATS)} and their arrays."
            )
        data, wanted = read_json(folder / name), FORMATS.get(name, 1)
        if data.get("format") != wanted:
            raise ArtifactError(
                f"{folder / name} has format {data.get('format')!r}; this hetbench reads {wanted}. {UPGRADE}"
            )
        check_table(folder / name, data, EMBEDDED)
        for array, entry in _arrays(name, data).items():
            if not (folder / check_name(array)).exists():
                raise ArtifactError(f"{folder} lacks {array}, which {name} needs.")
            if folder != EMBEDDED:
                check_arrays(folder / array, entry, EMBEDDED)
    for name in _OPTIONAL:
        if folder != EMBEDDED and (folder / name).exists():
            _check_optional(folder / name)


def _check_optional(path: Path) -> None:
    """Check a file that a set may lack, in whose place the packaged one is read."""
    data, known = read_json(path), read_json(EMBEDDED / path.name)
    if data.get("format") != known["format"]:
        given = f"{data.get('format')!r:.40}"
        raise ArtifactError(f"{path} has format {given}; this hetbench reads {known['format']}. {UPGRADE}")
    check_table(path, data, EMBEDDED)
    if path.name == "serving.json":
        check_lengths(path, data, known)


def _arrays(name: str, data: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Names of the npz files that belong to a JSON file, with the entry of the file that describes each."""
    if name in _ARRAY_FILES:
        key, prefix = _ARRAY_FILES[name]
        if not isinstance(data.get(key), dict):
            raise ArtifactError(f"{name} lists no {key}.")
        return {f"{prefix}{part}.npz": entry for part, entry in data[key].items()}
    return {f"{Path(name).stem}.npz": data} if name == "rgat.json" or name.startswith("chip-") else {}
