"""Asking a `hetbench serve` elsewhere: the client, and the form in which questions and results travel as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hetbench.plugins import lazy_exports

if TYPE_CHECKING:
    from hetbench.remote.client import RemoteHetBench

__all__ = ["RemoteHetBench"]

__getattr__ = lazy_exports(__name__, {"client": "RemoteHetBench"})
