"""Feature matrices of operators, one definition for training and queries.

Features come from a performance model: time at the peak, time at the memory bandwidth, launch floor, tiles and waves
over the compute units, footprint over the cache. `Features.ratio` has no absolute property of a chip, so heads on it
apply to chips without rows; `Features.absolute` adds absolute ones. Unknown facts are NaN.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hetbench.catalog.chips import Chip
from hetbench.catalog.estimates import peak_flops
from hetbench.operators import operator_type
from hetbench.predict.conv_work import block_padding, uses_winograd, winograd_savings
from hetbench.schema import itemsize

if TYPE_CHECKING:
    from hetbench.graphs import OperatorGroup, OperatorTable

__all__ = ["CLASSES", "Facts", "Features", "by_class", "chip_facts", "class_of", "features"]

Array = NDArray[Any]
CLASSES = ("gemm", "prefill", "decode", "conv", "vector")
_COMPUTE_OVER_MEMORY = 1  # column of `Features.ratio`
_FRACTAL = 16  # of Da Vinci's cube: 16 x 16 x 16 products a step
_TILE_M, _TILE_N = np.array([256, 128, 64, 32]), np.array([128, 128, 64, 16])


@dataclass(frozen=True, slots=True)
class Facts:
    """Facts of chip and protocol that the features use; scalars or arrays [rows]."""

    peak: Any
    """FLOP/s of the matrix units at the operator's precision."""
    vector_peak: Any
    """FLOP/s of the vector units in fp32."""
    bandwidth: Any
    """Bytes per second of the device memory."""
    compute_units: Any
    l2_bytes: Any
    """Size of the largest on-chip cache."""
    cache_bandwidth: Any
    """Bytes per second of that cache: the larger of 32 bytes per clock and compute unit, and 3 x the bandwidth."""
    floor_ms: Any
    """Launch floor of the class on this chip under the protocol."""
    itemsize: Any
    """Bytes per element."""
    fractal: Any = 1
    """Side of the blocks that the matrix unit computes whole: 16 on the cube units of NPUs, else 1."""
    turbo: bool = False
    """Whether the peak may be stated at a base clock that the chip exceeds, as on CPUs: then it bounds nothing."""


@dataclass(frozen=True, slots=True)
class Features:
    """Feature matrices with the roofline that predictions are relative to."""

    ratio: Array
    """Features relative to the chip, float32 [rows, ratio columns]."""
    absolute: Array
    """Absolute properties of chip and work, float32 [rows, absolute columns]."""
    roofline_ms: Array
    """max(time at the peak, time at the bandwidth), without launch floor, float64 [rows]."""
    floor_ms: Array
    """Launch floor, one number or [rows]."""
    least_ms: Array
    """Minimum that the datasheet allows, float64 [rows]: the roofline, less Winograd's savings where a convolution
    allows them, without the device memory where the operands fit the cache, and without the peak of a CPU."""
    base_ms: Array
    """Roofline with cache plus launch floor, [rows]; surrogates predict log(latency / base)."""

    @property
    def compute_bound(self) -> Array:
        """Rows that take longer at the peak than at the memory bandwidth, [rows]."""
        return self.ratio[:, _COMPUTE_OVER_MEMORY] > 0

    def take(self, rows: Array) -> Features:
        """Some of the rows, by index."""
        floor = self.floor_ms[rows] if np.ndim(self.floor_ms) else self.floor_ms
        ratio, absolute, least_ms = self.ratio[rows], self.absolute[rows], self.least_ms[rows]
        return Features(ratio, absolute, self.roofline_ms[rows], floor, least_ms, self.base_ms[rows])


def chip_facts(chip: Chip, dtype: str, floor_ms: float) -> Facts:
    """Facts of one chip for operators of one dtype, with a launch floor in ms; unknown facts are NaN.

    A peak that the datasheet leaves out is estimated, see `hetbench.catalog.estimates`.

    >>> from hetbench.catalog.chips import chip
    >>> chip_facts(chip("nvidia-a100-sxm4-80gb"), "fp16", 0.005).peak
    312000000000000.0
    """
    peak = peak_flops(chip, dtype) or np.nan
    caches = [size for size in (chip.l2_mb, chip.llc_mb) if size]
    bandwidth = chip.bandwidth or np.nan
    cache_bandwidth = max(32e6 * (chip.compute_units or 0) * (chip.boost_mhz or 0), 3 * bandwidth)
    return Facts(
        peak, chip.vector_flops or peak_flops(chip, "fp32") or np.nan, bandwidth, chip.compute_units or np.nan,
        max(caches) * 2**20 if caches else np.nan, cache_bandwidth, floor_ms, itemsize(dtype),
        _FRACTAL if chip.kind == "npu" else 1, chip.kind == "cpu",
    )


