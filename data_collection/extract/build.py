"""Rebuild a catalogue model from its record, without weights, and trace it at one setting and phase.

inference  one full forward pass, no cache, scores of all positions.
prefill    fills an empty KV cache with seq_len tokens, scores of the last position only. T5 and Whisper: the encoder,
           then the decoder over seq_len tokens.
decode     one new token per sequence, with a cache of seq_len tokens. T5 and Whisper: one step of the decoder, with
           the encoder's keys and values cached (T5: of seq_len tokens, Whisper: of 30 s).
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from hetbench.catalog.models import Model
from hetbench.tracing import Trace, trace_call
from hetbench.tracing.record import unchanged

__all__ = [
    "Point", "build", "cache_arguments", "has_cache", "inputs", "last_position_only", "native_size", "patch_size",
    "phases", "trace_point",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Point:
    """Sizes at which a model is traced; seq_len or image_size is None if the model has none."""

    batch: int
    seq_len: int | None = None
    image_size: int | None = None


ENCODER_DECODER = ("text+text", "audio-mel")
MEL_FRAMES = 3000  # 30 s


def phases(record_: Model) -> tuple[str, ...]:
    """Phases that the graph holds: those of the record, and prefill and decode of encoder-decoders."""
    return ("inference", "prefill", "decode") if has_cache(record_) else record_.phases


def has_cache(record_: Model) -> bool:
    return "decode" in record_.phases or record_.inputs in ENCODER_DECODER


def build(record_: Model, device: str = "meta") -> Any:
    """The network in evaluation mode with arbitrary weights, on the meta device by default."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ["TRANSFORMERS_SDPA_FORCE_GQA"] = "1"  # grouped heads stay grouped under a mask too
    logging.getLogger("transformers").setLevel(logging.ERROR)
    import torch
    import transformers

    config = getattr(transformers, record_.config_class)(**_plain(record_.config))
    with torch.device(device), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = getattr(transformers, record_.architecture)(config).eval()
    if record_.config_class == "EfficientNetConfig":
        _pad_inside(network)
    return network


def _pad_inside(network: Any) -> None:
    """Let convolutions pad by themselves, both sides alike, as timm's and torchvision's EfficientNet do.

    transformers keeps the padding of TensorFlow, more on the right and below, which costs an operator before each
    convolution of stride 2; nobody measures that form.
    """
    import torch

    for module in network.modules():
        for pad, name in (("padding", "convolution"), ("depthwise_conv_pad", "depthwise_conv")):
            convolution = getattr(module, name, None)
            if isinstance(getattr(module, pad, None), torch.nn.ZeroPad2d) and convolution is not None:
                setattr(module, pad, torch.nn.Identity())
                convolution.padding = tuple(width // 2 for width in convolution.kernel_size)


def _plain(value: Any) -> Any:
    return {key: _plain(each) for key, each in value.items()} if isinstance(value, Mapping) else value


def trace_point(record_: Model, network: Any, point: Point, precision: str, phase: str) -> Trace:
    """The network's operators at one setting; `precision` is fp32, fp16 or bf16."""
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode

    dtype = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[precision]
    network.to(dtype)
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    with unchanged(network), last_position_only(record_, network, phase), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with mode, torch.device("meta"), torch.no_grad():
            kwargs = inputs(record_, point, dtype)
            cache = []
            if has_cache(record_):
                kwargs.update(cache_arguments(record_, network, kwargs, phase))
                cache = _tensors_of(kwargs["past_key_values"]) if phase == "decode" else []
        with torch.device("meta"):
            return trace_call(network, (), kwargs, mode=mode, cache=cache)


def inputs(record_: Model, point: Point, dtype: Any) -> dict[str, Any]:
    """Arguments of one full forward pass on torch's default device: token ids 0, all else uninitialised."""
    import torch

    def tokens(name: str) -> dict[str, Any]:
        return {name: torch.zeros(point.batch, point.seq_len, dtype=torch.long)}

    def image() -> dict[str, Any]:
        given = {"pixel_values": torch.empty(point.batch, 3, point.image_size, point.image_size, dtype=dtype)}
        return {**given, "interpolate_pos_encoding": True} if _interpolates(record_, point) else given

    if record_.inputs == "text":
        return tokens("input_ids")
    if record_.inputs == "text+text":
        return {**tokens("input_ids"), **tokens("decoder_input_ids")}
    if record_.inputs == "image":
        return image()
    if record_.inputs == "text+image":
        return {**tokens("input_ids"), **image()}
    if record_.inputs == "audio-mel":
        mel = torch.empty(point.batch, record_.config["num_mel_bins"], MEL_FRAMES, dtype=dtype)
        return {"input_features": mel, **tokens("decoder_input_ids")}
    if record_.inputs == "audio-wave":
        assert point.seq_len is not None
        return {"input_values": torch.empty(point.batch, 320 * point.seq_len + 80, dtype=dtype)}
    raise ValueError(f"{record_.name}: no inputs are known for {record_.inputs!r}")


def native_size(record_: Model) -> int | None:
    """Image side for which position tables and windows were made; None if the network has neither."""
    vision = record_.config.get("vision_config", record_.config)
    attends = "num_attention_heads" in vision or "num_heads" in vision
    return vision.get("image_size") if "patch_size" in vision and attends else None


def patch_size(record_: Model) -> int:
    """Side of a patch; 1 if images are not cut into patches."""
    return int(record_.config.get("vision_config", record_.config).get("patch_size", 1))


def _interpolates(record_: Model, point: Point) -> bool:
    """Whether to ask for interpolation; DINOv2 always interpolates by itself."""
    native = native_size(record_)
    return native is not None and point.image_size != native and record_.config_class != "Dinov2Config"


def cache_arguments(record_: Model, network: Any, inputs: dict[str, Any], phase: str) -> dict[str, Any]:
    """Arguments for the KV cache; for decode the inputs are reduced to one token in place."""
    import torch
    from transformers import DynamicCache, EncoderDecoderCache

    if phase == "inference":
        return {"use_cache": False}
    double = record_.inputs in ENCODER_DECODER
    empty = EncoderDecoderCache(DynamicCache(), DynamicCache()) if double else DynamicCache()
    keep = {} if double else {"logits_to_keep": 1}
    if phase == "prefill":
        return {"use_cache": True, "past_key_values": empty, **keep}
    filled = network(**inputs, use_cache=True, past_key_values=empty)
    batch = next(iter(inputs.values())).shape[0]
    token = torch.zeros(batch, 1, dtype=torch.long)
    inputs.clear()
    if double:
        inputs["encoder_outputs"] = (filled.encoder_last_hidden_state,)
        inputs["decoder_input_ids"] = token
    else:
        inputs["input_ids"] = token
    return {"use_cache": True, "past_key_values": filled.past_key_values, **keep}


def _tensors_of(cache: Any) -> list[Any]:
    parts = [cache.self_attention_cache, cache.cross_attention_cache] if hasattr(cache, "is_updated") else [cache]
    return [tensor for part in parts for layer in part.layers for tensor in (layer.keys, layer.values)]


@contextmanager
def last_position_only(record_: Model, network: Any, phase: str) -> Iterator[None]:
    """Restrict the output layer of T5 and Whisper, which score every position, to the last position."""
    if phase != "prefill" or record_.inputs not in ENCODER_DECODER:
        yield
        return
    handle = network.get_output_embeddings().register_forward_pre_hook(lambda _, args: (args[0][:, -1:],))
    try:
        yield
    finally:
        handle.remove()
