"""Speed and size against their targets: `python -m pytest tests/benchmarks -p no:randomly`, not part of the suite.

| what | target |
|---|---|
| import hetbench | 0.2 s |
| HetBench() | 0.2 s |
| a repeated query | 10 us |
| a new catalogue query, median | 0.5 ms |
| operator rows in a table, 2 cores | 300,000 a second |
| architectures of a space, 2 cores | 50,000 a second |
| resident size of a process that queried | 200 MB |
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from typing import Any

import numpy as np

from hetbench import HetBench, models
from hetbench.schema import FAMILIES

_CODE = "import time; start = time.perf_counter(); {}; print(time.perf_counter() - start)"


def _report(what: str, figure: float, unit: str, target: str) -> None:
    print(f"\n{what}: {figure:,.4g} {unit} (target {target})", file=sys.stderr)


def _fresh(statement: str, setup: str = "") -> float:
    """Median of five seconds, each of a fresh process."""
    times = []
    for _ in range(5):
        done = subprocess.run(
            [sys.executable, "-c", f"{setup}\n{_CODE.format(statement)}"], capture_output=True, text=True, check=True
        )
        times.append(float(done.stdout.split()[-1]))
    return statistics.median(times)


def test_import():
    _report("import hetbench", _fresh("import hetbench"), "s", "<= 0.2 s")
    _report("import hetbench with HetBench", _fresh("from hetbench import HetBench"), "s", "<= 0.2 s")


def test_construction():
    _report("HetBench()", _fresh("HetBench()", "from hetbench import HetBench"), "s", "<= 0.2 s")
    first = _fresh("HetBench().query('resnet-50', target='cann', metric='latency')", "from hetbench import HetBench")
    _report("first query of a process, construction included", first, "s", "none")


def test_a_repeated_query(benchmark: Any):
    api = HetBench()
    benchmark(lambda: api.query("resnet-50", target="cann", metric="latency", batch=8))
    _report("repeated query", 1e6 * benchmark.stats.stats.median, "us", "<= 10 us")


def test_a_new_query():
    api = HetBench()
    for name in models():  # graphs and surrogates are read once a process
        api.query(name, device=list(FAMILIES), metric="latency")
    times = []
    for name, record in models().items():
        for family in FAMILIES:
            for batch in (3, 5, 6, 7):
                start = time.perf_counter()
                api.query(name, target=family, metric="latency", batch=batch)
                times.append((time.perf_counter() - start, record.category))
    taken = sorted(1e3 * seconds for seconds, _ in times)
    _report("new query, median", taken[len(taken) // 2], "ms", "<= 0.5 ms")
    _report("new query, 95th percentile", taken[int(0.95 * len(taken))], "ms", "none")
    for kind in sorted({category for _, category in times}):
        median = statistics.median(1e3 * seconds for seconds, category in times if category == kind)
        _report(f"new query of {kind}, median", median, "ms", "none")


def operator_rows(rows: int) -> dict[str, list[Any]]:
    """A table of GEMM, norm, elementwise and attention rows on two chips, sizes drawn with a fixed seed."""
    draw = np.random.default_rng(0)
    size = draw.integers(1, 4096, (rows, 3)).tolist()
    dims = {
        "Linear": lambda m, n, k: {"m": m, "n": n, "k": k},
        "LayerNorm": lambda m, n, k: {"rows": m, "cols": n},
        "Add": lambda m, n, k: {"numel": m * n},
        "Attention": lambda m, n, k: {
            "batch": 1 + k % 32, "q_len": m, "kv_len": m, "heads": 16, "kv_heads": 16, "head_dim": 64, "causal": 1,
        },
    }  # fmt: skip
    ops = [list(dims)[index] for index in draw.integers(0, 4, rows)]
    chips = [("nvidia-a100-sxm4-80gb", "amd-mi210")[index] for index in draw.integers(0, 2, rows)]
    return {
        "op": ops, "dims": [json.dumps(dims[op](*sizes)) for op, sizes in zip(ops, size, strict=True)],
        "dtype": ["fp16"] * rows, "phase": ["fwd"] * rows, "chip": chips,
    }  # fmt: skip


def test_a_table_of_operators():
    api, table = HetBench(), operator_rows(300_000)
    api.query_operators({name: column[:1000] for name, column in table.items()})
    for predictor in ("auto", "roofline"):
        start = time.perf_counter()
        found = api.query_operators(table, predictor=predictor)
        taken = time.perf_counter() - start
        assert not (found["reason"] != "").any()
        _report(f"300,000 operator rows, {predictor}", 300_000 / taken, "rows/s", ">= 300,000 rows/s")


def test_a_batch_of_architectures():
    for name in ("gpt-l", "resnet"):
        api = HetBench(search_space=name)
        codes = api.search_space.sample_codes(200_000, seed=0)
        for family in FAMILIES:
            api.query_batch(codes[:1], family)
            start = time.perf_counter()
            api.query_batch(codes, family)
            taken = time.perf_counter() - start
            _report(f"{name} architectures on {family}", len(codes) / taken, "/s", ">= 50,000 /s")


def test_a_table_of_models():
    api = HetBench()
    names = [name for name in models() for _ in range(300)]
    table = {"model": names, "chip": ["cuda"] * len(names), "batch": [1 + i % 300 for i in range(len(names))]}
    start = time.perf_counter()
    found = api.query_models(table)
    taken = time.perf_counter() - start
    assert not (found["reason"] != "").any()
    _report("model rows of a table, all new", len(names) / taken, "rows/s", "none yet")


def test_resident_size():
    code = (
        "import resource\nfrom hetbench import HetBench, models\napi = HetBench()\n"
        "for name in models(): api.query(name, device=['cuda', 'rocm', 'oneapi', 'cann', 'mlu'], metric='latency')\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    _report("resident size after all models on all families", float(done.stdout), "MB", "<= 200 MB")
