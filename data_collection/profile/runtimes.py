"""ONNX Runtime and OpenVINO on a CPU: load an exported network, quantise it by their own quantisers, and say what ran.

A runtime may compute in another precision than is asked for: OpenVINO takes bf16 for a network in fp32 where the CPU
has it, and a quantiser leaves operators that it cannot convert. So the precision is read from the runtime: OpenVINO's
own model of what it executes, and the graph that ONNX Runtime made after its optimisations. A row is refused unless
most of its products (matrix products, convolutions, recurrent cells) ran in the precision that it would be filed under.
"""

from __future__ import annotations

import contextlib
import io
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from data_collection.profile.tasks import Task
from hetbench.catalog.models import model
from hetbench.errors import RefusedError

__all__ = ["LOADERS", "PRECISIONS", "executed"]

Loaded = tuple[Callable[[], Any], str]
PRECISIONS: Mapping[str, Mapping[str, str]] = {
    "onnxruntime": {"fp32": "", "int8": ""},
    "openvino": {"fp32": "f32", "bf16": "bf16", "fp16": "f16", "int8": "f32"},
}
"""Stack -> precisions that it computes in on a CPU, with the runtime's name of what it may compute the rest in.

ONNX Runtime only casts bf16 and fp16 to and from fp32 on a CPU."""
_INT8_OPS = ("QLinearConv", "ConvInteger", "QLinearMatMul", "MatMulInteger", "MatMulIntegerToFloat",
             "DynamicQuantizeMatMul", "QGemm", "DynamicQuantizeLSTM", "QAttention")  # fmt: skip
_FP32_OPS = ("Conv", "FusedConv", "ConvTranspose", "MatMul", "FusedMatMul", "Gemm", "FusedGemm", "LSTM", "GRU",
             "Attention", "MultiHeadAttention")  # fmt: skip
_LAYERS = ("Convolution", "Deconvolution", "FullyConnected", "MatMul", "RNNSeq", "RNNCell", "ScaledDotProductAttention",
           "ScaledDotProductAttentionWithKVCache")  # fmt: skip
_NAMES = {"f32": "fp32", "bf16": "bf16", "f16": "fp16", "i8": "int8", "u8": "int8"}


def executed(products: Mapping[str, int], asked: str, runtime: str) -> str:
    """What ran, as the library of a row says it; refused unless most products ran in the precision asked for.

    >>> executed({"int8": 20, "fp32": 1}, "int8", "ONNX Runtime 1.32.0")
    'ONNX Runtime 1.32.0, 20 of 21 products in int8, 1 in fp32'
    """
    total = sum(products.values())
    (first, *others) = sorted(products.items(), key=lambda each: -each[1]) or [("none", 0)]
    said = f"{first[1]} of {total} products in {first[0]}"
    said += "".join(f", {many} in {name}" for name, many in others)
    if 2 * products.get(asked, 0) <= total:
        raise RefusedError(f"{runtime} executed {said}; a row of {asked} must have most of its products in it.")
    return f"{runtime}, {said}"


def _onnxruntime(path: Path, tensors: list[Any], task: Task) -> Loaded:
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = task.threads or 0
    options.log_severity_level = 3
    options.optimized_model_filepath = str(path.with_name("executed.onnx"))
    plain = onnx.load(path, load_external_data=False)
    feeds = _feeds([each.name for each in plain.graph.input], tensors)
    if task.precision == "int8":
        path = _quantised_onnx(path, feeds, task)
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    ran = onnx.load(options.optimized_model_filepath, load_external_data=False)
    ops = Counter(node.op_type for node in ran.graph.node)
    products = {"int8": sum(ops[name] for name in _INT8_OPS), "fp32": sum(ops[name] for name in _FP32_OPS)}
    said = executed({name: many for name, many in products.items() if many}, task.precision,
                    f"ONNX Runtime {onnxruntime.__version__}")  # fmt: skip
    return lambda: session.run(None, feeds), said


