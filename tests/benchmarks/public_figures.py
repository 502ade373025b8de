"""Published figures of deployments that no training table holds, beside the answers: inside the interval or outside.

    python -m tests.benchmarks.public_figures

Throughput at maximum load is asked with as many requests in flight as the publisher queued at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hetbench import HetBench
from hetbench.errors import HetBenchError

OCI = "blogs.oracle.com: Serving Llama 3.1 405B model with AMD MI300X GPUs (vLLM benchmark_latency, 2024)"
AMD = "amd.com: ROCm hub, performance results (rocm/vllm 0.10.2 of 2025-10-06)"
TRT = "NVIDIA/TensorRT-LLM@03e27c7d:docs/source/developer-guide/perf-overview.md"
A100 = "johnmusgrave.com: vLLM throughput-latency sweep on NVIDIA A100 (vLLM 0.23.0)"
QWQ = "vllm-project/vllm#18725: QwQ-32B on 8 x H200 (2025-05)"


@dataclass(frozen=True)
class Figure:
    """One published figure and the question that it answers."""

    source: str
    metric: str
    value: float
    question: dict[str, Any]


def _asked(model: str, target: str, stack: str, precision: str, parallel: str, sizes: tuple[int, int, int]) -> Any:
    return {"model": model, "target": target, "stack": stack, "precision": precision, "parallel": parallel,
            "input_len": sizes[0], "output_len": sizes[1], "concurrency": sizes[2], "phase": "serving"}  # fmt: skip


_405B, _70B, _8B = (f"meta-llama/Meta-Llama-3.1-{size}" for size in ("405B", "70B", "8B"))
_ON_MI300X = ("amd-mi300x", "vllm 0.10.2", "fp8", "tp8")
_ON_H200, _ON_B200 = "nvidia-h200-sxm-141gb", "nvidia-b200-sxm-180gb"
FIGURES = (
    *(Figure(OCI, "latency", 1e3 * seconds, _asked(_405B, "amd-mi300x", "vllm 0.6 (2024)", "fp8", "tp8",
                                                   (128, 128, batch)))
      for batch, seconds in ((1, 3.530), (16, 4.375), (64, 6.919), (256, 17.750))),
    Figure(AMD, "throughput", 13_212.5, _asked(_70B, *_ON_MI300X, (128, 2048, 3200))),
    Figure(AMD, "throughput", 7_252.1, _asked(_70B, *_ON_MI300X, (2048, 2048, 1500))),
    Figure(AMD, "throughput", 2_153.7, _asked(_405B, *_ON_MI300X, (2048, 2048, 500))),
    Figure(TRT, "throughput", 2 * 2_582, _asked(_70B, _ON_H200, "tensorrt-llm", "fp8", "tp2", (1024, 1024, 3000))),
    Figure(TRT, "throughput", 2 * 2_209, _asked(_70B, "nvidia-h100-sxm5-80gb", "tensorrt-llm", "fp8", "tp2",
                                                (1000, 1000, 3000))),
    Figure(TRT, "throughput", 6_842, _asked(_70B, _ON_B200, "tensorrt-llm", "nvfp4", "tp1", (1024, 1024, 3000))),
    Figure(TRT, "throughput", 4 * 6_430, _asked("deepseek-ai/DeepSeek-R1", _ON_B200, "tensorrt-llm", "nvfp4", "dp4ep4",
                                                (1024, 1024, 3000))),
    Figure(TRT, "throughput", 11_403, _asked("openai/gpt-oss-20b", "nvidia-h100-sxm5-80gb", "tensorrt-llm", "mxfp4",
                                             "tp1", (1024, 1024, 3000))),
    Figure(A100, "throughput", 75, _asked(_8B, "nvidia-a100-sxm4-40gb", "vllm 0.23.0", "bf16", "tp1", (1024, 128, 1))),
    Figure(A100, "throughput", 6.6 * 75, _asked(_8B, "nvidia-a100-sxm4-40gb", "vllm 0.23.0", "bf16", "tp1",
                                                (1024, 128, 8))),
    Figure(QWQ, "tpot", 6.49, _asked("Qwen/QwQ-32B", _ON_H200, "vllm 0.8.5", "bf16", "tp8", (137, 266, 1))),
)  # fmt: skip


def lines() -> list[str]:
    """One line a figure, and how many lie inside."""
    api, out, inside, answered = HetBench(), [], 0, 0
    for each in FIGURES:
        asked = each.question
        head = (f"{asked['model'].rpartition('/')[2]} {asked['precision']} {asked['target']} {asked['parallel']} "
                f"{asked['stack']} {asked['input_len']}/{asked['output_len']} x {asked['concurrency']}")  # fmt: skip
        try:
            found = api.query(metric=each.metric, **asked)
        except HetBenchError as why:
            out.append(f"{head}: {each.metric} {each.value:,.4g}; refused: {why}")
            continue
        answered += 1
        held = found.lower is not None and found.upper is not None and found.lower <= each.value <= found.upper
        inside += held
        out.append(f"{head}: {each.metric} {each.value:,.4g} {found.unit}; answer {found.value:,.4g} "
                   f"[{found.lower:,.4g}, {found.upper:,.4g}] level {found.level}: "
                   f"{'inside' if held else 'outside'} ({100 * (found.value / each.value - 1):+.0f} %)  "
                   f"[{each.source}]")  # fmt: skip
    return [*out, f"{inside} of {answered} inside the 90 % interval"]


if __name__ == "__main__":
    print("\n".join(lines()))