def class_of(op: str, dims: Mapping[str, Any]) -> str:
    """The operator class, one of `CLASSES`; attention is `decode` where `q_len` is 1, else `prefill`.

    >>> class_of("Attention", {"q_len": 1}), class_of("Linear", {})
    ('decode', 'gemm')
    """
    cost_class = operator_type(op).cost_class
    if cost_class != "attention":
        return cost_class
    return "decode" if int(np.max(dims["q_len"])) == 1 else "prefill"


def by_class(table: OperatorTable) -> dict[str, list[OperatorGroup]]:
    """The groups of a table by operator class; attention is divided into decode and prefill rows.

    >>> from hetbench.graphs import load
    >>> sorted(by_class(load("gpt2").operators(1, 8)))
    ['gemm', 'prefill', 'vector']
    """
    found: dict[str, list[OperatorGroup]] = {}
    for group in table.groups:
        kind = operator_type(group.op).cost_class
        if kind == "attention":
            single = group.dims["q_len"] == 1
            for cls, rows in (("decode", single), ("prefill", ~single)):
                if rows.any():
                    dims = {name: value[rows] for name, value in group.dims.items()}
                    found.setdefault(cls, []).append(replace(group, dims=dims, count=group.count[rows]))
        elif kind != "free":
            found.setdefault(kind, []).append(group)
    return found


def features(cls: str, shared: Mapping[str, Array], facts: Facts) -> Features:
    """Features of operators of one class from their canonical dims; the entries of `facts` are scalars or [rows]."""
    flops, moved = shared["flops"], shared["bytes"]
    compute_ms = 1e3 * flops / (facts.vector_peak if cls == "vector" else facts.peak)
    memory_ms = 1e3 * moved / facts.bandwidth
    roofline_ms = np.fmax(compute_ms, memory_ms)  # an unknown peak leaves the memory bound
    # repeated runs hit the cache: fully for footprints up to 0.7 of its size, not at all from 1.5 on
    hit = np.nan_to_num(np.clip((1.5 - moved / facts.l2_bytes) / 0.8, 0.0, 1.0))
    cached_ms = memory_ms * (1 - hit) + 1e3 * moved * hit / facts.cache_bandwidth
    padding, savings = 1.0, 1.0
    if cls == "conv":
        padding, savings = block_padding(shared, facts.fractal), winograd_savings(shared)
    bound_ms = np.fmax(compute_ms * padding, cached_ms * shared.get("idle", 1.0))
    least_ms = np.fmax(0.0 if facts.turbo else compute_ms / savings, np.where(hit > 0, cached_ms, memory_ms))
    logs = [
        compute_ms, memory_ms, cached_ms, bound_ms, facts.floor_ms, moved, facts.l2_bytes, facts.peak, facts.bandwidth,
        facts.compute_units, flops,
    ]
    compute, memory, cached, bound, floor, size, cache, peak, bandwidth, units, work = _log(_stack(logs, len(flops)).T)
    common = [compute - cached, compute - memory, bound - floor, size - cache, facts.itemsize]
    absolute = [peak, bandwidth, units, cache, floor, work, size, bound, compute, memory]
    shape = _SHAPE[cls](shared, facts.compute_units)
    return Features(
        _stack(common + shape, len(flops)).astype(np.float32), np.stack(absolute, axis=1).astype(np.float32),
        roofline_ms, facts.floor_ms, least_ms, bound_ms + facts.floor_ms,
    )


def _stack(columns: list[Any], rows: int) -> Array:
    out = np.empty((rows, len(columns)), dtype=np.float64)
    for index, column in enumerate(columns):
        out[:, index] = column
    return out


