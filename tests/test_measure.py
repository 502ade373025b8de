"""Real measurements on this machine: failures are statuses, a death costs a row, libraries report what they ran."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("psutil")
pytest.importorskip("duckdb")
pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch

from data_collection.backends import Backend, backends
from data_collection.profile.libraries import ran_by
from data_collection.profile.quiet import disturbance
from data_collection.profile.stacks import missing
from data_collection.profile.subjects import ready
from data_collection.profile.tasks import Task
from data_collection.profile.timing import Budget
from data_collection.profile.worker import Worker
from data_collection.store import connect, read, recover
from hetbench.graph import load
from hetbench.operators import operator_type

ROOT = Path(__file__).resolve().parent.parent
CHIP = "amd-epyc-zen4-2vcpu-kvm"
LINEAR = Task(
    kind="operator", name="Linear", dims='{"bias": 0, "k": 64, "m": 8, "n": 64}', precision="fp32", phase="fwd",
    stack="eager", layout="contiguous", cache="hot", protocol="wall", threads=1,
)  # fmt: skip
BERT = replace(LINEAR, kind="model", name="bert-tiny", dims=None, batch=2, seq_len=8, phase="inference")
QUICK = Budget(min_repeats=6, min_seconds=0.0, max_seconds=0.05)


@pytest.fixture
def cpu() -> Backend:
    found = backends()["oneapi"]
    if found.missing() or found.device != "cpu":
        pytest.skip("the CPU is not the first device of oneapi here")
    return found


@pytest.fixture(scope="module")
def child() -> Iterator[Worker]:
    worker = Worker(backends()["oneapi"], llc_bytes=2**20, memory_bytes=4 * 10**9)
    yield worker
    worker.close()


@pytest.mark.parametrize(("change", "status", "reason"), [
    ({}, "ok", ""),
    ({"cache": "cold"}, "ok", ""),
    ({"name": "Add", "dims": '{"numel": 1099511627776}'}, "oom", "can't allocate memory"),
    ({"precision": "bool"}, "unsupported", "not implemented for 'Bool'"),
    ({"precision": "fp8"}, "unsupported", "It can: fp64, fp32"),
    ({"precision": "tf32"}, "unsupported", "mode of NVIDIA's matrix units"),
    ({"layout": "channels_last"}, "unsupported", "Linear has no .n, c, h, w. input"),
    ({"stack": "onnxruntime"}, "unsupported", "runs whole models only"),
])  # fmt: skip
def test_what_cannot_run_becomes_a_status_and_the_process_lives_on(
    cpu: Backend, child: Worker, change: dict[str, Any], status: str, reason: str
):
    found = child.measure(replace(LINEAR, **change), QUICK, 60.0)
    assert found.status == status, found.reason
    assert (found.reason is None) == (status == "ok")
    if reason:
        assert re.search(reason, found.reason or "")
    else:
        assert found.figures["repeats"] >= 6


def test_a_call_that_does_not_end_becomes_a_timeout_and_the_next_one_is_measured(cpu: Backend, child: Worker):
    endless = replace(LINEAR, dims='{"bias": 0, "k": 8192, "m": 8192, "n": 8192}')
    assert child.measure(endless, QUICK, 0.5).status == "timeout"
    assert child.measure(LINEAR, QUICK, 60.0).status == "ok"


def test_a_process_that_is_killed_costs_its_row_only(cpu: Backend, child: Worker):
    child.measure(LINEAR, QUICK, 60.0)
    threading.Timer(0.3, os.kill, (child._process.pid, signal.SIGKILL)).start()
    endless = replace(LINEAR, dims='{"bias": 0, "k": 8192, "m": 8192, "n": 8192}')
    found = child.measure(endless, QUICK, 60.0)
    assert (found.status, found.reason) == ("error", "the measuring process ended with signal SIGKILL")
    assert child.measure(LINEAR, QUICK, 60.0).status == "ok"


def test_a_busy_machine_is_seen(cpu: Backend, child: Worker):
    child.measure(LINEAR, QUICK, 60.0)
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    try:
        time.sleep(0.3)
        seen = child.look(1)
    finally:
        for each in busy:
            each.kill()
            each.wait()
    assert seen is not None
    assert "other processes took" in (disturbance(seen, seen.canary_ms) or "")


@pytest.mark.skipif(not torch.backends.mkl.is_available() or not torch.backends.mkldnn.is_available(),
                    reason="this PyTorch has no MKL or no oneDNN")  # fmt: skip
@pytest.mark.parametrize(("name", "dims", "dtype", "library"), [
    ("Linear", {"m": 64, "n": 64, "k": 64}, torch.float32, "MKL"),
    ("Conv2d", {"n": 1, "c": 64, "h": 28, "w": 28, "oc": 64, "kh": 3, "kw": 3}, torch.float32, "oneDNN"),
    ("Softmax", {"rows": 512, "cols": 512}, torch.float32, "ATen"),
    ("Tanh", {"numel": 100_000}, torch.float32, "unknown"),  # MKL's vector mathematics or ATen's own: nothing tells
])  # fmt: skip
def test_the_library_is_the_one_that_reports_the_work(name: str, dims: dict[str, int], dtype: Any, library: str):
    call = operator_type(name).build(dims, dtype)
    call()
    assert ran_by(call) == library


def test_channels_last_is_the_layout_of_every_image_tensor(cpu: Backend):
    dims = json.dumps({"n": 1, "c": 8, "h": 9, "w": 9, "oc": 8, "kh": 3, "kw": 3})
    with ready(cpu, replace(LINEAR, name="Conv2d", dims=dims, layout="channels_last")) as subject:
        assert subject.call().is_contiguous(memory_format=torch.channels_last)


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("phase", ["inference", "prefill", "decode"])
def test_every_call_of_a_generating_model_sees_the_same_cache(cpu: Backend, phase: str):
    task = replace(BERT, name="gpt2", batch=1, seq_len=5, phase=phase)
    with ready(cpu, task) as subject:
        lengths, scores = [], []
        for _ in range(2):
            if subject.reset:
                subject.reset()
            answer = subject.call()
            scores.append(answer.logits)
            lengths.append(answer.past_key_values.get_seq_length() if subject.reset else 0)
    assert lengths == [{"inference": 0, "prefill": 5, "decode": 6}[phase]] * 2
    assert torch.equal(*scores)
    assert torch.isfinite(scores[0]).all()
    assert scores[0].shape[1] == (5 if phase == "inference" else 1)


def profile(*words: str) -> list[str]:
    hasty = ("--patience", "0", "--retries", "0", "--chip", CHIP)
    return [sys.executable, "-m", "data_collection.profile", *words, *hasty]


def test_a_profiler_that_is_killed_loses_the_row_in_progress_at_most(cpu: Backend, tmp_path: Path):
    words = profile("operators", "--models", "bert-tiny", "--store", str(tmp_path), "--seconds", "0.01")
    shown = []
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=ROOT) as running:
        for line in running.stdout:
            shown.append(line)
            if len(shown) == 5:  # the heading and four rows
                running.kill()
                break
    assert shown[0].startswith(f"{CHIP}: ")
    assert sum(recover(tmp_path).values()) >= 4
    assert read(tmp_path).skipped == []
    query = "SELECT count(*) FROM rows WHERE raw_ms IS NULL"
    assert connect(read(tmp_path)).execute(query).fetchall() == [(0,)]


@pytest.mark.parametrize("stack", ["onnxruntime", "openvino"])
def test_a_whole_model_runs_in_other_runtimes_where_they_are_installed(cpu: Backend, child: Worker, stack: str):
    if missing(stack):
        pytest.skip(missing(stack))
    task = replace(BERT, stack=stack)
    found = child.measure(task, QUICK, 60.0)
    assert found.status == "ok", found.reason
    assert "".join(found.figures["library"].lower().split()).startswith(stack)
    refused = child.measure(replace(task, precision="fp64"), QUICK, 60.0)
    assert refused.status == "unsupported"
    assert f"{stack} computes in fp32" in (refused.reason or "")


def test_the_peak_memory_of_a_model_holds_its_weights_and_is_told_in_a_fresh_process_only(cpu: Backend, child: Worker):
    weights = load("bert-tiny").memory(batch=2, seq_len=8).weights_bytes
    found = child.measure(BERT, QUICK, 60.0, fresh=True)
    assert weights < found.figures["peak_memory_bytes"] < 3 * weights
    assert "peak_memory_bytes" not in child.measure(LINEAR, QUICK, 60.0).figures


def test_a_network_is_not_measured_in_whole_numbers(cpu: Backend, child: Worker):
    found = child.measure(replace(BERT, precision="int8"), QUICK, 60.0)
    assert (found.status, found.reason) == ("unsupported", "a network is cast, not quantised: int8 is measured for "
                                            "operators only.")  # fmt: skip
