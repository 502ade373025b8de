"""Mixed questions as a service gets them, over threads: none differs from what one thread answers, and memory is flat.

    python -m tests.benchmarks.service --questions 1000000 --threads 8

One thread of another process answers every distinct question first. Then the threads draw from them at random, on two
`HetBench` objects whose added chip has one name and two datasheets, while one more thread keeps adding chips to,
observing on and forgetting from a third object. The last line counts questions, differences and resident memory.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from hetbench import HetBench, HetBenchError, models, operator_types
from hetbench.schema import FAMILIES

NPU = {"name": "my-npu", "family": "cann", "fp16_tflops": 100, "fp32_tflops": 25, "mem_bw_gbs": 800, "mem_gb": 16}
OTHER = {**NPU, "family": "mlu", "mem_bw_gbs": 300}
NAMES = [
    *models(), "resnet101", "convnext_tiny", "llama-2-7b", "Qwen/Qwen3-8B", "meta-llama/Llama-3.1-8B-Instruct", "gpt3",
    "efficientnet_b9", "",
]  # fmt: skip
LANGUAGE = ("meta-llama/Llama-3.1-8B-Instruct", "Qwen/Qwen3-32B", "deepseek-ai/DeepSeek-R1")
PLACES = (*FAMILIES, "nvidia-h100-sxm5-80gb", "amd-mi300x", "intel-gaudi2", "my-npu", "h10", "")
METRICS = ("latency", "throughput", "energy", "power", "memory", "coverage", "flops", "latncy")
BATCHES = (None, 1, 2, 4, 8, 16, 64, 0, "8")
Ask = Callable[[HetBench], Any]
_REPEATED = 3
"""Power of the draw: the first questions come most often, half of all are of the first eighth."""


def _model(draw: random.Random) -> Ask:
    options = {"batch": draw.choice(BATCHES), "precision": draw.choice((None, None, "fp16", "fp32", "int8", "fp7")),
               "stack": draw.choice((None, None, None, "eager", "compiled", "vllm"))}  # fmt: skip
    options |= {"source": draw.choice((None, None, None, *FAMILIES)), "seq_len": draw.choice((None, None, 64, 512))}
    name, place, metric = draw.choice(NAMES), draw.choice(PLACES), draw.choice(METRICS)
    return lambda api: api.query(name, target=place, metric=metric, **options).to_dict()


def _operator(draw: random.Random) -> Ask:
    op, place = draw.choice(list(operator_types())), draw.choice(PLACES)
    dims = {name: draw.choice((1, 3, 7, 64, 256, 1024)) for name in operator_types()[op].dims}
    options = {"precision": draw.choice(("fp16", "fp32", "bf16")), "protocol": draw.choice(("event", "wall", "kernel"))}
    return lambda api: api.query_operator(op, dims, device=place, **options).to_dict()


def _table(draw: random.Random) -> Ask:
    rows = [(draw.choice(NAMES), draw.choice(PLACES), draw.choice(METRICS), draw.choice(BATCHES)) for _ in range(6)]
    columns = dict(zip(("model", "chip", "metric", "batch"), map(list, zip(*rows, strict=True)), strict=True))
    return lambda api: {name: list(cells) for name, cells in api.query_models(columns).items()}


def _operators(draw: random.Random) -> Ask:
    dims = [{name: draw.choice((8, 128, 1000)) for name in "mnk"} for _ in range(8)]
    columns = {"op": ["Linear"] * 8, "dims": dims, "dtype": ["fp16"] * 8, "phase": ["fwd"] * 8,
               "chip": [draw.choice(PLACES) for _ in dims]}  # fmt: skip
    return lambda api: {name: list(cells) for name, cells in api.query_operators(columns).items()}


def _serving(draw: random.Random) -> Ask:
    name, chips = draw.choice(LANGUAGE), draw.choice((1, 2, 8))
    place = draw.choice(("amd-mi300x", "cuda", "nvidia-h200-sxm-141gb"))
    load = {"input_len": draw.choice((128, 1024)), "output_len": 256, "concurrency": draw.choice((1, 8, 64))}
    metric = draw.choice(("ttft", "tpot", "latency", "throughput", "memory"))
    return lambda api: api.query(name, target=place, metric=metric, phase="serving", chips=chips, **load).to_dict()


def _insight(draw: random.Random) -> Ask:
    name, place = draw.choice(NAMES[:20]), draw.choice(FAMILIES)
    if draw.random() < 0.5:
        return lambda api: repr(api.coverage(name, place))
    return lambda api: repr(api.explain(name, target=place))


KINDS = {_model: 600, _operator: 200, _serving: 120, _table: 70, _operators: 8, _insight: 2}
"""Kinds of questions with how many in a thousand are of each."""


def question(number: int) -> Ask:
    """The question of a number, the same in every process."""
    draw = random.Random(number)
    (kind,) = draw.choices(list(KINDS), list(KINDS.values()))
    return kind(draw)


def outcome(api: HetBench, ask: Ask) -> str:
    """Eight digits of a digest of the answer, or of the message of the refusal."""
    try:
        found = repr(ask(api))
    except HetBenchError as why:
        found = str(why)
    return hashlib.blake2b(found.encode(), digest_size=4).hexdigest()


def services() -> list[HetBench]:
    """Two objects whose `my-npu` are different chips."""
    made = [HetBench(), HetBench()]
    for api, sheet in zip(made, (NPU, OTHER), strict=True):
        api.add_chip(sheet)
    return made


def resident_mb() -> float:
    """Resident memory of this process in MB (Linux)."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6


