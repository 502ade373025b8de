"""Fetch a set of surrogates, check every byte of it, and install it whole or not at all.

What is fetched lies in a folder of its own under `artifacts.home()` until each file has the size and the sha256 that
the manifest states, is of a format that runs no code, and is one that this hetbench reads. Then the folder is renamed
to its place. Whatever goes wrong before leaves the installed sets and the package's as they were.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from hetbench.artifacts import sets
from hetbench.artifacts.file_types import MAX_BYTES
from hetbench.artifacts.integrity import home, verify
from hetbench.artifacts.manifest import MANIFEST, ORIGIN, Entry, Manifest, set_name, sha256_of
from hetbench.artifacts.remote import SOURCES, Remote, remote
from hetbench.artifacts.sets import Installed
from hetbench.artifacts.unpack import unpack
from hetbench.errors import ArtifactError, InvalidInputError

__all__ = ["URL", "download", "source_of"]

URL = "HETBENCH_ARTIFACTS_URL"
"""Environment variable that names a source where none is given."""
_MANIFEST_BYTES = 1_000_000
_PARTIAL = ".partial"


def source_of(given: str | None) -> str:
    """The source that was given, else that of the environment; `InvalidInputError` says how to give one."""
    source = given or os.environ.get(URL)
    if not source:
        raise InvalidInputError(
            "no source to download from: hetbench has no public repository yet, and the set in the package answers "
            f"without one. To fetch a set: hetbench download [NAME] --from SOURCE, or set {URL}; SOURCE is {SOURCES}. "
            "`python -m surrogates.publish` makes one."
        )
    return source


def download(source: str, name: str | None = None, say: Callable[[str], object] = lambda text: None) -> Installed:
    """Install the set that a source holds, under its own name or another; the version is that of its content.

    `say` is told each file that is fetched. Raises `InvalidInputError` for a source or name that cannot be meant and
    `ArtifactError` for all else.

    >>> download("file:///nowhere")
    Traceback (most recent call last):
    hetbench.errors.InvalidInputError: there is no /nowhere to fetch from. A set is fetched from hf://ORG/NAME[@REV], \
gdrive://ID, https://..., file://....
    """
    place, wanted = remote(source), None if name is None else set_name(name)
    try:
        with _alone(say):
            staging = home() / _PARTIAL / hashlib.sha256(place.source.encode()).hexdigest()[:16]
            (staging / "set").mkdir(parents=True, exist_ok=True)
            found = _installed(place, staging / "set", wanted, say)
            shutil.rmtree(staging, ignore_errors=True)
    except OSError as error:
        raise sets.unwritable(home(), error) from None
    return found


@contextmanager
def _alone(say: Callable[[str], object]) -> Iterator[None]:
    """One download at a time under this home, so that no two write the same set; without locks on Windows."""
    path = home() / _PARTIAL / "lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        import fcntl
    except ImportError:
        yield
        return
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another download to end")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _installed(place: Remote, folder: Path, wanted: str | None, say: Callable[[str], object]) -> Installed:
    """The set of a place, installed; what is there and whole is not fetched again, but for the manifest or archive."""
    manifest = _archive(place, folder, say) if place.archive else _manifest(place, folder)
    name, version = wanted or manifest.name, manifest.version
    found = Installed(name, version, home() / name / version, current=True)
    if _whole(found.folder):
        say(f"{found.label} is here already")
    else:
        if not place.archive:
            _files(place, folder, manifest, say)
        try:
            verify(folder, sniff=True)
        except ArtifactError as error:
            shutil.rmtree(folder)  # so that the next attempt starts from nothing
            raise _refused(place, folder, error) from None
        origin = {"source": place.source, "revision": place.revision, "installed": datetime.now(UTC).isoformat()}
        (folder / ORIGIN).write_text(json.dumps(origin, indent=1) + "\n", encoding="utf-8")
        _move(folder, found.folder)
    sets.make_current(found)
    return found


def _archive(place: Remote, folder: Path, say: Callable[[str], object]) -> Manifest:
    """The manifest of an archive, its files unpacked into the folder; an archive that is not taken is discarded."""
    path = folder.with_name("archive")
    say(place.source)
    place.fetch("", path, MAX_BYTES)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        unpack(path, folder)
        if not (folder / MANIFEST).exists():
            raise ArtifactError(f"it holds no {MANIFEST}. Make a set with: python -m surrogates.publish --to FILE.tar")
        return Manifest.read(folder / MANIFEST)
    except ArtifactError as error:
        raise _refused(place, folder, error) from None
    finally:
        path.unlink()


def _manifest(place: Remote, folder: Path) -> Manifest:
    """The manifest of a folder of files."""
    (folder / MANIFEST).unlink(missing_ok=True)
    place.fetch(MANIFEST, folder / MANIFEST, _MANIFEST_BYTES)
    try:
        return Manifest.read(folder / MANIFEST)
    except ArtifactError as error:
        raise _refused(place, folder, error) from None


def _files(place: Remote, folder: Path, manifest: Manifest, say: Callable[[str], object]) -> None:
    """Fetch each file of a manifest unless an earlier attempt has it."""
    for name, entry in manifest.files.items():
        path = folder / name
        if not _same(path, entry):
            say(f"{name} {entry.bytes:,} bytes")
            place.fetch(name, path, entry.bytes)
        if not _same(path, entry):
            size, digest = path.stat().st_size, sha256_of(path)
            path.unlink()
            raise ArtifactError(
                f"{place.source} is not installed: its {name} has {size} bytes and sha256 {digest}; its manifest says "
                f"{entry.bytes} and {entry.sha256}. The file was discarded. Run the command again; if it stays so, the "
                "set is not the one that was published."
            )
    for path in folder.iterdir():
        if path.name not in (MANIFEST, *manifest.files):  # of an earlier manifest
            path.unlink()


def _refused(place: Remote, folder: Path, error: ArtifactError) -> ArtifactError:
    """The error, said of the source instead of the folder that it was fetched to."""
    why = str(error).replace(f"{folder}{os.sep}", "its ").replace(str(folder), "it")
    return ArtifactError(f"{place.source} is not installed: {why}")


def _same(path: Path, entry: Entry) -> bool:
    return path.exists() and path.stat().st_size == entry.bytes and sha256_of(path) == entry.sha256


def _whole(folder: Path) -> bool:
    """Whether an installed set is there, as its manifest says."""
    if not folder.exists():
        return False
    try:
        verify(folder, sniff=True)
    except ArtifactError:
        return False
    return True


def _move(folder: Path, target: Path) -> None:
    """Put a checked folder in its place, instead of a damaged one."""
    aside = target.with_name(f".{target.name}.old{os.getpid()}")
    target.parent.mkdir(exist_ok=True)
    if target.exists():
        target.rename(aside)
    folder.rename(target)
    shutil.rmtree(aside, ignore_errors=True)
