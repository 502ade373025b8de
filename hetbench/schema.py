"""The vocabulary of measurement rows: chip families, phases, precisions and timing protocols.

The timing protocol is what a latency includes; for small operators it matters more than the vendor. `kernel`: device
time of the kernels alone. `graph`: replay of a recorded device graph. `event`: device events around an eager launch.
`wall`: host clock with a synchronisation.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Literal

from hetbench.errors import UnknownNameError
from hetbench.formats import FORMATS, STORED, named_format

__all__ = ["FAMILIES", "ITEMSIZE", "PHASES", "PRECISIONS", "PROTOCOLS", "QUERY_PRECISIONS", "STORAGE_BYTES",
           "FamilyName", "PhaseName", "element", "family", "itemsize", "precision", "weight_bytes"]

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
"""Precisions of elements: what operators are computed in."""
QUERY_PRECISIONS = (*PRECISIONS, *STORED)
"""What a query can ask for: precisions of elements, and formats in which weights are stored (`hetbench.formats`)."""
_ALIASES = MappingProxyType({
    "float64": "fp64", "double": "fp64", "float32": "fp32", "float": "fp32", "single": "fp32", "float16": "fp16",
    "half": "fp16", "bfloat16": "bf16", "float8": "fp8", "fp8_e4m3": "fp8", "f16": "fp16", "f32": "fp32",
    "w8a8": "int8", "uint8": "int8",
})


def precision(name: str) -> str:
    """The canonical name of a precision or of a format of stored weights; `UnknownNameError` for an unknown one.

    >>> precision("float16"), precision("AWQ"), precision("Q4_K_M")
    ('fp16', 'w4a16', 'q4_k_m')
    """
    key = str(name).lower().removeprefix("torch.") if isinstance(name, str) or _is_dtype(name) else ""
    key = _ALIASES.get(key, key)
    if key in ITEMSIZE:
        return key
    stored = named_format(key)
    if stored is None:
        raise UnknownNameError("precision", name, QUERY_PRECISIONS)
    return stored


def element(name: str) -> str:
    """The precision of elements that a precision of a query means: that of the activations where weights are stored
    otherwise.

    >>> element("int8"), element("w4a16")
    ('int8', 'bf16')
    """
    return FORMATS[name].activation if name in STORED else name


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
    """Bytes per element of a dtype, or of an activation beside stored weights; `UnknownNameError` for an unknown one.

    >>> itemsize("bf16"), itemsize("w4a16")
    (2, 2)
    """
    try:
        return STORAGE_BYTES[element(dtype)]
    except (KeyError, TypeError):
        raise UnknownNameError("dtype", dtype, STORAGE_BYTES) from None


def weight_bytes(dtype: str) -> float:
    """Bytes of one weight of an operator of a dtype, with its scales.

    >>> weight_bytes("fp16"), weight_bytes("mxfp4")
    (2.0, 0.53125)
    """
    return FORMATS[dtype].weight_bytes if dtype in STORED else float(itemsize(dtype))
