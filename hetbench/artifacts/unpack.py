"""Unpack a set from an untrusted tar or zip archive: only plain files of the accepted types, within size limits."""

from __future__ import annotations

import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from hetbench.artifacts.file_types import COMPRESSIONS, MAX_BYTES, MAX_FILES, check_name, largest
from hetbench.errors import ArtifactError

__all__ = ["unpack"]

Member = tuple[str, str, int, Callable[[], IO[bytes] | None]]
"""Path in the archive, kind (empty for a plain file), size in bytes, and a function that opens it."""
_CHUNK = 1 << 20


def unpack(archive: Path, folder: Path) -> None:
    """Write the files of an archive into an empty folder.

    The files must be at the top of the archive or in one folder of it. Raises `ArtifactError` for any other layout, for
    links and devices, for file types that a set may not hold, and beyond `MAX_FILES` files or `MAX_BYTES` bytes.
    """
    try:
        with archive.open("rb") as stream:
            members = _zip if stream.read(2) == b"PK" else _tar
        left, seen, inside = MAX_BYTES, set[str](), set[PurePosixPath]()
        for path, kind, size, read in members(archive):
            if kind == "folder":
                continue
            if kind:
                raise ArtifactError(f"it holds {path!r}, a {kind}: only plain files are accepted.")
            name = _plain(path, inside)
            if name.lower() in seen or len(seen) == MAX_FILES:
                why = "twice" if name.lower() in seen else f"beyond the limit of {MAX_FILES} files"
                raise ArtifactError(f"it holds {path!r} {why}.")
            seen.add(name.lower())
            left -= _copied(read(), folder / name, min(size, left, largest(name)), path, size)
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError, LookupError) as error:
        raise ArtifactError(f"it is not a readable archive: {error}. Accepted: uncompressed .tar, and .zip.") from None


def _plain(path: str, inside: set[PurePosixPath]) -> str:
    """The file name of a member; `inside` collects the folders of all members, which must be one."""
    parts = PurePosixPath(path)
    if parts.is_absolute() or ".." in parts.parts or "\\" in path or ":" in path or "\0" in path:
        raise ArtifactError(f"it holds {path!r}, which points outside the target folder.")
    inside.add(parts.parent)
    if len(inside) > 1 or len(parts.parts) > 2:
        raise ArtifactError(f"it holds {path!r}: a set is a single folder of plain files.")
    return check_name(parts.name)


def _copied(stream: IO[bytes] | None, target: Path, limit: int, what: str, size: int) -> int:
    """Write one member, at most `limit` bytes whatever its header states, and return the number of bytes."""
    if stream is None or size > limit:
        raise ArtifactError(
            f"{what!r} expands to {size:,} bytes; the limit is {largest(what):,} for it and {MAX_BYTES:,} for a set."
        )
    done = 0
    with stream, target.open("xb") as out:
        while chunk := stream.read(_CHUNK):
            done += len(chunk)
            if done > limit:
                raise ArtifactError(f"{what!r} expands to more than the {limit} bytes it states.")
            out.write(chunk)
    if done != size:
        raise ArtifactError(f"{what!r} ends after {done} of {size} bytes: fetch the archive again.")
    return done


def _zip(archive: Path) -> Iterator[Member]:
    with zipfile.ZipFile(archive) as stored:
        for member in stored.infolist():
            if not member.filename:
                raise ArtifactError("it holds a file without a name.")
            if member.compress_type not in COMPRESSIONS:
                raise ValueError(f"{member.filename!r} uses an unsupported compression")
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
