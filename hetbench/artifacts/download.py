"""Download a set of surrogates, verify it, and install it atomically.

Files are fetched into a staging folder under `home()`. When each has the size and sha256 of the manifest, is of a type
that runs no code and of a format that this hetbench reads, the folder is renamed to its final place. A failure before
that leaves the installed sets unchanged.
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
"""Environment variable that holds the default source."""
_MANIFEST_BYTES = 1_000_000
_PARTIAL = ".partial"


def source_of(given: str | None) -> str:
    """The given source, else that of the environment variable; raises `InvalidInputError` where there is neither."""
    source = os.environ.get(URL) if given is None else given
    if not source:
        raise InvalidInputError(
            "no source to download from. The packaged set needs no download. To download another: "
            f"hetbench download [NAME] --from SOURCE, or set {URL}; SOURCE is {SOURCES}. "
            "`python -m surrogates.publish` publishes one."
        )
    return source


def download(
    source: str, name: str | None = None, say: Callable[[str], object] = lambda text: None,
    check: Callable[[Path], object] = lambda folder: None,
) -> Installed:  # fmt: skip
    """Download the set of a source, verify and install it.

    `name` replaces the name in its manifest; the version is a digest of its files. `say` is called with a line for each
    file, `check` with the folder before it is installed: an `ArtifactError` of it refuses the set. Raises
    `InvalidInputError` for an invalid source or name, `ArtifactError` where download or checks fail.

    >>> download("file:///nowhere")
    Traceback (most recent call last):
    hetbench.errors.InvalidInputError: there is no /nowhere. A source is one of hf://ORG/NAME[@REV], gdrive://ID, \
https://..., file://....
    """
    place, wanted = remote(source), None if name is None else set_name(name)
    try:
        with _alone(say):
            staging = home() / _PARTIAL / hashlib.sha256(place.source.encode()).hexdigest()[:16]
            (staging / "set").mkdir(parents=True, exist_ok=True)
            found = _installed(place, staging / "set", wanted, say, check)
            shutil.rmtree(staging, ignore_errors=True)
    except OSError as error:
        raise sets.unwritable(home(), error) from None
    return found


@contextmanager
def _alone(say: Callable[[str], object]) -> Iterator[None]:
    """Hold a lock, so that two downloads cannot write the same set; Windows has none of these, which is said."""
    path = home() / _PARTIAL / "lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        import fcntl
    except ImportError:
        say("this system has no POSIX file locks: let no other download run at the same time")
        yield
        return
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another download to end")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _installed(
    place: Remote, folder: Path, wanted: str | None, say: Callable[[str], object], check: Callable[[Path], object]
) -> Installed:
    """Fetch and install a set; files that are already there undamaged are not fetched again."""
    manifest = _archive(place, folder, say) if place.archive else _manifest(place, folder)
    name, version = wanted or manifest.name, manifest.version
    found = Installed(name, version, home() / name / version, current=True)
    if _whole(found.folder):
        say(f"{found.label} is already installed")
    else:
        if not place.archive:
            _files(place, folder, manifest, say)
        try:
            verify(folder, sniff=True)
            check(folder)
        except ArtifactError as error:
            shutil.rmtree(folder)  # so that the next attempt starts over
            raise _refused(place, folder, error) from None
        origin = {"source": place.source, "revision": place.revision, "installed": datetime.now(UTC).isoformat(),
                  "manifest_sha256": sha256_of(folder / MANIFEST)}  # fmt: skip
        (folder / ORIGIN).write_text(json.dumps(origin, indent=1) + "\n", encoding="utf-8")
        _move(folder, found.folder)
    sets.make_current(found)
    return found


def _archive(place: Remote, folder: Path, say: Callable[[str], object]) -> Manifest:
    """Fetch an archive, unpack it into the folder, and return its manifest; the archive itself is deleted."""
    path = folder.with_name("archive")
    say(place.source)
    place.fetch("", path, MAX_BYTES)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        unpack(path, folder)
        if not (folder / MANIFEST).exists():
            raise ArtifactError(f"it lacks {MANIFEST}. To make a set: python -m surrogates.publish --to FILE.tar")
        return Manifest.read(folder / MANIFEST)
    except ArtifactError as error:
        raise _refused(place, folder, error) from None
    finally:
        path.unlink()


def _manifest(place: Remote, folder: Path) -> Manifest:
    """Fetch the manifest of a folder of files."""
    (folder / MANIFEST).unlink(missing_ok=True)
    place.fetch(MANIFEST, folder / MANIFEST, _MANIFEST_BYTES)
    try:
        return Manifest.read(folder / MANIFEST)
    except ArtifactError as error:
        raise _refused(place, folder, error) from None


def _files(place: Remote, folder: Path, manifest: Manifest, say: Callable[[str], object]) -> None:
    """Fetch each file of a manifest, except those that an earlier attempt fetched."""
    for name, entry in manifest.files.items():
        path = folder / name
        if not _same(path, entry):
            say(f"{name} {entry.bytes:,} bytes")
            place.fetch(name, path, entry.bytes)
        if not _same(path, entry):
            size, digest = path.stat().st_size, sha256_of(path)
            path.unlink()
            raise ArtifactError(
                f"{place.source} is not installed: its {name} has {size} bytes and sha256 {digest}; its manifest "
                f"states {entry.bytes} and {entry.sha256}. The file was deleted. Run the command again; if the error "
                "persists, the source is damaged."
            )
    for path in folder.iterdir():
        if path.name not in (MANIFEST, *manifest.files):  # left over from an earlier manifest
            path.unlink()


def _refused(place: Remote, folder: Path, error: ArtifactError) -> ArtifactError:
    """The error with the source in place of the staging folder."""
    why = str(error).replace(f"{folder}{os.sep}", "its ").replace(str(folder), "it")
    return ArtifactError(f"{place.source} is not installed: {why}")


def _same(path: Path, entry: Entry) -> bool:
    return path.exists() and path.stat().st_size == entry.bytes and sha256_of(path) == entry.sha256


def _whole(folder: Path) -> bool:
    """Whether the set is installed and undamaged."""
    if not folder.exists():
        return False
    try:
        verify(folder, sniff=True)
    except ArtifactError:
        return False
    return True


def _move(folder: Path, target: Path) -> None:
    """Move a verified folder to its final place, replacing a damaged set there."""
    aside = target.with_name(f".{target.name}.old{os.getpid()}")
    target.parent.mkdir(exist_ok=True)
    if target.exists():
        target.rename(aside)
    folder.rename(target)
    shutil.rmtree(aside, ignore_errors=True)
