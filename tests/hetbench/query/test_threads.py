"""Threads and `HetBench`: cold or warm, alone or beside `observe` and `add_chip`, answers are those of one thread."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from hetbench import HetBench, HetBenchError, models
from hetbench.loading import LOCK, load_once
from hetbench.schema import FAMILIES

NPU = {"name": "my-npu", "family": "cann", "fp16_tflops": 100, "fp32_tflops": 25, "mem_bw_gbs": 800, "mem_gb": 16}
SHAPE = {"m": 512, "n": 512, "k": 512}
COLD = """
import json, random, sys
from concurrent.futures import ThreadPoolExecutor
from hetbench import HetBench, HetBenchError, models
sys.setswitchinterval(1e-6)
threads, seed = int(sys.argv[1]), int(sys.argv[2])
api = HetBench()
families = "cuda", "rocm", "oneapi", "cann", "mlu"
questions = [(name, family, metric, batch) for name in list(models())[::5] for family in families
             for metric, batch in (("latency", 9), ("energy", 1), ("latency", 1), ("latency", 12))]
random.Random(seed).shuffle(questions)

def ask(question):
    try:
        name, family, metric, batch = question
        return [question, api.query(name, target=family, metric=metric, batch=batch).value]
    except HetBenchError as why:
        return [question, str(why)]

with ThreadPoolExecutor(threads) as pool:
    print(json.dumps(sorted(pool.map(ask, questions))))
"""


def _cold(threads: int, seed: int) -> Any:
    """Answers of a process that has loaded nothing yet."""
    command = [sys.executable, "-c", COLD, str(threads), str(seed)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout)


@pytest.mark.slow
def test_cold_threads_answer_as_one_thread_does():
    alone = _cold(1, seed=0)
    assert [_cold(8, seed) for seed in range(2)] == [alone] * 2


def _service_like(count: int, seed: int) -> list[Callable[[HetBench], Any]]:
    """Questions as a service gets them: models, operators, tables, refusals, many repeated."""
    draw, names = random.Random(seed), [*list(models())[::6], "gpt3"]
    made: list[Callable[[HetBench], Any]] = []
    for _ in range(count):
        name, family, batch = draw.choice(names), draw.choice([*FAMILIES, "my-npu", "nope"]), draw.choice([1, 2, 4, 0])
        size = draw.choice([64, 256, 1024])
        made.append(draw.choice([
            lambda api, n=name, f=family, b=batch: api.query(n, target=f, metric="latency", batch=b).value,
            lambda api, n=name, f=family: api.query(n, source="cuda", target=f, metric="throughput").ratio,
            lambda api, f=family, s=size: api.query_operator("Linear", {"m": s, "n": s, "k": s}, device=f).value,
            lambda api, n=name, f=family, b=batch: api.query_models(
                {"model": [n], "chip": [f], "batch": [b]})["value"].tolist(),
        ]))  # fmt: skip
    return made


def _answer(api: HetBench, question: Callable[[HetBench], Any]) -> str:
    try:
        return repr(question(api))
    except HetBenchError as why:
        return str(why)


def test_mixed_questions_over_eight_threads_are_answered_as_by_one():
    questions = _service_like(3000 * int(os.environ.get("HETBENCH_FUZZ", "1")), seed=1)
    apis = HetBench(), HetBench()
    for api in apis:
        api.add_chip(NPU)
    one = [_answer(apis[0], question) for question in questions]
    with ThreadPoolExecutor(8) as pool:
        eight = list(pool.map(lambda question: _answer(apis[1], question), questions))
    assert sum(a != b for a, b in zip(one, eight, strict=True)) == 0


def test_a_query_after_observe_sees_it_whatever_is_in_flight():
    api, stop = HetBench(), threading.Event()

    def keep_asking() -> None:
        while not stop.is_set():
            api.query("gpt2", target="mlu", metric="latency", stack="eager")

    threads = [threading.Thread(target=keep_asking) for _ in range(4)]
    for each in threads:
        each.start()
    try:
        for factor in (2.0, 3.0, 4.0):
            api.observe({"op": ["Linear"], "dims": [{**SHAPE, "m": int(100 * factor)}], "dtype": ["fp16"],
                         "chip": ["mlu"], "latency_ms": [0.1 * factor]})  # fmt: skip
            fresh = HetBench()
            fresh._session.__setstate__(api._session.__getstate__())
            asked = [each.query("gpt2", target="mlu", metric="latency", stack="eager").value for each in (api, fresh)]
            assert asked[0] == asked[1]
    finally:
        stop.set()
        for each in threads:
            each.join()


def test_rows_observed_by_many_threads_are_all_kept():
    api, sizes = HetBench(), range(64, 64 + 24)

    def observe(size: int) -> None:
        api.observe({"op": ["Linear"], "dims": [{**SHAPE, "m": size}], "dtype": ["fp16"], "chip": ["mlu"],
                     "latency_ms": [0.05]})  # fmt: skip

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(observe, sizes))
    kept = api._session.surrogate.observed["cambricon-mlu370-x4"]
    assert len(kept.seen.cls) == len(sizes)


def test_chips_added_by_many_threads_are_all_there():
    api = HetBench()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda at: api.add_chip({**NPU, "name": f"npu-{at}"}), range(40)))
    assert {api.chip(f"npu-{at}")[0].name for at in range(40)} == {f"npu-{at}" for at in range(40)}


def test_concurrent_first_calls_of_a_loader_get_one_object():
    calls, gate = [], threading.Barrier(8)

    @load_once()
    def load() -> object:
        calls.append(1)
        return object()

    def first() -> object:
        gate.wait()
        return load()

    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: first(), range(8)))
    assert (len(found), len(calls)) == (1, 1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_fork_while_a_thread_loads_waits_and_the_child_can_load():
    started, release = threading.Event(), threading.Event()

    def hold() -> None:
        with LOCK:
            started.set()
            release.wait(5)

    holder = threading.Thread(target=hold)
    holder.start()
    started.wait()
    threading.Timer(0.2, release.set).start()
    child = os.fork()
    if child == 0:  # pragma: no cover - another process
        os._exit(0 if LOCK.acquire(timeout=5) else 1)
    holder.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
