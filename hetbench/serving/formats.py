"""Weight formats of serving: which are known by which names, and what the products of one run at on a chip.

The formats are those of `hetbench.formats`, with the precisions of whole models beside the stored ones.
"""

from __future__ import annotations

from collections.abc import Mapping

from hetbench.catalog.chips import Chip
from hetbench.errors import RefusedError, UnknownNameError
from hetbench.formats import FORMATS, WeightFormat, named_format

__all__ = ["FORMATS", "KV_BYTES", "WeightFormat", "compute_flops", "kv_format", "weight_format"]

KV_BYTES: Mapping[str, float] = {"bf16": 2.0, "fp16": 2.0, "fp8": 1.0, "int8": 1.0}
_SAME = {"int8": "w8a8", "bfloat16": "bf16", "float16": "fp16", "half": "fp16", "fp8_e4m3": "fp8"}


def weight_format(name: str) -> WeightFormat:
    """The format called `name`; `UnknownNameError` lists the known ones.

    >>> weight_format("awq").name, weight_format("nvfp4").weight_bytes
    ('w4a16', 0.5625)
    """
    key = str(name).lower().split(" (")[0].removeprefix("w:")  # "fp8 (native checkpoint)" in published tables
    try:
        return FORMATS[named_format(key) or _SAME.get(key, key)]
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
        peak = chip.peak_flops(name)
        if peak:
            return float(peak), name
    raise RefusedError(
        f"the catalogue states no peak of {chip.name} in {' or '.join(form.compute)}, which {form.name} is computed in."
    )
