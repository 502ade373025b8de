"""HTTP requests that cannot hang: a deadline, a least rate, and every redirect checked before it is followed."""

from __future__ import annotations

import http.client
import re
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urljoin, urlsplit
from urllib.request import HTTPHandler, HTTPRedirectHandler, HTTPSHandler, OpenerDirector, Request, build_opener

from hetbench.artifacts.pace import Pace, paced
from hetbench.errors import ArtifactError, InvalidInputError

__all__ = ["AGAIN", "LOCAL", "Pace", "Web", "check_secure", "check_size", "content_length", "opener", "public"]

LOCAL = ("localhost", "127.0.0.1", "::1")
AGAIN = "Run the same command again to resume."
_ARCHIVES = (".tar", ".zip")
_CHUNK = 1 << 20


def opener(pace: Pace, first: str) -> OpenerDirector:
    """An opener whose responses keep to a pace; it follows redirects to https, and those within this machine."""

    made = paced(pace)

    class Plain(http.client.HTTPConnection):
        response_class = made

    class Secure(http.client.HTTPSConnection):
        response_class = made

    class Http(HTTPHandler):
        def http_open(self, request: Request) -> http.client.HTTPResponse:
            return self.do_open(Plain, request)

    class Https(HTTPSHandler):
        def https_open(self, request: Request) -> http.client.HTTPResponse:
            return self.do_open(Secure, request)

    return build_opener(Http, Https, _Redirects(first))


class _Redirects(HTTPRedirectHandler):
    """Follows a redirect only where its address is allowed; the addresses before it do not count."""

    def __init__(self, first: str) -> None:
        self._local = urlsplit(first).hostname in LOCAL

    def redirect_request(self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str) -> Any:
        self._check(req, newurl, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)

    def http_error_302(self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Any) -> Any:
        place = headers.get("location") or headers.get("uri")
        if place is None:
            raise HTTPError(req.full_url, code, "a redirect without an address", headers, fp)
        self._check(req, place, fp)  # before the parent class reads it
        return super().http_error_302(req, fp, code, msg, headers)

    def _check(self, req: Request, place: str, response: IO[bytes]) -> None:
        try:
            check_secure(urljoin(req.full_url, place), local=self._local)
        except (ValueError, InvalidInputError) as error:
            response.close()
            raise ArtifactError(f"cannot fetch {public(req.full_url)}: it redirects elsewhere, where {error}") from None

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def check_secure(url: str, *, local: bool = True) -> None:
    """Raise `InvalidInputError` for an address that is neither https nor, with `local`, http on this machine."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise InvalidInputError(f"{public(url)!r:.200} is no valid address.") from None
    if parts.username is not None or parts.password is not None:
        raise InvalidInputError(f"an address may not hold a user name or token, so that none is kept: {public(url)}.")
    if host and (parts.scheme == "https" or (local and parts.scheme == "http" and host in LOCAL)):
        return
    raise InvalidInputError(f"plain http is accepted only from this machine: use https; given: {public(url):.200}.")


def public(url: str) -> str:
    """An address as it may be kept and printed: without user name, token and query.

    >>> public("https://me:secret@host/set.tar?token=abc#x")
    'https://host/set.tar?...'
    """
    url = re.sub(r"(?<=//)[^/?#]*@", "", url)
    head, mark, _ = url.partition("?")
    return f"{head}?..." if mark else head.partition("#")[0]


def content_length(headers: Any) -> int | None:
    """The stated length of a response in bytes, None without one; raises `ArtifactError` for a malformed one."""
    stated = headers.get_all("Content-Length") or []
    if not stated:
        return None
    if len(set(stated)) > 1 or not re.fullmatch("[0-9]{1,18}", stated[0].strip()):
        raise ArtifactError(f"the server states the length {', '.join(stated)!r:.60}, which is none.")
    return int(stated[0])


@dataclass(frozen=True)
class Web:
    """An archive or a folder on a web server."""

    address: str = field(repr=False)
    pace: Pace = field(default_factory=Pace, compare=False)
    revision: None = field(default=None, init=False)

    @property
    def source(self) -> str:
        return public(self.address)

    @property
    def archive(self) -> bool:
        return urlsplit(self.address).path.endswith(_ARCHIVES)

    def fetch(self, name: str, target: Path, limit: int) -> None:
        parts = urlsplit(self.address)
        url = self.address if self.archive else parts._replace(path=f"{parts.path.rstrip('/')}/{quote(name)}").geturl()
        part, tag = target.with_name(f"{target.name}.part"), target.with_name(f"{target.name}.tag")
        known = tag.read_text(encoding="utf-8") if tag.exists() and part.exists() else ""
        start = part.stat().st_size if known else 0
        headers = {"Accept-Encoding": "identity", "User-Agent": "hetbench"}
        if start:
            headers |= {"Range": f"bytes={start}-", "If-Range": known}
        try:
            request = Request(url, headers=headers)
            with opener(self.pace, url).open(request, timeout=self.pace.left()) as response:
                resumed = response.status == 206
                if resumed and not str(response.headers.get("Content-Range")).startswith(f"bytes {start}-"):
                    raise ArtifactError(f"{public(url)} answers with another part of the file than asked for. {AGAIN}")
                _write(response, part, tag, start if resumed else 0, limit, public(url))
        except HTTPError as error:
            error.close()
            if error.code == 416 and start:  # the partial file is of another version
                part.unlink()
                return self.fetch(name, target, limit)
            raise ArtifactError(
                f"cannot fetch {public(url)}: {error.code} {error.reason!s:.200}. Check the address."
            ) from None
        except (URLError, ConnectionError, TimeoutError, ssl.SSLError, http.client.HTTPException, ValueError) as error:
            why = str(getattr(error, "reason", None) or error or type(error).__name__)
            raise ArtifactError(
                f"cannot fetch {public(url)}: {why.replace(url, public(url)):.300}. Check the network. {AGAIN}"
            ) from None
        tag.unlink(missing_ok=True)
        part.replace(target)
        return None


def _write(response: Any, part: Path, tag: Path, start: int, limit: int, url: str) -> None:
    """Append the response to the partial file from byte `start` on; raises `ArtifactError` where it is cut off."""
    length = content_length(response.headers)
    total = None if length is None else start + length
    check_size(total or 0, limit, url)
    validator = response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
    tag.write_text("" if validator.startswith("W/") else validator, encoding="utf-8")
    done = start
    with part.open("ab" if start else "wb") as out:
        while chunk := response.read1(_CHUNK):
            done += len(chunk)
            check_size(done, limit, url)
            out.write(chunk)
    if total is not None and done < total:
        raise ArtifactError(f"{url} was cut off after {done:,} of {total:,} bytes. {AGAIN}")


def check_size(found: int, limit: int, what: str) -> None:
    """Raise `ArtifactError` where a file has more bytes than its limit."""
    if found > limit:
        raise ArtifactError(f"{what} exceeds the limit of {limit:,} bytes: it is not fetched.")


