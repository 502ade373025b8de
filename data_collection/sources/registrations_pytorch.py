"""Operators that PyTorch registers for CUDA, ROCm and x86 CPUs, from aten/src/ATen/native/native_functions.yaml.

An operator without a dispatch table, or with a composite key, calls other operators. ROCm builds register the CUDA key.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from data_collection.sources.registration_rows import Row, parsed

__all__ = ["BACKEND", "REPOSITORY", "rows"]

BACKEND, REPOSITORY = "pytorch", "pytorch"
_AS_CUDA = " (ROCm builds register the CUDA dispatch key)"
_KEYS = {"cuda": ("CUDA", ""), "rocm": ("CUDA", _AS_CUDA), "oneapi-cpu": ("CPU", "")}
_COMPOSITE = {"CompositeImplicitAutograd", "CompositeExplicitAutograd", "CompositeExplicitAutogradNonFunctional"}


def rows(text: str, torch: str) -> Iterator[Row]:
    """Native and composite operators of the three platforms; the file is for one PyTorch version."""
    entries = {entry["func"].split("(")[0]: entry for entry in parsed(text)}
    for name, entry in entries.items():
        keys = _keys(entries[entry.get("structured_delegate", name)])  # a structured operator runs its out form
        for platform, (key, suffix) in _KEYS.items():
            if key in keys:
                yield Row(platform, name, "native", suffix)
            elif not keys or keys & _COMPOSITE:
                yield Row(platform, name, "composite", suffix)


def _keys(entry: Mapping[str, Any]) -> set[str]:
    dispatch = entry.get("dispatch")
    return {key.strip() for keys in dispatch for key in keys.split(",")} if isinstance(dispatch, dict) else set()
