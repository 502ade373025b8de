"""Tables 4 to 8 of Het-Benchmark from today's answers, and a compatibility matrix: `python -m plotting.tables --seed`.

Het-Benchmark (wangjingyi34/Het-Benchmark@fdc832d) asks five questions of 34 models and five platforms; these are the
same tables with this project's answers. A figure that is not known is an empty cell. Table 8 there has a column of
errors: here an answer is either the measured row itself or a prediction, and the errors of predictions are those of
rows held out, in `surrogates/report.md`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from hetbench import HetBench
from hetbench.catalog.chips import default_chip
from hetbench.catalog.models import models
from hetbench.catalog.support import SUPPORT
from hetbench.errors import RefusedError
from hetbench.graphs import load, operator_coverage
from hetbench.operators import operator_type
from hetbench.schema import FAMILIES, itemsize

__all__ = ["OPERATORS", "TABLES", "compatibility", "write"]

RUNS = ("native", "composite")
"""Support states of operators that run on the chip."""
ROOM = 0.9
"""Share of the chip's memory that a model may use; the rest is left to the runtime and its allocator."""
RULE = (
    "runs: every eager operator call is registered by the back end or composed of registered ones, and weights, "
    "activations and cache need at most 90 % of the chip's memory; null: not known. times_best: latency over that of "
    "the fastest of these chips for the model, each on its default precision and stack; null without an answer."
)
OPERATORS: tuple[tuple[str, dict[str, int]], ...] = (
    ("Linear", {"m": 32768, "n": 1024, "k": 1024}), ("Linear", {"m": 131072, "n": 4096, "k": 4096}),
    ("Linear", {"m": 512, "n": 768, "k": 768}), ("LayerNorm", {"rows": 16384, "cols": 768}),
    ("LayerNorm", {"rows": 65536, "cols": 1024}), ("RMSNorm", {"rows": 16384, "cols": 3584}),
    ("Softmax", {"rows": 196608, "cols": 512}), ("GELU", {"numel": 50331648}), ("SiLU", {"numel": 310378496}),
    ("ReLU", {"numel": 25690112}), ("Conv2d", {"n": 32, "c": 64, "h": 224, "w": 224, "oc": 64, "kh": 3, "kw": 3,
     "stride": 1, "pad": 1, "groups": 1}), ("Conv2d", {"n": 32, "c": 256, "h": 56, "w": 56, "oc": 256, "kh": 3,
     "kw": 3, "stride": 1, "pad": 1, "groups": 1}), ("Conv2d", {"n": 1, "c": 3, "h": 224, "w": 224, "oc": 64, "kh": 7,
     "kw": 7, "stride": 2, "pad": 3, "groups": 1}), ("Embedding", {"tokens": 16384, "dim": 768}),
)  # fmt: skip
"""Operators of its table 6, with the dims that its shapes leave open as usual networks have them."""
_PRECISION = "fp16"
CROSS = ("qwen2.5-7b", "mistral-7b", "phi-3-mini", "resnet-50", "vit-base", "swin-base", "bert-base", "t5-base",
         "whisper-large-v3", "clip-vit-l-14")  # fmt: skip
"""Models of its table 8; of Whisper and CLIP the sizes of the catalogue."""


def _asked(question: Callable[[], Any]) -> Any:
    """The answer, or None where it is refused."""
    try:
        return question()
    except RefusedError:
        return None


def models_table(api: HetBench) -> pd.DataFrame:
    """Table 4: model, category, parameters, operator runs and types of one pass, architecture, source."""
    rows = []
    for name, model in models().items():
        groups = load(name).operators().groups
        rows.append({
            "model": name, "category": model.category, "parameters": int(api.query(name, metric="params").value),
            "operator_runs": sum(int(each.count.sum()) for each in groups),
            "operator_types": len({each.op for each in groups}),
            "architecture": model.architecture, "source": model.hf_id,
        })  # fmt: skip
    return pd.DataFrame(rows)


def coverage_table(api: HetBench) -> pd.DataFrame:
    """Table 5: by family, the distinct ATen operators that the models call and how many of them run there."""
    rows = []
    for family in FAMILIES:
        chip, status, software = default_chip(family)[0], {}, ""
        for name in models():
            found = operator_coverage(load(name), chip)
            status |= {each.operator: each.status for each in found.operators}
            software = found.title
        counts = {state: list(status.values()).count(state) for state in SUPPORT}
        runs = sum(counts[state] for state in RUNS)
        rows.append({"family": family, "vendor": chip.vendor, "chip": chip.name, "software": software,
                     "operators": len(status), "run": runs, **counts, "percent": 100 * runs / len(status)})  # fmt: skip
    return pd.DataFrame(rows)


