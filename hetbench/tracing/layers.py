"""Dims of layers whose sizes follow from their arguments: convolutions, pools, norms, tables, resampling, transforms.

An operator type has one stride and padding for all axes. A call whose steps differ by axis is written as the one with
the same windows and outputs, and `area` states the input positions; an axis that a window of 1 walks in steps of 1
goes into the batch instead.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from hetbench.operators.conv import conv_out
from hetbench.operators.convnd import transposed_out
from hetbench.tracing.aten import argument
from hetbench.tracing.functions import bare
from hetbench.tracing.lowered import Lowered, data_dtype, elements, lowered_type
from hetbench.tracing.recording import Call, Recording

__all__ = ["LAYERS"]

_SIZES = {1: ("l",), 2: ("h", "w"), 3: ("d", "h", "w")}
_KERNELS = {1: ("k",), 2: ("kh", "kw"), 3: ("kd", "kh", "kw")}


def _each(value: Any, axes: int) -> tuple[int, ...]:
    """A size for each axis: one number, or one for each."""
    if not isinstance(value, tuple | list):
        return (int(value),) * axes
    return tuple(int(each) for each in (value * axes if len(value) == 1 else value))


@dataclass(frozen=True, slots=True)
class _Walk:
    """How a window walks over axes."""

    size: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    pad: tuple[int, ...]
    out: tuple[int, ...]

    def dims(self) -> tuple[int, dict[str, int]]:
        """How often the batch is repeated, and the dims of sizes, kernels and steps."""
        if self._is_plain():
            return 1, self._named(self.size, self.kernel, self.stride[0], self.pad[0])
        single = [k == s == 1 and p == 0 for k, s, p in zip(self.kernel, self.stride, self.pad, strict=True)]
        rest = self._only([not each for each in single])
        if any(single) and rest.size and rest._is_plain() and 2 * rest.pad[0] < rest.stride[0]:
            size = tuple(1 if alone else n for alone, n in zip(single, self.size, strict=True))
            times = prod(n for alone, n in zip(single, self.size, strict=True) if alone)
            return times, self._named(size, self.kernel, rest.stride[0], rest.pad[0])
        step = self.stride[0]
        size = tuple((out - 1) * step + kernel for out, kernel in zip(self.out, self.kernel, strict=True))
        dims = self._named(size, self.kernel, step, 0)
        return 1, dims if prod(size) == prod(self.size) else {**dims, "area": prod(self.size)}

    def _is_plain(self) -> bool:
        """Whether one stride and one padding give the outputs."""
        walks = zip(self.size, self.kernel, strict=True)
        expected = tuple(conv_out(size, kernel, self.stride[0], self.pad[0]) for size, kernel in walks)
        return len(set(self.stride)) == len(set(self.pad)) == 1 and expected == self.out

    def _only(self, chosen: Sequence[bool]) -> _Walk:
        parts = (self.size, self.kernel, self.stride, self.pad, self.out)
        return _Walk(*(tuple(n for n, keep in zip(part, chosen, strict=True) if keep) for part in parts))

    def _named(self, size: Sequence[int], kernel: Sequence[int], stride: int, pad: int) -> dict[str, int]:
        axes = len(size)
        named = dict(zip((*_SIZES[axes], *_KERNELS[axes]), (*size, *kernel), strict=True))
        return {**named, "stride": stride, "pad": pad}


def _conv(call: Call, _: Recording) -> Lowered:
    x, weight = call.inputs[:2]
    axes = weight.dim() - 2
    general = bare(call.name) in ("convolution", "_convolution", "convolution_overrideable")
    if general and call.args[6]:
        return _transposed(call, _)
    kernel, size = tuple(weight.shape[2:]), tuple(x.shape[-axes:])
    padding, groups = argument(call, 4, "padding", 0), argument(call, 8 if general else 6, "groups", 1)
    if isinstance(padding, str):
        padding = [0 if padding == "valid" else (width - 1) // 2 for width in kernel]
    stride = _each(argument(call, 3, "stride", 1), axes)
    dilated = set(_each(argument(call, 5, "dilation", 1), axes)) != {1}
    pad = _each(padding, axes)
    walk = _Walk(size, kernel, stride, pad if not dilated else (-1,) * axes, tuple(call.outputs[0].shape[-axes:]))
    times, dims = walk.dims()
    batch = x.shape[0] if x.dim() == weight.dim() else 1
    wide = 2 if x.is_complex() else 1  # a complex channel is two real ones
    dims = {"n": batch * times, "c": wide * weight.shape[1] * groups, "oc": wide * weight.shape[0], **dims}
    return Lowered(f"Conv{axes}d", _ordered(axes, {**dims, "groups": groups}), lowered_type(x.dtype))


def _ordered(axes: int, dims: dict[str, int]) -> dict[str, int]:
    """Dims in the order that graphs are written in."""
    names = ("n", "c", *_SIZES[axes], "oc", *_KERNELS[axes], "stride", "pad", "extra", "groups", "area")
    return {name: dims[name] for name in names if name in dims}


def _transposed(call: Call, _: Recording) -> Lowered:
    x, weight, out = call.inputs[0], call.inputs[1], call.outputs[0]
    axes, general = weight.dim() - 2, "transpose" not in call.name
    kernel, size = tuple(weight.shape[2:]), tuple(x.shape[-axes:])
    stride, pad = (_each(argument(call, place, name, default), axes) for place, name, default in _STEPS)
    extra = _each(argument(call, 7 if general else 5, "output_padding", 0), axes)
    groups = argument(call, 8 if general else 6, "groups", 1)
    ends = tuple(out.shape[-axes:])
    dims = {
        "n": x.shape[0] if x.dim() == weight.dim() else 1, "c": weight.shape[0], "oc": weight.shape[1] * groups,
        **dict(zip((*_SIZES[axes], *_KERNELS[axes]), (*size, *kernel), strict=True)),
        "stride": stride[0], "pad": pad[0], "groups": groups,
    }  # fmt: skip
    if any(extra):
        dims["extra"] = extra[0]
    walks = zip(size, kernel, strict=True)
    if tuple(transposed_out(n, k, stride[0], pad[0], extra[0]) for n, k in walks) != ends:
        dims["area"] = prod(ends)
    return Lowered(f"ConvTranspose{axes}d", _ordered(axes, dims), lowered_type(x.dtype))


_STEPS = ((3, "stride", 1), (4, "padding", 0))


def _image(tensor: Any) -> dict[str, int]:
    """n, c, h, w of anything with channels second; missing axes are 1, more than two are multiplied into w."""
    n, c, *rest = tensor.shape
    h, w = (rest[0], prod(rest[1:])) if rest else (1, 1)
    return {"n": n, "c": c, "h": h, "w": w}


def _pool(call: Call, _: Recording) -> Lowered:
    x, name = call.inputs[0], bare(call.name)
    axes = next(axes for axes in (1, 2, 3) if f"pool{axes}d" in name)
    kernel = _each(argument(call, 1, "kernel_size"), axes)
    stride = _each(argument(call, 2, "stride", None) or kernel, axes)
    pad = _each(argument(call, 3, "padding", 0), axes)
    size, out = tuple(x.shape[-axes:]), tuple(call.outputs[0].shape[-axes:])
    covered = tuple(min(k, n + 2 * p) for k, n, p in zip(kernel, size, pad, strict=True))
    if covered != kernel:  # EfficientNet's window of 1280: one that covers the image
        kernel, stride = covered, covered
    times, dims = _Walk(size, kernel, stride, pad, out).dims()
    dims = {"n": prod(x.shape[: -axes - 1]) * times, "c": x.shape[-axes - 1], **dims}
    if name.startswith("max") and len(call.outputs) > 1:
        dims["indices"] = 1
    kind = "Max" if name.startswith("max") else "Avg"
    return Lowered(f"{kind}Pool{axes}d", dims, lowered_type(x.dtype))


_TAPS = {"nearest": 1, "nearest-exact": 1, "linear": 2, "bilinear": 4, "trilinear": 8, "bicubic": 16}
"""Samples that each output element is made of, by mode."""


def _adaptive(call: Call, _: Recording) -> Lowered:
    kind = "AdaptiveMaxPool2d" if "max" in call.name else "AdaptiveAvgPool2d"
    return _resized(kind, call, {})


def _interpolate(call: Call, _: Recording) -> Lowered:
    mode = argument(call, 3, "mode", "nearest")
    if call.name != "interpolate":  # upsample_bilinear2d, _upsample_nearest_exact1d ...
        mode = next(each for each in sorted(_TAPS, key=len, reverse=True) if each.replace("-", "_") in call.name)
    if mode == "area":
        return _resized("AdaptiveAvgPool2d", call, {})
    return _resized("Interpolate", call, {} if _TAPS[mode] == 16 else {"taps": _TAPS[mode]})


def _resized(operator: str, call: Call, more: dict[str, int]) -> Lowered:
    given, made = call.inputs[0], call.outputs[0]
    if "adaptive" in call.name:  # a batch may be missing
        axes = next(axes for axes in (1, 2, 3) if f"{axes}d" in call.name)
        given, made = (_batched(tensor, axes) for tensor in (given, made))
    out = _image(made)
    return Lowered(operator, {**_image(given), "oh": out["h"], "ow": out["w"], **more}, lowered_type(given.dtype))


def _batched(tensor: Any, axes: int) -> Any:
    return tensor if tensor.dim() > axes + 1 else tensor[None]


def _grid_sample(call: Call, _: Recording) -> Lowered:
    given, three = call.inputs[0], call.inputs[0].dim() == 5
    mode = argument(call, 2, "mode", "bilinear")
    mode = mode if isinstance(mode, str) else ("bilinear", "nearest", "bicubic")[mode]
    taps = {"nearest": 1, "bicubic": 16}.get(mode, 8 if three else 4)
    return _resized("GridSample", call, {} if taps == 4 else {"taps": taps}) if given.dim() else _copy(call, _)


def _norm(call: Call, _: Recording) -> Lowered:
    x, name = call.inputs[0], bare(call.name)
    dtype = lowered_type(x.dtype)
    if "batch_norm" in name:
        return Lowered("BatchNorm2d", _image(x), dtype)
    if "layer_norm" in name or "rms_norm" in name:
        cols = prod(argument(call, 1, "normalized_shape"))
        kind = "RMSNorm" if "rms" in name else "LayerNorm"
        return Lowered(kind, {"rows": x.numel() // cols, "cols": cols}, dtype)
    if name == "native_group_norm":
        rows = x.shape[0] * call.args[6]
    else:
        rows = x.shape[0] * (argument(call, 1, "num_groups") if name == "group_norm" else x.shape[1])
    return Lowered("GroupNorm", {"rows": rows, "cols": x.numel() // rows}, dtype)


def _whole(operator: str) -> Callable[[Call, Recording], Lowered]:
    def handler(call: Call, _: Recording) -> Lowered:
        return Lowered(operator, {"numel": max(elements(tensor) for tensor in call.outputs)}, data_dtype(call))

    return handler


_copy = _whole("Copy")
_POOLS = ("max_pool{}d", "avg_pool{}d", "max_pool{}d_with_indices")
_ADAPTIVE = (
    "adaptive_avg_pool{}d", "_adaptive_avg_pool{}d", "adaptive_max_pool{}d", "adaptive_max_pool{}d_with_indices",
)  # fmt: skip
_UPSAMPLE = (
    "upsample_nearest{}d", "_upsample_nearest_exact{}d", "upsample_linear{}d", "upsample_bilinear{}d",
    "upsample_trilinear{}d", "upsample_bicubic{}d", "_upsample_bilinear{}d_aa", "_upsample_bicubic{}d_aa",
)  # fmt: skip
_NORMS = (
    "layer_norm", "rms_norm", "group_norm", "instance_norm", "batch_norm", "native_layer_norm", "native_group_norm",
    "native_batch_norm", "_native_batch_norm_legit_no_training", "_batch_norm_no_update", "_fused_rms_norm",
)  # fmt: skip
_DROPS = (
    "dropout", "dropout1d", "dropout2d", "dropout3d", "feature_dropout", "alpha_dropout", "feature_alpha_dropout",
    "native_dropout",
)  # fmt: skip
_PADS = ("pad", "constant_pad_nd", *(f"{kind}_pad{n}d" for kind in ("reflection", "replication") for n in (1, 2, 3)))

LAYERS: dict[str, Callable[[Call, Recording], Lowered]] = {
    **{f"conv{axes}d": _conv for axes in _SIZES}, "convolution": _conv, "_convolution": _conv,
    **{f"conv_transpose{axes}d": _transposed for axes in _SIZES},
    **{name.format(axes): _pool for name in _POOLS for axes in _SIZES},
    **{name.format(axes): _adaptive for name in _ADAPTIVE for axes in _SIZES},
    **{name.format(axes): _interpolate for name in _UPSAMPLE for axes in _SIZES}, "interpolate": _interpolate,
    **dict.fromkeys(("grid_sample", "grid_sampler", "grid_sampler_2d", "grid_sampler_3d"), _grid_sample),
    **dict.fromkeys(_NORMS, _norm),
    **dict.fromkeys(_DROPS, _whole("Dropout")),
    **dict.fromkeys(_PADS, _whole("Pad")), **dict.fromkeys(("cat", "concat", "concatenate", "stack"), _whole("Concat")),
    **dict.fromkeys(("hstack", "vstack", "dstack", "column_stack"), _whole("Concat")),
    **dict.fromkeys(("repeat", "tile"), _whole("Repeat")), "cross": _whole("Addcmul"),
    "linalg_cross": _whole("Addcmul"),
}  # fmt: skip
