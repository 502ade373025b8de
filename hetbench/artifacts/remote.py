"""Sources that a set can be fetched from: Hugging Face hub, Google Drive, web server, this machine.

    hf://ORG/NAME[@REV]     files of a repository, by `huggingface_hub` (pip install "hetbench[download]")
    gdrive://ID             one archive, by `gdown` (the same extra)
    https://...             an archive (.tar, .zip), or a folder that holds manifest.json
    file://...              the same on this machine; a plain path is accepted too

Plain http is accepted only from this machine. An interrupted download is resumed: by HTTP range requests, or by the two
libraries.
"""

from __future__ import annotations

import os
import re
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote

from hetbench.artifacts.web import AGAIN, Web, check_secure, check_size, public
from hetbench.errors import ArtifactError, InvalidInputError

__all__ = ["SOURCES", "Remote", "first_lines", "library", "remote"]

SOURCES = "hf://ORG/NAME[@REV], gdrive://ID, https://..., file://..."
"""Forms of a source that `--from` accepts."""
_WAIT_S = 30.0
_LEAST_BYTES_PER_S = 10_000
_DRIVE = re.compile(r"https://(?:drive|docs)\.google\.com/(?:file/d/|(?:uc|open)\?(?:.*&)?id=)([-\w]+).*")


class Remote(Protocol):
    """A source of one set."""

    @property
    def source(self) -> str:
        """The source as given to `--from`, without tokens."""

    @property
    def archive(self) -> bool:
        """Whether it is a single archive instead of a folder of files."""

    @property
    def revision(self) -> str | None:
        """The commit that is fetched; None for sources without commits."""

    def fetch(self, name: str, target: Path, limit: int) -> None:
        """Write the file `name`, or the archive whatever `name` is, to `target`.

        Raises `ArtifactError` where it cannot be fetched or has more than `limit` bytes.
        """


def remote(text: str) -> Remote:
    """The source that a text names; raises `InvalidInputError` for any other text.

    >>> remote("hf://org/set@v1").source, remote("gdrive://1aB").archive
    ('hf://org/set@v1', True)
    """
    drive = _DRIVE.fullmatch(text)
    if drive:
        return Drive(drive[1])
    scheme, colon, rest = text.partition("://")
    if not colon:
        return Local(_path(text))
    if scheme == "file" and rest.startswith("/"):
        return Local(_path(unquote(rest)))
    if scheme == "hf" and (found := re.fullmatch(r"([\w.-]+/[\w.-]+)(?:@([\w./-]+))?", rest)):
        return Hub(found[1], found[2])
    if scheme == "gdrive" and re.fullmatch(r"[-\w]+", rest):
        return Drive(rest)
    if scheme in ("http", "https") and rest:
        check_secure(text)
        return Web(text)
    raise InvalidInputError(f"a source is one of {SOURCES}; given: {public(text)!r:.200}.")


def _path(text: str) -> Path:
    try:
        return Path(text).expanduser().resolve()
    except (OSError, ValueError, RuntimeError) as error:
        raise InvalidInputError(f"{text!r:.200} is no path on this machine: {error}.") from None


@dataclass(frozen=True)
class Local:
    """A folder or an archive on this machine."""

    path: Path
    revision: None = field(default=None, init=False)

    def __post_init__(self) -> None:
        try:
            there = self.path.exists()
        except OSError as error:
            raise InvalidInputError(f"{self.path} cannot be read: {error.strerror}.") from None
        if not there:
            raise InvalidInputError(f"there is no {self.path}. A source is one of {SOURCES}.")

    @property
    def source(self) -> str:
        return self.path.as_uri()

    @property
    def archive(self) -> bool:
        return not self.path.is_dir()

    def fetch(self, name: str, target: Path, limit: int) -> None:
        origin = self.path if self.archive else self.path / name
        if origin.exists() and not origin.is_file():
            raise ArtifactError(f"{origin} is not a plain file.")
        if not origin.is_file():
            raise ArtifactError(f"{self.path} lacks {name}. Write a set there: python -m surrogates.publish --to DIR")
        if not os.access(origin, os.R_OK):
            raise ArtifactError(f"{origin} is not readable by this user.")
        check_size(origin.stat().st_size, limit, str(origin))
        shutil.copyfile(origin, target)


