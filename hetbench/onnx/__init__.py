"""Operator graphs of ONNX files: the network behind a file, as the tracer would see it, without torch.

`read` gives the graph; needs the package onnx (`hetbench[onnx]`), which is imported when a file is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hetbench.plugins import lazy_exports

if TYPE_CHECKING:
    from hetbench.onnx.graph import OnnxGraph, read

__all__ = ["OnnxGraph", "read"]

__getattr__ = lazy_exports(__name__, {"graph": "OnnxGraph read"})
