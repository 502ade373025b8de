"""The files of a pinned upstream, read from a git repository (clone or bare), a plain folder, or an archive.

A git repository is read at the pinned commit, whatever is checked out. A plain folder is trusted to be that commit;
where a source is read at several commits, each lies in a subfolder named by the digits that references cite.
"""

from __future__ import annotations

import csv
import hashlib
import io
import subprocess
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from re import compile as compiled
from re import escape, split
from typing import NoReturn, TypeVar

from data_collection.upstream.pins import Commit, Pin
from hetbench.errors import InvalidInputError

__all__ = ["Tree", "UpstreamError", "open_trees", "selected"]

K = TypeVar("K")
V = TypeVar("V")


class UpstreamError(InvalidInputError):
    """An upstream file is missing or malformed; the message names the file and the line."""


class Tree(ABC):
    """The files of one commit."""

    def __init__(self, pin: Pin, commit: Commit) -> None:
        self.pin, self.commit = pin, commit
        self.left_out: Counter[str] = Counter()
        """Reason -> number of entries that the importer did not turn into rows."""

    def leave_out(self, reason: str) -> None:
        """Count one entry that gives no row, so that nothing is dropped in silence."""
        self.left_out[reason] += 1

    @abstractmethod
    def listing(self) -> dict[str, str]:
        """Path -> digest of each file that the pin selects, sorted."""

    @abstractmethod
    def read(self, path: str) -> bytes:
        """The bytes of one file."""

    def paths(self, *patterns: str) -> list[str]:
        """The selected files, or those that match a pattern, sorted."""
        return selected(self.listing(), patterns) if patterns else list(self.listing())

    def text(self, path: str) -> str:
        """One file as UTF-8, without a byte-order mark."""
        return self.read(path).decode("utf-8-sig", errors="replace")

    def records(self, path: str, *, short: bool = False) -> Iterator[tuple[int, dict[str, str]]]:
        """(line, cells by column) of a CSV file; a row that is longer or shorter than the header is an error.

        With `short`, missing cells at the end of a row are empty.
        """
        reader = csv.DictReader(io.StringIO(self.text(path)), restval="" if short else None)
        for record in reader:
            if None in record or None in record.values():
                self.bad(path, reader.line_num, f"{len(reader.fieldnames or ())} cells expected")
            yield reader.line_num, record

    def number(self, path: str, line: int | str, text: object, *, above: float = 0.0) -> float:
        """A cell as a number greater than `above`."""
        try:
            value = float(str(text))
        except ValueError:
            self.bad(path, line, f"{text!r} is not a number")
        if not value > above or value == float("inf"):
            self.bad(path, line, f"{value} is not above {above}")
        return value

    def whole(self, path: str, line: int | str, text: object) -> int:
        """A cell as a whole number."""
        try:
            value = float(str(text))
        except ValueError:
            self.bad(path, line, f"{text!r} is not a whole number")
        if not value.is_integer():
            self.bad(path, line, f"{text!r} is not a whole number")
        return int(value)

    def known(self, path: str, line: int | str, table: Mapping[K, V], name: K) -> V:
        """Look up a name in a table of the importer; an unknown name is an error."""
        if name not in table:
            self.bad(path, line, f"{name!r} is none of {', '.join(map(str, table))}")
        return table[name]

    def ref(self, path: str, place: str = "") -> str:
        """The `ref` of a row: repository@commit:path and line."""
        return f"{self.pin.repository}@{self.commit.sha[: self.pin.cited]}:{path}{place}"

    def bad(self, path: str, line: int | str, why: str) -> NoReturn:
        """Raise the error of a malformed line."""
        raise UpstreamError(f"{self.ref(path)}:{line}: {why}")


class _Folder(Tree):
    def __init__(self, pin: Pin, commit: Commit, root: Path) -> None:
        super().__init__(pin, commit)
        self.root = root
        self._listing: dict[str, str] | None = None

    def listing(self) -> dict[str, str]:
        if self._listing is None:
            below = (path for path in self.root.rglob("*") if path.is_file())
            names = selected((path.relative_to(self.root).as_posix() for path in below), self.commit.paths)
            self._listing = {name: hashlib.sha256((self.root / name).read_bytes()).hexdigest() for name in names}
            if not names:
                raise UpstreamError(_nothing(self.pin, self.commit, str(self.root)))
        return self._listing

    def read(self, path: str) -> bytes:
        try:
            return (self.root / path).read_bytes()
        except OSError as error:
            raise UpstreamError(f"{self.ref(path)}: not readable in {self.root}: {error.strerror}") from None