def operators_table(api: HetBench) -> pd.DataFrame:
    """Table 6: latency of operators in fp16 on each family's default chip, calls per second, bytes moved."""
    rows = []
    for name, dims in OPERATORS:
        moved = operator_type(name).bytes_moved(dims, itemsize(_PRECISION)) / 1e6
        for family in FAMILIES:
            found = _asked(lambda n=name, d=dims, f=family: api.query_operator(n, d, device=f, precision=_PRECISION))
            row = {"operator": name, "dims": json.dumps(dims), "precision": _PRECISION, "family": family}
            rows.append(row | _figures(found) | {
                "calls_per_s": None if found is None else 1e3 / found.value, "moved_mb": moved,
            })  # fmt: skip
    return pd.DataFrame(rows)


def attribution_table(api: HetBench) -> pd.DataFrame:
    """Table 7: by family and group of operators, runs over all models and Shapley value of their latencies, in ms."""
    rows = []
    for family in FAMILIES:
        for name in models():
            found = _asked(lambda n=name, f=family: api.explain(n, target=f))
            if found is not None:
                total = sum(each.value_ms for each in found.groups)
                rows += [{"family": family, "operator": each.name, "runs": each.count, "shapley_ms": each.value_ms,
                          "percent": 100 * each.value_ms / total} for each in found.groups]  # fmt: skip
    made = pd.DataFrame(rows).groupby(["family", "operator"], sort=False)
    out = made.agg(models=("runs", "size"), runs=("runs", "sum"), shapley_ms=("shapley_ms", "sum"),
                   mean_percent=("percent", "mean")).reset_index()  # fmt: skip
    return out.sort_values(["family", "shapley_ms"], ascending=[True, False], ignore_index=True)


def cross_table(api: HetBench) -> pd.DataFrame:
    """Table 8: latency of ten models on each family, asked from cuda: value, 90 % interval, level, and the ratio."""
    rows = []
    for name in CROSS:
        for family in FAMILIES:
            found = _asked(lambda n=name, f=family: api.query(n, source="cuda", target=f, metric="latency"))
            rows.append({"model": name, "source": "cuda", "target": family, **_figures(found),
                         "precision": found and found.precision, "stack": found and found.stack,
                         "times_source": found and found.ratio})  # fmt: skip
    return pd.DataFrame(rows)


def _figures(found: Any) -> dict[str, Any]:
    """The columns of an answer; all empty where it was refused."""
    names = {"chip": "chip", "latency_ms": "value", "lower_ms": "lower", "upper_ms": "upper", "kind": "kind",
             "level": "level"}  # fmt: skip
    return {column: None if found is None else getattr(found, name) for column, name in names.items()}


TABLES: dict[str, Callable[[HetBench], pd.DataFrame]] = {
    "table4_models": models_table, "table5_operator_coverage": coverage_table, "table6_operators": operators_table,
    "table7_attribution": attribution_table, "table8_cross_platform": cross_table,
}  # fmt: skip


def compatibility(api: HetBench, names: Sequence[str] | None = None) -> dict[str, Any]:
    """Models x default chips as plain values: coverage, memory, latency with interval and level, and `times_best`."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for name in names or models():
        cells = {family: _cell(api, name, family) for family in FAMILIES}
        known = [each["latency_ms"] for each in cells.values() if each["latency_ms"] is not None]
        for cell in cells.values():
            cell["times_best"] = None if cell["latency_ms"] is None else cell["latency_ms"] / min(known)
        found[name] = cells
    return {"rule": RULE, "models": found}


def _cell(api: HetBench, name: str, family: str) -> dict[str, Any]:
    chip = default_chip(family)[0]
    latency = _asked(lambda: api.query(name, target=family, metric="latency"))
    memory = _asked(lambda: api.query(name, target=family, metric="memory"))
    covered = _asked(lambda: operator_coverage(load(name), chip).share)
    fits = None if memory is None or chip.memory_bytes is None else memory.value * 1e6 <= ROOM * chip.memory_bytes
    runs = None if fits is None or covered is None else bool(fits and covered == 100)
    return {**_figures(latency), "chip": chip.name, "precision": latency and latency.precision,
            "stack": latency and latency.stack, "coverage_percent": covered, "needs_mb": memory and memory.value,
            "fits": fits, "runs": runs}  # fmt: skip


def write(out: Path) -> list[tuple[Path, int]]:
    """Write the five tables as CSV and the matrix as JSON; each file with its rows."""
    out.mkdir(parents=True, exist_ok=True)
    api, made = HetBench(), []
    for name, table in TABLES.items():
        frame = table(api)
        frame.to_csv(out / f"{name}.csv", index=False, float_format="%.6g")
        made.append((out / f"{name}.csv", len(frame)))
    matrix = compatibility(api)
    path = out / "compatibility.json"
    path.write_text(json.dumps(matrix, indent=1) + "\n", encoding="utf-8")
    return [*made, (path, len(matrix["models"]))]
