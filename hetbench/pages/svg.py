"""Drawings in table cells: one small SVG per row, with x in percent of the column so that text keeps its size.

The table prints every number that is drawn. Marks differ in shape as well as colour: a dot is a prediction, a square a
measured answer, a hollow diamond another published measurement.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

from hetbench.answers import digits, percent
from hetbench.pages.html import Markup, to_html

__all__ = ["Scale", "axis", "bars", "interval", "interval_legend", "linear", "logarithmic", "stack", "step"]

_DIAMOND = "M0 4.5 5 9.5 0 14.5-5 9.5z"
_EDGE = 4.0  # percent of margin on each side, so that marks and tick labels are not cut off


@dataclass(frozen=True, slots=True)
class Scale:
    """A mapping from values to percent of the width."""

    low: float
    high: float
    log: bool = False
    ticks: tuple[float, ...] = ()

    def at(self, value: float) -> float:
        """Percent from the left.

        >>> Scale(1.0, 100.0, log=True).at(10.0)
        50.0
        """
        low, high, given = (log10(each) if self.log else each for each in (self.low, self.high, value))
        share = (given - low) / (high - low) if high > low else 0.5
        return round(_EDGE + (100 - 2 * _EDGE) * min(max(share, 0.0), 1.0), 2)


def logarithmic(values: Iterable[float]) -> Scale:
    """A logarithmic scale over positive values, with ticks at 1, or at 1, 2 and 5 of each decade.

    >>> logarithmic([0.7, 30.0]).ticks
    (1.0, 10.0)
    >>> logarithmic([1.8, 14.0]).ticks
    (2.0, 5.0, 10.0)
    """
    given = [value for value in values if value > 0]
    low, high = (min(given), max(given)) if given else (1.0, 10.0)
    low, high = low / 1.15, high * 1.15
    decades = range(floor(log10(low)), ceil(log10(high)) + 1)
    steps = (1, 2, 5) if log10(high / low) < 1.3 else (1,)
    ticks = [tick for power in decades for each in steps if low <= (tick := each * 10.0**power) <= high]
    return Scale(low, high, True, tuple(ticks[:: 2 if len(ticks) > 7 else 1]))


def linear(values: Iterable[float]) -> Scale:
    """A linear scale from 0, or below it, to the largest value.

    >>> linear([3.0, 9.0]).ticks
    (0.0, 2.0, 4.0, 6.0, 8.0)
    """
    given = list(values)
    low, high = min(0.0, *given), max(0.0, *given)
    rough = (high - low or 1.0) / 4
    size = 10.0 ** floor(log10(rough))
    unit = next(each * size for each in (1, 2, 5, 10) if each * size >= rough * 0.8)
    ticks = tuple(place * unit for place in range(ceil(low / unit), floor(high / unit) + 1))
    return Scale(low, high if high > low else low + 1.0, False, ticks)


def axis(scale: Scale, unit: str) -> Markup:
    """Column header with tick labels (every second one on narrow screens); screen readers get the unit."""
    places = enumerate(scale.ticks)
    texts = "".join(
        f'<text{" class=alt" * (at % 2 and len(scale.ticks) > 3)} x="{scale.at(tick)}%" y="11" text-anchor="middle">'
        f"{digits(tick)}</text>" for at, tick in places
    )  # fmt: skip
    return Markup(f'<svg class="track" height="15" role="img" aria-label="axis in {to_html(unit)}">{texts}</svg>')


def interval(
    scale: Scale, value: float, lower: float | None, upper: float | None, *, measured: bool = False,
    points: Sequence[float] = (),
) -> Markup:  # fmt: skip
    """A value with its interval, and published measurements of the same chip as diamonds."""
    parts = []
    if lower is not None and upper is not None:
        left, right = scale.at(lower), scale.at(upper)
        parts.append(f'<rect class="span" x="{left}%" y="7" width="{round(right - left, 2)}%" height="5" rx="2"/>')
    parts += [f'<svg x="{scale.at(each)}%" overflow="visible"><path class="point" d="{_DIAMOND}"/></svg>'
              for each in points]  # fmt: skip
    where = scale.at(value)
    parts.append(
        f'<svg x="{where}%" overflow="visible"><rect class="own" x="-4" y="5.5" width="8" height="8"/></svg>'
        if measured else f'<circle class="dot" cx="{where}%" cy="9.5" r="4.5"/>'
    )
    between = "" if lower is None or upper is None else f", interval {digits(lower)} to {digits(upper)}"
    published = "".join(f", published {digits(each)}" for each in points)
    return _track(scale, parts, f"{digits(value)}{between}{published}")


def interval_legend() -> Markup:
    """What the marks drawn by `interval` mean."""
    marks = {
        "predicted, with its interval": '<rect class="span" x="2" y="5" width="32" height="5" rx="2"/>'
                                        '<circle class="dot" cx="18" cy="7.5" r="4.5"/>',
        "measured: the answer is a published row": '<rect class="own" x="14" y="3" width="8" height="8"/>',
        "other published measurement of this chip at this size, any precision and stack":
            '<path class="point" d="M18 2.5 23 7.5 18 12.5 13 7.5z"/>',
    }  # fmt: skip
    each = "".join(f'<span><svg aria-hidden="true" focusable="false">{mark}</svg>{text}</span>'
                   for text, mark in marks.items())  # fmt: skip
    return Markup(f'<p class="legend">{each}</p>')


def step(scale: Scale, start: float, end: float, *, total: bool = False) -> Markup:
    """A waterfall bar from `start` to `end`; a total starts at 0."""
    left, right = sorted((scale.at(start), scale.at(end)))
    css = "total" if total else "slower" if end > start else "faster"
    width = max(round(right - left, 2), 0.3)
    return _track(scale, [f'<rect class="{css}" x="{left}%" y="3" width="{width}%" height="13"/>'],
                  f"{css}: from {digits(start)} to {digits(end)}")  # fmt: skip


def bars(scale: Scale, source: float | None, target: float) -> Markup:
    """Two bars from 0: the source hollow (if there is one), the target solid."""
    zero, parts = scale.at(0.0), []
    for value, css, top in ((source, "there", 3), (target, "here", 11)):
        if value is not None:
            width = max(round(scale.at(value) - zero, 2), 0.3)
            parts.append(f'<rect class="{css}" x="{zero}%" y="{top}" width="{width}%" height="5"/>')
    beside = "" if source is None else f"source {digits(source)}, "
    return _track(scale, parts, f"{beside}target {digits(target)}")


def stack(shares: Mapping[str, float]) -> Markup:
    """A stacked bar of percentages; each part has the CSS class of its name."""
    parts, left = [], 0.0
    for name, share in shares.items():
        if share > 0:
            parts.append(f'<rect class="{name}" x="{round(left, 2)}%" y="3" width="{round(share, 2)}%" height="13"/>')
        left += share
    label = ", ".join(f"{name} {percent(share)}" for name, share in shares.items() if share > 0)
    return Markup(f'<svg class="track" height="19" role="img" aria-label="{label}">{"".join(parts)}</svg>')


def _track(scale: Scale, parts: Sequence[str], label: str) -> Markup:
    lines = "".join(
        f'<line class="grid" x1="{x}%" x2="{x}%" y1="-4" y2="23"/>' for x in map(scale.at, scale.ticks)
    )
    return Markup(f'<svg class="track" height="19" role="img" aria-label="{label}">{lines}{"".join(parts)}</svg>')
