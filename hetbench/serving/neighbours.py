"""What the physics misses beside measured deployments: residuals of published rows, interpolated.

Within one engine, chip and network the logarithm of measured over predicted is a Gaussian process of load, lengths and
plan. Its covariance falls exponentially with the distance in doublings, and by a factor where weight format, version
of the engine, or the kind of measurement differ. Far from every row the correction is none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from hetbench.serving.settings import Floats, Settings

__all__ = ["AXES", "CORRECTED", "TRAITS", "Kernel", "Neighbours", "Points", "coded"]

AXES = ("concurrency", "input_len", "output_len", "tp", "dp", "pp", "ep")
TRAITS = ("form", "version", "batch")
"""Weight format, version of the engine, and whether a whole batch was timed in place of single requests."""
CORRECTED = ("tpot", "ttft")
_AT_ONCE = 1024  # points whose covariances with all rows are held at a time
_NEAREST = 24
"""Rows whose covariances decide how much is known at one point."""


def coded(texts: Sequence[str]) -> NDArray[np.int64]:
    """A number for each text, the same for the same text in every process: whole numbers compare fast."""
    return np.array([crc32(text.encode()) for text in texts], np.int64)


@dataclass(frozen=True, slots=True)
class Points:
    """Deployments of one model on one chip under one engine."""

    at: Floats
    """log2 of `AXES`, [points, axes]."""
    traits: NDArray[np.int64]
    """Codes of the texts of `TRAITS`, [points, traits]: see `coded`."""

    @classmethod
    def of(cls, s: Settings, form: str, version: str) -> Points:
        """The points of settings that are served."""
        at = np.log2(np.stack([getattr(s, name) for name in AXES], axis=1))
        return cls(at, np.tile(coded([form, version, ""]), (len(at), 1)))

    def take(self, where: Any) -> Points:
        """The points at `where`."""
        return Points(self.at[where], self.traits[where])


@dataclass(frozen=True, slots=True)
class Kernel:
    """Covariance of the residuals of one metric."""

    lengths: Sequence[float]
    """Doublings of each axis over which the correlation falls to 1/e."""
    same: Sequence[float]
    """Correlation that is left where a trait differs."""
    variance: float
    noise: float
    """Variance of repeated runs of one setting."""

    def between(self, a: Points, b: Points) -> Floats:
        """Covariances [points of a, points of b]."""
        out = np.zeros((len(a.at), len(b.at)))
        for axis, length in enumerate(self.lengths):
            out -= abs(a.at[:, axis, None] - b.at[None, :, axis]) / length
        out = self.variance * np.exp(out)
        for trait, left in enumerate(self.same):
            out *= np.where(a.traits[:, trait, None] == b.traits[None, :, trait], 1.0, left)
        return out

    def weights(self, points: Points, residuals: Floats) -> Floats:
        """What the covariances with the points are multiplied by to correct a point, [points]."""
        held = self.between(points, points) + self.noise * np.eye(len(residuals))
        return np.asarray(np.linalg.solve(held, residuals))

    def unknown(self, there: Points, points: Points) -> Floats:
        """Share of the variance that the measured points leave open at `there`, each from its nearest, [there]."""
        cross, out = self.between(there, points), np.ones(len(there.at))
        for n, row in enumerate(cross):
            nearest = np.argsort(-row, kind="stable")[:_NEAREST]
            own = points.take(nearest)
            held = self.between(own, own) + self.noise * np.eye(len(nearest))
            out[n] = 1 - row[nearest] @ np.linalg.solve(held, row[nearest]) / self.variance
        return np.clip(out, 0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Measured rows of one engine, chip and network, of one metric."""

    kernel: Kernel
    points: Points
    weights: Floats

    @classmethod
    def read(cls, kernel: Mapping[str, Any], kept: Mapping[str, Any]) -> Neighbours:
        """Of the exported form: `at` whole numbers by axis, then indices of `traits`, and `weights`."""
        rows, codes = np.array(kept["at"], float), coded(kept["traits"])
        points = Points(np.log2(rows[:, : len(AXES)]), codes[rows[:, len(AXES) :].astype(int)])
        return cls(Kernel(**kernel), points, np.array(kept["weights"], float))

    def correction(self, there: Points) -> Floats:
        """Logarithm of measured over predicted, as expected at each point, [there]."""
        parts = range(0, len(there.at), _AT_ONCE)
        found = [self.kernel.between(there.take(slice(n, n + _AT_ONCE)), self.points) @ self.weights for n in parts]
        return np.concatenate(found)

    def same(self, there: Points) -> bool:
        """Whether a row has the plan, weight format and version of the first point."""
        plan = slice(AXES.index("tp"), len(AXES))
        rows = (self.points.at[:, plan] == there.at[0, plan]).all(1)
        return bool((rows & (self.points.traits[:, :2] == there.traits[0, :2]).all(1)).any())

    def unknown(self, there: Points) -> Floats:
        """Share of the variance of residuals that the rows leave open, [there]."""
        return self.kernel.unknown(there, self.points)
