"""An operator with its dims, and what torch's dtypes and tensors are in those terms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hetbench.tracing.recording import Call

__all__ = ["Lowered", "data_dtype", "elements", "lowered_type"]


@dataclass(frozen=True, slots=True)
class Lowered:
    """An operator type with its dims; `dtype` is that of the data it works on."""

    op: str
    dims: dict[str, int]
    dtype: str


_DTYPES = {
    "float64": "fp64", "float32": "fp32", "float16": "fp16", "bfloat16": "bf16", "complex128": "fp64",
    "complex64": "fp32", "complex32": "fp16", "uint64": "int64", "uint32": "int32", "uint16": "int16",
}  # fmt: skip


def lowered_type(dtype: Any) -> str:
    """`torch.float16` -> `fp16`; of a complex type that of its parts; integer and boolean types keep their name.

    >>> import torch
    >>> lowered_type(torch.float16), lowered_type(torch.complex64), lowered_type(torch.int64)
    ('fp16', 'fp32', 'int64')
    """
    name = str(dtype).removeprefix("torch.")
    if name.startswith("float8"):
        return "fp8"
    return _DTYPES.get(name, "uint8" if dtype.itemsize == 1 and name not in ("bool", "int8") else name)


def elements(tensor: Any) -> int:
    """Elements of a tensor, a complex one counted as two."""
    return int(tensor.numel()) * (2 if tensor.is_complex() else 1)


def data_dtype(call: Call) -> str:
    """dtype of the first floating-point operand, else of the output."""
    for tensor in (*call.inputs, *call.outputs):
        if tensor.is_floating_point() or tensor.is_complex():
            return lowered_type(tensor.dtype)
    return lowered_type(call.outputs[0].dtype)
