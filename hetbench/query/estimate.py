"""Latency from the evidence there is: whole models and sums of operators, blended, consistent and within physics.

Everything is computed from *pieces*, which add up over the parts of a network, of one call in floats or of many calls
of a search space in arrays at once. Rules, in this order: the whole-model surrogate and the operator sum are blended by
their validated error; batches never get faster; a compiling stack is never slower than eager launches; a narrower
precision is never slower than a wider one; nothing beats the chip's peak or the streaming of the weights. Where two
answers disagree with such a rule the one with less evidence moves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import inf
from typing import Any

import numpy as np

from hetbench.catalog.chips import Chip
from hetbench.errors import InvalidInputError, RefusedError
from hetbench.formats import STORED
from hetbench.predict.figures import Figures, every, exp, hypot, larger, log, picked, smaller
from hetbench.predict.intervals import pass_factor, pass_interval, whole_model_weight
from hetbench.predict.models import GENERATION, Calls, WholeModelSurrogate, group_of
from hetbench.predict.stored import REALISED
from hetbench.query.estimates import Estimate, at_least, at_most, blend, either
from hetbench.query.parts import Part, Pieces, covering_level
from hetbench.query.question import Question
from hetbench.query.size_grid import lengths, neighbours
from hetbench.query.stacks import COMPILING, DEFAULT_STACK, source, strong
from hetbench.schema import element

__all__ = ["WHOLE", "Estimator"]

WHOLE = ("auto", "autogluon")  # the predictors that take whole models into account
_FASTER = 1.5  # peaks of two precisions that differ by so much make the faster one faster for any network

_LOG_2 = log(2.0)


class Estimator:
    """The estimate for a question; `pieces` gives those of a part."""

    def __init__(
        self, question: Question, chip: Chip, predictor: str, pieces: Callable[[Part], Pieces],
        longest: int | None = None, generates: bool = False, resizable: bool = True,
    ) -> None:  # fmt: skip
        self.question, self.chip, self.predictor, self._pieces = question, chip, predictor, pieces
        self.phase = question.taught_phase
        self.longest, self.generates = longest, generates
        """The longest sequence that the model takes, None where nothing limits it; whether it generates tokens."""
        self._resizable = resizable  # whether other batches and lengths are looked at
        self._known: dict[tuple[Any, ...], Any] = {}

    def latency(self) -> Estimate:
        """The estimate under the question's stack and precision."""
        found = self._precise(self.question.stack, self.question.precision)
        floor = self.floor()
        value, lower, upper = (larger(each, floor) for each in found[:3])
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
        batch, length = self.question.batch or 1, self.question.seq_len
        if not self._resizable:
            return batch, length
        grid = lengths(length, self.longest)
        return 1 << (batch - 1).bit_length(), next((n for n in grid if (n or 0) >= (length or 0)), grid[-1])

    def source(self, stack: str, precision: str) -> tuple[str, str] | None:
        """Stack and precision of the whole models that speak for a stack in a precision."""
        if self.predictor not in WHOLE or not self.question.batch:
            return None
        key = "source", stack, precision
        if key not in self._known:
            self._known[key] = source(self.question.whole, self.chip, self.phase, stack, precision)
        return self._known[key]  # type: ignore[no-any-return]

    def _precise(self, stack: str, precision: str) -> Estimate:
        """Narrower precisions not slower than wider ones, where the chip's peaks say that they need not be."""
        if precision in STORED:
            return self._stored(stack, precision)
        found = self._stacked(stack, precision)
        if self.predictor not in WHOLE or not self.question.batch:
            return found
        if precision == "fp32":
            if not self._faster("fp16", "fp32") or (self._strong(stack, "fp32") and not self._strong(stack, "fp16")):
                return found
            return at_least(found, self._stacked(stack, "fp16"))
        wider = "fp16" if precision in ("int8", "fp8") else "fp32"
        if precision == "fp16" and not (self._strong(stack, "fp32") and not self._strong(stack, "fp16")):
            return found
        if not self._faster(precision, wider) or (stack != DEFAULT_STACK and not self.source(stack, wider)):
            return found
        return at_most(found, self._precise(stack, wider))

    def _stored(self, stack: str, precision: str) -> Estimate:
        """Weights in a stored format: the estimate for the activations' precision, as much faster as the operators.

        How much of what the bytes spare a kernel reaches is uncertain, from nothing to all of it; that counts beside
        the interval of the estimate, in quadrature.
        """
        narrow = self._summed(precision)
        if self.predictor not in WHOLE:
            return narrow
        found = self._precise(stack, element(precision))
        gain = log(larger(self._summed(element(precision)).value / narrow.value, 1.0))
        below, above = log(found.value / found.lower), log(found.upper / found.value)
        value = found.value * exp(-gain)
        lower = value * exp(-hypot(below, gain * (1 / REALISED - 1)))
        level = picked(found.level < "C", "C", found.level)
        return Estimate(value, lower, value * exp(hypot(above, gain)), level)

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
            if not weaker and every(found.level == "C"):
                return found
            bounded = at_most(found, self._direct(DEFAULT_STACK, precision))
            return bounded if weaker else either(found.level == "C", found, bounded)
        if stack == DEFAULT_STACK and not eager_known and not self.generates:
            other = next((name for name in COMPILING if self._strong(name, precision)), None)
            if other is not None:
                compiled = self._direct(other, precision)
                return either(compiled.level == "C", at_least(found, compiled), found)
        return found

    def _direct(self, stack: str, precision: str) -> Estimate:
        """What the rows of a stack say, and the operator sum beside it where launches are eager."""
        if (key := ("direct", stack, precision)) not in self._known:
            found = self.source(stack, precision)
            if stack != DEFAULT_STACK and found is not None:
                self._known[key] = self._whole(found, precision)
            elif found is None:
                self._known[key] = self._summed(precision)
            else:
                share, whole = self._weight(found), self._whole(found, precision)
                self._known[key] = whole if share == 1 else blend(whole, self._summed(precision), share)
        made: Estimate = self._known[key]
        return made

    def _weight(self, found: tuple[str, str]) -> float:
        """Validated weight of whole models beside the operator sum, by the evidence of the die."""
        group = self.question.whole.groups[group_of(self.chip.family, self.phase)]
        evidence = group["evidence"]["dies"].get(f"{self.chip.die}|{found[0]}|{found[1]}", {}).get("", 0)
        return whole_model_weight(self.question.surrogate, evidence)

    def _whole(self, found: tuple[str, str], precision: str) -> Estimate:
        """The whole-model surrogate of a stack; in another precision than its rows, their factors on its operators."""
        stack, taught = found
        calls = self._not_faster(stack, taught, precision)
        value = calls.value
        known = self.question.whole.level(self.chip, self.phase, stack, taught) if taught == precision else None
        level = WholeModelSurrogate.levels(known or "D", calls)
        if isinstance(level, str):
            low, high = self._ends(stack, taught, level)
            return Estimate(value, value * low, value * high, level)
        ends = np.empty((2, len(value)))
        for each in np.unique(level):
            ends[:, level == each] = np.array(self._ends(stack, taught, str(each)))[:, None]
        return Estimate(value, value * ends[0], value * ends[1], level)

    def _ends(self, stack: str, taught: str, level: str) -> tuple[float, float]:
        """Factors to the bounds of an answer of a level."""
        asked = self.question
        key = "ends", self.chip, self.phase, asked.stack, stack, taught, level, asked.confidence
        return asked.whole.remembered(key, lambda: self._made_ends(stack, taught, level))  # type: ignore[no-any-return]

    def _made_ends(self, stack: str, taught: str, level: str) -> tuple[float, float]:
        phase, chip, asked = self.phase, self.chip, self.question
        group = asked.whole.group(group_of(chip.family, phase))
        stands_in = (asked.stack, stack) in ((DEFAULT_STACK, "eager-amp"), ("compiled", "compiled-amp"))
        thin = stands_in or group.thin(asked.whole.labels(chip, phase, stack, taught))
        low, high = WholeModelSurrogate.band(
            group.spec, level, chip.family, phase if phase in GENERATION else stack, asked.confidence, thin=thin
        )
        return exp(low), exp(high)

    def _not_faster(self, stack: str, taught: str, precision: str) -> Calls:
        """Calls at the question's batch, between those of the next powers of two, none faster than a smaller batch."""
        batch = self.question.batch or 1
        grid = [2**k for k in range((batch - 1).bit_length() + 1)] if self._resizable else [batch]
        found = [self._calls(stack, taught, precision, each) for each in grid]
        first, most, risen = found[0].value, -inf, []
        for size, each in zip(grid, found, strict=True):
            most = larger(most, each.value)
            risen.append(smaller(most, size / grid[0] * first))  # samples can be run in turn
        value = risen[-1]
        if grid[-1] != batch:
            at = log(batch / grid[-2]) / _LOG_2
            value = exp((1 - at) * log(risen[-2]) + at * log(risen[-1]))
        return replace(found[-1], value=value)

    def _calls(self, stack: str, taught: str, precision: str, batch: int) -> Calls:
        """Calls at one batch; a sequence length between two powers of two lies between their latencies."""
        length = self.question.seq_len
        grid = lengths(length, self.longest) if self._resizable else (length,)
        found = [self.evaluated(stack, taught, precision, batch, each) for each in grid]
        if length is None or grid[0] is None or len(grid) == 1:
            return found[0]
        least, risen = inf, []
        for each in found[::-1]:  # padding is always possible
            least = smaller(least, each.value)
            risen.append(least)
        if grid[0] == length:
            return replace(found[0], value=risen[-1])
        at = log(length / grid[0]) / log((grid[1] or length) / grid[0])
        return replace(found[1], value=exp((1 - at) * log(risen[-1]) + at * log(risen[-2])))

    def evaluated(self, stack: str, taught: str, precision: str, batch: int, length: int | None) -> Calls:
        """Calls of the whole-model surrogate at one batch and length."""
        group = self.question.whole.group(group_of(self.chip.family, self.phase))
        labels = self.question.whole.labels(self.chip, self.phase, stack, taught)
        pieces = np.array(self._between("whole", stack, taught, batch, length, precision))
        return group.calls(pieces[None] if pieces.ndim == 1 else pieces.T, batch, labels)

    def _summed(self, precision: str) -> Estimate:
        """The sum over the operator graph, each operator launched eagerly."""
        key = "sum", precision
        if key not in self._known:
            batch, length = self.question.batch, self.question.seq_len
            place = "sum", DEFAULT_STACK, precision
            value, lower, upper, _, *by_level = self._between(*place, batch, length)
            if batch is not None and batch > 1 and self._resizable:
                alone = self._between(*place, 1, length)[0]  # no less than one sample takes, no more than each in turn
                factor = smaller(larger(value, alone), batch * alone) / value
                value, lower, upper = value * factor, lower * factor, upper * factor
            if self.predictor in WHOLE:
                factor = pass_factor(self.question.surrogate, self.chip)
                value, lower, upper = value * factor, lower * factor, upper * factor
            low, high = pass_interval(self.question.surrogate, value, lower, upper, self.question.confidence)
            self._known[key] = Estimate(value, low, high, covering_level(by_level))
        made: Estimate = self._known[key]
        return made

    def _between(
        self, kind: str, stack: str, precision: str, batch: int | None, length: int | None, dtype: str | None = None
    ) -> Pieces:
        """Pieces at the sizes; where those take longer than what the sizes can be padded to, or less than the next
        smaller sizes of a coarse grid, the pieces of these."""
        image = self.question.image_size
        place, sizes = (kind, stack, precision), (batch, length, image)
        found = self._pieces(Part(*place, *sizes, dtype))
        if not self._resizable:
            return found
        for other, longer in neighbours(*sizes, self.longest):
            try:
                near = self._pieces(Part(*place, *other, dtype))
            except (InvalidInputError, RefusedError):  # the model does not take such an image
                continue
            off = near[0] < found[0] if longer else near[0] > found[0]
            found = picked(off, near, found)
        return found

    def floor(self) -> Figures:
        """ms at the chip's peak, and of streaming the weights that no cache holds."""
        precision = self.question.precision
        sizes = self.question.batch, self.question.seq_len, self.question.image_size
        flops, weights, read = self._pieces(Part("work", "", precision, *sizes))
        peak, chip = self.chip.peak_flops(precision), self.chip
        cache = max((size for size in (chip.l2_mb, chip.llc_mb) if size), default=0.0) * 2**20
        compute = 1e3 * flops / peak if peak else 0.0 * flops
        streamed = 1e3 * larger(smaller(weights, read) - cache, 0.0) / chip.bandwidth if chip.bandwidth else 0.0
        return larger(compute, streamed)

    def _strong(self, stack: str, precision: str) -> bool:
        return strong(self.question.whole, self.chip, self.phase, stack, precision)

    def _faster(self, narrow: str, wide: str) -> bool:
        """Whether the chip's peak is much higher in the narrower precision."""
        peaks = self.chip.peak_flops(narrow), self.chip.peak_flops(wide)
        return bool(peaks[0] and peaks[1] and peaks[0] >= _FASTER * peaks[1])
