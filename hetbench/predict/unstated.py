"""How much wider an interval is where facts of the chip are estimated instead of stated.

The widths are those of the estimates: every chip that states a clock is given that of related chips, and every chip
that states a peak the usual work per unit and cycle of its architecture; nine tenths lie within the width of what they
state. A precision that runs on the units of another one has that one's peak, which is stated.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from statistics import median

import numpy as np

from hetbench.catalog.chips import PEAK_COLUMNS, Chip, chips
from hetbench.catalog.estimates import clock_mhz, runs_instead
from hetbench.loading import load_once

__all__ = ["clock_width", "peak_width"]

_HELD = 0.9
_ENOUGH = 5  # chips of the family that tell a width of their own


def peak_width(chip: Chip, dtype: str) -> float:
    """Half the width, in log, of the peak at a dtype: 0 where the datasheet states it.

    >>> from hetbench.catalog.chips import chip
    >>> peak_width(chip("nvidia-a100-sxm4-80gb"), "fp16"), clock_width(chip("amd-mi308x")) == 0
    (0.0, False)
    """
    units = [dtype if dtype in PEAK_COLUMNS else "fp32"]
    units += runs_instead(units[0])
    given = next((unit for unit in units if chip.peak_flops(unit)), None)
    if given is not None and _states(chip, PEAK_COLUMNS[given]):
        return 0.0
    return _peak_misses(chip.family, units[0])


def clock_width(chip: Chip) -> float:
    """Half the width, in log, of the boost clock: 0 where the datasheet states it."""
    return 0.0 if _states(chip, ("boost_mhz",)) else _clock_misses(chip.family)


def _states(chip: Chip, columns: tuple[str, ...]) -> bool:
    """Whether the first of the columns that is given was not estimated."""
    guessed = {name.strip() for name in (chip.estimated or "").split(",")}
    given = [name for name in columns if getattr(chip, name) is not None]
    return bool(given) and given[0] not in guessed


@load_once(maxsize=64)
def _clock_misses(family: str) -> float:
    known = [chip for chip in chips().values() if _states(chip, ("boost_mhz",))]
    return _quantile(family, ((c, clock_mhz(replace(c, boost_mhz=None)) / clock_mhz(c)) for c in known))


@load_once(maxsize=64)
def _peak_misses(family: str, precision: str) -> float:
    """Of the work per unit and cycle at a precision, against the other chips of the architecture."""
    each: dict[tuple[str, str], list[tuple[Chip, float]]] = {}
    for chip in chips().values():
        peak = chip.peak_flops(precision) if _states(chip, PEAK_COLUMNS[precision]) else None
        if peak and chip.compute_units and chip.boost_mhz:
            architecture = chip.family, (chip.arch or chip.name).split(" ")[0]
            each.setdefault(architecture, []).append((chip, peak / chip.compute_units / chip.boost_mhz))
    return _quantile(family, (
        (chip, median(other for at, (_, other) in enumerate(group) if at != place) / own)
        for group in each.values() if len(group) > 1 for place, (chip, own) in enumerate(group)
    ))  # fmt: skip


def _quantile(family: str, ratios: Iterator[tuple[Chip, float]]) -> float:
    """What nine tenths of the estimates miss at most, in log; over the family where it has chips enough."""
    found = list(ratios)
    own = [ratio for chip, ratio in found if chip.family == family]
    chosen = own if len(own) >= _ENOUGH else [ratio for _, ratio in found]
    return float(np.quantile(np.abs(np.log(chosen)), _HELD)) if chosen else 0.0
