"""Where a set is fetched from: the Hugging Face hub, Google Drive, a web server or this machine.

    hf://ORG/NAME[@REV]     files of a repository, by `huggingface_hub` (pip install "hetbench[download]")
    gdrive://ID             one archive, by `gdown` (the same extra)
    https://...             an archive (.tar, .zip), else a folder that holds manifest.json
    file://...              the same on this machine; a plain path means this too

Plain http is taken from this machine alone. What was fetched in part is gone on with: by HTTP ranges, or by what the
two libraries do.
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
"""What `--from` takes."""
_ARCHIVES = (".tar", ".zip")
_LOCAL = ("localhost", "127.0.0.1", "::1")
_WAIT_S = 30.0
_CHUNK = 1 << 20
_DRIVE = re.compile(r"https://(?:drive|docs)\.google\.com/(?:file/d/|(?:uc|open)\?(?:.*&)?id=)([-\w]+).*")
_AGAIN = "Run the same command again: what was fetched is kept."


class Remote(Protocol):
    """A place that holds one set."""

    @property
    def source(self) -> str:
        """The place as `--from` takes it."""

    @property
    def archive(self) -> bool:
        """Whether it is one archive rather than a folder of files."""

    @property
    def revision(self) -> str | None:
        """The commit that is fetched, where the place has commits."""

    def fetch(self, name: str, target: Path, limit: int) -> None:
        """Write a file of the folder, or the archive (whatever `name`), to `target`, at most `limit` bytes.

        Raises `ArtifactError` where it cannot be fetched.
        """


def remote(text: str) -> Remote:
    """The place that a text names; `InvalidInputError` says what would be taken.

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
    raise InvalidInputError(f"a set is fetched from {SOURCES}; given: {text!r}.")


@dataclass(frozen=True)
class Local:
    """A folder or an archive on this machine."""

    path: Path
    revision: None = field(default=None, init=False)

    def __post_init__(self) -> None:
        if not self.path.exists():
            raise InvalidInputError(f"there is no {self.path} to fetch from. A set is fetched from {SOURCES}.")

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
            raise ArtifactError(f"{origin} may not be read by this user.")
        _check_size(origin.stat().st_size, limit, str(origin))
        shutil.copyfile(origin, target)


@dataclass(frozen=True)
class Hub:
    """A repository of the Hugging Face hub, or of the server that HF_ENDPOINT names."""

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
        """What the library returns; `ArtifactError` with what it says where it fails."""
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
    """An archive that Google Drive shares with anyone who has its link."""

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
            if error.code == 416 and start:  # the part is of another file
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
    """Append what the server sends to the part, from byte `start` on; `ArtifactError` where it breaks off."""
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
        raise ArtifactError(f"{url} broke off after {done:,} of {total:,} bytes. {_AGAIN}")


def _check_secure(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme != "https" and parts.hostname not in _LOCAL:
        raise InvalidInputError(f"plain http is taken from this machine alone, else https; given: {url}.")


def _check_size(found: int, limit: int, what: str) -> None:
    if found > limit:
        raise ArtifactError(f"{what} is larger than the {limit:,} bytes it may have: it is not fetched.")


def first_lines(error: Exception) -> str:
    """What an error of a library says, in its first two lines.

    >>> first_lines(OSError("404 Client Error.\\n\\nThere is no such repository\\nPlease make sure that ..."))
    '404 Client Error. There is no such repository.'
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()][:2] or [type(error).__name__]
    return " ".join(f"{line.rstrip('.')}." for line in lines)


def library(name: str, scheme: str) -> Any:
    """A module of the extra `download`, imported where it is needed; `ArtifactError` says how to install it."""
    try:
        return import_module(name)
    except ImportError:
        raise ArtifactError(
            f'{scheme} needs {name.partition(".")[0]}, which is not installed. Run: pip install "hetbench[download]"; '
            "https:// and file:// need nothing."
        ) from None
