"""The time that a server may take: a wait, a deadline and a least rate, kept to by the responses themselves."""

from __future__ import annotations

import http.client
import io
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, Any

__all__ = ["Pace", "paced"]


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


def paced(pace: Pace) -> type[http.client.HTTPResponse]:
    """The class of responses that keep to a pace, for `response_class` of a connection."""

    class Response(http.client.HTTPResponse):
        def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
            super().__init__(sock, *args, **options)
            self.fp.close()
            self.fp = io.BufferedReader(_Paced(sock.makefile("rb", buffering=0), sock, pace))  # type: ignore[arg-type]

    return Response
