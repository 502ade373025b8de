"""A Gaussian process on the surrogate's log residuals: operators observed on a chip correct its other operators.

The covariance of two operators of one chip is the sum of a chip offset, a class offset, a cell offset, and one squared
exponential kernel per attention head on the RGAT's coordinates. What two operators share is never larger than the
lesser of both, so that an operator that was not observed moves at most as far as those that were; operators whose chip
has rows of its own (amplitude below 1) share offsets alone. Amplitudes are fitted in training; conditioning on observed
operators solves a linear system, a few times where outliers are down-weighted.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hetbench.predict.products import inverse, product

__all__ = [
    "CLIP_RESIDUAL", "JITTER", "MOST_NOISE", "Conditioned", "OperatorRows", "Posterior", "condition", "covariance",
    "prior_variance",
]  # fmt: skip

CLIP_RESIDUAL = 1.5
"""What a log residual is more than this off those of the chip's other rows is taken as of its operator alone."""
MOST_NOISE = 0.28
"""Two timings of one operator on one chip differ by no more: the largest median |log ratio| between GEMM sources."""
_FIXED = 3  # amplitudes of the offsets, before those of the smooth kernels
JITTER = 1e-5
_NORMAL_SURPRISE = 2.706  # 90 % quantile of the square of a standard normal variable
_MOST_SPREAD = 4.0  # surprising rows widen the variance by no more: they are down-weighted instead
_OUTLIER = 2.0  # leave-one-out standard deviations from which the noise of a row grows
_ROUNDS = 3  # of down-weighting outliers
_TELLING = 2  # rows; more of them tell what is usual on a chip
_SAME_PLACE = 1e-6  # between coordinates of one operator, as rounding leaves them
_USUAL_ROWS = 10.0  # weight of the prior on the scale of the variance, in rows

_NARROWEST, _WIDEST = 0.25, 1.5  # of an interval after observing, next to before

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
    unseen = (a.amplitude[:, None] >= 1) & (b.amplitude[None, :] >= 1)
    kernels = scale.shape[1] - _FIXED
    width = a.coordinates.shape[1] // kernels
    for index in range(kernels):
        part, at = slice(index * width, (index + 1) * width), _FIXED + index
        x, y = a.coordinates[:, part], b.coordinates[:, part]
        apart = (x**2).sum(1)[:, None] + (y**2).sum(1)[None, :] - 2 * product(x, y.T)
        inner += left[:, at, None] * right[None, :, at] * np.exp(-0.5 * np.maximum(apart, 0)) * unseen
    out: Floats = np.minimum(left[:, 0, None], right[None, :, 0]) ** 2 + (a.cls[:, None] == b.cls[None, :]) * inner
    out *= np.minimum(a.amplitude[:, None], b.amplitude[None, :]) ** 2
    return out


def prior_variance(scale: Floats, rows: OperatorRows) -> Floats:
    """Prior variance of the log residuals, noise included, [rows]."""
    parts = np.exp(2 * scale[rows.cls])
    smooth = parts[:, _FIXED:].sum(1) * (rows.amplitude >= 1)
    out: Floats = (parts[:, :_FIXED].sum(1) + smooth + rows.noise**2) * rows.amplitude**2
    return out


class Conditioned(NamedTuple):
    """The solution of one linear system."""

    inverse: Floats
    """Of the covariance of the observed rows, noise included, [rows, rows]."""
    weights: Floats
    """The inverse times the residuals, [rows]."""
    spread: float
    """Factor on the variance: above 1 where rows surprise one another more than their covariance says."""
    surprise: Floats
    """Leave-one-out error of each row over its deviation before it was down-weighted, [rows]."""
    extra: Floats
    """Variance that down-weighting added to each row, [rows]."""


def condition(shared: Floats, noise: Floats, residual: Floats) -> Conditioned:
    """Condition on residuals [rows] of covariance `shared` [rows, rows] beside their own variance `noise` [rows].

    A row whose leave-one-out error exceeds two standard deviations gets so much more noise that it no longer does;
    below three rows nothing tells which of them is wrong.

    >>> one = condition(np.array([[0.09]]), np.array([0.01]), np.array([0.5]))
    >>> round(float(0.09 * one.weights[0]), 3)
    0.45
    """
    inflated = noise
    for _ in range(_ROUNDS):
        inverted = inverse(shared + np.diag(inflated))
        extra = inflated - noise
        weights = product(inverted, residual)
        left_out, variance = weights / np.diag(inverted), 1 / np.diag(inverted)
        if len(residual) < 3 or not (excess := left_out**2 - _OUTLIER**2 * variance > 0).any():
            break
        inflated = np.where(excess, inflated + left_out**2 - _OUTLIER**2 * variance, inflated)
    surprise = left_out**2 / variance  # leave-one-out: squared residual / variance
    usual = min(float(np.quantile(surprise, 0.9)) / _NORMAL_SURPRISE, _MOST_SPREAD)
    spread = (len(residual) * usual + _USUAL_ROWS) / (len(residual) + _USUAL_ROWS)
    surprises = left_out / np.sqrt(np.maximum(variance - extra, JITTER))
    return Conditioned(inverted, weights, spread, surprises, extra)


