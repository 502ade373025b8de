"""Atomic writing of files and folders: written under a temporary name beside the target, then renamed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from hetbench.errors import InvalidInputError

__all__ = ["staged", "write_whole"]


@contextmanager
def staged(folder: Path, names: Sequence[str], option: str = "--output") -> Iterator[Path]:
    """A temporary folder that replaces `folder` at the end of the block; after an error `folder` is as it was.

    `names` are the files that the caller writes. Raises `InvalidInputError` where the folder holds any other file, so
    that nothing foreign is deleted; the message refers to `option`, the command-line option of the folder.
    """
    folder = folder.resolve()
    partial, old = (folder.with_name(f".{folder.name}.{kind}{os.getpid()}") for kind in ("new", "old"))
    try:
        foreign = sorted(path.name for path in folder.iterdir() if path.name not in names) if folder.exists() else []
        if foreign:
            raise InvalidInputError(
                f"{folder} holds {foreign[0]!r}, which this command does not write. Name another directory: {option}."
            )
        partial.mkdir(parents=True)
        yield partial
        if folder.exists():
            folder.rename(old)
        partial.rename(folder)
    except OSError as error:
        raise InvalidInputError(
            f"cannot write {folder}: {error.strerror or error}. Name a writable directory: {option} DIR."
        ) from None
    finally:
        if old.exists() and not folder.exists():
            old.rename(folder)
        for left in (partial, old):
            shutil.rmtree(left, ignore_errors=True)


def write_whole(path: Path, text: str) -> None:
    """Write a text file in UTF-8 atomically; raises `InvalidInputError` where it cannot be written."""
    partial = path.with_name(f".{path.name}.new{os.getpid()}")
    try:
        if path.is_dir():
            raise InvalidInputError(f"{path} is a directory. Name a file: --output FILE.html.")
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise InvalidInputError(
            f"cannot write {path}: {error.strerror or error}. Name a file in a writable directory: --output FILE.html."
        ) from None
    finally:
        with suppress(OSError):  # also where its folder is none
            partial.unlink(missing_ok=True)
