"""Servers that stall, lie or lead elsewhere: every fetch ends soon, as an error with a reason and without a token."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from hetbench.artifacts.remote import remote
from hetbench.artifacts.web import Pace, Web, public
from hetbench.errors import ArtifactError, InvalidInputError

QUICK = {"wait_s": 2.0, "total_s": 3.0, "grace_s": 0.5, "least_bytes_per_s": 1000.0}


@contextmanager
def serving(answer: Callable[[socket.socket], object]) -> Iterator[tuple[str, list[bytes]]]:
    """A server on this machine that answers every connection by `answer`; yields its address and the requests."""
    asked: list[bytes] = []
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(0.1)
    stop = threading.Event()

    def one(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.settimeout(5)
            asked.append(connection.recv(65536))
            answer(connection)

    def loop() -> None:
        while not stop.is_set():
            with suppress(TimeoutError, OSError):
                threading.Thread(target=one, args=(server.accept()[0],), daemon=True).start()

    thread = threading.Thread(target=loop, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}", asked
    finally:
        stop.set()
        thread.join()
        server.close()


def drip(connection: socket.socket, data: bytes) -> None:
    for byte in data:
        connection.sendall(bytes([byte]))
        time.sleep(0.1)


def send(text: str) -> Callable[[socket.socket], object]:
    return lambda connection: connection.sendall(text.encode("latin-1"))


HEAD = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"


@pytest.mark.parametrize(("answer", "said"), [
    (lambda c: (send(HEAD)(c), drip(c, b"x" * 1000)), "too slow"),
    (lambda c: drip(c, b"HTTP/1.1 200 OK\r\nX: " + b"y" * 1000), "too slow|not done"),
    (lambda c: drip(c, b"z" * 1000), "too slow|not done"),
    (lambda c: time.sleep(4), "timed out"),
    (lambda c: None, "closed connection|reset|without response"),
    (send("HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nx"), "states the length 'many'"),
    (send("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nx"), "states the length '-1'"),
    (send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxy"), "states the length"),
    (send("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nx"), "states the length"),
    (send("HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\nx"), "exceeds the limit of 2,000 bytes"),
    (send(HEAD + "x"), "cut off after 1 of 1,000 bytes"),
    (send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), "cannot fetch"),
    (send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffff\r\nx"), "cannot fetch|cut off"),
    (send("nonsense\r\n\r\n"), "cannot fetch"), (send("HTTP/1.1 abc\r\n\r\n"), "cannot fetch"),
    (send("HTTP/1.1 200 OK\r\n" + "A: b\r\n" * 200 + "\r\n"), "cannot fetch"),
    (send("HTTP/1.1 200 OK\r\nA: " + "b" * 70000 + "\r\n\r\n"), "cannot fetch"),
    (send("HTTP/1.1 206 Partial\r\nContent-Length: 1\r\n\r\nx"), "another part"),
    (send("HTTP/1.1 302 Found\r\n\r\n"), "redirect without an address|302"),
    *[(send(f"HTTP/1.1 302 Found\r\nLocation: {place}\r\n\r\n"), "redirects elsewhere|cannot fetch") for place in (
        "http://[", "http://[::1", "http://host:port/", "ftp://127.0.0.1/x", "file:///etc/passwd", "javascript:1",
        "http://192.0.2.1/x", "http://user:secret@127.0.0.1/", "//192.0.2.1/x", "\xff\xfe", "https://", "data:,x",
    )],
    (send("HTTP/1.1 302 Found\r\nLocation: /again\r\n\r\n"), "cannot fetch"),
    (send("HTTP/1.1 500 secret\r\n\r\n"), "500"),
])  # fmt: skip
def test_a_server_that_stalls_or_lies_ends_in_an_error_soon(
    answer: Callable[[socket.socket], object], said: str, tmp_path: Path
):
    start = time.monotonic()
    with serving(answer) as (address, _), pytest.raises(ArtifactError, match=said) as caught:
        Web(f"{address}/set.tar?token=secret-token", Pace(**QUICK)).fetch("", tmp_path / "archive", 2000)
    assert time.monotonic() - start < 6
    assert "secret-token" not in str(caught.value)
    assert not (tmp_path / "archive").exists()


def test_a_redirect_to_plain_http_is_never_requested_even_if_it_leads_back_to_https(tmp_path: Path):
    with serving(send(HEAD)) as (other, asked):
        there = other.replace("127.0.0.1", "localhost.localdomain")
        moved = send(f"HTTP/1.1 302 Found\r\nLocation: {there}/x\r\n\r\n")
        with serving(moved) as (address, _), pytest.raises(ArtifactError, match="redirects elsewhere"):
            Web(f"{address}/set.tar", Pace(**QUICK)).fetch("", tmp_path / "archive", 2000)
        assert asked == []


def test_a_fast_server_is_not_held_to_the_grace(tmp_path: Path):
    with serving(send(HEAD + "x" * 1000)) as (address, _):
        Web(f"{address}/set.tar", Pace(**QUICK)).fetch("", tmp_path / "archive", 2000)
    assert (tmp_path / "archive").read_bytes() == b"x" * 1000


def test_a_token_in_an_address_is_neither_kept_nor_printed():
    source = remote("https://host/set.tar?token=secret#secret").source
    assert source == "https://host/set.tar?..."
    assert "secret" not in repr(remote("https://host/set.tar?token=secret"))
    for text in ("https://me:secret@host/set.tar", "http://host/x?secret", "foo://secret@host", "https://secret@[::1"):
        with pytest.raises(InvalidInputError) as caught:
            remote(text)
        assert "secret" not in str(caught.value)
    assert public("https://a@b@host/x") == "https://host/x"


@pytest.mark.parametrize("text", [
    "https://", "https:///x", "http://", "https://[", "https://host:port/x", "hf://", "hf://a", "gdrive://", "gdrive://../x",
    "file://", "file://host/x", "~nobody-there/x", "\0", "a" * 10_000, "", "https://\0/", "ftp://127.0.0.1/x",
])  # fmt: skip
def test_an_address_that_cannot_be_meant_is_a_message(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((InvalidInputError, ArtifactError)):
        remote(text).fetch("manifest.json", tmp_path / "target", 10)


HUB = """
import sys, time
from pathlib import Path
from hetbench.artifacts import remote
from hetbench.errors import ArtifactError
remote._WAIT_S = 1.0
for name in ("closes", "drips", "set"):
    start = time.monotonic()
    try:
        remote.remote(f"hf://lab/{name}").fetch("manifest.json", Path(sys.argv[1]) / "set" / "manifest.json", 1000)
    except ArtifactError as why:
        print(name, time.monotonic() - start, "cannot fetch hf://lab/" in str(why))
