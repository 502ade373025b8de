"""Serving engines: which one a text names, and on which families each runs."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from hetbench.catalog.chips import Chip
from hetbench.errors import RefusedError, UnknownNameError
from hetbench.serving.settings import CHUNK

__all__ = ["ENGINES", "check_engine", "chunk_of", "default_engine", "engine_of", "is_serving"]

ENGINES = ("vllm", "sglang", "tensorrt-llm", "atom", "vllm-ascend", "vllm-mlu", "mindie", "tgi", "lmdeploy",
           "llama.cpp", "deepspeed", "deepspeed-mii", "transformers")  # fmt: skip
_BEGINNINGS = (
    ("atom", "atom"), ("mori-sglang", "sglang"), ("dynamo-trt", "tensorrt-llm"), ("dynamo-sglang", "sglang"),
    ("dynamo-vllm", "vllm"), ("trt", "tensorrt-llm"), ("tensorrt", "tensorrt-llm"), ("vllm-ascend", "vllm-ascend"),
    ("vllm-mlu", "vllm-mlu"), ("vllm", "vllm"), ("sglang", "sglang"), ("tgi", "tgi"), ("llama.cpp", "llama.cpp"),
    ("llama-cpp", "llama.cpp"), ("deepspeed-mii", "deepspeed-mii"), ("deepspeed", "deepspeed"), ("mindie", "mindie"),
    ("lmdeploy", "lmdeploy"), ("transformers", "transformers"),
)  # fmt: skip
"""Beginning of the name of a software as published, folded -> engine; the first that fits."""
_USUAL = MappingProxyType({"cann": "vllm-ascend", "mlu": "vllm-mlu"})
_RUNS_ON: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "tensorrt-llm": ("cuda",), "atom": ("rocm",), "vllm-ascend": ("cann",), "mindie": ("cann",), "vllm-mlu": ("mlu",),
    "deepspeed-mii": ("cuda", "rocm"),
})  # fmt: skip
"""Families of the engines that run on some only, by their own documentation."""


def engine_of(software: str) -> str:
    """The engine that a text names, or an empty string.

    >>> engine_of("dynamo-trt tensorrtllm-runtime:0.8.1"), engine_of("vLLM 0.6.3 (Nov 2024)")
    ('tensorrt-llm', 'vllm')
    """
    folded = software.strip().lower()
    return next((name for start, name in _BEGINNINGS if folded.startswith(start)), "")


def chunk_of(engine: str) -> int:
    """Tokens of prompts that one iteration takes at most: 8192 in vLLM (`max_num_batched_tokens`, online on large GPUs)
    and SGLang (`chunked_prefill_size`, chips of 60 GB and more), 512 in llama.cpp (`n_ubatch`).

    >>> chunk_of("vllm"), chunk_of("llama.cpp")
    (8192, 512)
    """
    return 512 if engine == "llama.cpp" else CHUNK


def default_engine(chip: Chip) -> str:
    """The engine of a query that names none.

    >>> from hetbench.catalog.chips import chip
    >>> default_engine(chip("cann"))
    'vllm-ascend'
    """
    return _USUAL.get(chip.family, "vllm")


def check_engine(given: str | None, chip: Chip) -> str:
    """The engine of a query on a chip: the named one, with or without a version, else the usual one.

    Raises `UnknownNameError` for a name that is none of `ENGINES`, `RefusedError` where the engine does not run there.
    """
    if not given:
        return default_engine(chip)
    name = engine_of(given)
    if not name:
        raise UnknownNameError("serving stack", given, ENGINES)
    if name == "vllm":  # the plug-in of the platform
        name = default_engine(chip)
    families = _RUNS_ON.get(name)
    if families and chip.family not in families:
        raise RefusedError(
            f"{name} runs on {' and '.join(families)}, and {chip.name} is {chip.family}. The usual engine there is "
            f"{default_engine(chip)}."
        )
    return name


def is_serving(phase: Any) -> bool:
    """Whether a phase, as given, is serving; anything that is not text is for the checks of a question to refuse.

    >>> is_serving("serving"), is_serving("decode"), is_serving(None)
    (True, False, False)
    """
    return isinstance(phase, str) and phase == "serving"
