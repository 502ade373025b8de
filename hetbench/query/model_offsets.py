"""Predicted latencies of passes as rows of the covariance of `hetbench.predict.offsets`, and their correction."""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetbench.catalog.chips import Chip
from hetbench.predict.models import group_of
from hetbench.predict.offsets import OffsetRows, load_shares
from hetbench.query.estimates import Estimate
from hetbench.query.question import Question
from hetbench.training import TRAINING

__all__ = ["corrected", "deviation", "note_of", "pass_rows"]

Array = NDArray[Any]


def deviation(lower: Array, upper: Array, confidence: float) -> tuple[Array, Array]:
    """Middle and standard deviation in log units of intervals that hold `confidence` of a normal variable.

    >>> middle, sd = deviation(np.array([0.5]), np.array([2.0]), 0.9)
    >>> float(middle[0]), round(float(sd[0]), 3)
    (0.0, 0.421)
    """
    low, high = np.log(lower), np.log(upper)
    return (low + high) / 2, (high - low) / (2 * NormalDist().inv_cdf((1 + confidence) / 2))


def pass_rows(question: Question, made: Estimate) -> OffsetRows:
    """The calls of an estimate, which is not yet corrected, as rows, [calls]."""
    shares, calls = load_shares(question.artifacts), len(made.value)
    group = group_of(question.chip.family, question.taught_phase) if question.chip else ""
    sd = deviation(made.lower, made.upper, question.confidence)[1]
    share = np.array([shares.get(f"{level} {group}", shares[level]) for level in made.level.tolist()])
    variance = share * sd[:, None] ** 2
    return OffsetRows(
        np.tile(np.array(_labels(question), dtype=object), (calls, 1)), np.ones_like(variance), variance,
        (1 - share.sum(1)) * sd**2,
    )  # fmt: skip


def _labels(question: Question) -> tuple[str, str, str, str]:
    """What a pass shares with others on its chip: the chip, its stack, its setting and its model. Steps of training
    share nothing with passes of inference."""
    own = f"{TRAINING} " if question.phase == TRAINING else ""
    setting = f"{question.stack} {question.precision} {question.phase}"
    return own, own + question.stack, setting, f"{setting} {question.model}"


def corrected(made: Estimate, question: Question, chip: Chip, floor: Array) -> Estimate:
    """The estimate after what was observed on the chip, nothing below `floor` ms; as it is where nothing was observed.

    Calls under a stack that was observed on the chip are at least of level C.
    """
    known = question.observed.get(chip.name) if question.observed else None
    if known is None:
        return made
    rows = pass_rows(question, made)
    shift = known.shift(rows)
    middle, sd = deviation(made.lower, made.upper, question.confidence)
    half = sd * shift.width * NormalDist().inv_cdf((1 + question.confidence) / 2)
    value = np.maximum(made.value * np.exp(shift.mean), floor)
    lower, upper = (np.maximum(np.exp(middle + shift.centre + side * half), floor) for side in (-1, 1))
    here = np.isin(rows.labels[:, 1], known.seen.labels[:, 1])
    level = np.where(here & (made.level == "D"), "C", made.level)
    return Estimate(value, np.minimum(lower, value), np.maximum(upper, value), level)


def note_of(question: Question, chip: Chip, factor: float) -> tuple[str, ...]:
    """What an answer says of its correction by `factor`; nothing where nothing was observed on the chip."""
    known = question.observed.get(chip.name) if question.observed else None
    if known is None:
        return ()
    labels, own = known.seen.labels, _labels(question)
    under, same = (int((labels[:, part] == own[part]).sum()) for part in (1, 3))
    return (
        f"corrected by a factor of {factor:.3g} by {len(labels)} passes observed on {chip.name}, {under} of them under "
        f"{question.stack}, {same} of this model",
    )
