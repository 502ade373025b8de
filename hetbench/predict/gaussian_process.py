"""A Gaussian process on the surrogate's log residuals: operators observed on a chip correct its other operators.

The covariance of two operators of one chip is the sum of a chip offset, a class offset, a cell offset, and one squared
exponential kernel per attention head on the RGAT's coordinates. Its amplitudes are fitted in training; conditioning on
observed operators solves one linear system.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["CLIP_RESIDUAL", "JITTER", "OperatorRows", "Posterior", "covariance", "prior_variance"]

CLIP_RESIDUAL = 1.5
"""Observed log residuals are clipped to this, so that a wrong row cannot distort its neighbours."""
_FIXED = 3  # amplitudes of the offsets, before those of the smooth kernels
JITTER = 1e-5
_NORMAL_SURPRISE = 2.706  # 90 % quantile of the square of a standard normal variable
_USUAL_ROWS = 10.0  # weight of the prior on the scale of the variance, in rows

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class OperatorRows:
    """Operators of one chip as inputs of the covariance; every array is [rows] but `coordinates`."""

    cls: NDArray[np.int64]
    """Index of the operator class."""
    cell: NDArray[Any]
    """Label of the measurement cell; equal labels share the cell offset."""
    coordinates: Floats
    """Coordinates from the RGAT, [rows, kernels x width]."""
    noise: Floats
    """Standard deviation of log latency between repeated measurements."""
    amplitude: Floats
    """Scale of the residuals: 1 on a chip without rows, less where the chip has rows."""

    def take(self, rows: Any) -> OperatorRows:
        """The rows selected by an index, slice or mask."""
        return OperatorRows(*(getattr(self, field.name)[rows] for field in fields(self)))


def covariance(scale: Floats, a: OperatorRows, b: OperatorRows) -> Floats:
    """Covariance [a, b] of log residuals; `scale` holds log amplitudes, [classes, 3 + smooth kernels]."""
    left, right = np.exp(scale[a.cls]), np.exp(scale[b.cls])
    same_cell = a.cell[:, None] == b.cell[None, :]
    inner = left[:, 1, None] * right[None, :, 1] + same_cell * (left[:, 2, None] * right[None, :, 2])
    kernels = scale.shape[1] - _FIXED
    width = a.coordinates.shape[1] // kernels
    for index in range(kernels):
        part, at = slice(index * width, (index + 1) * width), _FIXED + index
        x, y = a.coordinates[:, part], b.coordinates[:, part]
        apart = (x**2).sum(1)[:, None] + (y**2).sum(1)[None, :] - 2 * x @ y.T
        inner += left[:, at, None] * right[None, :, at] * np.exp(-0.5 * np.maximum(apart, 0))
    out: Floats = left[:, 0, None] * right[None, :, 0] + (a.cls[:, None] == b.cls[None, :]) * inner
    out *= a.amplitude[:, None] * b.amplitude[None, :]
    return out


def prior_variance(scale: Floats, rows: OperatorRows) -> Floats:
    """Prior variance of the log residuals, noise included, [rows]."""
    out: Floats = (np.exp(2 * scale[rows.cls]).sum(1) + rows.noise**2) * rows.amplitude**2
    return out


class Posterior:
    """Posterior of a chip's log residuals after some were observed.

    `scale` holds log amplitudes [classes, 3 + kernels], `seen` the observed operators, `residual` their log(measured /
    predicted), [rows]. The variance is scaled by the leave-one-out errors of the observed rows.

    >>> one = OperatorRows(np.array([0]), np.array(["Linear"]), np.zeros((1, 4)), np.array([0.02]), np.array([1.0]))
    >>> known = Posterior(np.full((5, 7), -1.5), one, np.array([0.3]))
    >>> [round(float(value), 2) for value in known.mean(one)]
    [0.3]
    """

    def __init__(self, scale: Floats, seen: OperatorRows, residual: Floats) -> None:
        self.scale, self.seen = scale, seen
        joint = covariance(scale, seen, seen)
        joint[np.diag_indices_from(joint)] += (seen.noise**2 + JITTER) * seen.amplitude**2
        self._inverse = np.linalg.inv(joint)
        self._weights = self._inverse @ np.clip(residual, -CLIP_RESIDUAL, CLIP_RESIDUAL)
        surprise = self._weights**2 / np.diag(self._inverse)  # leave-one-out: squared residual / variance
        usual = float(np.quantile(surprise, 0.9)) / _NORMAL_SURPRISE
        self._spread = (len(residual) * usual + _USUAL_ROWS) / (len(residual) + _USUAL_ROWS)

    def mean(self, asked: OperatorRows) -> Floats:
        """Posterior mean of the log residual, [rows]."""
        out: Floats = covariance(self.scale, asked, self.seen) @ self._weights
        return out

    def mean_and_variance(self, asked: OperatorRows) -> tuple[Floats, Floats]:
        """Posterior mean and variance of the log residual, noise included, each [rows]."""
        shared = covariance(self.scale, asked, self.seen)
        explained = np.einsum("as,st,at->a", shared, self._inverse, shared, optimize=True)
        noise = (asked.noise * asked.amplitude) ** 2
        variance = np.maximum(prior_variance(self.scale, asked) - explained, noise)
        return shared @ self._weights, variance * self._spread
