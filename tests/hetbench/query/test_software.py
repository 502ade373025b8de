"""Software texts: what a published row states and what a question means by the same words."""

from __future__ import annotations

import pytest

from hetbench.query.software import stack_of, stated_stack


@pytest.mark.parametrize(
    ("software", "stated", "meant"),
    [
        ("vllm 0.9.2", "vllm", "vllm"), ("vLLM/TGI", None, None), ("acl/om offline, cann 6", "acl", "acl"),
        ("pytorch FT-INT8-v2", "fastertransformer-pytorch-int8-v2", "fastertransformer-pytorch-int8-v2"),
        ("MagicMind (repo v1.2, 2022-10)", "magicmind", "magicmind"), ("Ascend", "acl", "acl"),
        ("pytorch 2.0.1 + neural-compressor", "pytorch+neural-compressor", None), ("trt-llm (Feb 2025)", None,
                                                                                  "tensorrt-llm"),
        ("llama.cpp 6111 llama.cpp-vulkan_amdvlk Vulkan", "llama.cpp", "llama.cpp"), ("CNPyTorch", None, "eager"),
        ("unstated (usually TensorRT fp16)", None, None), ("torch_npu; cann 6.0.RC1; pytorch 1.8", None, "eager"),
        ("something else 1.0", None, None),
    ],
)  # fmt: skip
def test_a_row_states_less_than_a_question_means(software: str, stated: str | None, meant: str | None):
    assert (stated_stack(software), stack_of(software)) == (stated, meant)