class Posterior:
    """Posterior of a chip's log residuals after some were observed.

    `scale` holds log amplitudes [classes, 3 + kernels], `seen` the observed operators, `residual` their log(measured /
    predicted), [rows]. The variance is scaled by the leave-one-out errors of the observed
    rows; a row that the others contradict counts for less.

    >>> one = OperatorRows(np.array([0]), np.array(["Linear"]), np.zeros((1, 4)), np.array([0.02]), np.array([1.0]))
    >>> known = Posterior(np.full((5, 7), -1.5), one, np.array([0.3]))
    >>> [round(float(value), 2) for value in known.mean(one)]
    [0.3]
    """

    def __init__(self, scale: Floats, seen: OperatorRows, residual: Floats) -> None:
        self.scale, self.seen, self._residual = scale, seen, residual
        shared = covariance(scale, seen, seen)
        noise = (seen.noise**2 + JITTER) * seen.amplitude**2
        usual = float(np.median(residual)) if len(residual) > _TELLING else 0.0
        far = np.maximum(np.abs(residual - usual) - CLIP_RESIDUAL, 0.0) ** 2
        solved = condition(shared, noise + far, residual)
        self._own = np.sqrt(far + solved.extra)
        self._inverse, self._weights, self._spread = solved.inverse, solved.weights, solved.spread
        if self._own.any():  # repetitions of one operator share what is its own
            alike = _same(seen, seen) * self._own[:, None] * self._own
            self._inverse = inverse(shared + alike + np.diag(noise))
            self._weights = product(self._inverse, residual)
        explained = product(shared, self._weights)
        self._least, self._most = min(0.0, float(explained.min())), max(0.0, float(explained.max()))

    def mean(self, asked: OperatorRows) -> Floats:
        """Posterior mean of the log residual, [rows]."""
        return self._mean(asked, covariance(self.scale, asked, self.seen))

    def mean_and_variance(self, asked: OperatorRows) -> tuple[Floats, Floats]:
        """Posterior mean and variance of the log residual, noise included, each [rows]."""
        shared = covariance(self.scale, asked, self.seen)
        explained = (product(shared, self._inverse) * shared).sum(axis=1)
        noise = (asked.noise * asked.amplitude) ** 2
        variance = np.maximum(prior_variance(self.scale, asked) - explained, noise)
        return self._mean(asked, shared), variance * self._spread

    def moved(self, bounds: Floats, asked: OperatorRows) -> Floats:
        """Value, lower and upper bound in ms after observing, [3, rows]; an operator that the other rows contradict
        keeps the width that it had."""
        mean, variance = self.mean_and_variance(asked)
        width = np.clip(np.sqrt(variance / prior_variance(self.scale, asked)), _NARROWEST, _WIDEST)
        if self._own.any():
            width = np.where((_same(asked, self.seen) & (self._own > 0)).any(axis=1), np.maximum(width, 1.0), width)
        out: Floats = bounds[0] * np.exp(mean) * (bounds / bounds[0]) ** width
        return out

    def _mean(self, asked: OperatorRows, shared: Floats) -> Floats:
        """The posterior mean: what is shared moves no further from 0 than that of the observed rows; `shared` is the
        covariance with them. An observed operator has its own part beside, up to what was measured."""
        out: Floats = np.clip(product(shared, self._weights), self._least, self._most)
        if not self._own.any():
            return out
        alike = _same(asked, self.seen)
        total = out + product(alike * self._own**2, self._weights)
        least = np.where(alike, self._residual, np.inf).min(axis=1)
        most = np.where(alike, self._residual, -np.inf).max(axis=1)
        bounded: Floats = np.clip(total, np.minimum(out, least), np.maximum(out, most))
        return bounded


def _same(a: OperatorRows, b: OperatorRows) -> NDArray[np.bool_]:
    """Which rows are one operator, [a, b]: of one cell, at one place."""
    same: NDArray[np.bool_] = (a.cls[:, None] == b.cls) & (a.cell[:, None] == b.cell)
    for row in np.flatnonzero(same.any(axis=1)).tolist():
        near = np.abs(b.coordinates[same[row]] - a.coordinates[row]).max(axis=1, initial=0.0) < _SAME_PLACE
        same[row, same[row]] = near
    return same
