"""Measured image networks that timm does not have, as torch modules.

`tv-*` are torchvision's; detectors are backbone and head, without anchors, boxes and suppression. The others are
written here from their published definitions. `PUBLISHED` holds published parameter counts that tests compare them with
(for Darknet's: the floats in the weights file, including running statistics).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["PUBLISHED", "SIZES", "TIMM_SIZES", "build"]


def _conv(c: int, out: int, kernel: int, stride: int = 1, act: Callable[[], nn.Module] = nn.ReLU, **more: Any) -> Any:
    """Convolution, batch norm, activation."""
    pad = kernel // 2 * more.get("dilation", 1)
    return nn.Sequential(nn.Conv2d(c, out, kernel, stride, pad, **more), nn.BatchNorm2d(out), act())


_leaky = partial(_conv, act=partial(nn.LeakyReLU, 0.1), bias=False)


# ---- YOLOv3, from pjreddie/darknet cfg/yolov3.cfg and yolov3-tiny.cfg ------------------------------------------------


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(_leaky(width, width // 2, 1), _leaky(width // 2, width, 3))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class YoloV3(nn.Module):
    """Darknet-53 and three heads; 80 classes, 255 channels a scale."""

    def __init__(self) -> None:
        super().__init__()
        stages, width = [_leaky(3, 32, 3)], 32
        for repeats in (1, 2, 8, 8, 4):
            blocks = (_Residual(2 * width) for _ in range(repeats))
            stages.append(nn.Sequential(_leaky(width, 2 * width, 3, 2), *blocks))
            width *= 2
        self.stages = nn.ModuleList(stages)
        self.necks, self.heads, self.ups = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for given, inner in ((1024, 512), (768, 256), (384, 128)):
            wide = [_leaky(inner, 2 * inner, 3) for _ in range(3)]
            thin = [_leaky(2 * inner, inner, 1) for _ in range(2)]
            self.necks.append(nn.Sequential(_leaky(given, inner, 1), wide[0], thin[0], wide[1], thin[1]))
            self.heads.append(nn.Sequential(wide[2], nn.Conv2d(2 * inner, 255, 1)))
            self.ups.append(_leaky(inner, inner // 2, 1) if inner > 128 else nn.Identity())

    def forward(self, x: Tensor) -> list[Tensor]:
        kept = []
        for stage in self.stages:
            x = stage(x)
            kept.append(x)
        found, routes = [], [kept[4], kept[3]]
        for neck, head, up in zip(self.necks, self.heads, self.ups, strict=True):
            x = neck(x)
            found.append(head(x))
            if len(found) < 3:
                x = torch.cat([F.interpolate(up(x), scale_factor=2), routes.pop(0)], 1)
        return found


class YoloV3Tiny(nn.Module):
    """Seven convolutions with max pooling, two heads."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 16, 32, 64, 128, 256)
        self.first = nn.Sequential(*(
            nn.Sequential(*([nn.MaxPool2d(2)] if c > 3 else []), _leaky(c, out, 3))
            for c, out in pairwise(widths)
        ))  # fmt: skip
        self.rest = nn.Sequential(
            nn.MaxPool2d(2), _leaky(256, 512, 3), nn.ZeroPad2d((0, 1, 0, 1)), nn.MaxPool2d(2, 1),
            _leaky(512, 1024, 3), _leaky(1024, 256, 1),
        )  # fmt: skip
        self.coarse = nn.Sequential(_leaky(256, 512, 3), nn.Conv2d(512, 255, 1))
        self.up, self.fine = _leaky(256, 128, 1), nn.Sequential(_leaky(384, 256, 3), nn.Conv2d(256, 255, 1))

    def forward(self, x: Tensor) -> list[Tensor]:
        shallow = self.first(x)
        deep = self.rest(shallow)
        joined = torch.cat([F.interpolate(self.up(deep), scale_factor=2), shallow], 1)
        return [self.coarse(deep), self.fine(joined)]


# ---- U2-Net, from xuebinqin/U-2-Net ----------------------------------------------------------------------------------


