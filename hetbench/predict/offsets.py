"""Offsets of a chip's whole-model predictions, from a few passes or deployments that the caller measured.

The log of measured over predicted is taken as a sum of parts: one that all models on the chip share, one of a software
stack there, one of that stack in a precision and phase, one of a model under it, and a rest that is of the setting
alone. How much of an answer's variance each part holds was found on chips and models left out of training
(`catalog/surrogates/offsets.json`, made by `python -m surrogates.whole.offsets`); the variance itself is that of the
answer's own interval. One row thus moves a wide answer far and a narrow one little, and what it shares with another row
says how far that one follows.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetbench.artifacts.sets import EMBEDDED
from hetbench.errors import ArtifactError
from hetbench.predict.gaussian_process import JITTER, Conditioned, condition

__all__ = ["FORMAT", "PARTS", "OffsetRows", "Offsets", "Shift", "load_shares"]

FORMAT = 1
PARTS = ("chip", "stack", "setting", "model")
"""The shared parts of a residual, from what most rows share to what fewest do; the rest is the row's own."""
_NARROWEST, _WIDEST = 0.25, 1.5  # of an interval after observing, next to before

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class OffsetRows:
    """Predictions of one chip as inputs of the covariance."""

    labels: NDArray[Any]
    """Which offset each part is, [rows, parts]: rows with equal labels in a column share it."""
    weight: Floats
    """How far the log of the figure moves with each part, [rows, parts]: 1 for a latency."""
    variance: Floats
    """Prior variance of each part, [rows, parts]."""
    own: Floats
    """Variance that a row shares with no other, [rows]."""

    @classmethod
    def concatenated(cls, rows: list[OffsetRows]) -> OffsetRows:
        """All rows of several."""
        return cls(*(np.concatenate([getattr(each, field.name) for each in rows]) for field in fields(cls)))

    def covariance(self, other: OffsetRows) -> Floats:
        """Covariance of the log residuals of both, own variance left out, [rows, other rows]: of each part they share
        the lesser variance, so that no row moves another further than itself."""
        out = np.zeros((len(self.own), len(other.own)))
        for part in range(self.labels.shape[1]):
            same = self.labels[:, part, None] == other.labels[None, :, part]
            lesser = np.minimum(self.variance[:, part, None], other.variance[None, :, part])
            out += same * lesser * self.weight[:, part, None] * other.weight[None, :, part]
        return out

    @property
    def prior(self) -> Floats:
        """Prior variance of each log residual, [rows]."""
        out: Floats = (self.variance * self.weight**2).sum(1) + self.own
        return out


@dataclass(frozen=True, slots=True)
class Shift:
    """What observing changes of predictions, [rows] each."""

    mean: Floats
    """Added to the log of the value."""
    centre: Floats
    """Added to the log of the middle of the interval."""
    width: Floats
    """Factor on the width of the interval in log units."""


class Offsets:
    """The offsets of one chip, conditioned on observed rows.

    `residual` is log(measured / predicted), `centre` the log of the interval's middle over the prediction, [rows].

    >>> labels = np.array([["mlu", "magicmind"]], dtype=object)
    >>> one = OffsetRows(labels, np.ones((1, 2)), np.array([[0.0, 0.16]]), np.array([0.04]))
    >>> known = Offsets(one, np.array([0.5]), np.zeros(1))
    >>> round(float(known.shift(one).mean[0]), 2), round(float(known.shift(one).width[0]), 2)
    (0.4, 0.59)
    """

    def __init__(self, seen: OffsetRows, residual: Floats, centre: Floats) -> None:
        self.seen, self.residual = seen, residual
        shared = seen.covariance(seen)
        solved: Conditioned = condition(shared, seen.own + JITTER, residual - centre)
        self._inverse, self._spread = solved.inverse, solved.spread
        self._weights = solved.inverse @ np.column_stack((residual, residual - centre))
        self.surprise = solved.surprise
        """Leave-one-out error of each observed row in standard deviations, [rows]."""
        explained = shared @ self._weights
        self._least, self._most = np.minimum(explained.min(0), 0.0), np.maximum(explained.max(0), 0.0)

    def shift(self, asked: OffsetRows) -> Shift:
        """How the predictions `asked` change."""
        shared = asked.covariance(self.seen)
        mean, centre = np.clip(shared @ self._weights, self._least, self._most).T
        explained = np.einsum("as,st,at->a", shared, self._inverse, shared, optimize=True)
        left = np.maximum(asked.prior - explained, asked.own) * self._spread
        return Shift(mean, centre, np.clip(np.sqrt(left / asked.prior), _NARROWEST, _WIDEST))


def load_shares(folder: Path | None = None) -> dict[str, list[float]]:
    """Kind of prediction -> share of its variance in each of `PARTS`; left out, that in the package.

    >>> all(sum(shares) < 1 for shares in load_shares().values())
    True
    """
    return _load(folder if folder is not None and (folder / "offsets.json").is_file() else EMBEDDED)


@lru_cache(maxsize=8)
def _load(folder: Path) -> dict[str, list[float]]:
    path = folder / "offsets.json"
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path.name} cannot be read: {error}. Run: python -m surrogates.whole.offsets") from None
    if table.get("format") != FORMAT or tuple(table.get("parts", ())) != PARTS:
        raise ArtifactError(f"{path.name} has format {table.get('format')!r}; this hetbench reads {FORMAT}.")
    return {str(kind): [float(share) for share in shares] for kind, shares in table["shares"].items()}
