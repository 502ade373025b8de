"""Load on `hetbench serve` over loopback: many clients that each wait for their answer before they ask again.

    python -m tests.benchmarks.load --clients 200 --requests 20000

Every answer, refusals included, is compared with that of a `HetBench` in this process. Prints the rate, the median and
the 99th percentile of the time of a request, the time of a query in the process, the number of differences and the
resident memory of the server.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from hetbench import HetBench
from hetbench.errors import HetBenchError
from hetbench.remote import RemoteHetBench
from hetbench.remote.wire import encoded, encoded_error

MODELS = ("gpt2", "resnet-50", "bert-base", "mobilenet-v2", "qwen2.5-7b")
CHIPS = ("cuda", "rocm", "oneapi", "cann", "mlu")


def questions(count: int) -> list[dict[str, Any]]:
    """Different questions about models of the catalogue, by batch, chip and metric."""
    found = []
    for number in range(count):
        metric = ("latency", "energy", "memory")[number % 3]
        found.append({
            "model": MODELS[number % len(MODELS)], "target": CHIPS[number // 5 % len(CHIPS)], "metric": metric,
            "batch": 1 + number % 64,
        })  # fmt: skip
    return found


async def client(port: int, asked: list[tuple[bytes, Any]], times: list[float], wrong: list[int]) -> None:
    """Ask questions one after another over one connection; note the time of each and the answers that differ."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for body, expected in asked:
        began = time.perf_counter()
        head = f"POST /v1/query HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        writer.write(head.encode() + b"\r\n\r\n" + body)
        headers = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in headers.lower().split(b"\r\n") if line.startswith(b"content-length"))
        text = await reader.readexactly(int(length.split(b":")[1]))
        times.append(time.perf_counter() - began)
        if json.loads(text) != expected:
            wrong.append(1)
    writer.close()


def resident_mb(pid: int) -> float:
    """Resident memory of a process in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1e3
    raise LookupError(pid)


def answered(api: HetBench, asked: dict[str, Any]) -> Any:
    """What a server sends for a question."""
    try:
        found = encoded(api.query(**asked))
    except HetBenchError as why:
        found = encoded_error(why)
    return json.loads(json.dumps(found))


def main() -> None:
    """Start a server, load it and print the figures."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--clients", type=int, default=200)
    words.add_argument("--requests", type=int, default=20_000)
    words.add_argument("--distinct", type=int, default=2_000)
    given = words.parse_args()
    api = HetBench()
    asked = questions(given.distinct)
    api.query(**asked[0])
    began = time.perf_counter()
    expected = [answered(api, each) for each in asked]
    alone = (time.perf_counter() - began) / len(asked)
    bodies = list(zip((json.dumps(each).encode() for each in asked), expected, strict=True))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "hetbench", "serve", "--port", str(port), "--quiet"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as server:
        try:
            _wait(port)
            run(port, bodies, given.clients, len(bodies))
            before = resident_mb(server.pid)
            times, wrong, seconds = run(port, bodies, given.clients, given.requests)
            after = resident_mb(server.pid)
        finally:
            server.terminate()
    times.sort()
    print(f"{given.clients} clients, {len(times):,} requests: {len(times) / seconds:,.0f}/s, "
          f"p50 {1e3 * times[len(times) // 2]:.1f} ms, p99 {1e3 * times[int(0.99 * len(times))]:.1f} ms; "
          f"a query in the process {1e3 * alone:.2f} ms; {wrong} differ; "
          f"resident {before:.0f} MB before, {after:.0f} MB after")  # fmt: skip


def _wait(port: int) -> None:
    for _ in range(600):
        try:
            RemoteHetBench(f"http://127.0.0.1:{port}").close()
        except Exception:  # noqa: BLE001 - until the server is there
            time.sleep(0.1)
        else:
            return
    raise TimeoutError("the server did not start within a minute")


def run(port: int, bodies: list[tuple[bytes, Any]], clients: int, requests: int) -> tuple[list[float], int, float]:
    """Times in s, the number of wrong answers and the wall time of all requests."""
    times, wrong = list[float](), list[int]()
    each = max(1, requests // clients)
    parts = [[bodies[(number * each + at) % len(bodies)] for at in range(each)] for number in range(clients)]

    async def everyone() -> None:
        await asyncio.gather(*(client(port, part, times, wrong) for part in parts))

    began = time.perf_counter()
    asyncio.run(everyone())
    return times, len(wrong), time.perf_counter() - began


if __name__ == "__main__":
    main()
