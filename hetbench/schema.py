"""The vocabulary of measurement rows: chip families, phases, precisions and timing protocols.

The timing protocol is what a latency includes; for small operators it matters more than the vendor. `kernel`: device
time of the kernels alone. `graph`: replay of a recorded device graph. `event`: device events around an eager launch.
`wall`: host clock with a synchronisation.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Literal

from hetbench.errors import UnknownNameError

__all__ = ["FAMILIES", "ITEMSIZE", "PHASES", "PRECISIONS", "PROTOCOLS", "STORAGE_BYTES", "FamilyName", "PhaseName",
           "family", "itemsize", "precision"]

FamilyName = Literal["cuda", "rocm", "oneapi", "cann", "mlu"]
PhaseName = Literal["inference", "prefill", "decode", "serving"]
FAMILIES = ("cuda", "rocm", "oneapi", "cann", "mlu")
PHASES = ("inference", "prefill", "decode")
PROTOCOLS = ("kernel", "graph", "event", "wall")

ITEMSIZE = MappingProxyType(
    {"fp64": 8, "fp32": 4, "tf32": 4, "fp16": 2, "bf16": 2, "fp8": 1, "int8": 1}
)
"""Bytes per element of each precision that a query can ask for."""

STORAGE_BYTES = MappingProxyType({**ITEMSIZE, "int64": 8, "int32": 4, "int16": 2, "uint8": 1, "bool": 1})
"""Bytes per element of every dtype that occurs in a graph."""

PRECISIONS = tuple(ITEMSIZE)
_ALIASES = MappingProxyType({
    "float64": "fp64", "double": "fp64", "float32": "fp32", "float": "fp32", "single": "fp32", "float16": "fp16",
    "half": "fp16", "bfloat16": "bf16", "float8": "fp8", "fp8_e4m3": "fp8", "f16": "fp16", "f32": "fp32",
})


def precision(name: str) -> str:
    """The canonical name of a precision; raises `UnknownNameError` for an unknown one.

    >>> precision("float16")
    'fp16'
    """
    key = str(name).lower().removeprefix("torch.") if isinstance(name, str) or _is_dtype(name) else ""
    key = _ALIASES.get(key, key)
    if key not in ITEMSIZE:
        raise UnknownNameError("precision", name, PRECISIONS)
    return key


def _is_dtype(given: object) -> bool:
    """Whether it is a dtype of torch, which is known by its text."""
    return type(given).__module__ == "torch" and type(given).__name__ == "dtype"


def family(name: object) -> str | None:
    """The family that a name means, whatever its case; None for any other name.

    >>> family("CUDA"), family("nvidia-l4")
    ('cuda', None)
    """
    key = name.strip().lower() if isinstance(name, str) else ""
    return key if key in FAMILIES else None


def itemsize(dtype: str) -> int:
    """Bytes per element of a dtype; raises `UnknownNameError` for an unknown one.

    >>> itemsize("bf16")
    2
    """
    try:
        return STORAGE_BYTES[dtype]
    except (KeyError, TypeError):
        raise UnknownNameError("dtype", dtype, STORAGE_BYTES) from None
