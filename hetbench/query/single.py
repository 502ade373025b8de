"""The estimate of one question, with plain numbers, from what earlier questions about the same network left behind.

The rules are those of `hetbench.query.estimate`. A whole model is evaluated at powers of two of batch and length, so
most of what a new size needs is known already; only operator sums are computed anew.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from hetbench.catalog.chips import Chip
from hetbench.graphs import ModelGraph
from hetbench.loading import LOCK
from hetbench.predict.intervals import pass_interval
from hetbench.predict.models import GENERATION, Calls, WholeModelSurrogate, group_of
from hetbench.predict.operators import COVERED
from hetbench.predict.pooling import label_of
from hetbench.query.estimate import LAUNCH_BOUND, LEVELS, Estimate, Estimator, Part, lengths_of
from hetbench.query.pieces import Terms
from hetbench.query.question import Question
from hetbench.query.stacks import DEFAULT_STACK

__all__ = ["Known", "SingleEstimator", "known_of"]

_MOST_KNOWN, _MOST_PARTS = 1024, 256


class Known:
    """What questions about one network on one chip share: parts of whole models, and what follows from names alone."""

    def __init__(self, kept: tuple[Any, ...]) -> None:
        self.kept = kept
        """The objects whose identity is the key."""
        self.terms: dict[Part, Terms] = {}
        self.calls: dict[Part, tuple[float, Calls]] = {}
        self.names: dict[tuple[Any, ...], Any] = {}
        """Sources, levels and bands."""


_KNOWN: dict[tuple[Any, ...], Known] = {}


def known_of(
    graph: ModelGraph, chip: Chip, phase: str, image_size: int | None, artifacts: Path | None, predictor: str
) -> Known:
    """What is known of a network on a chip, shared by all threads."""
    key = id(graph), id(chip), phase, image_size, artifacts, predictor
    found = _KNOWN.get(key)
    if found is None:
        with LOCK:
            if len(_KNOWN) >= _MOST_KNOWN:
                _KNOWN.clear()
            found = _KNOWN.setdefault(key, Known((graph, chip)))
    return found


class SingleEstimator(Estimator):
    """The estimator of one question, which remembers the terms that it asked for."""

    def __init__(
        self, question: Question, chip: Chip, predictor: str, make: Callable[[Part], Terms], graph: ModelGraph,
        known: Known,
    ) -> None:  # fmt: skip
        self.known = known
        self._own = cache(make)
        generates = "decode" in graph.phases
        super().__init__(
            question, chip, predictor, lambda part: self.terms(part).values[None], graph.longest, generates
        )

    def terms(self, part: Part) -> Terms:
        """The additive terms of a part; those of whole models and of sums at batch 1 are kept beyond the question."""
        kept = part.kind == "whole" or (part.kind == "sum" and part.batch == 1 and self.question.operators is None)
        if not kept:
            return self._own(part)
        found = self.known.terms.get(part)
        if found is None:
            found = self._own(part)
            if len(self.known.terms) >= _MOST_PARTS:
                self.known.terms.clear()
            self.known.terms[part] = found
        return found

    def evaluated(self, part: Part) -> Calls:
        """Calls at one batch and length, kept beyond the question."""
        return self._evaluated(part)[1]

    def _evaluated(self, part: Part) -> tuple[float, Calls]:
        found = self.known.calls.get(part)
        if found is None:
            calls = super().evaluated(part)
            found = float(calls.value[0]), calls
            if len(self.known.calls) >= _MOST_PARTS:
                self.known.calls.clear()
            self.known.calls[part] = found
        return found

    def named(self, key: tuple[Any, ...], make: Callable[[], Any]) -> Any:
        """What depends on names alone, kept beyond the question."""
        try:
            return self.known.names[key]
        except KeyError:
            return self.known.names.setdefault(key, make())

    def source(self, stack: str, precision: str) -> tuple[str, str] | None:
        """Stack and precision of the whole models that speak for a stack in a precision."""
        batch = bool(self.question.batch)
        found: tuple[str, str] | None = self.named(
            ("source", stack, precision, batch), lambda: super(SingleEstimator, self).source(stack, precision)
        )
        return found

    def _strong(self, stack: str, precision: str) -> bool:
        found: bool = self.named(
            ("strong", stack, precision), lambda: super(SingleEstimator, self)._strong(stack, precision)
        )
        return found

    def _weight(self, found: tuple[str, str]) -> float:
        weight: float = self.named(("weight", *found), lambda: super(SingleEstimator, self)._weight(found))
        return weight

    def _whole(self, found: tuple[str, str], precision: str) -> Estimate:
        stack, taught = found
        value, calls = self._rising(stack, taught)
        if taught == precision:
            level = self.named(("level", stack, taught), lambda: self._level_of(stack, taught))
            level = str(WholeModelSurrogate.levels(level, calls)[0])
        else:
            level = "D"
            ratio = float(self._summed(precision).value[0]) / float(self._summed(taught).value[0])
            value *= max(ratio, 1.0) if _wider(precision, taught) else min(ratio, 1.0)
        key = "band", stack, taught, level, self.question.stack, self.question.confidence
        low, high = self.named(key, lambda: self._band(stack, taught, level))
        return _estimate(value, value * low, value * high, level)

    def _level_of(self, stack: str, precision: str) -> str:
        return self.question.whole.level(self.chip, self.question.phase, stack, precision) or "D"

    def _band(self, stack: str, taught: str, level: str) -> tuple[float, float]:
        """Factors on a value for its bounds."""
        asked, phase, chip = self.question, self.question.phase, self.chip
        group = asked.whole.group(group_of(chip.family, phase))
        stands_in = (asked.stack, stack) in ((DEFAULT_STACK, "eager-amp"), ("compiled", "compiled-amp"))
        thin = stands_in or group.thin(label_of(chip.name, chip.die, stack, taught))
        kind = phase if phase in GENERATION else stack
        low, high = WholeModelSurrogate.band(group.spec, level, chip.family, kind, asked.confidence, thin=thin)
        return math.exp(low), math.exp(high)

    def _rising(self, stack: str, precision: str) -> tuple[float, Calls]:
        """As `_not_faster`."""
        batch = self.question.batch or 1
        powers = (batch - 1).bit_length()
        before, last, calls = 0.0, 0.0, None
        for power in range(powers + 1):
            value, calls = self._at_length(stack, precision, 1 << power)
            before, last = last, max(last, value)
        assert calls is not None
        if 1 << powers == batch:
            return last, calls
        at = math.log2(batch / (1 << (powers - 1)))
        return math.exp((1 - at) * math.log(before) + at * math.log(last)), calls

    def _at_length(self, stack: str, precision: str, batch: int) -> tuple[float, Calls]:
        """As `_calls`."""
        length = self.question.seq_len
        grid = lengths_of(length, self.longest)
        found = [self._evaluated(Part("whole", stack, precision, batch, each)) for each in grid]
        if length is None or grid[0] is None or len(grid) == 1:
            return found[0]
        above = min(value for value, _ in found[1:])
        first = min(found[0][0], above)
        if grid[0] == length:
            return first, found[0][1]
        at = math.log(length / grid[0]) / math.log((grid[1] or length) / grid[0])
        return math.exp((1 - at) * math.log(first) + at * math.log(above)), found[1][1]

    def _summed(self, precision: str) -> Estimate:
        key = "sum", precision
        if key not in self._known:
            batch, length = self.question.batch, self.question.seq_len
            values = self.terms(Part("sum", DEFAULT_STACK, precision, batch, length)).values.tolist()
            if (batch or 1) > 1 and values[0] < LAUNCH_BOUND * values[3]:
                alone = self.terms(Part("sum", DEFAULT_STACK, precision, 1, length)).values.tolist()
                values = alone if alone[0] > values[0] else values
            value, lower, upper, _, *by_level = values
            covered, level = 0.0, LEVELS[0]
            for name, ms in zip(LEVELS, by_level, strict=True):
                covered += ms
                if covered >= COVERED * value:
                    level = name
                    break
            low, high = pass_interval(self.question.surrogate, value, lower, upper, self.question.confidence)
            self._known[key] = _estimate(value, float(low), float(high), level)
        made: Estimate = self._known[key]
        return made

    def _floor(self) -> float:
        precision, chip = self.question.precision, self.chip
        part = Part("work", "", precision, self.question.batch, self.question.seq_len)
        flops, weights, read = self.terms(part).values.tolist()
        peak, cached = self.named(("peak", precision), lambda: _peak_and_cache(chip, precision))
        compute = 1e3 * flops / peak if peak else 0.0
        streamed = 1e3 * max(min(weights, read) - cached, 0.0) / chip.bandwidth if chip.bandwidth else 0.0
        return max(compute, streamed)


def _peak_and_cache(chip: Chip, precision: str) -> tuple[float | None, float]:
    """Peak in FLOP/s and bytes of the largest cache."""
    cache_mb = max((size for size in (chip.l2_mb, chip.llc_mb) if size), default=0.0)
    return chip.peak_flops(precision), cache_mb * 2**20


_WIDTHS = {"fp64": 8, "fp32": 4, "tf32": 3, "fp16": 2, "bf16": 2, "fp8": 1, "int8": 1}


def _wider(precision: str, taught: str) -> bool:
    return _WIDTHS.get(precision, 2) > _WIDTHS.get(taught, 2)


def _estimate(value: float, lower: float, upper: float, level: str) -> Estimate:
    return Estimate(np.array([value]), np.array([lower]), np.array([upper]), np.array([level]))
