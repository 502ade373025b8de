"""Which software stack a published text of software and versions means: one table for questions and importers."""

from __future__ import annotations

import re

__all__ = ["stack_of", "stated_stack"]

_STATED: tuple[tuple[str, str], ...] = (
    (r"^unstated", ""), (r"^tensorflow2-magicmind", "tensorflow-magicmind"), (r"magicmind", "magicmind"),
    (r"mindspore lite", "mindspore-lite"), (r"^ascend$", "acl"), (r"^pplnn", "pplnn"), (r"armnn", "armnn"),
    (r"^native framework validation", "eager"), (r"^inductor", "compiled"), (r"^torchtrt", "torch-tensorrt"),
    (r"reference implementation.*pytorch", "eager"),
    (r"transformers pipeline", "hf-pipeline"), (r"^([a-z]\w+) .*\+ neural-compressor", r"\1+neural-compressor"),
    (r"neural-compressor", ""),
    (r"^vllm/tgi", ""), (r"tensorrt-llm", "tensorrt-llm"), (r"^vllm", "vllm"), (r"llama\.cpp", "llama.cpp"),
    (r"deepspeed-mii", "deepspeed-mii"), (r"deepspeed", "deepspeed"), (r"deepsparse", "deepsparse"),
    (r"openvino genai", "openvino-genai"), (r"openvino", "openvino"), (r"tflite", "tflite"), (r"torchaie", "torchaie"),
    (r"triton tensorrt", "triton-tensorrt"), (r"ort-gpu.*cuda", "onnxruntime-cuda"),
    (r"ort-gpu.*tensorrt", "onnxruntime-tensorrt"), (r"onnx ?runtime|onnxrt", "onnxruntime"),
    (r"(pytorch|tensorflow) EFF-FT(-INT8-v\d)?", r"fastertransformer-\1-unpadded\2"),
    (r"(pytorch|tensorflow) FT(-INT8-v\d)?", r"fastertransformer-\1\2"), (r"torchscript", "torchscript"),
    (r"\+ft op", "fastertransformer-pytorch-op"), (r"\+ft plugin", "fastertransformer-tensorrt-plugin"),
    (r"^fastertransformer", "fastertransformer"),
    (r"paddlepaddle", "paddle"), (r"mxnet", "mxnet"), (r"^acl/om", "acl"), (r"mindspore", "mindspore"),
    (r"torch\.compile", "compiled"), (r"tensorrt", "tensorrt"), (r"^(huggingface )?pytorch", "eager"),
    (r"tensorflow", "tensorflow"),
)  # fmt: skip
"""What of a software text states which stack, "" where it states none; the first pattern that matches decides."""
_MEANT: tuple[tuple[str, str], ...] = (
    (r"trt-llm", "tensorrt-llm"), (r"\bvllm", "vllm"), (r"\bsglang", "sglang"), (r"llama\.?cpp|ollama", "llama.cpp"),
    (r"paddle-?trt|paddle.*tensorrt", "paddle-tensorrt"), (r"paddle", "paddle"),
    (r"^acl|/om\b|\batc\b", "acl"), (r"inductor", "compiled"), (r"tensorflow.*xla", "tensorflow-xla"),
    (r"pytorch|^torch\b|torch_npu|torch-npu", "eager"),
)  # fmt: skip
"""What a question may mean besides, looked up where nothing is stated or in place of the framework alone."""
_FRAMEWORKS = ("eager", "tensorflow", "tensorrt", "paddle")


def stated_stack(software: str) -> str | None:
    """The stack that a software text of a published row states; None where it states none that is known.

    >>> stated_stack("pytorch FT-INT8-v2"), stated_stack("vllm 0.9.2"), stated_stack("unstated (probably TensorRT)")
    ('fastertransformer-pytorch-int8-v2', 'vllm', None)
    """
    for pattern, name in _STATED:
        match = re.search(pattern, software, re.IGNORECASE)
        if match:
            return match.expand(name).lower() or None
    return None


def stack_of(software: str) -> str | None:
    """The stack that a software text in a question means; None where it names none that is known.

    >>> stack_of("vLLM 0.9.2"), stack_of("ACL/OM offline"), stack_of("PyTorch 2.4.0 cuda 12.4")
    ('vllm', 'acl', 'eager')
    """
    stated = stated_stack(software)
    if stated is not None and stated.endswith("+neural-compressor"):  # how many cores it had is not stated
        return None
    if stated is not None and stated not in _FRAMEWORKS:
        return stated
    if re.search(r"vllm/tgi|neural-compressor|^unstated", software, re.IGNORECASE):
        return None
    meant = (name for pattern, name in _MEANT if re.search(pattern, software, re.IGNORECASE))
    return next(meant, None) if stated is None else next((name for name in meant if name != "eager"), stated)