def _log(value: Any) -> Array:
    """log2, at least -40 so that operators without arithmetic stay finite; NaN (unknown) stays NaN."""
    return np.log2(np.maximum(np.asarray(value, dtype=np.float64), 2.0**-40))


def _alignment(value: Array) -> Array:
    """Largest power of two, up to 256, that divides the value, as an exponent 0..8."""
    return np.log2(np.minimum(value & -value, 256))


def _tiles(batch: Any, m: Array, n: Array, units: Any) -> list[Array]:
    """Per tile size: log2 of waves over the compute units, fill of the last wave, fill of the edge tiles."""
    blocks_m, blocks_n = -(-m[:, None] // _TILE_M), -(-n[:, None] // _TILE_N)  # [rows, tiles]
    waves = np.asarray(batch)[:, None] * blocks_m * blocks_n / (units[:, None] if np.ndim(units) else units)
    fill = (m[:, None] / (blocks_m * _TILE_M)) * (n[:, None] / (blocks_n * _TILE_N))
    return [*_log(waves).T, *(waves / np.ceil(waves)).T, *fill.T]


def _logs(*values: Any) -> list[Array]:
    """log2 of several columns in one call."""
    rows = max(np.size(value) for value in values)
    return list(_log(_stack(list(values), rows).T))


def _gemm(d: Mapping[str, Array], units: Any) -> list[Any]:
    m, n, k, batch = d["m"], d["n"], d["k"], d["b"]
    return [
        *_logs(m, n, k, batch, batch * m * n / units), _alignment(m), _alignment(n), _alignment(k),
        *_tiles(batch, m, n, units),
    ]


def _attention(d: Mapping[str, Array], units: Any) -> list[Any]:
    batch, q, kv, heads, kv_heads, pairs = (d[k] for k in ("batch", "q_len", "kv_len", "heads", "kv_heads", "pairs"))
    blocks = batch * heads * -(-q // 128) / units, batch * heads * -(-q // 64) / units
    split = batch * kv_heads * -(-kv // 512) / units  # waves of a split-KV decode kernel
    return [
        *_logs(batch, q, kv, heads, kv_heads, d["head_dim"], np.maximum(d["window"], 0.5), heads / kv_heads, kv / q,
               batch * kv_heads / units, batch * kv_heads * kv / units, *blocks, split,
               pairs / q * np.ceil(blocks[0]), pairs / q * np.ceil(blocks[1])),
        d["causal"], pairs / (q * kv), _alignment(kv), *(w / np.maximum(np.ceil(w), 1.0) for w in (*blocks, split)),
    ]  # fmt: skip


def _conv(d: Mapping[str, Array], units: Any) -> list[Any]:
    out_h, out_w, groups, channels, out_channels = d["out_h"], d["out_w"], d["groups"], d["c"], d["oc"]
    per_group = channels // groups
    m, n, k = d["n"] * out_h * out_w, out_channels // groups, per_group * d["kh"] * d["kw"]  # as a matrix product
    reread = d["kh"] * d["kw"] / np.square(d["stride"])  # how often a direct kernel reads each input
    return [
        *_logs(d["n"], channels, d["h"], d["w"], out_channels, groups, per_group, m, n, k, out_h * out_w, reread,
               m * out_channels / units, n * k, m / n),
        d["kh"], d["kw"], d["stride"], d["pad"], groups == channels, uses_winograd(d), _alignment(channels),
        _alignment(out_channels), _alignment(d["w"]), _alignment(d["n"]), out_h % 4, out_w % 4,
        (out_channels - channels) / (out_channels + channels), *_tiles(groups, m, n, units),
    ]  # fmt: skip


def _vector(d: Mapping[str, Array], units: Any) -> list[Any]:
    rows, cols = d["rows"], d["cols"]
    waves = rows / units
    return [
        *_logs(rows * cols, rows, cols, rows * cols / units, waves), _alignment(cols), _alignment(rows * cols),
        d["touched"], d["work"], rows > 1, np.where(rows > 1, waves / np.ceil(waves), 1.0), cols % 4 == 0,
    ]


_SHAPE = {"gemm": _gemm, "prefill": _attention, "decode": _attention, "conv": _conv, "vector": _vector}