class _Git(Tree):
    """Blobs of one commit, read through one `git cat-file` process."""

    def __init__(self, pin: Pin, commit: Commit, root: Path) -> None:
        super().__init__(pin, commit)
        self.root = root
        self._listing: dict[str, str] | None = None
        self._reader: subprocess.Popen[bytes] | None = None

    def listing(self) -> dict[str, str]:
        if self._listing is None:
            made = subprocess.run(
                ["git", "-C", str(self.root), "ls-tree", "-r", "-z", "--full-tree", self.commit.sha],
                capture_output=True,
            )
            if made.returncode:
                raise UpstreamError(
                    f"{self.root} does not hold commit {self.commit.sha} of {self.pin.repository}; fetch it with "
                    f"`git fetch --depth 1 https://github.com/{self.pin.repository} {self.commit.sha}`."
                )
            pairs = (entry.split("\t", 1) for entry in made.stdout.decode().split("\0") if entry)
            blobs = {path: head.split()[2] for head, path in pairs if " blob " in head}
            self._listing = {path: blobs[path] for path in selected(blobs, self.commit.paths)}
            if not self._listing:
                raise UpstreamError(_nothing(self.pin, self.commit, str(self.root)))
        return self._listing

    def read(self, path: str) -> bytes:
        blob = self.listing().get(path)
        if blob is None:
            raise UpstreamError(f"{self.ref(path)}: no such file among those that the pin selects.")
        if self._reader is None:
            self._reader = subprocess.Popen(
                ["git", "-C", str(self.root), "cat-file", "--batch"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        into, out = self._reader.stdin, self._reader.stdout
        if into is None or out is None:
            raise UpstreamError(f"{self.ref(path)}: git cat-file could not be started.")
        into.write(blob.encode() + b"\n")
        into.flush()
        head = out.readline().split()
        if len(head) != 3:
            raise UpstreamError(f"{self.ref(path)}: {self.root} is a partial clone without this file.")
        content = out.read(int(head[2]))
        out.read(1)
        return content

    def __del__(self) -> None:
        if self._reader is not None and self._reader.stdin and self._reader.stdout:
            self._reader.stdin.close()
            self._reader.stdout.close()
            self._reader.wait()


def open_trees(pin: Pin, root: Path) -> list[Tree]:
    """The pinned commits of a source, from a git repository, a folder, or an unpacked archive."""
    if not root.is_dir():
        raise UpstreamError(f"{root} is not a folder; --from takes a clone, a bare repository or an unpacked archive.")
    if (root / ".git").exists() or ((root / "HEAD").is_file() and (root / "objects").is_dir()):
        return [_Git(pin, commit, root) for commit in pin.commits]
    if len(pin.commits) == 1:
        return [_Folder(pin, pin.commits[0], root)]
    return [_Folder(pin, commit, root / commit.sha[: pin.cited]) for commit in pin.commits]


def selected(paths: Iterable[str], patterns: Sequence[str]) -> list[str]:
    """The paths that match a pattern, sorted; `*` stays within a folder, `**/` crosses folders.

    >>> selected(["a/b.csv", "a/c/d.csv"], ["a/*.csv"])
    ['a/b.csv']
    """
    forms = [compiled(_form(pattern)) for pattern in patterns]
    return sorted(path for path in paths if any(form.fullmatch(path) for form in forms))


def _form(pattern: str) -> str:
    """The pattern as a regular expression; `{a,b}` means either."""
    parts = []
    for part in pattern.split("/"):
        pieces = split(r"(\{[^}]*\}|[*?])", part)
        parts.append("(?:[^/]+/)*" if part == "**" else "".join(map(_piece, pieces)) + "/")
    return "".join(parts).removesuffix("/")


def _piece(piece: str) -> str:
    if piece in ("*", "?"):
        return "[^/]*" if piece == "*" else "[^/]"
    if piece.startswith("{"):
        return "(?:" + "|".join(escape(each) for each in piece[1:-1].split(",")) + ")"
    return escape(piece)


def _nothing(pin: Pin, commit: Commit, where: str) -> str:
    return f"{where} has none of the files of {pin.name}: {', '.join(commit.paths)} ({pin.repository}@{commit.sha})."
