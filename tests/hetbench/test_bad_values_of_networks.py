"""Traces, ONNX files, observed models, a server's bodies: whatever they are given, an answer or a taught error."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hetbench import HetBench, HetBenchError
from hetbench.catalog import evidence
from hetbench.graphs import names, networks
from hetbench.migration.ranking import select_chips, stack_options
from hetbench.onnx import read
from hetbench.remote.wire import decoded, decoded_error
from hetbench.serving import build, language_of
from tests.hetbench.test_bad_values import BAD, GRAPH, LONGEST, SERVING, _failures

LOAD = {name: value for name, value in SERVING.items() if name not in ("model", "target", "metric", "phase")}
QWEN = names.find("Qwen/Qwen3-8B")
PLACE = HetBench().chip("amd-mi300x")[0]
FUNCTIONS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "names.find": (names.find, {"name": "resnet50"}), "networks.load": (networks.load, {"name": "resnet101"}),
    "networks.find": (networks.find, {"name": "resnet101"}),
    "evidence.stacks": (evidence.stacks, {"setting": (), "metric": "latency"}),
    "stack_options": (lambda **options: stack_options(GRAPH, options), {"stack": "eager", "phase": "inference"}),
    "select_chips": (lambda targets: select_chips(targets, [PLACE], lambda name: PLACE), {"targets": "rocm"}),
    "serving.build": (lambda **options: build(language_of(QWEN), PLACE, options), LOAD),
    "decoded": (decoded, {"found": {"type": "Answer", "value": {"value": 1.0, "unit": "ms"}}}),
    "decoded_error": (decoded_error, {"found": {"error": {"type": "RefusedError", "message": "no rows"}}}),
}  # fmt: skip
OBSERVED = {"model": "bert-tiny", "chip": "mlu", "metric": "latency", "value": 1.0, "unit": "ms", "stack": "eager",
            "software": None, "precision": "fp16", "batch": 2, "seq_len": 16, "image_size": None, "phase": None,
            "latency_ms": None}  # fmt: skip


@pytest.mark.parametrize(("name", "argument"), [(name, each) for name, (_, good) in FUNCTIONS.items() for each in good])
def test_a_function_answers_or_teaches_whatever_it_is_given(name: str, argument: str):
    call, good = FUNCTIONS[name]
    assert _failures(call, good, argument) == []


@pytest.mark.parametrize("column", OBSERVED)
def test_one_bad_cell_of_an_observed_model_leaves_the_row_beside_it_used(column: str):
    api = HetBench()
    for at, bad in enumerate(BAD[::9]):
        api.forget()
        found = api.observe([OBSERVED, {**OBSERVED, "value": 1.1, column: bad}])
        assert found["reason"][0] == "", f"value {at}, a {type(bad)}"
        assert np.isfinite(found["value"][1]) != (len(found["reason"][1]) > 10), f"value {at}, a {type(bad)}"
        assert len(found["reason"][1]) < LONGEST


@pytest.fixture(scope="module")
def traced() -> Any:
    torch = pytest.importorskip("torch")
    return HetBench().trace(torch.nn.Linear(8, 4), torch.zeros(2, 8))


@pytest.mark.parametrize("argument", ["module", "example_inputs", "shapes", "name"])
def test_a_trace_of_anything_is_a_graph_or_taught(argument: str):
    torch = pytest.importorskip("torch")
    given = {"module": torch.nn.Linear(8, 4), "example_inputs": torch.zeros(2, 8), "name": None}
    if argument == "shapes":
        given["example_inputs"] = None
    assert _failures(HetBench().trace, given, argument, step=7) == []  # value 56 holds itself


@pytest.mark.parametrize(("method", "argument"), [
    *(("at", name) for name in ("batch", "seq_len", "image_size")),
    *((method, name) for method in ("operators", "memory") for name in ("batch", "seq_len", "precision", "phase")),
])  # fmt: skip
def test_a_traced_graph_takes_sizes_or_says_which(traced: Any, method: str, argument: str):
    good = {"batch": 2} if method == "at" else {"batch": 2, "precision": "fp32"}
    assert _failures(getattr(traced, method), good, argument) == []


@pytest.mark.parametrize("argument", ["path", "dims", "batch", "seq_len", "image_size"])
def test_an_onnx_file_is_read_or_refused_in_words(argument: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    onnx = pytest.importorskip("onnx")
    monkeypatch.chdir(tmp_path)
    made = onnx.helper
    ends = made.make_tensor_value_info("x", 1, ["batch", 8]), made.make_empty_tensor_value_info("y")
    graph = made.make_graph([made.make_node("Relu", ["x"], ["y"])], "g", *([end] for end in ends))
    (tmp_path / "g.onnx").write_bytes(made.make_model(graph).SerializeToString())
    assert _failures(read, {"path": "g.onnx", "dims": {"batch": 2}}, argument) == []


def _asked(application: Any, path: str, body: bytes) -> tuple[int, bytes]:
    """Status and body of one request to an ASGI application, without a socket."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b"",
             "headers": [(b"content-type", b"application/json")], "http_version": "1.1", "scheme": "http",
             "server": ("x", 80), "client": ("x", 1), "asgi": {"version": "3.0"}}  # fmt: skip
    asyncio.run(application(scope, receive, send))
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent)


def _in_json() -> list[str]:
    """The bad values that go into JSON, as it is written."""
    found = []
    for bad in BAD:
        try:
            found.append(json.dumps(bad))
        except (TypeError, ValueError, RecursionError):
            continue
    return [*found, "1e999", "[" * 3000, '{"a": {"a": 1}, "a": 2}']


@pytest.mark.parametrize(("path", "good"), [
    ("/v1/query", {"model": "bert-tiny", "target": "cuda", "metric": "latency", "device": None, "batch": 1,
                   "source": None, "source_value": None, "precision": "fp16", "confidence": 0.9, "dims": None}),
    ("/v1/operator", {"op": "ReLU", "dims": {"numel": 8}, "device": "cuda", "precision": "fp16", "protocol": "event"}),
    ("/v1/migrate", {"model": "bert-tiny", "targets": "mlu", "slo_ms": 5.0, "objective": "latency"}),
    ("/v1/models", {"table": {"model": ["bert-tiny"], "chip": ["mlu"]}}),
    ("/v1/operators", {"table": {"op": ["ReLU"]}, "predictor": None}),
])  # fmt: skip
def test_a_server_answers_every_body_with_a_status_below_500(path: str, good: dict[str, Any]):
    pytest.importorskip("fastapi")
    from hetbench.service import build as served

    application = served(HetBench())
    for name in (*good, "self", "colour"):
        for bad in _in_json():
            parts = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in good.items() if key != name]
            body = "{" + ", ".join([*parts, f"{json.dumps(name)}: {bad}"]) + "}"
            status, text = _asked(application, path, body.encode())
            assert status in (200, 400, 422), (name, bad[:60])
            told = json.loads(text, parse_constant=lambda word: math.nan)
            assert status == 200 or 10 < len(told["error"]["message"]) < LONGEST, (name, bad[:60])


def test_the_good_values_are_good():
    assert HetBench().observe([OBSERVED])["reason"][0] == ""
    with pytest.raises(HetBenchError):
        HetBench().observe("x")
