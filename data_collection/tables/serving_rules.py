"""Names in published serving rows: models to checkpoints, software to engine and version, precision to format."""

from __future__ import annotations

import re

FORMATS = {
    "fp8": "fp8", "fp8 (native checkpoint)": "fp8", "mxfp4": "mxfp4", "mxfp4 (native checkpoint)": "mxfp4",
    "fp4": "nvfp4", "int4": "w4a16", "bf16": "bf16", "fp16": "fp16", "w:fp16": "fp16", "w:fp8": "fp8",
    "bf16/fp16 (upstream default)": "bf16", "bf16 (default, not stated)": "bf16", "w8a8": "w8a8", "w4a8": "w4a8",
    "w8a8c8": "w8a8", "w4a8c8": "w4a8", "w:int8": "w8a16", "int8": "w8a8",
    "w:q4_k_m": "q4_k_m", "w:q4_k_xl": "q4_k_m", "w:q4_0": "q4_0", "w:q8_0": "q8_0",
    "bf16 runtime (native int4 checkpoint)": "w4a16",
}  # fmt: skip
EIGHT_BIT_CACHE = ("fp8", "nvfp4", "mxfp4")
"""Weight formats whose published deployments keep an 8-bit KV cache. No table states it; their times to first token
jump to minutes where requests exceed what memory holds of an fp8 cache, and not where they exceed a bf16 one."""
MODELS = {
    "deepseek-ai/deepseek-r1-0528": "deepseek-ai/DeepSeek-R1", "deepseek-r1": "deepseek-ai/DeepSeek-R1",
    "nvidia/deepseek-r1-nvfp4": "deepseek-ai/DeepSeek-R1", "deepseek-ai/deepseek-v3.1": "deepseek-ai/DeepSeek-V3",
    "nvidia/deepseek-v3.1-nvfp4": "deepseek-ai/DeepSeek-V3",
    "zhipuai/glm-5": "zai-org/GLM-5", "nvidia/qwen3-32b-nvfp4": "Qwen/Qwen3-32B",
    "nvidia/llama-3.1-8b-instruct-fp8": "meta-llama/Meta-Llama-3.1-8B",
    "kimi-k2.7": "moonshotai/Kimi-K2.5", "moonshotai/kimi-k2-thinking": "moonshotai/Kimi-K2-Instruct",
    "kimi-k2-thinking": "moonshotai/Kimi-K2-Instruct",
    "meta-llama/llama-3.1-405b-fp8": "meta-llama/Meta-Llama-3.1-405B",
    "amd/llama-3.1-405b-instruct-fp8-kv": "meta-llama/Meta-Llama-3.1-405B",
    "qwen/qwen3-coder-480b-a35b-instruct-fp8": "Qwen/Qwen3-Coder-480B-A35B-Instruct",
    "llama2-70b": "meta-llama/Llama-2-70b-hf", "qwen3-235b-int8": "Qwen/Qwen3-235B-A22B",
    "glm-5.1": "zai-org/GLM-5.1", "glm-5": "zai-org/GLM-5",
    "deepseek-r1-0528": "deepseek-ai/DeepSeek-R1", "llama-3.3-70b-instruct": "meta-llama/Llama-3.3-70B-Instruct",
    "deepseek-v3.1-terminus": "deepseek-ai/DeepSeek-V3",
    "llama-3.3-70b-instruct-mxfp4-preview": "meta-llama/Llama-3.3-70B-Instruct",
    "llama-2-7b.q4-k-m.gguf": "meta-llama/Llama-2-7b-hf", "llama-2-7b.q4-0.gguf": "meta-llama/Llama-2-7b-hf",
    "qwen3-30b-a3b-ud-q4-k-xl.gguf": "Qwen/Qwen3-30B-A3B", "qwen3-32b-q8-0.gguf": "Qwen/Qwen3-32B",
    "gpt-oss-20b-f16.gguf": "openai/gpt-oss-20b", "gpt-oss-120b-f16.gguf": "openai/gpt-oss-120b",
    "shisa-v2-llama3.3-70b.i1-q4-k-m.gguf": "meta-llama/Llama-3.3-70B-Instruct",
}  # fmt: skip
"""Published name, folded -> checkpoint whose layers are the same."""
_SUFFIX = re.compile(
    r"([-_ ](tp\d|dp\d|ep\d|aw|mxfp4|fp8|mtp\d?|w8a8|w4a8|w8a8c8|w4a8c8|quarot|preview|moefp4|nvfp4|instruct|hf|"
    r"w4a16))+$"
)  # fmt: skip


def checkpoint(name: str, known: dict[str, str]) -> str:
    """The checkpoint that a published name means, or an empty string; `known` maps folded names to checkpoints."""
    folded = name.strip().lower().replace("_", "-")
    shorter = _SUFFIX.search(folded)
    ends = [m.end() for m in re.finditer(r"[-_ ]", folded[shorter.start() :])] if shorter else []
    cuts = [folded[: shorter.start() + end - 1] for end in reversed(ends)] if shorter else []
    for candidate in (folded, *cuts):
        for text in (candidate, candidate.rpartition("/")[2], candidate.replace("llama-3.1", "meta-llama-3.1")):
            found = MODELS.get(text) or known.get(text) or known.get(text.rpartition("/")[2])
            if found:
                return found
    return ""
