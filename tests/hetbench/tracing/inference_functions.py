"""138 functions and modules of torch that networks call at inference, each on small inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional

__all__ = ["FUNCTIONS", "MODULES"]

F = functional


def x(*sizes: int) -> torch.Tensor:
    return torch.zeros(*sizes)


def index(*sizes: int) -> torch.Tensor:
    return torch.zeros(*sizes, dtype=torch.long)


FUNCTIONS: dict[str, tuple[Callable[..., Any], tuple[torch.Tensor, ...]]] = {
    # arithmetic
    "add": (torch.add, (x(2, 8), x(2, 8))),
    "sub": (torch.sub, (x(2, 8), x(2, 8))),
    "mul": (torch.mul, (x(2, 8), x(2, 8))),
    "div": (torch.div, (x(2, 8), x(2, 8))),
    "pow": (torch.pow, (x(2, 8), x(2, 8))),
    "floor_divide": (torch.floor_divide, (x(2, 8), x(2, 8))),
    "remainder": (torch.remainder, (x(2, 8), x(2, 8))),
    "fmod": (torch.fmod, (x(2, 8), x(2, 8))),
    "addcmul": (torch.addcmul, (x(2, 8), x(2, 8), x(2, 8))),
    "addcdiv": (torch.addcdiv, (x(2, 8), x(2, 8), x(2, 8))),
    "lerp": (lambda a, b: torch.lerp(a, b, 0.5), (x(2, 8), x(2, 8))),
    "maximum": (torch.maximum, (x(2, 8), x(2, 8))),
    "minimum": (torch.minimum, (x(2, 8), x(2, 8))),
    "atan2": (torch.atan2, (x(2, 8), x(2, 8))),
    "hypot": (torch.hypot, (x(2, 8), x(2, 8))),
    "where": (lambda a: torch.where(a > 0, a, -a), (x(2, 8),)),
    "masked_fill": (lambda a: a.masked_fill(a > 0, 0.0), (x(2, 8),)),
    "clamp": (lambda a: a.clamp(0, 1), (x(2, 8),)),
    "abs": (torch.abs, (x(2, 8),)),
    "neg": (torch.neg, (x(2, 8),)),
    "sign": (torch.sign, (x(2, 8),)),
    "round": (torch.round, (x(2, 8),)),
    "floor": (torch.floor, (x(2, 8),)),
    "ceil": (torch.ceil, (x(2, 8),)),
    "trunc": (torch.trunc, (x(2, 8),)),
    "reciprocal": (torch.reciprocal, (x(2, 8),)),
    "square": (torch.square, (x(2, 8),)),
    "nan_to_num": (torch.nan_to_num, (x(2, 8),)),
    # transcendental
    "exp": (torch.exp, (x(2, 8),)),
    "expm1": (torch.expm1, (x(2, 8),)),
    "log": (torch.log, (x(2, 8),)),
    "log2": (torch.log2, (x(2, 8),)),
    "log1p": (torch.log1p, (x(2, 8),)),
    "sqrt": (torch.sqrt, (x(2, 8),)),
    "rsqrt": (torch.rsqrt, (x(2, 8),)),
    "sin": (torch.sin, (x(2, 8),)),
    "cos": (torch.cos, (x(2, 8),)),
    "asin": (torch.asin, (x(2, 8),)),
    "atan": (torch.atan, (x(2, 8),)),
    "sinh": (torch.sinh, (x(2, 8),)),
    "erf": (torch.erf, (x(2, 8),)),
    "erfinv": (torch.erfinv, (x(2, 8),)),
    "logaddexp": (torch.logaddexp, (x(2, 8), x(2, 8))),
    # products
    "matmul": (torch.matmul, (x(2, 4, 8), x(2, 8, 4))),
    "bmm": (torch.bmm, (x(2, 4, 8), x(2, 8, 4))),
    "baddbmm": (torch.baddbmm, (x(2, 4, 4), x(2, 4, 8), x(2, 8, 4))),
    "addmm": (torch.addmm, (x(4, 4), x(4, 8), x(8, 4))),
    "mv": (torch.mv, (x(4, 8), x(8))),
    "dot": (torch.dot, (x(8), x(8))),
    "outer": (torch.outer, (x(8), x(4))),
    "einsum": (lambda a, b: torch.einsum("bij,bjk->bik", a, b), (x(2, 4, 8), x(2, 8, 4))),
    "tensordot": (lambda a, b: torch.tensordot(a, b, dims=1), (x(2, 4, 8), x(8, 4))),
    "kron": (torch.kron, (x(2, 2), x(4, 4))),
    "cdist": (torch.cdist, (x(2, 4, 8), x(2, 6, 8))),
    "cosine_similarity": (F.cosine_similarity, (x(4, 8), x(4, 8))),
    "cross": (torch.linalg.cross, (x(4, 3), x(4, 3))),
    "scaled_dot_product_attention": (F.scaled_dot_product_attention, (x(1, 2, 4, 8),) * 3),
    # reductions and rows
    "mean": (lambda a: a.mean(-1), (x(2, 8),)),
    "sum": (lambda a: a.sum(-1), (x(2, 8),)),
    "prod": (lambda a: a.prod(-1), (x(2, 8),)),
    "amax": (lambda a: a.amax(-1), (x(2, 8),)),
    "max": (lambda a: a.max(-1)[0], (x(2, 8),)),
    "argmax": (lambda a: a.argmax(-1), (x(2, 8),)),
    "any": (lambda a: (a > 0).any(-1), (x(2, 8),)),
    "var": (lambda a: a.var(-1), (x(2, 8),)),
    "std": (lambda a: a.std(-1), (x(2, 8),)),
    "var_mean": (lambda a: torch.var_mean(a, -1), (x(2, 8),)),
    "norm": (lambda a: a.norm(dim=-1), (x(2, 8),)),
    "logsumexp": (lambda a: a.logsumexp(-1), (x(2, 8),)),
    "median": (lambda a: a.median(-1)[0], (x(2, 8),)),
    "softmax": (lambda a: a.softmax(-1), (x(2, 8),)),
    "log_softmax": (lambda a: a.log_softmax(-1), (x(2, 8),)),
    "cumsum": (lambda a: a.cumsum(-1), (x(2, 8),)),
    "cumprod": (lambda a: a.cumprod(-1), (x(2, 8),)),
    "sort": (lambda a: a.sort(-1), (x(2, 8),)),
    "topk": (lambda a: a.topk(2, -1), (x(2, 8),)),
    "argsort": (lambda a: a.argsort(-1), (x(2, 8),)),
    "normalize": (F.normalize, (x(2, 8),)),
    "aminmax": (torch.aminmax, (x(2, 8),)),
    # data movement
    "cat": (lambda a: torch.cat([a, a]), (x(2, 8),)),
    "stack": (lambda a: torch.stack([a, a]), (x(2, 8),)),
    "roll": (lambda a: a.roll(1, -1), (x(2, 8),)),
    "flip": (lambda a: a.flip(-1), (x(2, 8),)),
    "repeat": (lambda a: a.repeat(2, 1), (x(2, 8),)),
    "repeat_interleave": (lambda a: a.repeat_interleave(2, 0), (x(2, 8),)),
    "gather": (lambda a, i: a.gather(0, i), (x(2, 8), index(1, 8))),
    "index_select": (lambda a, i: a.index_select(0, i), (x(4, 8), index(2))),
    "take_along_dim": (lambda a, i: torch.take_along_dim(a, i, 0), (x(2, 8), index(1, 8))),
    "scatter": (lambda a, i: a.scatter(0, i, 1.0), (x(2, 8), index(1, 8))),
    "scatter_add": (lambda a, i: torch.zeros_like(a).scatter_add(0, i, a), (x(2, 8), index(2, 8))),
    "scatter_reduce": (lambda a, i: a.scatter_reduce(0, i, a, "amax"), (x(2, 8), index(2, 8))),
    "index_add": (lambda a, i: a.index_add(0, i, a), (x(2, 8), index(2))),
    "index_put": (lambda a, i: a.index_put((i,), a), (x(2, 8), index(2))),
    "masked_scatter": (lambda a: a.masked_scatter(a > 0, a), (x(2, 8),)),
    "tril": (torch.tril, (x(4, 8),)),
    "diag_embed": (torch.diag_embed, (x(2, 4),)),
    "pixel_shuffle": (lambda a: F.pixel_shuffle(a, 2), (x(1, 4, 4, 4),)),
    "unfold": (lambda a: F.unfold(a, 3), (x(1, 3, 8, 8),)),
    "fold": (lambda a: F.fold(a, (8, 8), 2, stride=2), (x(1, 12, 16),)),
    "pad": (lambda a: F.pad(a, (1, 1)), (x(2, 8),)),
    "reflection pad": (lambda a: F.pad(a, (1, 1), "reflect"), (x(1, 2, 8),)),
    "searchsorted": (lambda a: torch.searchsorted(a[0].contiguous(), a), (x(2, 8),)),
    "isin": (torch.isin, (x(8), x(2))),
    # sampling and transforms
    "interpolate nearest": (lambda a: F.interpolate(a, scale_factor=2), (x(1, 3, 8, 8),)),
    "interpolate trilinear": (lambda a: F.interpolate(a, scale_factor=2, mode="trilinear"), (x(1, 3, 4, 4, 4),)),
    "grid_sample": (lambda a, g: F.grid_sample(a, g, align_corners=False), (x(1, 3, 8, 8), x(1, 4, 4, 2))),
    "affine_grid": (lambda t: F.affine_grid(t, [1, 3, 4, 4], align_corners=False), (x(1, 2, 3),)),
    "rfft": (lambda a: torch.fft.rfft(a).abs(), (x(2, 8),)),
    "fft2": (lambda a: torch.fft.fft2(a).real, (x(2, 8, 8),)),
    "irfft": (lambda a: torch.fft.irfft(torch.fft.rfft(a)), (x(2, 8),)),
    "stft": (lambda a: torch.stft(a, 16, return_complex=True, window=torch.ones(16)).abs(), (x(1, 64),)),
    # linear algebra that seldom runs on an accelerator
    "inverse": (torch.linalg.inv, (x(4, 4),)),
    "solve": (torch.linalg.solve, (x(4, 4), x(4, 4))),
    "svd": (torch.linalg.svd, (x(4, 4),)),
    "eigh": (torch.linalg.eigh, (x(4, 4),)),
}

MODULES: dict[str, tuple[Callable[[], nn.Module], tuple[torch.Tensor, ...]]] = {
    "LSTM": (lambda: nn.LSTM(8, 16, 2, bidirectional=True), (x(5, 2, 8),)),
    "GRU": (lambda: nn.GRU(8, 16), (x(5, 2, 8),)),
    "RNN": (lambda: nn.RNN(8, 16), (x(5, 2, 8),)),
    "LSTMCell": (lambda: nn.LSTMCell(8, 16), (x(2, 8),)),
    "GRUCell": (lambda: nn.GRUCell(8, 16), (x(2, 8),)),
    "Conv3d": (lambda: nn.Conv3d(2, 4, 3), (x(1, 2, 4, 8, 8),)),
    "ConvTranspose1d": (lambda: nn.ConvTranspose1d(2, 4, 2, 2), (x(1, 2, 8),)),
    "ConvTranspose2d": (lambda: nn.ConvTranspose2d(2, 4, 2, 2), (x(1, 2, 8, 8),)),
    "ConvTranspose3d": (lambda: nn.ConvTranspose3d(2, 4, 2, 2), (x(1, 2, 4, 4, 4),)),
    "MaxPool1d": (lambda: nn.MaxPool1d(2), (x(1, 2, 8),)),
    "MaxPool3d": (lambda: nn.MaxPool3d(2), (x(1, 2, 4, 4, 4),)),
    "AvgPool1d": (lambda: nn.AvgPool1d(2), (x(1, 2, 8),)),
    "AvgPool3d": (lambda: nn.AvgPool3d(2), (x(1, 2, 4, 4, 4),)),
    "MaxPool2d with indices": (lambda: nn.MaxPool2d(2, return_indices=True), (x(1, 2, 8, 8),)),
    "AdaptiveMaxPool2d": (lambda: nn.AdaptiveMaxPool2d(2), (x(1, 2, 8, 8),)),
    "EmbeddingBag": (lambda: nn.EmbeddingBag(10, 4), (index(2, 3),)),
    "GLU": (nn.GLU, (x(2, 8),)),
    "InstanceNorm2d": (lambda: nn.InstanceNorm2d(2), (x(1, 2, 8, 8),)),
    "LocalResponseNorm": (lambda: nn.LocalResponseNorm(2), (x(1, 4, 8, 8),)),
    "Mish": (nn.Mish, (x(2, 8),)),
    "Softplus": (nn.Softplus, (x(2, 8),)),
    "Bilinear": (lambda: nn.Bilinear(4, 4, 2), (x(2, 4), x(2, 4))),
    "MultiheadAttention": (lambda: nn.MultiheadAttention(8, 2), (x(4, 1, 8),) * 3),
}