"""


def test_a_hub_that_closes_or_trickles_ends_in_an_error_soon(tmp_path: Path):
    pytest.importorskip("huggingface_hub")
    facts = '{"id": "lab/set", "sha": "%s", "siblings": [{"rfilename": "manifest.json", "size": 1000}]}' % ("a" * 40)

    def answer(connection: socket.socket) -> object:
        request = asked[-1]
        if b"lab/closes" in request:
            return None
        if b"/api/models/lab/set" in request:
            return send(f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(facts)}\r\n\r\n"
                        f"{facts}")(connection)  # fmt: skip
        send(f'HTTP/1.1 200 OK\r\nETag: "b"\r\nX-Repo-Commit: {"a" * 40}\r\nContent-Length: 1000\r\n\r\n')(connection)
        return drip(connection, b"x" * 1000) if request.startswith(b"GET") else None

    with serving(answer) as (address, asked):
        (tmp_path / "set").mkdir()
        done = subprocess.run(
            [sys.executable, "-c", HUB, str(tmp_path)], capture_output=True, text=True, timeout=120,
            env={**os.environ, "HF_ENDPOINT": address, "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(tmp_path / "hub")},
        )  # fmt: skip
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [name for name, _, _ in lines] == ["closes", "drips", "set"], done.stderr
    assert all(taught == "True" and float(took) < 20 for _, took, taught in lines)
