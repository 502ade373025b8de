"""Conditioning on observed operators, for training: the same kernel as `hetbench.predict.gaussian_process`, in torch.

Residuals of one chip are a Gaussian process: an offset of the chip, of the operator class and of the measurement cell,
and smooth functions of the network's coordinates, one kernel for each head. An observed performance edge thus weighs by
how near its operator is, in closed form; nothing is fitted at query time.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hetbench.predict.gaussian_process import JITTER
from surrogates.rgat.network import KERNELS

DEGREES = 4.0  # of Student's law: residuals have heavy tails


@dataclass(frozen=True)
class Rows:
    """Operators of one chip as the kernel sees them."""

    cls: Tensor  # [rows]
    cell: Tensor  # [rows]
    coordinates: Tensor  # [rows, COORDINATES]
    noise: Tensor  # [rows]

    def take(self, rows: slice | Tensor) -> Rows:
        """Some of the rows."""
        return Rows(self.cls[rows], self.cell[rows], self.coordinates[rows], self.noise[rows])


def kernel(scale: Tensor, a: Rows, b: Rows) -> Tensor:
    """Covariance [a, b] of residuals; `scale` is log amplitude [classes, 3 + KERNELS]."""
    left, right = scale[a.cls].exp(), scale[b.cls].exp()
    product = left[:, None, :] * right[None, :, :]  # [a, b, 3 + KERNELS]
    same_cell = (a.cell[:, None] == b.cell[None, :]).to(scale.dtype)
    near = torch.cdist(
        a.coordinates.view(len(a.cls), KERNELS, -1).transpose(0, 1),
        b.coordinates.view(len(b.cls), KERNELS, -1).transpose(0, 1), compute_mode="donot_use_mm_for_euclid_dist",
    )  # fmt: skip
    smooth = (product[..., 3:] * torch.exp(-0.5 * near**2).permute(1, 2, 0)).sum(-1)
    same_class = (a.cls[:, None] == b.cls[None, :]).to(scale.dtype)
    of_chip = torch.minimum(left[:, None, 0], right[None, :, 0]) ** 2
    return of_chip + same_class * (product[..., 1] + same_cell * product[..., 2] + smooth)


def prior_variance(scale: Tensor, rows: Rows) -> Tensor:
    """Variance of the residuals before anything is observed, noise included, [rows]."""
    return (2 * scale[rows.cls]).exp().sum(1) + rows.noise**2


def posterior(scale: Tensor, seen: Rows, residual: Tensor, asked: Rows) -> tuple[Tensor, Tensor]:
    """Mean and variance [asked] of residuals given those `seen`; the variance includes the noise."""
    if not len(residual):
        return residual.new_zeros(len(asked.cls)), prior_variance(scale, asked)
    joint = kernel(scale, seen, seen) + torch.diag(seen.noise**2 + JITTER)
    lower = torch.linalg.cholesky(joint)
    weights = torch.linalg.solve_triangular(lower, kernel(scale, seen, asked), upper=False)  # [seen, asked]
    mean = weights.T @ torch.linalg.solve_triangular(lower, residual[:, None], upper=False)
    explained = prior_variance(scale, asked) - (weights**2).sum(0)
    return mean[:, 0], torch.maximum(explained, asked.noise**2)


def surprise(residual: Tensor, variance: Tensor) -> Tensor:
    """Negative log likelihood of residuals under Student's law, up to a constant, [rows]."""
    return 0.5 * variance.log() + (DEGREES + 1) / 2 * torch.log1p(residual**2 / (DEGREES * variance))
