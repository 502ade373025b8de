"""File types that a set may hold: JSON, text, npz, safetensors and ONNX, checked by suffix and by content.

Reading these formats runs no code. Reading a pickle does, whatever its suffix; so the content is checked too.
"""

from __future__ import annotations

import json
import re
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any

from hetbench.errors import ArtifactError

__all__ = ["BROKEN", "COMPRESSIONS", "MAX_BYTES", "MAX_FILES", "SUFFIXES", "check_file", "check_name", "largest"]

MAX_BYTES = 2 * 1024**3
"""Limit on the bytes of a set, packed and unpacked."""
_TEXT_BYTES = 16 * 1024**2
"""Limit on the bytes of a JSON or text file: reading JSON takes up to twenty times its size in memory."""
_NPZ_BYTES = 512 * 1024**2
"""Limit on the bytes of the arrays of an npz file once expanded."""
MAX_FILES = 500
COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Compression methods accepted in zip archives and npz files."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_PICKLE_PROTOCOLS = range(2, 6)  # 0 and 1 are text, which is neither JSON nor the start of a binary format here
_HEADER_BYTES = 100_000_000
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
BROKEN = (
    ValueError, LookupError, TypeError, AttributeError, EOFError, RuntimeError, MemoryError, SyntaxError, TokenError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""Errors that the readers of these formats raise on malformed files."""


def check_name(name: str) -> str:
    """Check the name of a file of a set and return it.

    Raises `ArtifactError` for a path, a hidden file or a suffix that is not in `SUFFIXES`.

    >>> check_name("gemm.npz")
    'gemm.npz'
    """
    if not _NAME.fullmatch(name):
        raise ArtifactError(f"file names in a set have no path, leading dot or space; given: {name!r:.150}.")
    if _RESERVED.fullmatch(name):
        raise ArtifactError(f"{name!r} is the name of a device on Windows, which a file of a set may not have.")
    if Path(name).suffix not in SUFFIXES:
        raise ArtifactError(
            f"{name!r} is of a type that a set may not hold: reading pickles or archives could run code. "
            f"Types: {', '.join(SUFFIXES)}."
        )
    return name


def largest(name: str) -> int:
    """The most bytes that a file of this name may have."""
    return _TEXT_BYTES if Path(name).suffix in (".json", ".md") else MAX_BYTES


def check_file(path: Path) -> None:
    """Raise `ArtifactError` where the content of a file does not match its suffix, or holds a pickle."""
    check_name(path.name)
    try:
        if path.stat().st_size > largest(path.name):
            raise ArtifactError(f"{path.name} has more than {largest(path.name):,} bytes: it is not read.")
        with path.open("rb") as stream:
            head = stream.read(8)
            if head[:1] == b"\x80" and head[1:2] and head[1] in _PICKLE_PROTOCOLS:
                raise ArtifactError(f"{path.name} is a pickle, which can run code: pickles are never read.")
            stream.seek(0)
            _CHECKS[path.suffix](path.name, stream)
    except BROKEN as error:
        raise ArtifactError(f"{path.name} does not match its suffix: {error}.") from None
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror or error}.") from None


def _json(name: str, stream: IO[bytes]) -> None:
    json.loads(stream.read().decode("utf-8"))


def _text(name: str, stream: IO[bytes]) -> None:
    if "\0" in stream.read().decode("utf-8"):
        raise ValueError("text holds no zero bytes")


def _npz(name: str, stream: IO[bytes]) -> None:
    """Check that an npz holds numeric arrays only, of the stated sizes, within the limit once expanded."""
    with zipfile.ZipFile(stream) as stored:
        members = stored.infolist()
        if sum(member.file_size for member in members) > _NPZ_BYTES:
            raise ArtifactError(f"{name} expands to more than {_NPZ_BYTES / 1e9:.1f} GB: it is not read.")
        if len({member.filename for member in members}) < len(members):
            raise ArtifactError(f"{name} holds two arrays of one name.")
        for member in members:
            if not member.filename.endswith(".npy"):
                kind = "a pickle" if member.filename.endswith((".pkl", ".pickle")) else "no array"
                raise ArtifactError(f"{name} holds {member.filename!r}, {kind}: an npz holds arrays alone.")
            if member.compress_type not in COMPRESSIONS:
                raise ValueError(f"{member.filename} is compressed in an unusual way")
            with stored.open(member) as array:
                _npy(f"{member.filename} of {name}", array, member.file_size)


def _npy(name: str, stream: IO[bytes], size: int) -> None:
    from numpy.lib import format as npy  # commands that list sets start without numpy

    read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}.get(npy.read_magic(stream))
    if read is None:
        raise ValueError(f"{name} is an array of an unknown version")
    shape, _, dtype = read(stream)
    if dtype.hasobject:
        raise ArtifactError(f"{name} holds Python objects, which are a pickle and can run code: it is never read.")
    count = 1
    for length in shape:
        count *= length
    if min(shape, default=0) < 0 or stream.tell() + count * dtype.itemsize != size:
        raise ValueError(f"{name} says shape {shape} of {dtype} in {size} bytes")


def _safetensors(name: str, stream: IO[bytes]) -> None:
    length = int.from_bytes(stream.read(8), "little")
    if length > _HEADER_BYTES:
        raise ValueError(f"its header claims {length} bytes")
    header: Mapping[str, Any] = json.loads(stream.read(length).decode("utf-8"))
    ends = [entry["data_offsets"][1] for key, entry in header.items() if key != "__metadata__"]
    if 8 + length + max(ends, default=0) != stream.seek(0, 2):
        raise ValueError("its header and its size differ")


def _onnx(name: str, stream: IO[bytes]) -> None:
    if stream.read(1) != b"\x08":  # field 1 of a ModelProto, its IR version
        raise ValueError("it does not start like an ONNX model")


_CHECKS: Mapping[str, Callable[[str, IO[bytes]], None]] = {
    ".json": _json, ".md": _text, ".npz": _npz, ".onnx": _onnx, ".safetensors": _safetensors,
}  # fmt: skip
SUFFIXES = tuple(_CHECKS)
"""Suffixes of the files that a set may hold."""
