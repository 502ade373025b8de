"""A served HetBench answers over HTTP as in the process, refuses in words and bounds what a request costs."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np
import pytest

from hetbench import HetBench, InvalidInputError, RefusedError, UnknownNameError
from hetbench.remote import RemoteHetBench
from hetbench.remote.client import ONLY_IN_PROCESS

uvicorn = pytest.importorskip("uvicorn")
pytest.importorskip("fastapi")

TABLE = {"model": ["gpt2", "resnet-50", "gpt3"], "chip": ["cuda", "amd-mi210", "cuda"], "batch": [1, None, 2]}


@pytest.fixture(scope="module")
def api() -> HetBench:
    return HetBench()


@pytest.fixture(scope="module")
def address(api: HetBench, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    from hetbench.service import Limits, build

    site = tmp_path_factory.mktemp("site")
    (site / "index.html").write_text("<p>a page</p>")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    application = build(api, Limits(most_bytes=100_000, most_rows=1_000), site)
    server = uvicorn.Server(uvicorn.Config(application, "127.0.0.1", port, log_level="error", access_log=False))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(10)


@pytest.fixture(scope="module")
def remote(address: str) -> Iterator[RemoteHetBench]:
    with HetBench.connect(address) as client:
        yield client


def _fetch(address: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
    try:
        with urlopen(Request(address, body, headers)) as response:
            return response.status, response.read()
    except HTTPError as error:
        with error:
            return error.code, error.read()


@pytest.mark.parametrize("asked", [
    {"model": "gpt2", "target": "cuda", "metric": "latency"}, {"model": "gpt2", "target": "rocm"},
    {"model": "resnet-50", "source": "cuda", "target": "cann", "metric": "latency", "batch": 8, "precision": "fp16"},
    {"model": "gpt2", "device": ["nvidia-l4", "nvidia-v100-sxm2-16gb"], "metric": "latency", "precision": "bf16"},
    {"model": "gpt2", "device": ["nvidia-l4", "amd-mi210"], "metric": ["latency", "params"]},
    {"model": "qwen2.5-7b", "target": "nvidia-h100-sxm5-80gb", "metric": "tpot", "phase": "serving", "concurrency": 8},
])  # fmt: skip
def test_a_server_gives_the_answers_of_the_process(api: HetBench, remote: RemoteHetBench, asked: dict[str, Any]):
    assert remote.query(**asked) == api.query(**asked)


def test_a_ranking_an_operator_and_tables_are_those_of_the_process(api: HetBench, remote: RemoteHetBench):
    assert remote.migrate("gpt2", targets="cann", slo_ms=5) == api.migrate("gpt2", targets="cann", slo_ms=5)
    both = ["gpt2", "resnet-50"]
    assert remote.migrate(both, targets=("nvidia-l4",)) == api.migrate(both, targets=("nvidia-l4",))
    dims = {"m": 128, "n": 64, "k": 64}
    assert remote.query_operator("Linear", dims, device="cuda") == api.query_operator("Linear", dims, device="cuda")
    here, there = api.query_models(TABLE), remote.query_models(TABLE)
    assert list(here) == list(there)
    assert all(np.array_equal(here[name], there[name], equal_nan=name in ("value", "lower", "upper")) for name in here)
    row = {"op": "Linear", "dims": dims, "dtype": "fp16", "phase": "fwd", "chip": "cuda"}
    assert remote.query_operators([row, row])["value"].tolist() == api.query_operators([row, row])["value"].tolist()


@pytest.mark.parametrize(("asked", "error", "message"), [
    ({"model": "gpt3"}, UnknownNameError, "unknown model 'gpt3'"),
    ({"model": "gpt2", "bacth": 8}, UnknownNameError, "Did you mean 'batch'"),
    ({"model": "gpt2", "metric": "latency"}, InvalidInputError, "target="),
    ({"model": "gpt2", "target": "nvidia-v100-sxm2-16gb", "precision": "bf16"}, RefusedError, "no bf16 units"),
    ({"model": "gpt2", "target": "cuda", "batch": -1}, InvalidInputError, "batch must be"),
    ({"model": "/etc/passwd"}, InvalidInputError, "a path is of the machine that asks"),
    ({"model": "../x.onnx"}, InvalidInputError, "a path is of the machine that asks"),
])  # fmt: skip
def test_what_the_process_refuses_the_client_raises(
    remote: RemoteHetBench, asked: dict[str, Any], error: type[Exception], message: str
):
    with pytest.raises(error, match=message):
        remote.query(**asked)


@pytest.mark.parametrize(("path", "body", "status"), [
    ("/v1/query", b"[" * 5000, 400), ("/v1/query", b"\xff{", 400),
    ("/v1/query", b"{", 400), ("/v1/query", b"[]", 400), ("/v1/query", b"{}", 400), ("/v1/nothing", b"{}", 405),
    ("/v1/query", b'{"model": "gpt3"}', 400), ("/v1/models", b'{"table": {"model": "gpt2"}}', 400),
    ("/v1/query", b'{"model": "' + b"x" * 200_000 + b'"}', 413),
    ("/v1/operator", b'{"op": "Linear", "dims": {"m": 1}, "device": "cuda", "devise": 1}', 400),
    ("/v1/models", json.dumps({"table": {"model": ["gpt2"] * 1001, "chip": ["cuda"] * 1001}}).encode(), 400),
    ("/v1/query", b'{"model": "gpt2", "target": "cuda", "batch": true}', 400),
    ("/v1/query", b'{"model": "gpt2", "target": "cuda", "self": 1}', 400),
    ("/v1/query", b'{"model": "gpt2", "model": "bert-tiny", "target": "cuda"}', 400),
    ("/v1/models", b'{"table": {"model": ["gpt2"], "chip": ["cuda"], "colour": [1]}}', 400),
    ("/v1/models", b'{"table": {"model": ["gpt2"], "chip": ["cuda"]}, "batch": 8}', 400),
])  # fmt: skip
def test_a_malformed_or_large_request_gets_a_status_and_a_reason(address: str, path: str, body: bytes, status: int):
    code, text = _fetch(address + path, body, **{"Content-Type": "application/json"})
    assert code == status
    assert path == "/v1/nothing" or json.loads(text)["error"]["message"]


def test_arrow_is_sent_to_whom_accepts_it(address: str, api: HetBench):
    pa = pytest.importorskip("pyarrow")
    stream = "application/vnd.apache.arrow.stream"
    body = json.dumps({"table": TABLE}).encode()
    _, found = _fetch(f"{address}/v1/models", body, Accept=stream, **{"Content-Type": "application/json"})
    table = pa.ipc.open_stream(found).read_all()
    assert table["value"].to_pylist()[:2] == api.query_models(TABLE)["value"].tolist()[:2]


def test_the_schema_states_the_options_of_a_query(address: str):
    schema = json.loads(_fetch(f"{address}/openapi.json")[1])
    fields = schema["components"]["schemas"]["Question"]["properties"]
    assert {"model", "source", "target", "metric", "batch", "precision", "concurrency"} <= set(fields)


def test_health_counts_catalogue_and_site_are_served(address: str, remote: RemoteHetBench):
    assert json.loads(_fetch(f"{address}/healthz")[1])["artifacts"] == "embedded"
    before = _count(address)
    remote.query("gpt2", target="cuda", metric="params")
    assert _count(address) == before + 1
    assert "gpt2" in json.loads(_fetch(f"{address}/v1/catalogue")[1])["models"]
    assert _fetch(address + "/")[1] == b"<p>a page</p>"


def _count(address: str) -> float:
    text = _fetch(f"{address}/metrics")[1].decode()
    lines = (line for line in text.splitlines() if line.startswith("hetbench_requests_total{"))
    return sum(float(line.split()[-1]) for line in lines if 'path="/v1/query",status="200"' in line)


def test_many_clients_get_the_answers_of_one(api: HetBench, remote: RemoteHetBench):
    asked = [("gpt2", batch) for batch in range(1, 41)]
    alone = [api.query(model, target="mlu", metric="latency", batch=batch).value for model, batch in asked]
    found: dict[int, list[float]] = {}

    def ask(number: int) -> None:
        turned = asked[number:] + asked[:number]
        answers = {batch: remote.query(model, target="mlu", metric="latency", batch=batch) for model, batch in turned}
        found[number] = [answers[batch].value for _, batch in asked]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert found == dict.fromkeys(range(8), alone)


@pytest.mark.parametrize("address", ["", "ftp://x", "127.0.0.1:8000", 5])
def test_an_address_that_is_none_is_taught(address: Any):
    with pytest.raises(InvalidInputError, match="http://HOST:PORT"):
        HetBench.connect(address)


def test_a_server_that_is_not_there_is_named(run: Any):
    with pytest.raises(RefusedError, match="hetbench serve"):
        HetBench.connect("http://127.0.0.1:1")
    assert run("serve", "--port", "0")[0] == 2
    assert run("serve", "--site", "/nowhere")[0] == 2


def test_a_body_of_unknown_length_is_refused_where_it_passes_the_limit(address: str):
    host, port = address.removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=30)
    connection.request("POST", "/v1/query", iter([b"x" * 60_000] * 3), {"Content-Type": "application/json"})
    assert connection.getresponse().status == 413
    connection.close()


def test_a_column_that_no_server_reads_is_named_here(remote: RemoteHetBench):
    with pytest.warns(UserWarning, match="not read: 'colour'"):
        found = remote.query_models({**TABLE, "colour": ["red"] * 3})
    assert found["reason"][0] == ""


@contextmanager
def _rude(answers: Callable[[int], Iterable[bytes]]) -> Iterator[str]:
    """A server that sends what `answers` gives for the number of the request."""
    with socket.create_server(("127.0.0.1", 0)) as door:

        def serve() -> None:
            for number in range(9):
                with suppress(OSError):
                    visitor, _ = door.accept()
                    with visitor:
                        visitor.recv(65536)
                        for part in answers(number):
                            visitor.sendall(part)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{door.getsockname()[1]}"


def _sent(body: str) -> list[bytes]:
    return [f"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()]


@pytest.mark.parametrize("body", ["5", "null", "[]", '"hetbench"', "[" * 5000, "{", ""])
def test_a_server_of_something_else_is_named(body: str):
    with _rude(lambda number: _sent(body)) as address, pytest.raises(RefusedError, match=r"no hetbench server|no JSON"):
        HetBench.connect(address)


@pytest.mark.parametrize("body", ['{"columns": 5}', "{}", "[]", '{"columns": {"value": ["x"], "lower": 1}}', "null"])
def test_a_table_that_is_none_is_refused(body: str):
    with (
        _rude(lambda number: _sent(body if number else '{"hetbench": "1"}')) as address,
        HetBench.connect(address) as client, pytest.raises(RefusedError, match="no table of answers"),
    ):  # fmt: skip
        client.query_models(TABLE)


def test_a_server_of_a_byte_now_and_then_is_not_waited_for():
    def trickle(number: int) -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n"
        for _ in range(200):
            time.sleep(0.05)
            yield b" "

    began = time.monotonic()
    with _rude(trickle) as address, pytest.raises(RefusedError, match="too slow"):
        HetBench.connect(address, timeout_s=0.3)
    assert time.monotonic() - began < 5


def test_what_a_server_does_not_offer_is_named(remote: RemoteHetBench, api: HetBench, tmp_path: Path):
    with pytest.raises(RefusedError, match="answers in this process"):
        remote.explain("gpt2")
    offered = {name for name in dir(api) if not name.startswith("_")} - {"connect"} - {"close", "address", "timeout_s"}
    assert offered - {name for name in dir(remote) if not name.startswith("_")} == set(ONLY_IN_PROCESS)


def test_a_configuration_is_read_by_the_client(api: HetBench, remote: RemoteHetBench, tmp_path: Path):
    path = tmp_path / "config.json"
    config = {"model_type": "llama", "hidden_size": 512, "intermediate_size": 1024, "num_hidden_layers": 2,
              "num_attention_heads": 8, "num_key_value_heads": 4, "vocab_size": 1000}  # fmt: skip
    path.write_text(json.dumps(config))
    assert remote.query(path, metric="params").value == api.query(config, metric="params").value
