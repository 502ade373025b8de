"""Take a set out of a tar or zip archive that nobody vouches for: plain files of known formats alone, within limits."""

from __future__ import annotations

import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from hetbench.artifacts.file_types import COMPRESSIONS, MAX_BYTES, MAX_FILES, check_name
from hetbench.errors import ArtifactError

__all__ = ["unpack"]

Member = tuple[str, str, int, Callable[[], IO[bytes] | None]]
"""Path in the archive, what it is if no file, bytes, how to read it."""
_CHUNK = 1 << 20


def unpack(archive: Path, folder: Path) -> None:
    """Write the files of an archive into an empty folder.

    The files lie at the top of the archive or in one folder of it. `ArtifactError` for anything else, for links and
    devices, for a format that a set may not hold, and for more than `MAX_FILES` files or `MAX_BYTES` bytes.
    """
    try:
        with archive.open("rb") as stream:
            members = _zip if stream.read(2) == b"PK" else _tar
        left, seen, inside = MAX_BYTES, set[str](), set[PurePosixPath]()
        for path, kind, size, read in members(archive):
            if kind == "folder":
                continue
            if kind:
                raise ArtifactError(f"it holds {path!r}, a {kind}: only plain files are taken.")
            name = _plain(path, inside)
            if name in seen or len(seen) == MAX_FILES:
                why = "twice" if name in seen else f"beyond the limit of {MAX_FILES} files"
                raise ArtifactError(f"it holds {path!r} {why}: it is not taken.")
            seen.add(name)
            left -= _copied(read(), folder / name, min(size, left), path, size)
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError) as error:
        raise ArtifactError(f"it is no archive that is read: {error}. Read: .tar, not compressed, and .zip.") from None


def _plain(path: str, inside: set[PurePosixPath]) -> str:
    """The file name of a member; `inside` gathers the folder that all of them share."""
    parts = PurePosixPath(path)
    if parts.is_absolute() or ".." in parts.parts or "\\" in path or ":" in path or "\0" in path:
        raise ArtifactError(f"it holds {path!r}, which leads out of the folder it is taken to: it is not taken.")
    inside.add(parts.parent)
    if len(inside) > 1 or len(parts.parts) > 2:
        raise ArtifactError(f"it holds {path!r}: a set is one folder of plain files.")
    return check_name(parts.name)


def _copied(stream: IO[bytes] | None, target: Path, limit: int, what: str, size: int) -> int:
    """Write a member, never more than `limit` bytes however it was packed; how many they were."""
    if stream is None or size > limit:
        raise ArtifactError(f"{what!r} expands to {size:,} bytes: a set has at most {MAX_BYTES:,}.")
    done = 0
    with stream, target.open("xb") as out:
        while chunk := stream.read(_CHUNK):
            done += len(chunk)
            if done > limit:
                raise ArtifactError(f"{what!r} expands to more than the {limit} bytes it says: it is not taken.")
            out.write(chunk)
    if done != size:
        raise ArtifactError(f"{what!r} breaks off after {done} of {size} bytes: fetch the archive again.")
    return done


def _zip(archive: Path) -> Iterator[Member]:
    with zipfile.ZipFile(archive) as stored:
        for member in stored.infolist():
            if member.compress_type not in COMPRESSIONS:
                raise ValueError(f"{member.filename!r} is compressed in an unusual way")
            mode = member.external_attr >> 16
            kind = "folder" if member.is_dir() else "link" if stat.S_ISLNK(mode) else ""
            if not kind and stat.S_IFMT(mode) not in (0, stat.S_IFREG):
                kind = "device"
            yield member.filename, kind, member.file_size, partial(stored.open, member)


def _tar(archive: Path) -> Iterator[Member]:
    with tarfile.open(archive, "r:") as stored:
        for member in stored:
            kind = "folder" if member.isdir() else "" if member.isfile() and not member.issparse() else "device"
            if member.issym() or member.islnk():
                kind = "link"
            yield member.name, kind, member.size, partial(stored.extractfile, member)
