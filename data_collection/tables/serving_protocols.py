"""How published serving runs were made: which statistic of TTFT they state, and how long the scheduler held requests.

InferenceX runs the client of vLLM with ten prompts for each request in flight, lengths drawn from 0.8 to 1 of the
stated ones, and arrivals as soon as a request ends; the first wave arrives at once. Its own rows are medians, which
that wave hardly moves; AIConfigurator's silicon table has the means of the same runs (equal TPOT, longer TTFT), and
ROCm ATOM states means as well. Settings of schedulers are those of the run scripts (SemiAnalysisAI/InferenceX@843c625
and @c198b20).
"""

from __future__ import annotations

from typing import Any

__all__ = ["chunk", "held", "statistic"]

_MEDIANS = ("inferencex", "dstack", "serving_cookbooks")
_BLACKWELL = ("nvidia-b200-sxm-180gb", "nvidia-b300-sxm")
_RUNS = ("inferencex", "aiconfigurator_silicon")


def statistic(source: str) -> str:
    """`median` or `mean` of the requests of a run.

    >>> statistic("inferencex"), statistic("rocm_atom")
    ('median', 'mean')
    """
    return "median" if source in _MEDIANS else "mean"


def held(row: dict[str, Any]) -> float:
    """Iterations that a request waits, on average, before the scheduler looks at it; 0 by default.

    TensorRT-LLM gathers prompts for `batch_wait_timeout_iters` iterations; SGLang looks for arrivals every
    `scheduler-recv-interval` iterations, of which a request waits half.

    >>> held({"source": "inferencex", "engine": "sglang", "model": "deepseek-ai/DeepSeek-R1", "concurrency": 16,
    ...       "chip": "nvidia-b200-sxm-180gb", "tp": 8, "input_len": 1024, "output_len": 1024, "weights": "fp8"})
    15.0
    """
    if row["source"] not in _RUNS or not row.get("concurrency"):
        return 0.0
    short = row["input_len"] == 1024 and row["output_len"] == 1024
    if row["engine"] == "tensorrt-llm" and "Llama-3" in row["model"] and "70B" in row["model"]:
        return 20.0 if short and (row["tp"] or 8) < 8 else 0.0
    if row["engine"] == "sglang" and row["chip"] in _BLACKWELL and "DeepSeek-R1" in row["model"]:
        return 15.0 if row["concurrency"] >= 16 and row["tp"] == 8 else 5.0
    return 0.0


def chunk(row: dict[str, Any], month: str) -> float:
    """Tokens of prompts that one iteration takes at most, where a run script states other than is usual; else 0.

    The scripts of DeepSeek-R1 under TensorRT-LLM leave room for one prompt beside the running requests, until
    late January 2026, from when they leave at least 8192; `month` is that of the run, as 2025-11.

    >>> chunk({"source": "inferencex", "engine": "tensorrt-llm", "model": "deepseek-ai/DeepSeek-R1",
    ...        "concurrency": 64, "input_len": 1024}, "2025-11")
    1152.0
    """
    if row["source"] not in _RUNS or row["engine"] != "tensorrt-llm" or "DeepSeek-R1" not in row["model"]:
        return 0.0
    if not month or month >= "2026-02" or not row.get("concurrency") or not row.get("input_len"):
        return 0.0
    return float((row["concurrency"] + row["input_len"] + 127) // 64 * 64)
