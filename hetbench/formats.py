"""Formats of stored weights: bytes of a weight with its scales, what the products are computed in, what stays as it is.

Bits of a weight: fp8 8 (128 x 128 blocks, scales below 0.1 %); w4a16 4.16 (groups of 128 with a 16-bit scale and a
4-bit zero, as AWQ and GPTQ write them); nf4 4.5 (bitsandbytes, blocks of 64 with a 32-bit scale); mxfp4 4.25 (32
elements with an 8-bit scale, OCP Microscaling Formats 1.0); nvfp4 4.5 (16 elements with an 8-bit scale, NVIDIA,
"Introducing NVFP4", 2025). Those of llama.cpp are means over Llama-3.1-8B, output layer and embedding included
(ggml-org/llama.cpp@311c2c9f:tools/quantize/README.md); q4_0, q4_1, q5_0, q5_1 are the blocks of 32 of
ggml-common.h.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

__all__ = ["FORMATS", "STORED", "WeightFormat", "named_format"]

_HALF = ("bf16", "fp16")
_HALF_ELSE_FULL = ("fp16", "bf16", "fp32")


@dataclass(frozen=True, slots=True)
class WeightFormat:
    """One format of weights and activations."""

    name: str
    weight_bytes: float
    """Bytes of one element of a quantised matrix, scales included."""
    compute: tuple[str, ...]
    """Precisions that the products can run in, best first; a chip takes the first whose peak it states."""
    experts_only: bool = False
    """In a mixture of experts only the experts are quantised; attention, router and shared parts stay as they are."""
    everything: bool = False
    """Embedding and output layer are quantised too, as GGUF files do it; the bits are a mean over all matrices."""
    activation: str = "bf16"
    """Precision of everything else: activations, norms, and the matrices that are not quantised."""


def _gguf(name: str, bits: float) -> WeightFormat:
    return WeightFormat(name, bits / 8, _HALF_ELSE_FULL, everything=True, activation="fp16")


_LLAMA_CPP = {
    "iq1_s": 2.0042, "iq1_m": 2.1460, "iq2_xxs": 2.3824, "iq2_xs": 2.5882, "iq2_s": 2.7403, "iq2_m": 2.9294,
    "iq3_xxs": 3.2548, "iq3_xs": 3.4977, "iq3_s": 3.6606, "iq3_m": 3.7628, "iq4_xs": 4.4597, "iq4_nl": 4.6818,
    "q2_k_s": 2.9697, "q2_k": 3.1593, "q3_k_s": 3.6429, "q3_k_l": 4.2979, "q4_k_s": 4.6672, "q4_k_m": 4.8944,
    "q5_k_s": 5.5704, "q5_k_m": 5.7036, "q6_k": 6.5633, "q8_0": 8.5008,
    "q4_0": 4.5, "q4_1": 5.0, "q5_0": 5.5, "q5_1": 6.0,
}  # fmt: skip
FORMATS: Mapping[str, WeightFormat] = MappingProxyType({f.name: f for f in (
    WeightFormat("bf16", 2.0, _HALF),
    WeightFormat("fp16", 2.0, ("fp16", "bf16")),
    WeightFormat("fp8", 1.0, ("fp8", *_HALF)),
    WeightFormat("w8a8", 1.0, ("int8",)),
    WeightFormat("w8a16", 1.0, (*_HALF, "fp32")),
    WeightFormat("w4a16", 4.16 / 8, (*_HALF, "fp32")),
    WeightFormat("w4a8", 4.16 / 8, ("int8",)),
    WeightFormat("nf4", 4.5 / 8, (*_HALF, "fp32")),
    WeightFormat("mxfp4", 4.25 / 8, ("fp4", *_HALF), experts_only=True),
    WeightFormat("nvfp4", 4.5 / 8, ("fp4", *_HALF), experts_only=True),
    *(_gguf(name, bits) for name, bits in _LLAMA_CPP.items()),
)})
"""Every format by name."""
STORED: tuple[str, ...] = tuple(name for name in FORMATS if name not in ("bf16", "fp16", "fp8", "w8a8"))
"""Those that are no precision of elements: weights are stored in them, and something else is computed."""
_SAME = MappingProxyType({
    "int4": "w4a16", "awq": "w4a16", "gptq": "w4a16", "int4-weight": "w4a16", "4bit": "w4a16", "int4-wo": "w4a16",
    "int8-weight": "w8a16", "int8-wo": "w8a16", "fp4": "nvfp4", "q8_k_xl": "q8_0", "q6_k_xl": "q6_k",
    "q5_k_xl": "q5_k_m", "q4_k_xl": "q4_k_m", "q3_k_xl": "q3_k_l", "q2_k_xl": "q2_k", "q2_k_l": "q2_k",
    "q3_k_m": "q3_k_l", "q4_k": "q4_k_m", "q5_k": "q5_k_m", "q3_k": "q3_k_l", "q8": "q8_0", "q4": "q4_0",
})  # fmt: skip
"""Other words; those of llama.cpp whose bits it does not state mean the nearest larger format."""


def named_format(word: str) -> str | None:
    """The stored format that a word means, however it is written; None for any other word.

    A mixture of precisions such as `gptq+fp16` is named by its weights. Of a dynamic GGUF quantisation (`UD-Q4_K_XL`)
    the bits are those of the usual one.

    >>> named_format("AWQ"), named_format("UD-Q4_K_XL"), named_format("w:q4_0"), named_format("fp16")
    ('w4a16', 'q4_k_m', 'q4_0', None)
    """
    key = re.sub(r"^(?:w:|weights?=|ud[-_]|i1[-_])+|\+(?:fp16|bf16|fp32)$", "", word.strip().lower())
    key = key.replace("-", "_") if re.match(r"i?q\d", key) else key
    key = _SAME.get(key, key)
    return key if key in STORED else None
