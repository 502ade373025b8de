"""A web server on this machine for tests of fetching: a folder with ranges, that can be told to fail, and a hub."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit


class Site:
    """What is served, what was asked for, and what goes wrong."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = ""
        self.asked: list[tuple[str, str | None]] = []
        """Path and Range of every GET."""
        self.cut: dict[str, int] = {}
        """Path -> bytes after which the connection drops, once."""
        self.moved: dict[str, str] = {}
        """Path -> where a redirect leads."""
        self.context: ssl.SSLContext | None = None
        """What it speaks TLS with."""
        self.ranges = True
        self.lengths = True
        self.before: Callable[[str], object] = lambda path: None
        """Called with the path before each answer."""


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, site: Site, *args: Any) -> None:
        self.site = site
        super().__init__(*args)

    def log_message(self, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        path, wanted = unquote(urlsplit(self.path).path), self.headers.get("Range")
        self.site.asked.append((path, wanted))
        self.site.before(path)
        file = self.site.folder / path.strip("/")
        if path in self.site.moved:
            self.reply(302, b"", Location=self.site.moved[path])
        elif not file.is_file():
            self.reply(404, b"")
        else:
            self.file(path, file.read_bytes(), wanted)

    def file(self, path: str, data: bytes, wanted: str | None) -> None:
        tag = f'"{hashlib.sha256(data).hexdigest()}"'
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.site.ranges else 0
        if start and self.headers.get("If-Range", tag) != tag:
            start = 0
        headers = {"ETag": tag} | ({"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if start else {})
        self.reply(206 if start else 200, data[start:], self.site.cut.pop(path, None), **headers)

    def reply(self, code: int, data: bytes, cut: int | None = None, **headers: str) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if self.site.lengths:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data if cut is None else data[:cut])


class Hub(Site):
    """The Hugging Face hub as far as one set needs it: repositories of small files, commits and tags."""

    def __init__(self) -> None:
        super().__init__(Path("/nonexistent"))
        self.commits: dict[str, dict[str, bytes]] = {}
        """Commit -> its files."""
        self.refs: dict[str, str] = {}
        """Branch or tag -> commit."""


class _HubHandler(_Handler):
    site: Hub

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.site.asked.append((path, self.headers.get("Range")))
        if found := re.fullmatch(r"/api/models/lab/set(?:/revision/(.+))?", path):
            commit = self.commit(found[1] or "main")
            if commit is not None:
                files = [{"rfilename": name, "size": len(data)} for name, data in self.site.commits[commit].items()]
                return self.json({"id": "lab/set", "sha": commit, "siblings": files})
        elif found := re.fullmatch(r"/lab/set/resolve/([^/]+)/([^/]+)", path):
            commit = self.commit(found[1])
            if commit is not None and found[2] in self.site.commits[commit]:
                data = self.site.commits[commit][found[2]]
                tag = f'"{hashlib.sha256(data).hexdigest()}"'
                return self.reply(200, data, ETag=tag, X_Repo_Commit=commit)
        return self.reply(404, b"", X_Error_Code="RepoNotFound")

    do_HEAD = do_GET

    def do_POST(self) -> None:
        path, body = urlsplit(self.path).path, self.rfile.read(int(self.headers["Content-Length"]))
        if path == "/api/repos/create":
            return self.json({"url": f"{self.site.url}/lab/set"})
        if path == "/api/validate-yaml":
            return self.json({"errors": [], "warnings": []})
        if path == "/api/models/lab/set/preupload/main":
            files = [{"path": each["path"], "uploadMode": "regular", "shouldIgnore": False}
                     for each in json.loads(body)["files"]]  # fmt: skip
            return self.json({"files": files})
        if path == "/api/models/lab/set/commit/main":
            parts = [json.loads(line) for line in body.splitlines()]
            files = {part["value"]["path"]: base64.b64decode(part["value"]["content"]) for part in parts
                     if part["key"] == "file"}  # fmt: skip
            commit = hashlib.sha1(body).hexdigest()
            self.site.commits[commit] = files
            self.site.refs["main"] = commit
            address = f"{self.site.url}/lab/set/commit/{commit}"
            return self.json({"success": True, "commitOid": commit, "commitUrl": address})
        if found := re.fullmatch(r"/api/models/lab/set/tag/(\w+)", path):
            self.site.refs[json.loads(body)["tag"]] = found[1]
            return self.json({})
        return self.reply(404, b"")

    def commit(self, revision: str) -> str | None:
        found = self.site.refs.get(revision, revision)
        return found if found in self.site.commits else None

    def json(self, value: Any) -> None:
        self.reply(200, json.dumps(value).encode(), Content_Type="application/json")


class _DriveHandler(_Handler):
    """A proxy that takes whoever asks for drive.google.com to this machine."""

    def do_CONNECT(self) -> None:
        self.send_response(200)
        self.end_headers()
        with self.site.context.wrap_socket(self.connection, server_side=True) as inside:
            _Shared(self.site, inside, self.client_address, self.server)


class _Shared(_Handler):
    """Google Drive: a file by its id."""

    def do_GET(self) -> None:
        self.site.asked.append((self.path, self.headers.get("Range")))
        found = re.search(r"id=([-\w]+)", self.path)
        file = self.site.folder / (found[1] if found else "")
        if not file.is_file():
            return self.reply(404, b"", Content_Type="text/html")
        shown = f'attachment; filename="{file.name}"'
        return self.reply(200, file.read_bytes(), Content_Type="application/octet-stream", Content_Disposition=shown)


@contextmanager
def serving(site: Site, *, drive: bool = False) -> Iterator[Site]:
    """Serve a site until the end of the block; with `drive` as a proxy to what plays Google Drive."""
    handler = _DriveHandler if drive else _HubHandler if isinstance(site, Hub) else _Handler
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, site))
    server.daemon_threads = True
    secure = site.context is not None and not drive
    if secure:
        server.socket = site.context.wrap_socket(server.socket, server_side=True)
    site.url = f"http{'s' if secure else ''}://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
