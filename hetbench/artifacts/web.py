"""HTTP requests that cannot hang: a deadline, a least rate, and every redirect checked before it is followed."""

from __future__ import annotations

import http.client
import io
import re
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, Any
from urllib.error import HTTPError
from urllib.parse import urljoin, urlsplit
from urllib.request import HTTPHandler, HTTPRedirectHandler, HTTPSHandler, OpenerDirector, Request, build_opener

from hetbench.errors import ArtifactError, InvalidInputError

__all__ = ["LOCAL", "Pace", "check_secure", "content_length", "opener", "public"]

LOCAL = ("localhost", "127.0.0.1", "::1")


@dataclass(slots=True)
class Pace:
    """Limits on the time of the requests for one set: a wait, a deadline, and a least rate after a first minute.

    A server that sends a byte now and then satisfies a socket timeout for ever.
    """

    wait_s: float = 30.0
    """Most seconds without a byte."""
    total_s: float = 3600.0
    """Most seconds in all."""
    grace_s: float = 60.0
    least_bytes_per_s: float = 1000.0
    clock: Callable[[], float] = time.monotonic
    started: float = field(init=False)
    received: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.started = self.clock()

    def left(self) -> float:
        """Seconds that the next byte may take; raises `TimeoutError` where the server is too slow."""
        spent = self.clock() - self.started
        if spent > self.total_s:
            raise TimeoutError(f"not done after {self.total_s:,.0f} s")
        if spent > self.grace_s and self.received < self.least_bytes_per_s * spent:
            raise TimeoutError(f"{self.received:,} bytes in {spent:,.0f} s: the server is too slow")
        return max(0.01, min(self.wait_s, self.total_s - spent))


class _Paced(io.RawIOBase):
    """The bytes of a socket, within the limits of a pace."""

    def __init__(self, stream: IO[bytes], sock: socket.socket, pace: Pace) -> None:
        self._stream, self._sock, self._pace = stream, sock, pace

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with suppress(OSError):  # the socket may be closed while the stream still has its end
            self._sock.settimeout(self._pace.left())
        count = int(self._stream.readinto(buffer) or 0)  # type: ignore[attr-defined]
        self._pace.received += count
        self._pace.left()
        return count

    def close(self) -> None:
        self._stream.close()
        super().close()


def opener(pace: Pace, first: str) -> OpenerDirector:
    """An opener whose responses keep to a pace; it follows redirects to https, and from this machine to this machine."""

    class Response(http.client.HTTPResponse):
        def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
            super().__init__(sock, *args, **options)
            self.fp.close()
            self.fp = io.BufferedReader(_Paced(sock.makefile("rb", buffering=0), sock, pace))  # type: ignore[arg-type]

    class Plain(http.client.HTTPConnection):
        response_class = Response

    class Secure(http.client.HTTPSConnection):
        response_class = Response

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
        check_secure(newurl, local=self._local)
        return super().redirect_request(req, fp, code, msg, headers, newurl)

    def http_error_302(self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Any) -> Any:
        place = headers.get("location") or headers.get("uri")
        if place is None:
            raise HTTPError(req.full_url, code, "a redirect without an address", headers, fp)
        check_secure(urljoin(req.full_url, place), local=self._local)  # before the parent class reads it
        return super().http_error_302(req, fp, code, msg, headers)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def check_secure(url: str, *, local: bool = True) -> None:
    """Raise `InvalidInputError` for an address that is neither https nor, with `local`, http on this machine."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise InvalidInputError(f"{public(url)!r:.200} is no valid address.") from None
    if parts.username is not None or parts.password is not None:
        raise InvalidInputError(f"an address with a user name or token is not used, so that none is kept: {public(url)}.")
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
    """The stated length of a response in bytes, None where it states none; raises `ArtifactError` for a malformed one."""
    stated = headers.get_all("Content-Length") or []
    if not stated:
        return None
    if len(set(stated)) > 1 or not re.fullmatch("[0-9]{1,18}", stated[0].strip()):
        raise ArtifactError(f"the server states the length {', '.join(stated)!r:.60}, which is none.")
    return int(stated[0])
