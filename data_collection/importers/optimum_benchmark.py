"""Reports of optimum-benchmark examples on one A100-80GB: one line per experiment, seconds to three digits.

Each column with a figure becomes a row: the forward pass (prefill of a generating model), the whole generate call, its
decode part, and three kinds of memory, distinguished by their unit. The precision is the data type with the
quantisation scheme of the line; `gptq` and `awq` that are only in the experiment's name are in `extra`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from data_collection.upstream.files import Tree

__all__ = ["rows"]

_GPUS = "NVIDIA A100-SXM4-80GB"
_DTYPES = {"float16": "fp16", "float32": "fp32", "": "fp32"}
_MEMORY = (("peak_memory(MB)", "memory_mb", "MB (device peak)"),
           ("max_memory_used(MB)", "memory_mb", "MB (device used, nvml)"),
           ("max_memory_allocated(MB)", "memory_mb_allocated", "MB (torch allocated)"))  # fmt: skip
_FIGURES = (  # column, metric, unit, factor, phase of a generating model
    ("forward.latency(s)", "latency_ms", "ms/batch", 1e3, "prefill"),
    ("forward.throughput(samples/s)", "throughput", "samples/s", 1.0, "prefill"),
    ("generate.latency(s)", "latency_ms", "ms/generate call", 1e3, "serving"),
    ("generate.throughput(tokens/s)", "throughput", "tokens/s", 1.0, "serving"),
    ("decode.latency(s)", "latency_ms", "ms (all new tokens)", 1e3, "decode"),
    ("decode.throughput(tokens/s)", "throughput", "tokens/s", 1.0, "decode"),
    *((f"forward.{column}", metric, unit, 1.0, "inference") for column, metric, unit in _MEMORY),
    *((f"generate.{column}", metric, unit, 1.0, "serving") for column, metric, unit in _MEMORY),
)


def rows(tree: Tree) -> Iterator[dict[str, Any]]:
    for path in tree.paths():
        for line, cells in tree.records(path):
            if _GPUS not in cells["environment.gpus"]:
                tree.bad(path, line, f"{cells['environment.gpus']!r} is no {_GPUS}")
            generates = bool(cells.get("benchmark.new_tokens"))
            row = _setting(tree, path, line, cells, generates)
            for column, metric, unit, factor, phase in _FIGURES:
                if cells.get(column):
                    value = tree.number(path, line, cells[column]) * factor
                    yield row | {"metric": metric, "unit": unit, "value": value,
                                 "phase": phase if generates else "inference"}  # fmt: skip


def _setting(tree: Tree, path: str, line: int, cells: dict[str, str], generates: bool) -> dict[str, Any]:
    provider = cells.get("backend.provider") or None
    extra: dict[str, Any] = {"experiment": cells["experiment_name"], "provider": provider}
    if generates:
        better = cells.get("backend.bettertransformer")
        extra |= {"flash_or_bt": better == "True" if better else None,
                  "new_tokens": tree.whole(path, line, cells["benchmark.new_tokens"])}  # fmt: skip
    shape = "benchmark.input_shapes."
    return {
        "ref": tree.ref(path, f"#L{line}"), "platform": "cuda", "chip": "nvidia-a100-sxm-80gb", "model": cells["model"],
        "software": " ".join(filter(None, (cells["backend.name"], cells["backend.version"], provider))),
        "precision": _precision(tree, path, line, cells), "n_chips": 1, "extra": extra,
        "batch": tree.whole(path, line, cells[f"{shape}batch_size"]),
        "seq_len": tree.whole(path, line, cells[f"{shape}sequence_length"]),
    }  # fmt: skip


def _precision(tree: Tree, path: str, line: int, cells: dict[str, str]) -> str:
    engine = cells.get("backend.provider_options.trt_fp16_enable"), cells.get("backend.auto_optimization")
    half = engine[0] == "True" or engine[1] == "O4"
    dtype = "fp16" if half else tree.known(path, line, _DTYPES, cells.get("backend.torch_dtype", ""))
    scheme = cells.get("backend.quantization_scheme")
    return f"{scheme}+{dtype}" if scheme else dtype
