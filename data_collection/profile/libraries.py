"""Which library executed a call, as reported by the libraries themselves; never guessed.

In verbose mode oneDNN and MKL print a line for every primitive and BLAS call, and torch's profiler lists the ATen
operators that took the time. MKL prints nothing for its vector math functions, which ATen uses for some fp32 functions:
those calls are `unknown`.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["UNKNOWN", "printed", "ran_by"]

UNKNOWN = "unknown"
_PRINTED = (
    ("oneDNN", re.compile(r"^onednn_verbose,.*\bexec,", re.M)), ("MKL", re.compile(r"^MKL_VERBOSE \w+\(", re.M)),
)  # fmt: skip
_NAMED = (
    ("cuDNN", "cudnn"), ("MIOpen", "miopen"), ("NNPACK", "nnpack"), ("XNNPACK", "xnnpack"), ("Inductor", "_fused_"),
    ("Inductor", "triton"), ("ATen", "flash_attention_for_cpu"),  # ATen's own kernel, which calls BLAS
)  # fmt: skip
_VECTOR_MATHS = {f"aten::{name}" for name in ("acos", "asin", "atan", "cos", "erf", "erfc", "exp", "log", "log10",
                                              "sin", "sqrt", "tan", "tanh", "trunc")}  # fmt: skip
_SHARE = 0.1
"""Least share of a call's time for an operator to count as the one that executed it."""


def ran_by(call: Callable[[], Any]) -> str:
    """Names of the libraries, sorted and joined by " + "; `unknown` if none reported."""
    import torch

    with printed() as text, torch.autograd.profiler.profile() as seen:
        call()
    own = {event.key: event.self_cpu_time_total for event in seen.key_averages()}
    working = {name for name, time in own.items() if time >= _SHARE * sum(own.values())}
    found = {name for name, pattern in _PRINTED if pattern.search("".join(text))}
    found |= {library for library, part in _NAMED if any(part in name for name in working)}
    if working & _VECTOR_MATHS and not found:
        return UNKNOWN
    if any(name.startswith("aten::") for name in working) and (not found or len(working) > 1):
        found.add("ATen")
    return " + ".join(sorted(found)) or UNKNOWN


@contextlib.contextmanager
def printed() -> Iterator[list[str]]:
    """Captures what oneDNN and MKL print while the block runs (and the profiler's own log)."""
    import torch

    text: list[str] = []
    flush = ctypes.CDLL(None).fflush
    flush(None)
    kept = [(place, os.dup(place)) for place in (1, 2)]
    with tempfile.TemporaryFile("w+b") as sink:
        for place, _ in kept:
            os.dup2(sink.fileno(), place)
        try:
            with torch.backends.mkldnn.verbose(1), torch.backends.mkl.verbose(1):
                yield text
        finally:
            flush(None)
            for place, copy in kept:
                os.dup2(copy, place)
                os.close(copy)
            sink.seek(0)
            text.append(sink.read().decode(errors="replace"))
