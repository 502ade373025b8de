"""What runs a model or an operator: PyTorch eager or compiled; for models on a CPU also ONNX Runtime and OpenVINO."""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from data_collection.backends import installed
from data_collection.profile.runtimes import LOADERS, PRECISIONS
from data_collection.profile.tasks import Task
from hetbench.errors import RefusedError

__all__ = ["EXPORTED", "STACKS", "exported", "missing", "run"]

EXPORTED = ("onnxruntime", "openvino")
STACKS = ("eager", "compiled", *EXPORTED)
_PIP = {"onnxruntime": "onnxruntime onnx onnxscript", "openvino": "openvino onnx onnxscript"}


def missing(stack: str) -> str | None:
    """Why a stack cannot run on this machine and what to install, or None if it can.

    >>> missing("eager") is None
    True
    """
    if stack == "compiled":
        compiler = os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")
        return None if compiler else "torch.compile needs a C++ compiler; install g++ or set CXX."
    absent = [package for package in _PIP.get(stack, "").split() if not installed(package)]
    return f"{', '.join(absent)} not installed. Run: pip install {_PIP[stack]}" if absent else None


def run(stack: str, target: Callable[..., Any]) -> Callable[..., Any]:
    """`target`, compiled if the stack is `compiled`."""
    if stack not in ("eager", "compiled"):
        raise RefusedError(f"{stack} runs whole models only; single operators run eager or compiled.")
    reason = missing(stack)
    if reason:
        raise RefusedError(reason)
    if stack == "eager":
        return target
    import torch

    torch.compiler.reset()
    return torch.compile(target, dynamic=False)


@contextmanager
def exported(stack: str, network: Any, arguments: Mapping[str, Any], task: Task) -> Iterator[tuple[Any, str]]:
    """Export to ONNX at the task's setting and yield a callable and what the runtime executed."""
    import torch

    reason = missing(stack)
    if reason:
        raise RefusedError(reason)
    if arguments.get("use_cache"):
        raise RefusedError(f"{stack} measures the phase inference only; {task.phase} has a KV cache.")
    if task.precision not in PRECISIONS[stack]:
        raise RefusedError(f"{stack} computes in {', '.join(PRECISIONS[stack])} on a CPU, not in {task.precision}.")
    tensors = {name: value for name, value in arguments.items() if isinstance(value, torch.Tensor)}
    if any(value.device.type != "cpu" for value in tensors.values()):
        raise RefusedError(f"{stack} is measured on the CPU only.")
    with tempfile.TemporaryDirectory(prefix="hetbench-onnx-") as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / "model.onnx"
        torch.onnx.export(network, (), path, kwargs=dict(arguments), dynamo=True, external_data=True, verbose=False)
        yield LOADERS[stack](path, list(tensors.values()), task)
