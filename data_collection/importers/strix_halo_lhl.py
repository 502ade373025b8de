"""llama-bench of llama.cpp on AMD Strix Halo (Radeon 8060S): tokens per second, power and memory of each test.

A line of `results.jsonl` is one test: a prompt of n tokens (pp) or the generation of n tokens (tg), mean of the
repeats. Power is the mean of the package sensor while the test runs, idle times included where the test is short;
memory is what the test allocated in GTT. `seq_len` is the number of tokens of the test. Tests of Vulkan back ends have
platform `other`. Failed tests and missing figures are counted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from data_collection.upstream.differences import Known
from data_collection.upstream.files import Tree

__all__ = ["KNOWN", "rows"]

KNOWN = (Known("here", "tests that the prepared table keeps back", lambda row: True),)

_PHASES = {"pp": "prefill", "tg": "decode"}
_FIGURES = (
    ("tokens_per_sec", "throughput", "tokens/s"),
    ("avg_power_w", "power_w", "W mean of the APU package (amdgpu sensor) during the test"),
    ("gtt_delta_mib", "memory_mb", "MiB GTT allocated (peak minus start)"),
)
_FORMAT = re.compile(r"[-.](F16|BF16|Q\d\w*)(?:-\d+-of-\d+)?\.gguf$")


def rows(tree: Tree) -> Iterator[dict[str, Any]]:
    for path in tree.paths():
        for line, text in enumerate(tree.text(path).splitlines(), start=1):
            if not text.strip():
                continue
            try:
                told = json.loads(text)
            except ValueError:
                tree.bad(path, line, "no JSON")
            if (told.get("bench_raw") or {}).get("model_filename"):
                yield from _rows(tree, path, line, told)
            else:
                tree.leave_out("a test that failed: llama-bench gave no result")


def _rows(tree: Tree, path: str, line: int, told: dict[str, Any]) -> Iterator[dict[str, Any]]:
    bench = told["bench_raw"]
    phase = tree.known(path, line, _PHASES, told["mode"])
    model = bench["model_filename"].rsplit("/", 1)[1]
    extra = {
        "n_prompt": bench["n_prompt"], "n_gen": bench["n_gen"], "depth": bench.get("n_depth", 0),
        "build": bench["build_commit"], "backend": bench["backends"], "variant": told["build"],
        "flash_attn": bench["flash_attn"], "batch": bench["n_batch"], "ubatch": bench["n_ubatch"],
        "stddev_ts": bench["stddev_ts"], "repeats": len(bench["samples_ns"]), "model_type": bench["model_type"],
        "n_params": bench["model_n_params"], "cpu": bench["cpu_info"], "gpu": bench["gpu_info"],
    } | ({"hipblaslt": told["hipblaslt"]} if told.get("hipblaslt") else {})  # fmt: skip
    words = ("llama.cpp", bench["build_number"], told["build"], bench["backends"],
             "flash-attn" if bench["flash_attn"] else "", told.get("hipblaslt") or "")  # fmt: skip
    row = {
        "ref": tree.ref(path, f"#L{line}"), "platform": "rocm" if "ROCm" in bench["backends"] else "other",
        "chip": "amd-radeon-8060s", "software": " ".join(str(word) for word in words if word), "model": model,
        "precision": _precision(tree, path, line, model), "batch": 1, "seq_len": bench["n_prompt"] or bench["n_gen"],
        "phase": phase, "n_chips": 1, "extra": extra,
    }  # fmt: skip
    for name, metric, unit in _FIGURES:
        if not told.get(name):
            tree.leave_out(f"a test without {name}")
            continue
        yield row | {"metric": metric, "unit": unit, "value": tree.number(path, line, told[name])}


def _precision(tree: Tree, path: str, line: int, model: str) -> str:
    found = _FORMAT.search(model)
    if not found:
        tree.bad(path, line, f"no weight format in {model!r}")
    return f"w:{found[1].lower()}"