def _quantised_onnx(path: Path, feeds: Mapping[str, Any], task: Task) -> Path:
    """The network with int8 weights: activations at run time for text, calibrated on these inputs for images.

    So its documentation recommends for transformers and for convolutional networks.
    """
    from onnxruntime import quantization

    out = path.with_name("int8.onnx")
    root, level = logging.getLogger(), logging.getLogger().level
    root.setLevel(logging.ERROR)
    try:
        if model(task.name).image_size is None:
            quantization.quantize_dynamic(path, out, weight_type=quantization.QuantType.QInt8)
            return out

        class Once(quantization.CalibrationDataReader):
            left = [feeds]  # noqa: RUF012 - one reader for one calibration

            def get_next(self) -> Any:
                return self.left.pop() if self.left else None

        quantization.quantize_static(path, out, Once(), per_channel=True)
        return out
    finally:
        root.setLevel(level)


def _openvino(path: Path, tensors: list[Any], task: Task) -> Loaded:
    import openvino

    # without the hint it may compute fp32 networks in bf16; compiled from the ONNX file, since save_model stores fp16
    settings = {"INFERENCE_PRECISION_HINT": PRECISIONS["openvino"][task.precision], "PERFORMANCE_HINT": "LATENCY"}
    if task.threads:
        settings["INFERENCE_NUM_THREADS"] = str(task.threads)
    core = openvino.Core()
    network = core.read_model(path)
    feeds = _feeds([each.get_any_name() for each in network.inputs], tensors)
    if task.precision == "int8":
        network = _quantised_openvino(network, feeds, task)
    compiled = core.compile_model(network, "CPU", settings)
    used = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
    if used != settings["INFERENCE_PRECISION_HINT"]:
        raise RefusedError(f"OpenVINO computes in {used} on this CPU where {task.precision} is asked for.")
    said = executed(_openvino_products(compiled), task.precision, f"OpenVINO {openvino.__version__.split('-')[0]}")
    request = compiled.create_infer_request()
    return lambda: request.infer(feeds, share_inputs=True, share_outputs=True), said


def _openvino_products(compiled: Any) -> dict[str, int]:
    """Precision -> products that the plug-in executes in it, from its model of what it runs."""
    found: Counter[str] = Counter()
    for node in compiled.get_runtime_model().get_ordered_ops():
        told = node.get_rt_info()
        if told["layerType"].astype(str) in _LAYERS:
            precision = told["runtimePrecision"].astype(str)
            found[_NAMES.get(precision, precision)] += 1
    return dict(found)


def _quantised_openvino(network: Any, feeds: Mapping[str, Any], task: Task) -> Any:
    """The network with int8 weights and activations by NNCF, calibrated on these inputs."""
    try:
        import nncf
    except ImportError as error:
        raise RefusedError(f"OpenVINO quantises with NNCF, which cannot be imported ({error}). "
                           "Run: pip install nncf") from None  # fmt: skip
    logging.getLogger("nncf").setLevel(logging.ERROR)
    kind = nncf.ModelType.TRANSFORMER if model(task.name).seq_len is not None else None
    with contextlib.redirect_stdout(io.StringIO()):  # its progress bars
        return nncf.quantize(network, nncf.Dataset([dict(feeds)]), model_type=kind, subset_size=1)


def _feeds(names: list[str], tensors: list[Any]) -> dict[str, Any]:
    """Arrays by the names in the exported graph, in the order of the arguments."""
    if len(names) != len(tensors):
        raise RefusedError(f"the exported model has {len(names)} inputs, the call {len(tensors)} tensors.")
    return {name: tensor.detach().contiguous().numpy() for name, tensor in zip(names, tensors, strict=True)}


LOADERS: Mapping[str, Callable[[Path, list[Any], Task], Loaded]] = {"onnxruntime": _onnxruntime, "openvino": _openvino}
"""Stack -> loads an exported network; gives a call and what ran."""