class _Rsu(nn.Module):
    """Residual U-block of `depth` levels; a `flat` one dilates instead of pooling."""

    def __init__(self, depth: int, c: int, mid: int, out: int, *, flat: bool = False) -> None:
        super().__init__()
        rates = [2**i for i in range(depth)] if flat else [*[1] * (depth - 1), 2]
        self.flat, self.entry = flat, _conv(c, out, 3)
        self.down = nn.ModuleList(_conv(mid if i else out, mid, 3, dilation=rates[i]) for i in range(depth))
        self.up = nn.ModuleList(
            _conv(2 * mid, mid if i else out, 3, dilation=rates[i] if flat else 1) for i in range(depth - 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        entry = self.entry(x)
        seen: list[Tensor] = []
        x = entry
        for place, layer in enumerate(self.down):
            if 0 < place < len(self.down) - 1 and not self.flat:
                x = F.max_pool2d(x, 2, 2, ceil_mode=True)
            x = layer(x)
            seen.append(x)
        for place in reversed(range(len(self.up))):
            x = self.up[place](torch.cat([_to(x, seen[place]), seen[place]], 1))
        return x + entry


def _to(x: Tensor, like: Tensor) -> Tensor:
    return x if x.shape[2:] == like.shape[2:] else F.interpolate(x, size=like.shape[2:], mode="bilinear")


class U2Net(nn.Module):
    """The full network with seven output maps."""

    def __init__(self) -> None:
        super().__init__()
        encoder = ((7, 3, 32, 64), (6, 64, 32, 128), (5, 128, 64, 256), (4, 256, 128, 512), (4, 512, 256, 512))
        decoder = ((7, 128, 16, 64), (6, 256, 32, 64), (5, 512, 64, 128), (4, 1024, 128, 256), (4, 1024, 256, 512))
        self.encoder = nn.ModuleList(_Rsu(*row, flat=place == 4) for place, row in enumerate(encoder))
        self.bottom = _Rsu(4, 512, 256, 512, flat=True)
        self.decoder = nn.ModuleList(_Rsu(*row, flat=place == 4) for place, row in enumerate(decoder))
        self.sides = nn.ModuleList(nn.Conv2d(c, 1, 3, padding=1) for c in (64, 64, 128, 256, 512, 512))
        self.fuse = nn.Conv2d(6, 1, 1)

    def forward(self, x: Tensor) -> list[Tensor]:
        seen: list[Tensor] = []
        for block in self.encoder:
            x = block(x)
            seen.append(x)
            x = F.max_pool2d(x, 2, 2, ceil_mode=True)
        x = self.bottom(x)
        maps = [x]
        for place in reversed(range(5)):
            x = self.decoder[place](torch.cat([_to(x, seen[place]), seen[place]], 1))
            maps.insert(0, x)
        sides = [side(each) for side, each in zip(self.sides, maps, strict=True)]
        sides = [_to(side, sides[0]) for side in sides]
        return [torch.sigmoid(each) for each in [self.fuse(torch.cat(sides, 1)), *sides]]


# ---- others ----------------------------------------------------------------------------------------------------------


class MobileNetV1(nn.Module):
    """Howard et al. 2017 as in TF-slim: 13 separable blocks, `width` scales every layer, 1,001 classes as in MLPerf."""

    def __init__(self, width: float, classes: int = 1001) -> None:
        super().__init__()
        plan = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))
        relu6, c = partial(_conv, act=nn.ReLU6, bias=False), int(32 * width)
        layers = [relu6(3, c, 3, 2)]
        for wide, stride in plan:
            out = int(wide * width)
            layers += [relu6(c, c, 3, stride, groups=c), relu6(c, out, 1)]
            c = out
        self.body = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Conv2d(c, classes, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.softmax(self.body(x).flatten(1), -1)


class NestedUNet(nn.Module):
    """UNet++ of 4uiiurz1/pytorch-nested-unet, without deep supervision."""

    def __init__(self, widths: Sequence[int] = (32, 64, 128, 256, 512)) -> None:
        super().__init__()
        self.nodes = nn.ModuleDict()
        for column in range(5):
            for level in range(5 - column):
                c = (widths[level] * column + widths[level + 1]) if column else (widths[level - 1] if level else 3)
                self.nodes[f"{level}_{column}"] = nn.Sequential(
                    _conv(c, widths[level], 3), _conv(widths[level], widths[level], 3)
                )
        self.final = nn.Conv2d(widths[0], 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        seen: dict[tuple[int, int], Tensor] = {}
        for last in range(5):
            below = F.max_pool2d(seen[last - 1, 0], 2) if last else x
            seen[last, 0] = self.nodes[f"{last}_0"](below)
            for column in range(1, last + 1):
                level = last - column
                up = F.interpolate(seen[level + 1, column - 1], scale_factor=2, mode="bilinear", align_corners=True)
                joined = torch.cat([*(seen[level, past] for past in range(column)), up], 1)
                seen[level, column] = self.nodes[f"{level}_{column}"](joined)
        return self.final(seen[0, 4])


class _Dense(nn.Module):
    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(width + i * growth, growth if i < 4 else width, 3, 1, 1) for i in range(5))

    def forward(self, x: Tensor) -> Tensor:
        seen = [x]
        for conv in self.convs[:4]:
            seen.append(F.leaky_relu(conv(torch.cat(seen, 1)), 0.2, inplace=True))
        return self.convs[4](torch.cat(seen, 1)) * 0.2 + x


class RrdbNet(nn.Module):
    """ESRGAN's generator, four times larger: 23 blocks of three dense blocks, width 64, growth 32."""

    def __init__(self, width: int = 64, growth: int = 32, blocks: int = 23) -> None:
        super().__init__()
        conv = partial(nn.Conv2d, kernel_size=3, padding=1)
        self.first, self.trunk = conv(3, width), conv(width, width)
        self.blocks = nn.ModuleList(nn.Sequential(*(_Dense(width, growth) for _ in range(3))) for _ in range(blocks))
        self.ups = nn.ModuleList(conv(width, width) for _ in range(2))
        self.high, self.last = conv(width, width), conv(width, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = first = self.first(x)
        for block in self.blocks:
            x = block(x) * 0.2 + x
        x = first + self.trunk(x)
        for up in self.ups:
            x = F.leaky_relu(up(F.interpolate(x, scale_factor=2)), 0.2, inplace=True)
        return self.last(F.leaky_relu(self.high(x), 0.2, inplace=True))


class _Detector(nn.Module):
    """Backbone and head of a torchvision detector, without the decoding of boxes."""

    def __init__(self, whole: Any) -> None:
        super().__init__()
        self.backbone, self.head = whole.backbone, whole.head

    def forward(self, x: Tensor) -> Any:
        return self.head(list(self.backbone(x).values()))


def _torchvision(name: str) -> nn.Module:
    """torchvision's network as it runs at inference: without auxiliary classifiers."""
    from torchvision import models

    if name == "resnext101_32x48d":
        return models.ResNet(models.resnet.Bottleneck, [3, 4, 23, 3], groups=32, width_per_group=48)
    if name.startswith("mobilenet_v2-"):
        return models.mobilenet_v2(width_mult=float(name.partition("-")[2]))
    more = {"googlenet": {"aux_logits": False, "init_weights": False},
            "inception_v3": {"aux_logits": False, "init_weights": False},
            "ssd300_vgg16": {"weights_backbone": None}}.get(name, {})  # fmt: skip
    whole = models.get_model(name, weights=None, **more)
    return _Detector(whole) if hasattr(whole, "anchor_generator") else whole


_OWN: dict[str, Callable[[], nn.Module]] = {
    "yolov3": YoloV3, "yolov3-tiny": YoloV3Tiny, "u2net": U2Net, "nested-unet": NestedUNet, "rrdbnet-x4": RrdbNet,
    **{f"mobilenet-v1-{width}": partial(MobileNetV1, width) for width in (0.25, 0.5, 0.75, 1.0)},
}  # fmt: skip
_MLPERF = (224, 192, 160, 128)
SIZES: dict[str, tuple[int, ...]] = {
    **dict.fromkeys((f"mobilenet-v1-{width}" for width in (0.25, 0.5, 0.75, 1.0)), _MLPERF),
    **dict.fromkeys((f"tv-mobilenet_v2-{width}" for width in (0.35, 0.5, 0.75, 1.0)), (*_MLPERF, 96)),
    **dict.fromkeys(("tv-mobilenet_v2-1.3", "tv-mobilenet_v2-1.4"), (224,)),
    **dict.fromkeys(("tv-vgg16", "tv-vgg19", "tv-alexnet", "tv-googlenet", "tv-mnasnet1_0", "tv-wide_resnet101_2",
                     "tv-resnext101_32x48d", "tv-shufflenet_v2_x1_0"), (224,)),
    "tv-inception_v3": (299,), "tv-squeezenet1_0": (224, 227), "tv-squeezenet1_1": (224, 227),
    "tv-ssd300_vgg16": (300,), "yolov3": (416, 320), "yolov3-tiny": (416,), "u2net": (320,), "nested-unet": (96,),
    "rrdbnet-x4": (220, 64, 32),
}  # fmt: skip
TIMM_SIZES: dict[str, tuple[int, ...]] = {
    "cspresnext50": (224,), "efficientnet_b3": (300,), "efficientnet_b4": (380,), "resnet18": (256,),
    "resnet101": (256,), "tf_efficientnet_lite3": (280,), "tf_efficientnet_lite4": (300, 224),
    "timm-mobilenetv2_100": (*_MLPERF, 96),
}  # fmt: skip
"""Image sizes of timm's networks in published tables other than timm's."""
PUBLISHED = {
    "yolov3": 62_001_757, "yolov3-tiny": 8_858_734, "u2net": 44_009_869, "nested-unet": 9_163_329,
    "rrdbnet-x4": 16_697_987, "mobilenet-v1-1.0": 4_233_001,
}  # fmt: skip


def build(name: str) -> nn.Module:
    """The network of one of `SIZES`, without weights."""
    return _OWN[name]() if name in _OWN else _torchvision(name.removeprefix("tv-"))
