"""The measuring process: what fails becomes a status, and a death costs a row."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("psutil")
pytest.importorskip("duckdb")
pytest.importorskip("torch")
pytest.importorskip("transformers")

from data_collection.backends import Backend
from data_collection.profile.quiet import disturbance
from data_collection.profile.tasks import Task
from data_collection.profile.timing import Budget
from data_collection.profile.worker import Worker
from data_collection.store import connect, read, recover

ROOT = Path(__file__).resolve().parents[3]
QUICK = Budget(min_repeats=6, min_seconds=0.0, max_seconds=0.05)


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
    child: Worker, linear: Task, change: dict[str, Any], status: str, reason: str
):
    found = child.measure(replace(linear, **change), QUICK, 60.0)
    assert found.status == status, found.reason
    assert (found.reason is None) == (status == "ok")
    if reason:
        assert re.search(reason, found.reason or "")
    else:
        assert found.figures["repeats"] >= 6
        assert "peak_memory_bytes" not in found.figures  # the process holds what earlier tasks left


def test_a_call_that_does_not_end_becomes_a_timeout_and_the_next_one_is_measured(child: Worker, linear: Task):
    endless = replace(linear, dims='{"bias": 0, "k": 8192, "m": 8192, "n": 8192}')
    assert child.measure(endless, QUICK, 0.5).status == "timeout"
    assert child.measure(linear, QUICK, 60.0).status == "ok"


def test_a_process_that_is_killed_costs_its_row_only(child: Worker, linear: Task):
    child.measure(linear, QUICK, 60.0)
    threading.Timer(0.3, os.kill, (child._process.pid, signal.SIGKILL)).start()
    endless = replace(linear, dims='{"bias": 0, "k": 8192, "m": 8192, "n": 8192}')
    found = child.measure(endless, QUICK, 60.0)
    assert (found.status, found.reason) == ("error", "the measuring process ended with signal SIGKILL")
    assert child.measure(linear, QUICK, 60.0).status == "ok"


def test_a_busy_machine_is_seen(child: Worker, linear: Task):
    child.measure(linear, QUICK, 60.0)
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


def profile(*words: str) -> list[str]:
    hasty = ("--patience", "0", "--retries", "0", "--chip", "amd-epyc-zen4-2vcpu-kvm")
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
    assert shown[0].startswith("amd-epyc-zen4-2vcpu-kvm: ")
    assert sum(recover(tmp_path).values()) >= 4
    assert read(tmp_path).skipped == []
    query = "SELECT count(*) FROM rows WHERE raw_ms IS NULL"
    assert connect(read(tmp_path)).execute(query).fetchall() == [(0,)]