@dataclass(frozen=True)
class Hub:
    """A repository on the Hugging Face hub, or on the server that HF_ENDPOINT names."""

    repository: str
    asked: str | None = None
    archive: bool = field(default=False, init=False)

    @property
    def source(self) -> str:
        return f"hf://{self.repository}" + (f"@{self.asked}" if self.asked else "")

    @cached_property
    def _info(self) -> Any:
        hub = library("huggingface_hub", "hf://")
        return self._of(lambda: hub.HfApi().model_info(
            self.repository, revision=self.asked, files_metadata=True, timeout=_WAIT_S
        ), _WAIT_S)  # fmt: skip

    @property
    def revision(self) -> str:
        return str(self._info.sha)

    def fetch(self, name: str, target: Path, limit: int) -> None:
        sizes = {each.rfilename: each.size or 0 for each in self._info.siblings or ()}
        check_size(sizes.get(name, 0), limit, f"{name} of {self.source}")
        hub, beside = library("huggingface_hub", "hf://"), target.parent.with_name("hub")
        revision = self.revision
        found = self._of(
            lambda: hub.hf_hub_download(
                self.repository, name, revision=revision, local_dir=beside, etag_timeout=_WAIT_S
            ),
            2 * _WAIT_S + limit / _LEAST_BYTES_PER_S,
        )
        check_size(Path(found).stat().st_size, limit, f"{name} of {self.source}")
        os.replace(found, target)

    def _of(self, work: Callable[[], Any], most_s: float) -> Any:
        """Call the library for at most `most_s` seconds; its errors become `ArtifactError` with its message."""
        errors = library("huggingface_hub.errors", "hf://")
        try:
            return _within(most_s, work)
        except (errors.HTTPError, errors.EntryNotFoundError, OSError, ValueError) as error:
            where = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
            raise ArtifactError(
                f"cannot fetch {self.source} from {where}: {first_lines(error)} Check the name, the revision and the "
                f"network; a private repository needs HF_TOKEN. {AGAIN}"
            ) from None


@dataclass(frozen=True)
class Drive:
    """An archive on Google Drive, shared with anyone who has the link."""

    id: str
    archive: bool = field(default=True, init=False)
    revision: None = field(default=None, init=False)

    @property
    def source(self) -> str:
        return f"gdrive://{self.id}"

    def fetch(self, name: str, target: Path, limit: int) -> None:
        gdown = library("gdown", "gdrive://")

        def watch(done: int, total: int | None) -> None:
            check_size(max(done, total or 0), limit, self.source)

        try:
            _within(2 * _WAIT_S + limit / _LEAST_BYTES_PER_S, lambda: gdown.download(
                id=self.id, output=str(target), quiet=True, resume=True, use_cookies=False, timeout=_WAIT_S, retries=2,
                progress=watch,
            ))  # fmt: skip
        except (gdown.DownloadError, OSError, ValueError) as error:
            raise ArtifactError(
                f"cannot fetch {self.source}: {first_lines(error)} Share the file with anyone who has the "
                f"link, and check the network. {AGAIN}"
            ) from None


def _within(seconds: float, work: Callable[[], Any]) -> Any:
    """The result of `work`, a call of a library without a deadline; raises `TimeoutError` after this many seconds."""
    found: list[Any] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            found.append(work())
        except BaseException as error:  # noqa: BLE001  raised again in the thread that waits
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if failed:
        raise failed[0]
    if not found:
        raise TimeoutError(f"not done after {seconds:,.0f} s")
    return found[0]


def first_lines(error: Exception) -> str:
    """The first two lines of an error message, as sentences.

    >>> first_lines(OSError("404 Client Error.\\n\\nThere is no such repository\\nPlease make sure that ..."))
    '404 Client Error. There is no such repository.'
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()][:2] or [type(error).__name__]
    return " ".join(f"{line.rstrip('.')}." for line in lines)


def library(name: str, scheme: str) -> Any:
    """Import a module of the extra `download`; raises `ArtifactError` with the install command where it is missing."""
    try:
        return import_module(name)
    except ImportError:
        raise ArtifactError(
            f'{scheme} needs {name.partition(".")[0]}, which is not installed. Run: pip install "hetbench[download]"; '
            "https:// and file:// need nothing."
        ) from None
