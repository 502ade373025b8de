"""Bottleneck residual networks with the parameters of the once-for-all ResNet: depth, width and expansion.

Depth and width are chosen per stage, the expansion (inner width) per block. ResNet-50 is one of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetbench.graphs import Setting
from hetbench.graphs.blocks import Block, Step
from hetbench.spaces._blocks import BlockSpace
from hetbench.spaces._space import Parameter

__all__ = ["SPACES", "ResNet"]

WIDTHS = (256, 512, 1024, 2048)
DEPTHS = ((2, 3, 4), (2, 3, 4), (4, 5, 6), (2, 3, 4))
MULTIPLIERS = (0.65, 0.8, 1.0)
EXPANSIONS = (0.2, 0.25, 0.35)
STEM, CLASSES = 64, 1000


class ResNet(BlockSpace):
    """Stem, four stages of bottlenecks, pooling and a classifier."""

    quality = "capacity_proxy"

    def __init__(self, name: str, title: str) -> None:
        super().__init__(name, title, (
            *(Parameter(f"depth.{stage}", DEPTHS[stage]) for stage in range(4)),
            *(Parameter(f"width.{stage}", MULTIPLIERS) for stage in range(4)),
            *(Parameter(f"expansion{stage + 1}.{block}", EXPANSIONS,
                        (f"depth.{stage}", block) if block >= min(DEPTHS[stage]) else None)
              for stage in range(4) for block in range(max(DEPTHS[stage]))),
        ))  # fmt: skip
        wide, middle = len(MULTIPLIERS), len(EXPANSIONS)
        self._shape = 4, wide, wide, middle  # stage, width before, width, expansion
        self._first = 1 + wide  # after the stem and the heads
        self._later = self._first + 4 * wide * wide * middle
        self.vocabulary = self._later + 4 * wide * middle

    @property
    def limits(self) -> dict[str, Any]:
        return {"batch": 1, "image_size": (64, 1024, 32, 224)}

    def inputs(self, setting: Setting) -> tuple[tuple[int, str], ...]:
        return ((3 * (setting.batch or 0) * (setting.image_size or 0) ** 2, "data"),)

    def slots(self, codes: NDArray[np.int64]) -> NDArray[np.int64]:
        columns = [np.zeros(len(codes), dtype=np.int64)]
        before = np.zeros(len(codes), dtype=np.int64)  # the first stage has the stem before it, whatever the code
        for stage in range(4):
            width, depth = codes[:, 4 + stage], self.values(codes, f"depth.{stage}").astype(np.int64)
            for block in range(max(DEPTHS[stage])):
                middle = codes[:, self.column[f"expansion{stage + 1}.{block}"]]
                wide, many = len(MULTIPLIERS), len(EXPANSIONS)
                if block == 0:
                    index = self._first + ((stage * wide + before) * wide + width) * many + middle
                else:
                    index = self._later + (stage * wide + width) * many + middle
                columns.append(np.where(block < depth, index, -1))
            before = width
        return np.stack([*columns, 1 + before], axis=1)

    def build(self, index: int, setting: Setting) -> Block:
        batch, image = setting.batch or 0, setting.image_size or 0
        if index == 0:
            return _stem(batch, image)
        if index < self._first:
            return _head(batch, image // 32, _wide(3, index - 1))
        if index < self._later:
            stage, before, width, middle = np.unravel_index(index - self._first, self._shape)
            inside = STEM if stage == 0 else _wide(int(stage) - 1, int(before))
        else:
            stage, width, middle = np.unravel_index(index - self._later, (4, len(MULTIPLIERS), len(EXPANSIONS)))
            inside = _wide(int(stage), int(width))
        outside = _wide(int(stage), int(width))
        size = image // (4 << int(stage))
        first = index < self._later
        stride = 2 if first and stage else 1
        return _bottleneck(batch, size * stride, inside, _eight(outside * EXPANSIONS[middle]), outside, stride, first)


def _eight(width: float) -> int:
    """The width rounded to a multiple of eight, at least eight."""
    return max(8, round(width / 8) * 8)


def _wide(stage: int, choice: int) -> int:
    return _eight(WIDTHS[stage] * MULTIPLIERS[choice])


def _conv(batch: int, size: int, c: int, oc: int, taps: int, stride: int, reads: int) -> Step:
    dims = {"n": batch, "c": c, "h": size, "w": size, "oc": oc, "kh": taps, "kw": taps, "stride": stride,
            "pad": taps // 2, "groups": 1}  # fmt: skip
    return Step("Conv2d", dims, batch * oc * (size // stride) ** 2, (reads,) if reads >= -1 else ())


def _norm(batch: int, size: int, c: int, reads: int) -> Step:
    return Step("BatchNorm2d", {"n": batch, "c": c, "h": size, "w": size}, batch * c * size**2, (reads,))


def _each(op: str, numel: int, *reads: int) -> Step:
    return Step(op, {"numel": numel}, numel, reads)


def _stem(batch: int, image: int) -> Block:
    half = image // 2
    pool = {"n": batch, "c": STEM, "h": half, "w": half, "kh": 3, "kw": 3, "stride": 2, "pad": 1}
    steps = (
        _conv(batch, image, 3, STEM, 7, 2, -2), _norm(batch, half, STEM, 0), _each("ReLU", batch * STEM * half**2, 1),
        Step("MaxPool2d", pool, batch * STEM * (half // 2) ** 2, (2,)),
    )  # fmt: skip
    return Block(steps, 3 * 49 * STEM + 2 * STEM, 0)


def _bottleneck(batch: int, size: int, inside: int, middle: int, outside: int, stride: int, first: bool) -> Block:
    small = size // stride
    wide, narrow, numel = batch * middle * size**2, batch * middle * small**2, batch * outside * small**2
    shortcut = (_conv(batch, size, inside, outside, 1, stride, -1), _norm(batch, small, outside, 0)) if first else ()
    at = len(shortcut)
    steps = (
        *shortcut, _conv(batch, size, inside, middle, 1, 1, -1), _norm(batch, size, middle, at),
        _each("ReLU", wide, at + 1), _conv(batch, size, middle, middle, 3, stride, at + 2),
        _norm(batch, small, middle, at + 3), _each("ReLU", narrow, at + 4),
        _conv(batch, small, middle, outside, 1, 1, at + 5), _norm(batch, small, outside, at + 6),
        _each("Add", numel, at + 7, at - 1), _each("ReLU", numel, at + 8),
    )  # fmt: skip
    params = inside * middle + 9 * middle**2 + middle * outside + 4 * middle + 2 * outside
    params += (inside + 2) * outside if first else 0
    return Block(steps, params, batch * inside * size**2)


def _head(batch: int, size: int, width: int) -> Block:
    pool = {"n": batch, "c": width, "h": size, "w": size, "oh": 1, "ow": 1}
    linear = {"m": batch, "n": CLASSES, "k": width, "bias": 1}
    steps = (
        Step("AdaptiveAvgPool2d", pool, batch * width, (-1,)), Step("Linear", linear, batch * CLASSES, (0,)),
    )  # fmt: skip
    return Block(steps, (width + 1) * CLASSES, batch * width * size**2)


SPACES = (ResNet("resnet", "bottleneck residual networks"),)
