"""Swin: windows of tokens attend, every second layer over windows shifted by half, and stages halve the image."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from hetbench.graphs.huggingface.attention import Attention, attend
from hetbench.graphs.huggingface.config import Config
from hetbench.graphs.huggingface.graph import Network
from hetbench.graphs.huggingface.tape import Piece, Sizes, Tape
from hetbench.graphs.huggingface.vision_types import classes, seeing

__all__ = ["TYPES"]


def _swin(c: Config) -> Network:
    depths, patch, window = list(c.value("depths")), c.size("patch_size"), c.size("window_size")
    halved = patch << (len(depths) - 1)

    def pieces(s: Sizes) -> Iterator[Piece]:
        width, side = c.size("embed_dim"), s.image // patch
        yield _stem(c, s, side, width)
        for stage, depth in enumerate(depths):
            heads, seen = c.value("num_heads")[stage], min(window, side)
            plain, shifted = (depth, 0) if side <= window else (depth - depth // 2, depth // 2)
            yield _layer(c, s, side, width, heads, seen, False, plain)
            if shifted:
                yield _layer(c, s, side, width, heads, seen, True, shifted)
            if stage < len(depths) - 1:
                side, width = side // 2, 2 * width
                yield _merge(s, side, width)
            else:
                yield _end(c, s, side, width)

    return seeing(c, pieces, step=halved * window)


def _stem(c: Config, s: Sizes, side: int, width: int) -> Piece:
    tape, patch, channels = Tape(), c.size("patch_size"), c.size("num_channels", 3)
    dims = {"n": s.batch, "c": channels, "h": s.image, "w": s.image, "oc": width, "kh": patch, "kw": patch,
            "stride": patch, "pad": 0, "groups": 1}  # fmt: skip
    rows = s.batch * side**2
    tape.add("Conv2d", dims, rows * width, (-1,), params=(channels * patch**2 + 1) * width)
    tape.norm("layer", rows, width)
    return tape.piece()


def _layer(
    c: Config, s: Sizes, side: int, width: int, heads: int, window: int, shifted: bool, times: int
) -> Piece:
    rows = s.batch * side**2
    numel, count = rows * width, (side // window) ** 2
    tape = Tape(numel)
    given = tape.norm("layer", rows, width, -1)
    for op in ("Pad", *(("Copy",) if shifted else ()), "Copy"):  # pad, roll, cut into windows
        given = tape.each(op, numel)
    bias = c.bit("qkv_bias", True)
    reads = [tape.linear(rows, width, width, given, bias=bias) for _ in range(3)]
    pairs = window**4 * heads
    tape.add("Copy", {"numel": pairs}, pairs, (-1,), params=(2 * c.size("window_size") - 1) ** 2 * heads)
    tape.each("Copy", pairs)
    if shifted:
        tape.each("Add", pairs * count * s.batch)
    windows = Sizes(s.batch * count, window**2, 0, 0)
    attend(tape, windows, Attention(heads, heads, width // heads), *reads, tape.last, causal=0)
    tape.linear(rows, width, width, bias=1)
    for _ in range(2 if shifted else 1):
        tape.each("Copy", numel)
    middle = tape.each("Add", numel, tape.last, -1)
    tape.norm("layer", rows, width, middle)
    inner = int(width * c.number("mlp_ratio", 4.0))
    tape.linear(rows, inner, width, bias=1)
    tape.activate(c.text("hidden_act", "gelu"), rows * inner)
    tape.linear(rows, width, inner, bias=1)
    tape.each("Add", numel, tape.last, middle)
    tape.cached = 0
    return tape.piece(times)


def _merge(s: Sizes, side: int, width: int) -> Piece:
    """Four neighbours become one token of twice the width; the stage's result is copied for the caller."""
    rows = s.batch * side**2
    tape = Tape(rows * 2 * width)
    tape.each("Concat", rows * 2 * width)
    tape.norm("layer", rows, 2 * width)
    tape.linear(rows, width, 2 * width)
    tape.each("Copy", rows * width)
    return tape.piece()


def _end(c: Config, s: Sizes, side: int, width: int) -> Piece:
    rows, scores = s.batch * side**2, classes(c)
    tape = Tape(rows * width)
    tape.each("Copy", rows * width)
    tape.norm("layer", rows, width, -1)
    dims = {"n": s.batch, "c": width, "h": side**2, "w": 1, "oh": 1, "ow": 1}
    tape.add("AdaptiveAvgPool2d", dims, s.batch * width)
    if scores:
        tape.linear(s.batch, scores, width, bias=1)
    return tape.piece()


TYPES: Mapping[str, Callable[[Config], Network]] = MappingProxyType({"swin": _swin})
