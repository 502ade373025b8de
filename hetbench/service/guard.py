"""What stands before every question: limits on its size, a line in the log and counts for Prometheus.

An ASGI middleware without buffering: a body above the limit is refused by its stated length, or where it passes it.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.exceptions import HTTPException

from hetbench.errors import InvalidInputError
from hetbench.remote.wire import encoded_error

__all__ = ["Guard"]

LOG = logging.getLogger("hetbench.service")
_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


_DIGITS = 18  # of a stated length; more are no number of bytes


class _TooLarge(HTTPException):
    """A body that passes the limit, which the application lets through as it is."""

    def __init__(self) -> None:
        super().__init__(413)


class Guard:
    """Middleware around an ASGI application."""

    def __init__(self, app: Callable[..., Awaitable[None]], most_bytes: int, paths: frozenset[str]) -> None:
        self.app, self.most_bytes, self.paths = app, most_bytes, paths
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "hetbench_requests", "Requests by path and status.", ("path", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "hetbench_request_seconds", "Time of a request.", ("path",), buckets=_SECONDS, registry=self.registry
        )

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500
        stated = dict(scope["headers"]).get(b"content-length", b"0")

        async def sent(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            if not stated.isdigit() or len(stated) > _DIGITS or int(stated) > self.most_bytes:
                raise _TooLarge
            await self.app(scope, self._limited(receive), sent)
        except _TooLarge:
            status = 413
            await _refuse(send, self.most_bytes)
        finally:
            self._note(scope, status, time.perf_counter() - began)

    def _limited(self, receive: Receive) -> Receive:
        taken = 0

        async def limited() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self.most_bytes:
                raise _TooLarge
            return message

        return limited

    def _note(self, scope: Message, status: int, seconds: float) -> None:
        path = scope["path"] if scope["path"] in self.paths else "other"
        self.requests.labels(path, status).inc()
        self.seconds.labels(path).observe(seconds)
        client = scope.get("client")
        LOG.info(json.dumps({
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "client": client and client[0],
            "method": scope["method"], "path": scope["path"], "status": status, "ms": round(1e3 * seconds, 3),
        }))  # fmt: skip


async def _refuse(send: Send, most_bytes: int) -> None:
    why = InvalidInputError(f"a question has at most {most_bytes:,} bytes; send a long table in parts.")
    body = json.dumps(encoded_error(why)).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body})
