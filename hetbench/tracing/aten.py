"""Names of recorded calls as ATen operators, as back ends register them."""

from __future__ import annotations

from typing import Any

from hetbench.tracing.recording import Call

__all__ = ["argument", "aten_name"]

# Where they differ from the function's; `{}` takes Tensor or Scalar by the second operand.
_NAMES = {
    "add": "add.{}", "sub": "sub.{}", "mul": "mul.{}", "div": "div.{}", "pow": "pow.Tensor_{}", "rsub": "rsub.{}",
    "reshape": "clone", "contiguous": "clone", "flatten": "clone", "to": "_to_copy", "float": "_to_copy",
    "half": "_to_copy", "type_as": "_to_copy", "long": "_to_copy", "int": "_to_copy", "bool": "_to_copy",
    "double": "_to_copy", "bfloat16": "_to_copy", "__getitem__": "index.Tensor", "__setitem__": "copy_",
    "hardtanh": "hardtanh", "softmax": "_softmax", "log_softmax": "_log_softmax", "mean": "mean.dim",
    "sum": "sum.dim_IntList", "where": "where.self", "masked_fill": "masked_fill.{}", "pad": "constant_pad_nd",
    "max_pool2d": "max_pool2d_with_indices", "adaptive_avg_pool2d": "_adaptive_avg_pool2d",
    "adaptive_avg_pool1d": "adaptive_avg_pool1d", "matmul": "matmul", "cumsum": "cumsum", "batch_norm": "batch_norm",
    "clamp": "clamp", "eq": "eq.{}", "ne": "ne.{}", "lt": "lt.{}", "le": "le.{}", "gt": "gt.{}", "ge": "ge.{}",
    "and": "bitwise_and.Tensor", "or": "bitwise_or.Tensor", "xor": "bitwise_xor.Tensor", "invert": "bitwise_not",
    "any": "any", "all": "all", "stack": "stack", "_weight_norm": "_weight_norm_interface", "radd": "add.{}",
    "rmul": "mul.{}", "truediv": "div.{}", "rtruediv": "div.{}", "iadd": "add_.{}", "imul": "mul_.{}",
    "isub": "sub_.{}", "add_": "add_.{}", "mul_": "mul_.{}", "sub_": "sub_.{}", "div_": "div_.{}", "max": "max.dim",
    "min": "min.dim", "split": "split.Tensor", "ones": "ones", "tensor": "lift_fresh", "floordiv": "floor_divide",
    "zeros": "zeros", "type": "_to_copy", "norm": "norm.ScalarOpt_dim", "masked_fill_": "masked_fill_.{}",
    "isin": "isin.Tensor_Tensor", "remainder": "remainder.{}", "fmod": "fmod.{}", "unfold": "im2col", "fold": "col2im",
    "grid_sample": "grid_sampler_2d", "fft_fft": "_fft_c2c", "fft_ifft": "_fft_c2c", "fft_rfft": "_fft_r2c",
    "fft_irfft": "_fft_c2r", "fft_fft2": "_fft_c2c", "fft_ifft2": "_fft_c2c", "fft_fftn": "_fft_c2c",
    "fft_ifftn": "_fft_c2c", "fft_rfft2": "_fft_r2c", "fft_irfft2": "_fft_c2r", "fft_rfftn": "_fft_r2c",
    "fft_irfftn": "_fft_c2r", "lstm": "lstm.input", "gru": "gru.input", "rnn_tanh": "rnn_tanh.input",
    "rnn_relu": "rnn_relu.input", "grouped_mm": "_grouped_mm", "embedding_bag": "_embedding_bag",
    "max_pool3d": "max_pool3d_with_indices", "adaptive_avg_pool3d": "_adaptive_avg_pool3d",
    "lerp": "lerp.Scalar", "var_mean": "var_mean.correction", "std_mean": "std_mean.correction",
    "scatter_add": "scatter_add", "scatter_reduce": "scatter_reduce.two",
}  # fmt: skip


def argument(call: Call, place: int, name: str, default: Any = None) -> Any:
    """An argument given by place or by name."""
    return call.args[place] if len(call.args) > place else call.kwargs.get(name, default)


def aten_name(call: Call) -> str:
    """Name of the ATen operator; Python operators take the name of their method."""
    name = call.name
    if name.startswith("__") and name.endswith("__") and name not in ("__getitem__", "__setitem__"):
        name = name.strip("_")
    pattern = _NAMES.get(name, name)
    if "{}" in pattern:
        second = call.args[1] if len(call.args) > 1 else None
        pattern = pattern.format("Tensor" if hasattr(second, "dim") else "Scalar")
    if name == "interpolate":
        pattern = _upsample(call)
    elif name == "grid_sample" and call.inputs[0].dim() == 5:
        pattern = "grid_sampler_3d"
    elif name in ("conv1d", "conv2d", "conv3d") and isinstance(argument(call, 4, "padding", 0), str):
        pattern = f"{name}.padding"
    elif name in ("mean", "sum", "max", "min") and len(call.args) < 2 and not call.kwargs:
        pattern = name
    elif call.inplace and not name.endswith("_"):
        pattern = f"{name}_"
    return pattern


def _upsample(call: Call) -> str:
    """`interpolate` by its mode and the axes it resizes."""
    mode, axes = argument(call, 3, "mode", "nearest"), call.inputs[0].dim() - 2
    if mode == "area":
        return f"_adaptive_avg_pool{axes}d" if axes > 1 else "adaptive_avg_pool1d"
    if mode == "nearest-exact":
        return f"_upsample_nearest_exact{axes}d"
    smooth = "_aa" if argument(call, 6, "antialias", False) else ""
    return f"{'_' if smooth else ''}upsample_{mode}{axes}d{smooth}"
