"""Latency from the evidence there is: whole models and sums of operators, blended, consistent and within physics.

Everything is computed for many calls at once from *pieces*, which add up over the parts of a network: one query has
one call, a search space thousands. Rules, in this order: the whole-model surrogate and the operator sum are blended by
their validated error; batches never get faster; a compiling stack is never slower than eager launches; a narrower
precision is never slower than a wider one; nothing beats the chip's peak or the streaming of the weights. Where two
answers disagree with such a rule the one with less evidence moves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hetbench.catalog.chips import Chip
from hetbench.predict import operators
from hetbench.predict.intervals import pass_interval, whole_model_weight
from hetbench.predict.models import GENERATION, Calls, WholeModelSurrogate, group_of
from hetbench.predict.pooling import label_of
from hetbench.query.question import Question
from hetbench.query.stacks import COMPILING, DEFAULT_STACK, source, strong

__all__ = ["LAUNCH_BOUND", "LEVELS", "WHOLE", "Estimate", "Estimator", "Part", "lengths_of"]

LAUNCH_BOUND = 2.0  # below so many times its launch floors, a model's latency hardly depends on the batch
LEVELS = "BCD"
WHOLE = ("auto", "autogluon")  # the predictors that take whole models into account
_USUAL = 128  # tokens: shorter sequences than any measured are no slower than this one
_FASTER = 1.5  # peaks of two precisions that differ by so much make the faster one faster for any network

Array = NDArray[Any]


class Part(NamedTuple):
    """What pieces are of: `whole` (a stack's surrogate), `sum` (eager launches) or `work` (flops and weight bytes)."""

    kind: str
    stack: str
    precision: str
    batch: int | None
    seq_len: int | None


@dataclass(frozen=True, slots=True)
class Estimate:
    """Latency in ms of calls, [calls] each."""

    value: Array
    lower: Array
    upper: Array
    level: NDArray[np.str_]

    def moved(self, value: Array) -> Estimate:
        """Another value, its interval in proportion."""
        factor = value / self.value
        return replace(self, value=value, lower=self.lower * factor, upper=self.upper * factor)


class Estimator:
    """The estimate for a question; `pieces` gives those of a part, [calls, pieces]."""

    def __init__(
        self, question: Question, chip: Chip, predictor: str, pieces: Callable[[Part], Array],
        longest: int | None = None, generates: bool = False,
    ) -> None:  # fmt: skip
        self.question, self.chip, self.predictor, self._pieces = question, chip, predictor, pieces
        self.longest, self.generates = longest, generates
        """The longest sequence that the model takes, None where nothing limits it; whether it generates tokens."""
        self._known: dict[tuple[Any, ...], Any] = {}

    def latency(self) -> Estimate:
        """The estimate under the question's stack and precision."""
        found = self._precise(self.question.stack, self.question.precision)
        floor = self._floor()
        value, lower, upper = (np.maximum(each, floor) for each in (found.value, found.lower, found.upper))
        return Estimate(value, lower, upper, found.level)

    def share(self) -> float:
        """Weight of whole models in the answer; the rest is that of the operator sum."""
        stack, precision = self.question.stack, self.question.precision
        found = self.source(stack, precision)
        if found is None:
            return 0.0
        return 1.0 if stack != DEFAULT_STACK else self._weight(found)

    @property
    def upper_sizes(self) -> tuple[int, int | None]:
        """Batch and sequence length at or next above those of the question at which whole models are evaluated."""
        batch = self.question.batch or 1
        lengths = lengths_of(self.question.seq_len, self.longest)
        above = next((each for each in lengths if (each or 0) >= (self.question.seq_len or 0)), lengths[-1])
        return 1 << (batch - 1).bit_length(), above

    def source(self, stack: str, precision: str) -> tuple[str, str] | None:
        """Stack and precision of the whole models that speak for a stack in a precision."""
        if self.predictor not in WHOLE or not self.question.batch:
            return None
        key = "source", stack, precision
        if key not in self._known:
            self._known[key] = source(self.question.whole, self.chip, self.question.phase, stack, precision)
        found: tuple[str, str] | None = self._known[key]
        return found

    def _precise(self, stack: str, precision: str) -> Estimate:
        """Narrower precisions not slower than wider ones, where the chip's peaks say that they need not be."""
        found = self._stacked(stack, precision)
        if self.predictor not in WHOLE or not self.question.batch:
            return found
        if precision == "fp32":
            if not self._faster("fp16", "fp32") or (self._strong(stack, "fp32") and not self._strong(stack, "fp16")):
                return found
            return _at_least(found, self._stacked(stack, "fp16"))
        wider = "fp16" if precision in ("int8", "fp8") else "fp32"
        if precision == "fp16" and not (self._strong(stack, "fp32") and not self._strong(stack, "fp16")):
            return found
        if not self._faster(precision, wider) or (stack != DEFAULT_STACK and not self.source(stack, wider)):
            return found
        return _at_most(found, self._precise(stack, wider))

    def _stacked(self, stack: str, precision: str) -> Estimate:
        """A compiling stack not slower than eager launches.

        Where only the compiling stack was measured on the chip, eager launches move; but no compiling stack was
        measured with models that generate tokens, so of those the compiling stack moves.
        """
        found = self._direct(stack, precision)
        if self.predictor not in WHOLE or not self.question.batch:
            return found
        eager_known = self._strong(DEFAULT_STACK, precision)
        if stack in COMPILING:
            weaker = eager_known or self.generates
            if not weaker and (found.level == "C").all():
                return found
            bounded = _at_most(found, self._direct(DEFAULT_STACK, precision))
            return bounded if weaker else _where(found.level == "C", found, bounded)
        if stack == DEFAULT_STACK and not eager_known and not self.generates:
            other = next((name for name in COMPILING if self._strong(name, precision)), None)
            if other is not None:
                compiled = self._direct(other, precision)
                return _where(compiled.level == "C", _at_least(found, compiled), found)
        return found

    def _direct(self, stack: str, precision: str) -> Estimate:
        """What the rows of a stack say, and the operator sum beside it where launches are eager."""
        key = "direct", stack, precision
        if key not in self._known:
            found = self.source(stack, precision)
            if stack != DEFAULT_STACK and found is not None:
                self._known[key] = self._whole(found, precision)
            elif found is None:
                self._known[key] = self._summed(precision)
            else:
                share, whole = self._weight(found), self._whole(found, precision)
                self._known[key] = whole if share == 1 else _blend(whole, self._summed(precision), share)
        made: Estimate = self._known[key]
        return made

    def _weight(self, found: tuple[str, str]) -> float:
        """Validated weight of whole models beside the operator sum, by the evidence of the die."""
        group = self.question.whole.groups[group_of(self.chip.family, self.question.phase)]
        evidence = group["evidence"]["dies"].get(f"{self.chip.die}|{found[0]}|{found[1]}", {}).get("", 0)
        return whole_model_weight(self.question.surrogate, evidence)

    def _whole(self, found: tuple[str, str], precision: str) -> Estimate:
        """The whole-model surrogate of a stack; in another precision than its rows, by what operators say of both."""
        stack, taught = found
        calls = self._not_faster(stack, taught)
        value, phase, chip = calls.value, self.question.phase, self.chip
        level = WholeModelSurrogate.levels(self.question.whole.level(chip, phase, stack, taught) or "D", calls)
        stands_in = (self.question.stack, stack) in ((DEFAULT_STACK, "eager-amp"), ("compiled", "compiled-amp"))
        if taught != precision:
            ratio = self._summed(precision).value / self._summed(taught).value
            wider = _WIDTHS.get(precision, 2) > _WIDTHS.get(taught, 2)
            value = value * (np.maximum(ratio, 1.0) if wider else np.minimum(ratio, 1.0))
        if taught != precision:
            level = np.full(len(value), "D")
        group = self.question.whole.group(group_of(chip.family, phase))
        thin = stands_in or group.thin(label_of(chip.name, chip.die, stack, taught))
        ends = np.empty((2, len(value)))
        for each in np.unique(level):
            band = WholeModelSurrogate.band(group.spec, str(each), chip.family, phase if phase in GENERATION else stack,
                              self.question.confidence, thin=thin)  # fmt: skip
            ends[:, level == each] = np.exp(np.array(band))[:, None]
        return Estimate(value, value * ends[0], value * ends[1], level)

    def _not_faster(self, stack: str, precision: str) -> Calls:
        """Calls at the question's batch, between those of the next powers of two, none faster than a smaller batch."""
        batch = self.question.batch or 1
        grid = [2**k for k in range((batch - 1).bit_length() + 1)]
        found = [self._calls(stack, precision, each) for each in grid]
        risen = np.maximum.accumulate([each.value for each in found])
        value = risen[-1]
        if grid[-1] != batch:
            at = np.log2(batch / grid[-2])
            value = np.exp((1 - at) * np.log(risen[-2]) + at * np.log(risen[-1]))
        return replace(found[-1], value=value)

    def _calls(self, stack: str, precision: str, batch: int) -> Calls:
        """Calls at one batch; a sequence length between two powers of two lies between their latencies."""
        length = self.question.seq_len
        grid = lengths_of(length, self.longest)
        found = [self.evaluated(Part("whole", stack, precision, batch, each)) for each in grid]
        if length is None or grid[0] is None or len(grid) == 1:
            return found[0]
        risen = np.minimum.accumulate([each.value for each in found[::-1]])[::-1]  # padding is always possible
        if grid[0] == length:
            return replace(found[0], value=risen[0])
        at = np.log(length / grid[0]) / np.log((grid[1] or length) / grid[0])
        return replace(found[1], value=np.exp((1 - at) * np.log(risen[0]) + at * np.log(risen[1])))

    def evaluated(self, part: Part) -> Calls:
        """Calls of the whole-model surrogate at one batch and length."""
        group = self.question.whole.group(group_of(self.chip.family, self.question.phase))
        labels = label_of(self.chip.name, self.chip.die, part.stack, part.precision)
        return group.calls(self._pieces(part), part.batch or 1, labels)

    def _summed(self, precision: str) -> Estimate:
        """The sum over the operator graph, each operator launched eagerly; launch-bound batches as slow as batch 1."""
        key = "sum", precision
        if key not in self._known:
            batch = self.question.batch
            length = self.question.seq_len
            pieces = self._pieces(Part("sum", DEFAULT_STACK, precision, batch, length))
            if (batch or 1) > 1 and (pieces[:, 0] < LAUNCH_BOUND * pieces[:, 3]).any():
                alone = self._pieces(Part("sum", DEFAULT_STACK, precision, 1, length))
                slower = (alone[:, 0] > pieces[:, 0]) & (pieces[:, 0] < LAUNCH_BOUND * pieces[:, 3])
                pieces = np.where(slower[:, None], alone, pieces)
            value, lower, upper, _, *by_level = pieces.T
            covered = np.cumsum(np.stack(by_level), axis=0) >= operators.COVERED * value
            level = np.array(list(LEVELS))[covered.argmax(axis=0)]
            low, high = pass_interval(self.question.surrogate, value, lower, upper, self.question.confidence)
            self._known[key] = Estimate(value, low, high, level)
        made: Estimate = self._known[key]
        return made

    def _floor(self) -> Any:
        """ms at the chip's peak, and of streaming the weights that no cache holds."""
        precision = self.question.precision
        flops, weights, read = self._pieces(Part("work", "", precision, self.question.batch, self.question.seq_len)).T
        peak, chip = self.chip.peak_flops(precision), self.chip
        cache = max((size for size in (chip.l2_mb, chip.llc_mb) if size), default=0.0) * 2**20
        compute = 1e3 * flops / peak if peak else np.zeros(len(flops))
        streamed = 1e3 * np.maximum(np.minimum(weights, read) - cache, 0) / chip.bandwidth if chip.bandwidth else 0.0
        floor: Array = np.maximum(compute, streamed)
        return floor

    def _strong(self, stack: str, precision: str) -> bool:
        return strong(self.question.whole, self.chip, self.question.phase, stack, precision)

    def _faster(self, narrow: str, wide: str) -> bool:
        """Whether the chip's peak is much higher in the narrower precision."""
        peaks = self.chip.peak_flops(narrow), self.chip.peak_flops(wide)
        return bool(peaks[0] and peaks[1] and peaks[0] >= _FASTER * peaks[1])

def _at_least(found: Estimate, other: Estimate) -> Estimate:
    return found.moved(np.maximum(found.value, other.value))


def _at_most(found: Estimate, other: Estimate) -> Estimate:
    return found.moved(np.minimum(found.value, other.value))


def lengths_of(length: int | None, longest: int | None) -> tuple[int | None, ...]:
    """Sequence lengths at which whole models are evaluated: powers of two, and the longest that the model takes.

    The first is at or next below `length`; the others rise from it, to `_USUAL` or to the next above.

    >>> lengths_of(512, 2048), lengths_of(700, 2048), lengths_of(20, 2048), lengths_of(70, 77), lengths_of(None, None)
    ((512,), (512, 1024), (16, 32, 64, 128), (64, 77), (None,))
    """
    if length is None:
        return (None,)
    below = 1 << (length.bit_length() - 1)
    last = length if below == length else 2 * below
    grid = [below]
    while grid[-1] < max(last, _USUAL):
        grid.append(2 * grid[-1])
    if longest is not None:
        grid = sorted({min(each, longest) for each in grid})
    return tuple(each for each in grid if each >= below) or (length,)


_WIDTHS: Mapping[str, int] = {"fp64": 8, "fp32": 4, "tf32": 3, "fp16": 2, "bf16": 2, "fp8": 1, "int8": 1}


def _where(chosen: Array, one: Estimate, other: Estimate) -> Estimate:
    names = ("value", "lower", "upper", "level")
    return Estimate(*(np.where(chosen, getattr(one, name), getattr(other, name)) for name in names))


def _blend(whole: Estimate, summed: Estimate, share: float) -> Estimate:
    """Geometric mean of both by the share of whole models; the level is the better one, since both are evidence."""
    def mean(name: str) -> Array:
        found: Array = np.exp(share * np.log(getattr(whole, name)) + (1 - share) * np.log(getattr(summed, name)))
        return found

    level = np.where(whole.level < summed.level, whole.level, summed.level)
    return Estimate(mean("value"), mean("lower"), mean("upper"), level)
