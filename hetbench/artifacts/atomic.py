"""Atomic writing of files and folders: written under a temporary name beside the target, then renamed."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from hetbench.errors import InvalidInputError

__all__ = ["replacing", "staged", "write_whole"]


@contextmanager
def staged(folder: Path, names: Sequence[str], option: str = "--output") -> Iterator[Path]:
    """A temporary folder that replaces `folder` at the end of the block; after an error `folder` is as it was.

    `names` are the files that the caller writes. Raises `InvalidInputError` where the folder holds any other file, so
    that nothing foreign is deleted; the message refers to `option`, the command-line option of the folder.
    """
    folder = folder.resolve()
    if Path.cwd().is_relative_to(folder):
        raise InvalidInputError(
            f"{folder} is the working directory or above it, which is not replaced. Name one inside: {option} DIR."
        )
    partial, old = (folder.with_name(f".{folder.name}.{kind}{_unique()}") for kind in ("new", "old"))
    try:
        _restore(folder)
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


def _restore(folder: Path) -> None:
    """Put back the folder that a process killed between the two renames had set aside."""
    aside = sorted(folder.parent.glob(f".{_literal(folder.name)}.old*")) if folder.parent.is_dir() else []
    if aside and not folder.exists():
        aside[-1].rename(folder)


def _literal(name: str) -> str:
    """The name as a glob pattern that matches it alone."""
    return "".join(f"[{each}]" if each in "*?[" else each for each in name)


def _unique() -> str:
    return f"{os.getpid()}-{secrets.token_hex(3)}"


@contextmanager
def replacing(path: Path, option: str = "--out FILE") -> Iterator[Path]:
    """A temporary file that replaces `path` at the end of the block; after an error `path` is as it was.

    Folders above it are made. A symbolic link stays one: the file that it points to is replaced. Raises
    `InvalidInputError` where `path` cannot be written or is no plain file; the message refers to `option`.
    """
    if not path.name:
        raise InvalidInputError(f"{str(path)!r} names no file. Name one: {option}.")
    target = path.resolve() if path.is_symlink() else path
    partial = target.with_name(f".{target.name}.new{_unique()}")
    try:
        if target.exists() and not target.is_file():
            what = "a directory" if target.is_dir() else "not a plain file"
            raise InvalidInputError(f"{path} is {what}. Name a file: {option}.")
        target.parent.mkdir(parents=True, exist_ok=True)
        partial.touch()
        if target.exists():
            shutil.copymode(target, partial)
        yield partial
        partial.replace(target)
    except OSError as error:
        raise InvalidInputError(
            f"cannot write {path}: {error.strerror or error}. Name a file in a writable directory with room: {option}."
        ) from None
    finally:
        with suppress(OSError):  # also where its folder is none
            partial.unlink(missing_ok=True)


def write_whole(path: Path, text: str, option: str = "--output FILE.html") -> None:
    """Write a text file in UTF-8 atomically; raises `InvalidInputError` where it cannot be written.

    A device or a pipe, such as /dev/stdout, is written to and stays what it is.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        _write_through(path, text, option)
        return
    with replacing(path, option) as partial:
        partial.write_text(text, encoding="utf-8")


def _write_through(path: Path, text: str, option: str) -> None:
    try:
        place = os.open(path, os.O_WRONLY | getattr(os, "O_NONBLOCK", 0))  # a pipe that nobody reads is an error
        os.set_blocking(place, True)
        with os.fdopen(place, "w", encoding="utf-8") as stream:
            stream.write(text)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise InvalidInputError(f"cannot write {path}: {error.strerror or error}. Name a file: {option}.") from None
