"""Reports of ByteMLPerf's general_perf: one JSON per model and precision, on accelerators outside the five families.

Each batch size has samples per second and mean latency per batch (the 99th percentile in `extra`); with several batches
in flight neither follows from the other. The back end identifies the vendor, not always the product. The SPU runs
weights of which 15 of 16 are zero. Users' own runs of that suite give the same files.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from data_collection.upstream.files import Tree

__all__ = ["rows"]

_CHIPS = {"HPU": "habana-gaudi-unspecified", "IPU": "graphcore-c600", "SPU": "moffett-s-unspecified",
          "STC": "stream-stcp920"}  # fmt: skip
_FIGURES = (("QPS", "throughput", "samples/s"), ("AVG Latency", "latency_ms", "ms/batch"))


def rows(tree: Tree) -> Iterator[dict[str, Any]]:
    for path in tree.paths():
        try:
            report = json.loads(tree.text(path))
            runs, compiled, backend = report["Performance"], report["Graph Compile"], report["Backend"]
            model, framework, _ = report["Model"].lower().rsplit("-", 2)
        except (ValueError, KeyError) as error:
            tree.bad(path, 0, f"no report of general_perf: {error}")
        row = {
            "ref": tree.ref(path), "platform": "other", "chip": tree.known(path, 0, _CHIPS, backend), "model": model,
            "software": f"ByteMLPerf, {framework} model, back end {backend}", "phase": "inference",
            "precision": compiled["Compile Precision"].lower(), "n_chips": report.get("Device Count", 1),
        }  # fmt: skip
        extra = {"host": report.get("Host Info"), "instances": report.get("Instance Count"),
                 "dataset": report["Dataset"], "sparsity": compiled.get("Sparsity Ratio"),
                 "accuracy": report.get("Accuracy")}  # fmt: skip
        for run in runs:
            told = {name.replace("_", " "): value for name, value in run.items()}
            more = {"batch": told["BS"], "extra": extra | {"p99_latency_ms": told.get("P99 Latency")}}
            for column, metric, unit in _FIGURES:
                value = tree.number(path, 0, told.get(column))
                yield row | more | {"metric": metric, "unit": unit, "value": value}
