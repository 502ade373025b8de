"""Sources that a set can be fetched from: Hugging Face hub, Google Drive, web server, this machine.

    hf://ORG/NAME[@REV]     files of a repository, by `huggingface_hub` (pip install "hetbench[download]")
    gdrive://ID             one archive, by `gdown` (the same extra)
    https://...             an archive (.tar, .zip), or a folder that holds manifest.json
    file://...              the same on this machine; a plain path is accepted too

Plain http is accepted only from this machine. An interrupted download is resumed: by HTTP range requests, or by the two
libraries.
"""

from __future__ import annotations

import http.client
import os
import re
import shutil
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol
from urllib.error import HTTPError, URLError
from urllib.parse import quote, unquote, urlsplit
from urllib.request import Request, urlopen

from hetbench.errors import ArtifactError, InvalidInputError

__all__ = ["SOURCES", "Remote", "first_lines", "library", "remote"]

SOURCES = "hf://ORG/NAME[@REV], gdrive://ID, https://..., file://..."
"""Forms of a source that `--from` accepts."""
_ARCHIVES = (".tar", ".zip")
_LOCAL = ("localhost", "127.0.0.1", "::1")
_WAIT_S = 30.0
_CHUNK = 1 << 20
_DRIVE = re.compile(r"https://(?:drive|docs)\.google\.com/(?:file/d/|(?:uc|open)\?(?:.*&)?id=)([-\w]+).*")
_AGAIN = "Run the same command again to resume."


class Remote(Protocol):
    """A source of one set."""

    @property
    def source(self) -> str:
        """The source as given to `--from`."""

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
        return Local(Path(text).expanduser().resolve())
    if scheme == "file" and rest.startswith("/"):
        return Local(Path(unquote(rest)).resolve())
    if scheme == "hf" and (found := re.fullmatch(r"([\w.-]+/[\w.-]+)(?:@([\w./-]+))?", rest)):
        return Hub(found[1], found[2])
    if scheme == "gdrive" and re.fullmatch(r"[-\w]+", rest):
        return Drive(rest)
    if scheme in ("http", "https") and rest:
        _check_secure(text)
        return Web(text)
    raise InvalidInputError(f"a source is one of {SOURCES}; given: {text!r}.")


@dataclass(frozen=True)
class Local:
    """A folder or an archive on this machine."""

    path: Path
    revision: None = field(default=None, init=False)

    def __post_init__(self) -> None:
        if not self.path.exists():
            raise InvalidInputError(f"there is no {self.path}. A source is one of {SOURCES}.")

    @property
    def source(self) -> str:
        return self.path.as_uri()

    @property
    def archive(self) -> bool:
        return not self.path.is_dir()

    def fetch(self, name: str, target: Path, limit: int) -> None:
        origin = self.path if self.archive else self.path / name
        if not origin.is_file():
            raise ArtifactError(f"{self.path} lacks {name}. Write a set there: python -m surrogates.publish --to DIR")
        if not os.access(origin, os.R_OK):
            raise ArtifactError(f"{origin} is not readable by this user.")
        _check_size(origin.stat().st_size, limit, str(origin))
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
        return self._of(lambda: hub.HfApi().model_info(self.repository, revision=self.asked, files_metadata=True))

    @property
    def revision(self) -> str:
        return str(self._info.sha)

    def fetch(self, name: str, target: Path, limit: int) -> None:
        sizes = {each.rfilename: each.size or 0 for each in self._info.siblings or ()}
        _check_size(sizes.get(name, 0), limit, f"{name} of {self.source}")
        hub, beside = library("huggingface_hub", "hf://"), target.parent.with_name("hub")
        found = self._of(lambda: hub.hf_hub_download(self.repository, name, revision=self.revision, local_dir=beside))
        _check_size(Path(found).stat().st_size, limit, f"{name} of {self.source}")
        os.replace(found, target)

    def _of(self, work: Callable[[], Any]) -> Any:
        """Call the library; its errors become `ArtifactError` with its message."""
        errors = library("huggingface_hub.errors", "hf://")
        try:
            return work()
        except (errors.HTTPError, errors.EntryNotFoundError, OSError, ValueError) as error:
            where = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
            raise ArtifactError(
                f"cannot fetch {self.source} from {where}: {first_lines(error)} Check the name, the revision and the "
                f"network; a private repository needs HF_TOKEN. {_AGAIN}"
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
            _check_size(max(done, total or 0), limit, self.source)

        try:
            gdown.download(
                id=self.id, output=str(target), quiet=True, resume=True, use_cookies=False, timeout=_WAIT_S, retries=2,
                progress=watch,
            )  # fmt: skip
        except (gdown.DownloadError, OSError, ValueError) as error:
            raise ArtifactError(
                f"cannot fetch {self.source}: {first_lines(error)} Share the file with anyone who has the "
                f"link, and check the network. {_AGAIN}"
            ) from None


@dataclass(frozen=True)
class Web:
    """An archive or a folder on a web server."""

    source: str
    revision: None = field(default=None, init=False)

    @property
    def archive(self) -> bool:
        return urlsplit(self.source).path.endswith(_ARCHIVES)

    def fetch(self, name: str, target: Path, limit: int) -> None:
        parts = urlsplit(self.source)
        url = self.source if self.archive else parts._replace(path=f"{parts.path.rstrip('/')}/{quote(name)}").geturl()
        part, tag = target.with_name(f"{target.name}.part"), target.with_name(f"{target.name}.tag")
        known = tag.read_text(encoding="utf-8") if tag.exists() and part.exists() else ""
        start = part.stat().st_size if known else 0
        headers = {"Accept-Encoding": "identity", "User-Agent": "hetbench"}
        if start:
            headers |= {"Range": f"bytes={start}-", "If-Range": known}
        try:
            with urlopen(Request(url, headers=headers), timeout=_WAIT_S) as response:
                _check_secure(response.url)
                _write(response, part, tag, start if response.status == 206 else 0, limit, url)
        except HTTPError as error:
            error.close()
            if error.code == 416 and start:  # the partial file is of another version
                part.unlink()
                return self.fetch(name, target, limit)
            raise ArtifactError(f"cannot fetch {url}: {error.code} {error.reason}. Check the address.") from None
        except (URLError, ConnectionError, TimeoutError, ssl.SSLError, http.client.HTTPException) as error:
            why = getattr(error, "reason", None) or error
            raise ArtifactError(f"cannot fetch {url}: {why}. Check the network. {_AGAIN}") from None
        tag.unlink(missing_ok=True)
        part.replace(target)
        return None


def _write(response: Any, part: Path, tag: Path, start: int, limit: int, url: str) -> None:
    """Append the response to the partial file from byte `start` on; raises `ArtifactError` where it is cut off."""
    length = response.headers.get("Content-Length")
    total = start + int(length) if length else None
    _check_size(total or 0, limit, url)
    validator = response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
    tag.write_text("" if validator.startswith("W/") else validator, encoding="utf-8")
    done = start
    with part.open("ab" if start else "wb") as out:
        while chunk := response.read(_CHUNK):
            done += len(chunk)
            _check_size(done, limit, url)
            out.write(chunk)
    if total is not None and done < total:
        raise ArtifactError(f"{url} was cut off after {done:,} of {total:,} bytes. {_AGAIN}")


def _check_secure(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme != "https" and parts.hostname not in _LOCAL:
        raise InvalidInputError(f"plain http is accepted only from this machine: use https; given: {url}.")


def _check_size(found: int, limit: int, what: str) -> None:
    if found > limit:
        raise ArtifactError(f"{what} exceeds the limit of {limit:,} bytes: it is not fetched.")


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