def _alone(distinct: int) -> list[list[str]]:
    """Outcomes of both objects in a process of one thread."""
    words = [sys.executable, "-m", "tests.benchmarks.service", "--alone", "--distinct", str(distinct)]
    found: list[list[str]] = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    return found


def _disturb(stop: threading.Event) -> None:
    """Keep changing an object of nobody else."""
    api, number = HetBench(), 0
    while not stop.is_set():
        number += 1
        api.add_chip({**NPU, "name": f"npu-{number % 8}", "mem_bw_gbs": 500 + number % 300})
        api.observe({"op": ["Linear"], "dims": [{"m": 64 + number % 100, "n": 512, "k": 512}], "dtype": ["fp16"],
                     "chip": ["mlu"], "latency_ms": [0.05]})  # fmt: skip
        if number % 16 == 0:
            api.forget()
        time.sleep(0.05)


def main() -> int:
    """Ask, and print a line after each tenth; exit code 1 where an answer differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=1_000_000)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--distinct", type=int, default=20_000)
    parser.add_argument("--alone", action="store_true", help="answer every distinct question once and print JSON")
    words = parser.parse_args()
    apis = services()
    if words.alone:
        print(json.dumps([[outcome(api, question(number)) for number in range(words.distinct)] for api in apis]))
        return 0
    wanted, differing, asked, stop = _alone(words.distinct), [], 0, threading.Event()
    sys.setswitchinterval(1e-4)
    threading.Thread(target=_disturb, args=(stop,), daemon=True).start()

    def ask(place: int) -> None:
        draw = random.Random(place)
        which, number = draw.randrange(2), int(words.distinct * draw.random() ** _REPEATED)
        if outcome(apis[which], question(number)) != wanted[which][number]:
            differing.append((which, number))

    step = max(words.questions // 10, 1)
    with ThreadPoolExecutor(words.threads) as pool:
        for start in range(0, words.questions, step):
            for each in range(start, min(start + step, words.questions), 5000):
                list(pool.map(ask, range(each, min(each + 5000, start + step, words.questions))))
            asked = min(start + step, words.questions)
            print(f"{asked:,} questions: {len(differing)} differ, {resident_mb():.0f} MB resident", flush=True)
    stop.set()
    print(*(f"differs: object {which}, question {number}" for which, number in differing[:20]), sep="\n")
    print(f"{asked:,} questions over {words.threads} threads: {len(differing)} differ")
    return int(bool(differing))


if __name__ == "__main__":
    sys.exit(main())
