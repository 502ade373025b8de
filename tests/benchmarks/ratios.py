"""Processor time of this checkout against another one, in one interleaved run.

    python tests/benchmarks/ratios.py OTHER [THIS] [--rounds 3] [--only NAME ...]

Every measurement runs in fresh processes of both checkouts in turn, so that what else the machine does falls on both;
the least of the rounds counts. It prints milliseconds of processor time for each unit of work, and other / this.
Imports are also given as multiples of `import numpy`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

_SETUP = """
import random, time
from hetbench import HetBench, chips, models
api, clock = HetBench(), time.process_time
FAMILIES = ("cuda", "rocm", "oneapi", "cann", "mlu")
def report(seconds, units): print("RESULT", 1e3 * seconds / units)
def table(rows, seed):
    draw, names = random.Random(seed), list(models())
    return {"model": [draw.choice(names) for _ in range(rows)], "chip": [draw.choice(FAMILIES) for _ in range(rows)],
            "batch": [draw.randint(1, 64) for _ in range(rows)],
            "precision": [draw.choice(("fp16", "fp32")) for _ in range(rows)]}
def new_queries(names, options, batches=(3, 5, 6, 7)):
    for batch in (1, 2, 4, 8):
        for name in names:
            for family in FAMILIES: api.query(name, target=family, metric="latency", batch=batch, **options)
    times = []
    for batch in batches:
        for name in names:
            for family in FAMILIES:
                start = clock(); api.query(name, target=family, metric="latency", batch=batch, **options)
                times.append(clock() - start)
    report(sorted(times)[len(times) // 2], 1)
"""
_OPERATORS = """
import json
draw = random.Random(0); rows = 20_000
sizes = [(draw.randint(1, 4096), draw.randint(1, 4096), draw.randint(1, 4096)) for _ in range(rows)]
operators = {"op": ["Linear"] * rows, "dims": [json.dumps({"m": m, "n": n, "k": k}) for m, n, k in sizes],
             "dtype": ["fp16"] * rows, "phase": ["fwd"] * rows, "chip": ["cuda"] * rows}
api.query_operators({name: column[:100] for name, column in operators.items()})
start = clock(); api.query_operators(operators); report(clock() - start, rows)
"""
MEASURES: dict[str, tuple[str, str]] = {
    "new query, median of all models": ("query", _SETUP + "new_queries(list(models()), {})"),
    "new query, operator sums": ("query", _SETUP + "new_queries(['gpt2', 'bert-base', 'qwen2.5-7b'], "
                                                   "{'predictor': 'roofline', 'stack': 'eager'})"),
    "first query of a process": ("query", _SETUP.replace("api, clock = HetBench()", "START = time.process_time()\n"
                                 "api, clock = HetBench()") + "api.query('resnet-50', target='cuda', metric='latency');"
                                 "report(clock() - START, 1)"),
    "query_models, mixed rows": ("row", _SETUP + "api.query_models(table(200, 1)); many = table(400, 2)\n"
                                 "start = clock(); api.query_models(many); report(clock() - start, 400)"),
    "migrate over all chips": ("model", _SETUP + "api.migrate('gpt2', 'cuda'); start = clock()\n"
                               "api.migrate('bert-base', 'cuda'); report(clock() - start, 1)"),
    "query_operators": ("row", _SETUP + _OPERATORS),
    "explain": ("call", _SETUP + "api.explain('resnet-50', 'cuda', 'cann', precision='fp16'); start = clock()\n"
                "[api.explain('resnet-50', 'cuda', 'cann', precision='fp16', batch=b) for b in (3, 5, 7)]\n"
                "report(clock() - start, 3)"),
    "advise": ("call", _SETUP + "api.advise('bert-tiny', 'cuda'); start = clock()\n"
               "[api.advise('bert-tiny', 'cuda', batch=b) for b in (3, 5, 7)]; report(clock() - start, 3)"),
    "query_batch": ("architecture", _SETUP + "api = HetBench(search_space='gpt-s')\n"
                    "codes = api.search_space.sample_codes(20_000, seed=0)\napi.query_batch(codes[:10], 'cuda')\n"
                    "start = clock(); api.query_batch(codes, 'cuda'); report(clock() - start, 20_000)"),
    "query_batch, dictionaries": ("architecture", _SETUP + "api = HetBench(search_space='gpt-s')\n"
                                  "archs = api.search_space.archs(api.search_space.sample_codes(10_000, seed=0))\n"
                                  "api.query_batch(archs[:10], 'cuda')\n"
                                  "start = clock(); api.query_batch(archs, 'cuda'); report(clock() - start, 10_000)"),
    "import hetbench": ("process", "import hetbench"),
    "import and construct": ("process", "from hetbench import HetBench; HetBench()"),
    "shell": ("process", "import sys; sys.argv = ['hetbench', 'query', 'resnet-50', '--target', 'cuda', '--metric', "
              "'latency']\nfrom hetbench.cli import main\nmain()"),
    "import numpy": ("process", "import numpy"),
}  # fmt: skip
"""What is measured -> unit of work, and the program; one without a RESULT line counts as a whole process."""


def processor_ms(program: str, checkout: Path) -> float:
    """Processor time in ms that a program reports for a unit of work, or that its process takes."""
    environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    before = os.times()
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment, cwd=checkout
    )
    after = os.times()
    for line in done.stdout.splitlines():
        if line.startswith("RESULT"):
            return float(line.split()[1])
    taken = after.children_user - before.children_user + after.children_system - before.children_system
    return 1e3 * taken


def main() -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("other", type=Path)
    parser.add_argument("this", type=Path, nargs="?", default=Path(__file__).resolve().parents[2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=[])
    words = parser.parse_args()
    out = sys.stdout
    out.write(f"{'processor time in ms':36s} {'other':>10s} {'this':>10s} {'other / this':>13s}  a\n")
    for name, (unit, program) in MEASURES.items():
        if words.only and not any(part in name for part in words.only):
            continue
        found: dict[Path, list[float]] = {words.other: [], words.this: []}
        for _ in range(words.rounds):
            for checkout, times in found.items():
                times.append(processor_ms(program, checkout))
        other, this = (min(times) for times in found.values())
        out.write(f"{name:36s} {other:10.4g} {this:10.4g} {other / this:13.1f}  {unit}\n")
        out.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
