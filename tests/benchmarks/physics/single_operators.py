"""Single operators of random sizes on random chips, drawn with a fixed seed: physics, doubling, widths of levels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np

from hetbench.operators import OperatorType, operator_types
from tests.benchmarks.physics.asking import API, CHIPS, ITEM_BYTES, USABLE, cache_bytes
from tests.benchmarks.physics.record import Record

TYPES = operator_types()
MOST_CHIPS, SHAPES = 40, 10
_UNSTATED_CACHE = 64 * 2**20
_RANGES = {
    "n": (1, 32), "c": (1, 512), "d": (4, 32), "h": (7, 112), "w": (7, 112), "l": (16, 16000), "oc": (1, 512),
    "k": (2, 4), "kd": (1, 3), "kh": (1, 3), "kw": (1, 3), "rows": (1, 65536), "cols": (4, 16384), "numel": (1, 2**28),
    "touched": (1, 2**20), "bags": (1, 4096), "tokens": (1, 65536), "dim": (16, 4096), "groups": (1, 64),
    "m": (1, 4096),
}  # fmt: skip
"""Least and most of sizes, by their names."""
_WINDOWS = ("k", "kd", "kh", "kw")


class Draw:
    """Random shapes."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)

    def size(self, low: int, high: int, even: bool = True) -> int:
        """A size spread evenly in the logarithm, often a multiple of a power of two."""
        found = int(np.exp(self.random.uniform(np.log(low), np.log(high + 1))))
        if even and self.random.random() < 0.6:
            power = 2 ** int(self.random.integers(0, 8))
            found = max(power, found // power * power)
        return max(low, found)

    def one_of(self, *values: int) -> int:
        """One of the values."""
        return int(self.random.choice(values))

    def chips(self, precision: str) -> list[str]:
        """Chips that do not lack the precision."""
        names = [name for name in USABLE if CHIPS[name].supports(precision) is not False]
        return sorted(self.random.choice(names, min(len(names), MOST_CHIPS), replace=False).tolist())

    def dims(self, op: str) -> tuple[dict[str, int], str]:
        """Dims of an operator, and the one whose doubling doubles its work."""
        if op in _OWN:
            return _OWN[op](self)
        names = TYPES[op].dims
        if names[:4] == ("n", "c", "h", "w") and "oc" not in names:
            side = self.size(7, 224)
            window = (
                {"oh": self.size(1, 14), "ow": 7}
                if "oh" in names
                else ({"kh": 3, "kw": 3, "stride": 2, "pad": 1} if "kh" in names else {})
            )
            return {"n": self.size(1, 64, False), "c": self.size(1, 1024), "h": side, "w": side, **window}, "n"
        sizes = {name: self.size(*_RANGES[name], even=name not in _WINDOWS) for name in names}
        return sizes, "tokens" if "tokens" in names else names[0]


def _gemm(draw: Draw) -> tuple[dict[str, int], str]:
    return {name: draw.size(1, 16384) for name in ("m", "n", "k")}, "m"


def _bmm(draw: Draw) -> tuple[dict[str, int], str]:
    most = {"b": 512, "m": 2048, "n": 2048, "k": 512}
    return {name: draw.size(1, high) for name, high in most.items()}, "b"


def _grouped(draw: Draw) -> tuple[dict[str, int], str]:
    most = {"groups": 64, "m": 4096, "n": 4096, "k": 4096}
    return {name: draw.size(1, high) for name, high in most.items()}, "m"


def _attention(draw: Draw) -> tuple[dict[str, int], str]:
    kv_heads, group, queries = draw.size(1, 32, False), draw.one_of(1, 1, 2, 4, 8), draw.one_of(1, draw.size(2, 4096))
    return {
        "batch": draw.size(1, 64, False),
        "q_len": queries,
        "kv_len": draw.size(1, 32768) if queries == 1 else queries,
        "heads": kv_heads * group,
        "kv_heads": kv_heads,
        "head_dim": draw.one_of(64, 80, 96, 128),
        "causal": draw.one_of(0, 1),
    }, "batch"


def _conv2d(draw: Draw) -> tuple[dict[str, int], str]:
    kernel, side, channels = draw.one_of(1, 3, 5, 7), draw.size(7, 224), draw.size(1, 1024)
    depthwise = draw.random.random() < 0.3
    out, groups = (channels, channels) if depthwise else (draw.size(1, 1024), 1)
    return {
        "n": draw.size(1, 64, False),
        "c": channels,
        "h": side,
        "w": side,
        "oc": out,
        "kh": kernel,
        "kw": kernel,
        "stride": draw.one_of(1, 2) if kernel > 1 else 1,
        "pad": kernel // 2,
        "groups": groups,
    }, "n"


def _conv1d(draw: Draw) -> tuple[dict[str, int], str]:
    kernel = draw.one_of(1, 3, 10)
    return {
        "n": draw.size(1, 64, False),
        "c": draw.size(1, 1024),
        "l": draw.size(16, 16000),
        "oc": draw.size(1, 1024),
        "k": kernel,
        "pad": kernel // 2,
    }, "n"


def _rope(draw: Draw) -> tuple[dict[str, int], str]:
    kv_heads = draw.size(1, 32, False)
    return {
        "tokens": draw.size(1, 16384),
        "heads": kv_heads * draw.one_of(1, 4),
        "kv_heads": kv_heads,
        "head_dim": draw.one_of(64, 128),
    }, "tokens"


def _embedding(draw: Draw) -> tuple[dict[str, int], str]:
    return {"tokens": draw.size(1, 65536), "dim": draw.size(16, 8192)}, "tokens"


_OWN = {
    "Linear": _gemm,
    "MatMul": _gemm,
    "BMM": _bmm,
    "Attention": _attention,
    "Conv2d": _conv2d,
    "Conv1d": _conv1d,
    "GroupedMatMul": _grouped,
    "RoPE": _rope,
    "Embedding": _embedding,
}


def scan(record: Record) -> None:
    """Every operator type, in the precisions that it comes in."""
    draw = Draw(11)
    for op, kind in TYPES.items():
        if kind.cost_class == "free":
            continue
        matrix = kind.cost_class in ("gemm", "conv")
        for precision in ("fp32", "fp16", "bf16", "int8") if matrix else ("fp32", "fp16"):
            names, made = draw.chips(precision), [draw.dims(op) for _ in range(SHAPES)]
            single = [dims for dims, _ in made]
            double = [{**dims, axis: 2 * dims[axis]} for dims, axis in made]
            for protocol in ("event", "kernel"):
                _pairs(record, op, precision, protocol, names, single, double)
    _widths(record, draw)


def _pairs(
    record: Record,
    op: str,
    precision: str,
    protocol: str,
    names: list[str],
    single: list[dict[str, int]],
    double: list[dict[str, int]],
) -> None:
    rows = [(chip, dims) for chip in names for dims in (*single, *double)]
    found = API.query_operators(
        {
            "op": [op] * len(rows),
            "dims": [dims for _, dims in rows],
            "dtype": [precision] * len(rows),
            "phase": ["fwd"] * len(rows),
            "chip": [chip for chip, _ in rows],
            "protocol": [protocol] * len(rows),
        }
    )
    for at, (chip, dims) in enumerate(rows):
        value, lower, upper, level = (found[name][at] for name in ("value", "lower", "upper", "level"))
        where = op, dims, chip, precision, protocol, level
        if np.isnan(value):
            record.check("operators: answered", False, 1, *where, found["reason"][at])
            continue
        record.check("operators: lower <= value <= upper", 0 < lower <= value <= upper, 1, *where)
        _floors(record, value, TYPES[op], dims, chip, precision, where)
    value = found["value"].reshape(len(names), 2, len(single))  # [chips, once or twice the rows, shapes]
    for (chip, shape), ratio in np.ndenumerate(value[:, 1] / value[:, 0]):
        record.check(
            "operators: twice the rows not faster beyond 5 %",
            not ratio < 0.95,
            1 / ratio,
            op,
            single[shape],
            names[chip],
            precision,
            protocol,
            f"{value[chip, 0, shape]:.4g} -> {value[chip, 1, shape]:.4g} ms",
        )


def _floors(
    record: Record,
    value: float,
    kind: OperatorType,
    dims: Mapping[str, int],
    name: str,
    precision: str,
    where: tuple[Any, ...],
) -> None:
    chip, peak = CHIPS[name], _peak(kind, dims, name, precision)
    if peak:
        least = 1e3 * float(kind.flops(dims)) / peak
        record.check("operators: latency >= flops / peak", value >= 0.97 * least, least / value, *where)
    cache, moved = cache_bytes(chip) or _UNSTATED_CACHE, _moved(kind, dims, ITEM_BYTES[precision])
    if moved > 2 * cache:
        least = 1e3 * (moved - cache) / (chip.bandwidth or float("inf"))
        record.check("operators: latency >= (bytes - cache) / bandwidth", value >= 0.97 * least, least / value, *where)


def _peak(kind: OperatorType, dims: Mapping[str, int], name: str, precision: str) -> float | None:
    """The peak that bounds an operator; None where Winograd or FFT may need fewer flops, or on ordinary units."""
    peak = CHIPS[name].peak_flops(precision)
    if kind.cost_class == "vector" or (kind.cost_class == "conv" and dims.get("kh", dims.get("k", 1)) > 1):
        return None
    if kind.cost_class == "conv" and precision == "fp32":
        return max(peak or 0.0, CHIPS[name].peak_flops("tf32") or 0.0) or None
    return peak


def _moved(kind: OperatorType, dims: Mapping[str, int], item: int) -> float:
    """Bytes that cannot be avoided: masks of one byte and half-width results count as what they are."""
    exact = {
        "Where": lambda d: d["numel"] * (3 * item + 1),
        "Compare": lambda d: d["numel"] * (2 * item + 1),
        "Cast": lambda d: d["numel"] * (item + 2),
        "Interpolate": lambda d: 2 * item * d["n"] * d["c"] * d["oh"] * d["ow"],
    }
    return float(exact[kind.name](dims) if kind.name in exact else kind.bytes_moved(dims, item))


def _widths(record: Record, draw: Draw) -> None:
    """Intervals of less evidence are not narrower."""
    width: dict[tuple[Any, ...], list[float]] = defaultdict(list)
    for op in ("Linear", "Add", "LayerNorm", "Conv2d"):
        made = [draw.dims(op)[0] for _ in range(SHAPES)]
        rows = [(name, dims) for name in USABLE if CHIPS[name].supports("fp16") is not False for dims in made]
        found = API.query_operators(
            {
                "op": [op] * len(rows),
                "dims": [dims for _, dims in rows],
                "dtype": ["fp16"] * len(rows),
                "phase": ["fwd"] * len(rows),
                "chip": [chip for chip, _ in rows],
            }
        )
        for at, (name, _) in enumerate(rows):
            if not np.isnan(found["value"][at]):
                key = op, CHIPS[name].family, CHIPS[name].kind, str(found["level"][at])
                width[key].append(float(np.log(found["upper"][at] / found["lower"][at])))
    for key in sorted({each[:3] for each in width}):
        known = {level: float(np.median(width[(*key, level)])) for level in "BCD" if (*key, level) in width}
        for one, other in (("B", "C"), ("C", "D"), ("B", "D")):
            if one in known and other in known:
                record.check(
                    "operators: interval of level B <= C <= D",
                    known[one] <= known[other] * 1.001,
                    known[one] / known[other],
                    *key,
                    known,
                )
