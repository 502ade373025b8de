"""Operators that torch_npu registers, from op_plugin/config/op_plugin_functions.yaml of Ascend/op-plugin.

Every entry states the PyTorch versions that its two implementations, `acl_op` and `op_api`, are built for. Sections
other than `official` and `symint` (official operators with symbolic sizes) hold the vendor's own operators.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from data_collection.sources.registration_rows import Row, parsed

__all__ = ["BACKEND", "REPOSITORY", "rows"]

BACKEND, REPOSITORY = "cann", "Ascend/op-plugin"
_SECTIONS = {"official": "", "symint": "", "custom": "npu::", "quant": "npu::"}
_IMPLEMENTED = ("acl_op", "op_api")


def rows(text: str, torch: str) -> Iterator[Row]:
    """The operators built for a PyTorch version such as 2.13, each once per section; version "" means any."""
    table = parsed(text)
    for section, prefix in _SECTIONS.items():
        seen = set()
        for entry in table.get(section) or ():
            name = entry["func"].split("(")[0]
            if name not in seen and (not torch or _built(entry, torch)):
                seen.add(name)
                yield Row(BACKEND, prefix + name, "native", f"#{section}")


def _built(entry: Mapping[str, Any], torch: str) -> bool:
    stated = [entry[name] for name in _IMPLEMENTED if name in entry]
    return not stated or any(_holds(versions, torch) for versions in stated)


def _holds(versions: Any, torch: str) -> bool:
    """Whether a version specification covers a version.

    It is `all_version`, one version, or first and last of a range, which may be `newest`; as a list or as text.
    """
    if versions == "all_version":
        return True
    stated = versions if isinstance(versions, list) else [each.strip() for each in versions.split(",")]
    first, last = stated[0], stated[-1]
    return _number(first) <= _number(torch) and (last == "newest" or _number(torch) <= _number(last))


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.removeprefix("v").split("."))[:2]
