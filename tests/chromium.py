"""A headless Chromium driven over its pipe, with the standard library alone."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome", "chrome-headless-shell")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--no-zygote",
         "--hide-scrollbars", "--remote-debugging-pipe")  # fmt: skip


def binary() -> str | None:
    """The browser that HETBENCH_CHROMIUM names, or one on the path."""
    named = os.environ.get("HETBENCH_CHROMIUM")
    return named if named and Path(named).exists() else next(filter(None, map(shutil.which, NAMES)), None)


class Chromium:
    """One tab. `events` keeps what the page did: requests, console messages, errors."""

    def __init__(self, write: int, read: int) -> None:
        self._write, self._read = write, read
        self._left, self._number = b"", 0
        self.events: list[dict[str, Any]] = []
        self._session: str | None = None
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        session = {} if self._session is None else {"sessionId": self._session}
        message = json.dumps({"id": self._number, "method": method, "params": params, **session}).encode() + b"\0"
        while message:
            message = message[os.write(self._write, message) :]
        while True:
            found = self._next()
            if found.get("id") == self._number:
                assert "error" not in found, found["error"]
                return dict(found["result"])
            self.events.append(found)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._left:
            part = os.read(self._read, 1 << 20)
            assert part, "the browser has ended"
            self._left += part
        message, _, self._left = self._left.partition(b"\0")
        return dict(json.loads(message))

    def open(self, url: str, width: int = 1200, height: int = 900, dark: bool = False) -> None:
        """Load a page and wait for it."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                  mobile=width < 600)  # fmt: skip
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.send("Emulation.setEmulatedMedia", features=scheme)
        self.send("Page.navigate", url="about:blank")  # so that a change of the hash alone loads, too
        self.events.clear()
        self.send("Page.navigate", url=url)
        end = time.monotonic() + 30
        while time.monotonic() < end:
            if self.run("document.readyState === 'complete' && location.href !== 'about:blank'"):
                return
            time.sleep(0.02)
        raise TimeoutError(url)

    def run(self, expression: str) -> Any:
        """The value of an expression in the page."""
        found = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def press(self, key: str, code: int, text: str = "") -> None:
        """A key down and up."""
        down = {"key": key, "code": key, "windowsVirtualKeyCode": code} | ({"text": text} if text else {})
        self.send("Input.dispatchKeyEvent", type="keyDown", **down)
        self.send("Input.dispatchKeyEvent", type="keyUp", **down)

    def faults(self) -> list[Any]:
        """Errors of the console, and requests for anything but files and data."""
        self.run("new Promise((done) => setTimeout(done, 50))")
        bad = []
        for event in self.events:
            method, what = event.get("method"), event.get("params", {})
            if method == "Runtime.exceptionThrown" or (
                method == "Runtime.consoleAPICalled" and what["type"] in ("error", "warning", "assert")
            ) or (method == "Log.entryAdded" and what["entry"]["level"] in ("error", "warning")):
                bad.append(what)
            if method == "Network.requestWillBeSent" and not what["request"]["url"].startswith(
                ("file:", "data:", "about:")
            ):
                bad.append(what["request"]["url"])
        return bad

    def screenshot(self, path: Path, whole: bool = True) -> None:
        """The page as PNG."""
        size = self.send("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 8000), "scale": 1}
        found = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole,
                          **({"clip": clip} if whole else {}))  # fmt: skip
        path.write_bytes(base64.b64decode(found["data"]))


@contextmanager
def chromium(program: str, profile: Path) -> Iterator[Chromium]:
    """A browser that ends with the block; it keeps its files in `profile`."""
    its_read, write = os.pipe()
    read, its_write = os.pipe()
    words = [program, *FLAGS, f"--user-data-dir={profile}"]
    # the browser takes its pipe from the descriptors 3 and 4
    shell = f'exec "$@" 3<&{its_read} 4>&{its_write}'
    process = subprocess.Popen(["bash", "-c", shell, "bash", *words], pass_fds=(its_read, its_write),
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    os.close(its_read)
    os.close(its_write)
    try:
        yield Chromium(write, read)
    finally:
        os.close(write)
        os.close(read)
        process.terminate()
        process.wait(30)
