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
from data_collection.profile.tasks import Task
from hetbench.errors import RefusedError

__all__ = ["EXPORTED", "STACKS", "exported", "missing", "run"]

EXPORTED = ("onnxruntime", "openvino")
STACKS = ("eager", "compiled", *EXPORTED)
_PRECISIONS = {"onnxruntime": {"fp32": ""}, "openvino": {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}}
"""Stack -> precisions that it computes in on a CPU, with its own names; ONNX Runtime only casts to and from fp32."""
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
    """Export to ONNX at the task's setting and yield a callable and the library's name."""
    import torch

    reason = missing(stack)
    if reason:
        raise RefusedError(reason)
    if arguments.get("use_cache"):
        raise RefusedError(f"{stack} measures the phase inference only; {task.phase} has a KV cache.")
    if task.precision not in _PRECISIONS[stack]:
        raise RefusedError(f"{stack} computes in {', '.join(_PRECISIONS[stack])} on a CPU, not in {task.precision}.")
    tensors = {name: value for name, value in arguments.items() if isinstance(value, torch.Tensor)}
    if any(value.device.type != "cpu" for value in tensors.values()):
        raise RefusedError(f"{stack} is measured on the CPU only.")
    with tempfile.TemporaryDirectory(prefix="hetbench-onnx-") as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / "model.onnx"
        torch.onnx.export(network, (), path, kwargs=dict(arguments), dynamo=True, external_data=True, verbose=False)
        loader = _onnxruntime if stack == "onnxruntime" else _openvino
        yield loader(path, list(tensors.values()), task)


def _onnxruntime(path: Path, tensors: list[Any], task: Task) -> tuple[Any, str]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = task.threads or 0
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    feeds = _feeds([each.name for each in session.get_inputs()], tensors)
    return lambda: session.run(None, feeds), f"ONNX Runtime {onnxruntime.__version__}"


def _openvino(path: Path, tensors: list[Any], task: Task) -> tuple[Any, str]:
    import openvino

    asked = _PRECISIONS["openvino"][task.precision]
    # without the hint it may run fp32 networks in bf16
    settings = {"INFERENCE_PRECISION_HINT": asked, "PERFORMANCE_HINT": "LATENCY"}
    if task.threads:
        settings["INFERENCE_NUM_THREADS"] = str(task.threads)
    compiled = openvino.Core().compile_model(path, "CPU", settings)
    used = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
    if used != asked:
        raise RefusedError(f"OpenVINO computes in {used} on this CPU where {asked} is asked for.")
    request = compiled.create_infer_request()
    feeds = _feeds([each.get_any_name() for each in compiled.inputs], tensors)
    return lambda: request.infer(feeds, share_inputs=True, share_outputs=True), f"OpenVINO {openvino.__version__}"


def _feeds(names: list[str], tensors: list[Any]) -> dict[str, Any]:
    """Arrays by the names in the exported graph, in the order of the arguments."""
    if len(names) != len(tensors):
        raise RefusedError(f"the exported model has {len(names)} inputs, the call {len(tensors)} tensors.")
    return {name: tensor.detach().contiguous().numpy() for name, tensor in zip(names, tensors, strict=True)}
