"""Operators that fall back to the CPU on Intel GPUs, from src/ATen/native/xpu/XPUFallback.cpp of intel/torch-xpu-ops.

The list is a vector of strings in the C++ file. The operators that Intel GPUs register are read by
`data_collection.sources.registrations` from the YAML list of that repository.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from data_collection.sources.registration_rows import Row

__all__ = ["BACKEND", "REPOSITORY", "rows"]

BACKEND, REPOSITORY = "oneapi-xpu", "intel/torch-xpu-ops"
_LIST = re.compile(r"fallback_list\s*=?\s*\{(.*?)\}\s*;", re.DOTALL)
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)


def rows(text: str, torch: str) -> Iterator[Row]:
    """The operators of the list; raises `SystemExit` if the file has none."""
    found = _LIST.search(_COMMENT.sub("", text))
    if found is None:
        raise SystemExit("no fallback_list in this file; it is not XPUFallback.cpp of intel/torch-xpu-ops.")
    for name in dict.fromkeys(re.findall(r'"([^"]+)"', found[1])):
        yield Row(BACKEND, name.removeprefix("aten::"), "fallback")
