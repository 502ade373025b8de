"""LLM-Inference-Bench of Argonne: end-to-end time of one batch, and tokens per second (input plus output tokens).

A line has seconds and tokens/s: two rows. Tables of time to first token are of runs with one output token. The batch of
llama.cpp is its prompt chunk, not a number of sequences, and is left empty. Hardware that is not listed here is not
read: Intel GPUs without a statement of tiles, SambaNova.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from data_collection.upstream.files import Tree

__all__ = ["rows"]

_CHIPS = {
    "Nvidia A100 GPU": ("cuda", "nvidia-a100-sxm-40gb"), "Nvidia H100 GPU": ("cuda", "nvidia-h100-sxm-80gb"),
    "Nvidia GH200 GPU": ("cuda", "nvidia-gh200-96gb"), "AMD MI250 GPU": ("rocm", "amd-mi250"),
    "AMD MI300X GPU": ("rocm", "amd-mi300x"), "Habana Gaudi2": ("other", "intel-gaudi2"),
}  # fmt: skip
_WHOLE = "ms/batch end-to-end (prefill+decode)"
_CHUNK = "llama-bench -b (n_batch, prompt chunk), not concurrent sequences; batch column left empty"
_FIGURES = (  # column, metric, unit, factor, phase
    ("latency", "latency_ms", _WHOLE, 1e3, "serving"),
    ("throughput", "throughput", "tokens/s (in+out tokens)", 1.0, "serving"),
    ("ttft latency", "ttft_ms", "ms (latency of 1-token run)", 1e3, "prefill"),
    ("end_latency", "latency_ms", "ms/batch end-to-end", 1e3, "serving"),
)
_FIRST = ("ttft_ms", "ms (latency of 1-token run)", 1e3, "prefill")


def rows(tree: Tree) -> Iterator[dict[str, Any]]:
    for path in tree.paths():
        for line, cells in tree.records(path, short=True):
            told = {name.strip(): cell.strip() for name, cell in cells.items()}
            if told["Hardware"] in _CHIPS:
                yield from _rows(tree, path, line, told)
            else:
                tree.leave_out(f"hardware that is not read: {told['Hardware']}")


def _rows(tree: Tree, path: str, line: int, told: dict[str, str]) -> Iterator[dict[str, Any]]:
    platform, chip = _CHIPS[told["Hardware"]]
    equal = told.get("Input Output Length")
    into = tree.whole(path, line, equal or told["Input Length"])
    out = tree.whole(path, line, equal or told["Output Length"])
    chunked = told["Framework"] == "llama.cpp"
    chips = tree.whole(path, line, told["Num of Hardware"])
    extra = {name: _value(cell) for name, cell in told.items() if name not in ("Hardware", "Model") and cell}
    extra |= {"hardware_label": told["Hardware"], "in_len": into, "out_len": out}
    if chunked:
        extra["note"] = _CHUNK
    row = {
        "ref": tree.ref(path, f"#L{line}"), "platform": platform, "chip": chip, "software": told["Framework"],
        "model": told["Model"], "precision": _precision(told), "seq_len": into, "n_chips": chips, "extra": extra,
        "batch": None if chunked else tree.whole(path, line, told["Batch Size"]),
    }  # fmt: skip
    lower = {name.lower(): cell for name, cell in told.items()}
    for column, metric, unit, factor, phase in _FIGURES:
        if lower.get(column):
            if column == "latency" and out == 1:
                metric, unit, factor, phase = _FIRST
            value = tree.number(path, line, lower[column]) * factor
            yield row | {"metric": metric, "unit": unit, "value": value, "phase": phase}


def _precision(told: dict[str, str]) -> str:
    weight = re.search(r"Weight = (\w+)", told.get("kv_cache_dtype", ""))
    return f"w:{weight[1]}" if weight else "fp16"


def _value(cell: str) -> int | float | str:
    try:
        value = float(cell)
    except ValueError:
        return cell
    return int(value) if value.is_integer() and "." not in cell else value
