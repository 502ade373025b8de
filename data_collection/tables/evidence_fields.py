"""What the fields of published data sets mean: stack, statistic, generated tokens, and how far a row may be used.

A row has one of three uses. `answer`: every setting is stated and the figure is what a query asks for, so the row may
be the answer. `compare`: it may be shown beside a prediction, but something is inferred, slightly different or made of
several calls (`note` says what). `show`: a setting is unknown or cannot be asked for. The reason is next to each entry.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from hetbench.query.software import stated_stack

USES = ("answer", "compare", "show")

PRECISIONS = {
    "amp_fp16": "fp16", "unspecified": None, "unstated": None, "bf16/fp16 (upstream default)": None,
}  # fmt: skip

# metric of the corpus -> metric and unit of the table
METRICS = {
    "latency_ms": ("latency", "ms"), "throughput": ("throughput", "1/s"), "energy_j": ("energy", "J"),
    "power_w": ("power", "W"), "memory_mb": ("memory", "MB"), "ttft_ms": ("time_to_first_token", "ms"),
    "tpot_ms": ("time_per_token", "ms"),
}  # fmt: skip


# settings of LLM-Inference-Bench that change the computation, and their usual values
SPECIAL = ("KV Cache", "kv_cache_dtype", "speculative_decoding", "speculative model", "num speculative tokens")
USUAL = ("With KV Cache", "Without Speculative Decoding", "Weight = fp16, KV Cache = fp16")


def stack(row: Mapping[str, Any], extra: Mapping[str, Any]) -> str | None:
    """The software stack of a row; None if upstream does not state it.

    PyTorch without a named compiler is `eager`. Autocast (AMP) and channels-last layout are stacks of their own,
    `eager-amp` and `eager-amp-nhwc`: other kernels compute the same network.

    >>> stack({"software": "pytorch 2.4.0 cuda 12.4 timm", "precision": "amp_fp16"}, {"layout": "nhwc"})
    'eager-amp-nhwc'
    """
    found = stated_stack(row["software"] or "")
    if found is None:
        return None
    headings = f"{extra.get('heading') or ''} {extra.get('ctx') or ''}"
    if "Paddle-TRT" in headings:
        found = "paddle-tensorrt"
    if "+ XLA" in headings or "xla" in str(extra.get("column", "")).lower():
        found += "-xla"
    if row["precision"] == "amp_fp16":
        found += "-amp"
    return found + ("-nhwc" if extra.get("layout") == "nhwc" else "")


def statistic(row: Mapping[str, Any], extra: Mapping[str, Any]) -> str:
    """Statistic over the repeats: mean, median, p90 ..., or unknown.

    >>> statistic({"file": "nvidia_dle"}, {"column": "Latency 95%"}), statistic({"file": "timm"}, {})
    ('p95', 'mean')
    """
    if "stat" in extra:
        return "mean" if extra["stat"].startswith("mean") else str(extra["stat"])
    column = str(extra.get("column", ""))
    percentile = re.search(r"(\d\d)\s?%", column)
    if percentile:
        return "median" if percentile[1] == "50" else f"p{percentile[1]}"
    if re.search(r"avg|average|mean", column, re.IGNORECASE):
        return "mean"
    return "mean" if row["file"] in ("timm", "co2_inference", "optimum_benchmark", "ascend_modelzoo") else "unknown"


def new_tokens(row: Mapping[str, Any], extra: Mapping[str, Any]) -> int | None:
    """Number of tokens that a request generates; None if it generates none or upstream does not state it.

    >>> new_tokens({"file": "llm_inference_bench", "unit": "ms/batch end-to-end (prefill+decode)"}, {"out_len": 128})
    128
    """
    if row["file"] == "llm_inference_bench" and row["unit"] == "ms/batch end-to-end (prefill+decode)":
        return extra.get("out_len")
    if row["file"] == "optimum_benchmark" and row["unit"] == "ms/generate call":
        return extra.get("new_tokens")
    return None


def limit(row: Mapping[str, Any], extra: Mapping[str, Any]) -> tuple[str, str]:
    """The most that a row may be used for, and the reason for the note; ("answer", "") if unrestricted.

    >>> limit({"file": "intel_neural_compressor"}, {})[0]
    'show'
    """
    return _LIMITS.get(row["file"], _free)(row, extra)


def _free(row: Mapping[str, Any], extra: Mapping[str, Any]) -> tuple[str, str]:
    return "answer", ""


def _co2(row: Mapping[str, Any], extra: Mapping[str, Any]) -> tuple[str, str]:
    why = f"whole transformers pipeline with pre- and post-processing on the CPU, task {extra['task']}"
    if row["metric"] in ("energy_j", "power_w"):
        why += "; the sum of the node's 8 GPUs, 7 of them idle"
    return "show", why


def _compressor(row: Mapping[str, Any], extra: Mapping[str, Any]) -> tuple[str, str]:
    return "show", f"summed over the instances on one socket: {extra.get('config', 'instances not stated')}"


def _llm_bench(row: Mapping[str, Any], extra: Mapping[str, Any]) -> tuple[str, str]:
    if row["metric"] != "ttft_ms":
        why = "prefill and decode of one batch"
        special = [f"{name} {extra[name]}" for name in SPECIAL if extra.get(name) not in (None, "", *USUAL)]
        if special:
            return "show", f"{why}; {', '.join(special)}"
        if row["chip"] == "amd-mi250":
            why += "; one or both dies of the MI250 is not stated"
        return "compare", why + ("; llama-bench, concurrent sequences not stated" if row["batch"] is None else "")
    if row["chip"] == "amd-mi250":
        return "compare", "run with one output token; one or both dies of the MI250 is not stated"
    return "answer", "run with one output token"


def _mlperf(row: Mapping[str, Any], extra: Mapping[str, Any]) -> tuple[str, str]:
    why = f"MLPerf {extra['mlperf_version']} {extra['division']} {extra['scenario']}, {extra.get('submitter', '')}"
    if row["metric"] in ("energy_j", "power_w"):
        return "show", f"{why}; the whole system at the wall"
    return ("compare" if extra["scenario"] == "SingleStream" else "show"), why


def _mlenergy(row: Mapping[str, Any], extra: Mapping[str, Any]) -> tuple[str, str]:
    return "show", f"serving in steady state, mean batch {extra['Avg BS (reqs)']:.0f}, task {extra['task']}"


def _dle(row: Mapping[str, Any], extra: Mapping[str, Any]) -> tuple[str, str]:
    if row["our"] == "BERT-Base":
        return "answer", "with the SQuAD head"
    return "answer", ""


def _faster(row: Mapping[str, Any], extra: Mapping[str, Any]) -> tuple[str, str]:
    if "EFF-FT" in row["software"]:
        return "show", "padding removed: the mean length is half of seq_len"
    if row["our"] == "BERT-Base":
        return "compare", "the 12 encoder layers alone, without embeddings and pooler"
    if row["phase"] == "serving":
        return "show", f"generation: {extra.get('ctx', '')}"
    if row["precision"] == "fp32" and "TF32_OVERRIDE" in str(extra.get("ctx")):
        return "show", "whether TF32 was on is not stated"
    return "answer", ""


def _optimum(row: Mapping[str, Any], extra: Mapping[str, Any]) -> tuple[str, str]:
    if row["our"] == "BERT-Base":
        return "compare", "bge-base, the BERT-Base encoder"
    return "answer", ""


def _openvino(row: Mapping[str, Any], extra: Mapping[str, Any]) -> tuple[str, str]:
    if row["metric"] == "memory_mb":
        return "show", "largest resident memory of the process"
    if row["metric"] == "tpot_ms":
        return "compare", "mean over the tokens after the first: the cache grows from the prompt of seq_len tokens"
    if row["metric"] == "ttft_ms":
        return "answer", "time to the first token"
    if row["batch"] is None:
        return "show", "batch and streams of the throughput mode are not stated"
    return "answer", ""


def _cann(row: Mapping[str, Any], extra: Mapping[str, Any]) -> tuple[str, str]:
    return "show", "precision not stated"


_LIMITS = {
    "co2_inference": _co2, "intel_neural_compressor": _compressor, "llm_inference_bench": _llm_bench,
    "mlperf_inference": _mlperf, "mlenergy": _mlenergy, "nvidia_dle": _dle, "nvidia_fastertransformer": _faster,
    "optimum_benchmark": _optimum, "openvino": _openvino, "ascend_modelzoo": _cann, "ascend_mindformers": _cann,
}  # fmt: skip
