"""Loads the library of this platform. Without one, or with HETBENCH_KERNEL=off, predictions are made by numpy."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

__all__ = ["LIBRARIES", "MANIFEST", "SWITCH", "describe", "library", "platform_name"]

LIBRARIES = Path(__file__).parent / "libraries"
MANIFEST = LIBRARIES / "manifest.json"
SWITCH = "HETBENCH_KERNEL"
"""Environment variable: `off` leaves the library unused."""
_FORMAT = 2
_LONG, _POINTER = ctypes.c_int64, ctypes.c_void_p
_ENTRIES: dict[str, tuple[Any, ...]] = {
    "forest": (_POINTER, _POINTER, _LONG, _LONG, _POINTER),
    "network": (_POINTER, _POINTER, _LONG, _LONG, _POINTER, _POINTER, _POINTER),
    "operators": (_LONG, *(_POINTER,) * 7, _LONG, _LONG, _POINTER, _POINTER),
    "work": (_POINTER, _LONG, _POINTER, _POINTER, _POINTER),
    "whole": (_POINTER, _LONG, _POINTER, _POINTER, _POINTER, _LONG, ctypes.c_double, _POINTER, _POINTER, _POINTER),
    "sums": (_POINTER, _LONG, _POINTER, _POINTER, _POINTER),
}
_MACHINES = {
    "linux": {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"},
    "darwin": {"x86_64": "x86_64", "arm64": "arm64"}, "windows": {"amd64": "amd64", "arm64": "arm64"},
}  # fmt: skip
_ENDINGS = {"linux": "so", "darwin": "dylib", "windows": "dll"}


def platform_name() -> str | None:
    """The file name of the library for this platform, None where none is built for it."""
    system = platform.system().lower()
    machine = _MACHINES.get(system, {}).get(platform.machine().lower())
    return None if machine is None or sys.maxsize < 2**32 else f"{system}-{machine}.{_ENDINGS[system]}"


@lru_cache(maxsize=1)
def library() -> Any:
    """The loaded library, whose functions are `hetbench_NAME`; None where predictions are made by numpy."""
    return _load()[0]


def describe() -> str:
    """What makes the predictions of this process, in words for `hetbench --version`."""
    return _load()[1]


@lru_cache(maxsize=1)
def _load() -> tuple[Any, str]:
    if os.environ.get(SWITCH, "").lower() in ("off", "0", "no"):
        return None, f"numpy ({SWITCH}={os.environ[SWITCH]})"
    name = platform_name()
    if name is None or not (LIBRARIES / name).exists():
        return None, f"numpy (no kernel for {platform.system()} {platform.machine()})"
    try:
        found = ctypes.CDLL(str(LIBRARIES / name))
        if found.hetbench_format() != _FORMAT:
            return None, f"numpy (kernel {name} has another format)"
        for entry, kinds in _ENTRIES.items():
            function = getattr(found, f"hetbench_{entry}")
            function.argtypes, function.restype = kinds, ctypes.c_int
    except (OSError, AttributeError) as error:
        return None, f"numpy (kernel {name} cannot be loaded: {error})"
    wide = ", AVX2" if found.hetbench_use_wide(1) else ""
    return found, f"kernel {name}{wide}"
