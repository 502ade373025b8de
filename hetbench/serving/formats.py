"""Weight formats of serving: bytes of a weight, what the products are computed in, what stays in bf16.

Bytes include the scales: fp8 128 x 128 blocks (below 0.1 %), w4a16 groups of 128 with a 16-bit scale and a 4-bit zero
(4.16 bits), mxfp4 32 elements with an 8-bit scale (OCP Microscaling Formats 1.0), nvfp4 16 elements with an 8-bit
scale (NVIDIA, "Introducing NVFP4", 2025), q4_k_m 4.85, q4_0 4.5 and q8_0 8.5 bits (llama.cpp,
examples/quantize/README).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from hetbench.catalog.chips import Chip
from hetbench.errors import RefusedError, UnknownNameError

__all__ = ["FORMATS", "KV_BYTES", "WeightFormat", "compute_flops", "kv_format", "weight_format"]


@dataclass(frozen=True, slots=True)
class WeightFormat:
    """One format of weights and activations."""

    name: str
    weight_bytes: float
    """Bytes of one element of a quantised matrix, scales included."""
    compute: tuple[str, ...]
    """Precisions that the products can run in, best first; a chip takes the first whose peak it states."""
    experts_only: bool = False
    """In a mixture of experts only the experts are quantised; attention, router and shared parts stay in bf16."""


FORMATS: Mapping[str, WeightFormat] = MappingProxyType({f.name: f for f in (
    WeightFormat("bf16", 2.0, ("bf16", "fp16")),
    WeightFormat("fp16", 2.0, ("fp16", "bf16")),
    WeightFormat("fp8", 1.0, ("fp8", "bf16", "fp16")),
    WeightFormat("w8a8", 1.0, ("int8",)),
    WeightFormat("w8a16", 1.0, ("bf16", "fp16")),
    WeightFormat("w4a16", 4.16 / 8, ("bf16", "fp16")),
    WeightFormat("w4a8", 4.16 / 8, ("int8",)),
    WeightFormat("mxfp4", 4.25 / 8, ("fp4", "bf16", "fp16"), experts_only=True),
    WeightFormat("nvfp4", 4.5 / 8, ("fp4", "bf16", "fp16"), experts_only=True),
    WeightFormat("q4_k_m", 4.85 / 8, ("fp16", "bf16")),
    WeightFormat("q4_0", 4.5 / 8, ("fp16", "bf16")),
    WeightFormat("q8_0", 8.5 / 8, ("fp16", "bf16")),
)})
KV_BYTES: Mapping[str, float] = MappingProxyType({"bf16": 2.0, "fp16": 2.0, "fp8": 1.0, "int8": 1.0})
_SAME = {"int8": "w8a8", "int4": "w4a16", "awq": "w4a16", "gptq": "w4a16", "bfloat16": "bf16", "float16": "fp16",
         "half": "fp16", "fp8_e4m3": "fp8", "fp4": "nvfp4"}  # fmt: skip


def weight_format(name: str) -> WeightFormat:
    """The format called `name`; `UnknownNameError` lists the known ones.

    >>> weight_format("awq").name, weight_format("nvfp4").weight_bytes
    ('w4a16', 0.5625)
    """
    key = str(name).lower().split(" (")[0].removeprefix("w:")  # "fp8 (native checkpoint)" in published tables
    try:
        return FORMATS[_SAME.get(key, key)]
    except KeyError:
        raise UnknownNameError("precision", str(name), FORMATS) from None


def kv_format(name: str) -> str:
    """The name of a KV cache format, checked."""
    key = {"fp8_e4m3": "fp8", "bfloat16": "bf16"}.get(str(name).lower(), str(name).lower())
    if key not in KV_BYTES:
        raise UnknownNameError("KV cache format", str(name), KV_BYTES)
    return key


def compute_flops(chip: Chip, form: WeightFormat) -> tuple[float, str]:
    """Peak in FLOP/s that the products of a format run at on a chip, and the precision of that peak.

    >>> from hetbench.catalog.chips import chip
    >>> compute_flops(chip("nvidia-a100-sxm4-80gb"), weight_format("fp8"))  # no fp8 units: weights only
    (312000000000000.0, 'bf16')
    """
    for name in form.compute:
        peak = chip.fp4_tflops and chip.fp4_tflops * 1e12 if name == "fp4" else chip.peak_flops(name)
        if peak:
            return float(peak), name
    raise RefusedError(
        f"the catalogue states no peak of {chip.name} in {' or '.join(form.compute)}, which {form.name} is computed in."
    )
