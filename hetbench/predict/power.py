"""Board power from utilisation, and the energy of a pass as power x time.

    watts = TDP x factor x (floor + (1 - floor) x (1 - exp(-(a x compute + b x memory))))

`compute` and `memory` are the utilisations that a pass reaches: achieved over peak FLOP/s, and achieved over peak
bandwidth. `floor` is the share of the TDP that a busy chip draws at zero utilisation. `python -m surrogates.power` fits
floor, a and b on the board watts of seven chips, and a factor for each of them. The interval is from chips left out of
the fit (level D) or rows left out of it on the chip itself (B: rows of operators, C: only rows of whole models).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hetbench.artifacts.integrity import FORMATS
from hetbench.artifacts.sets import EMBEDDED
from hetbench.catalog.chips import Chip
from hetbench.errors import ArtifactError, InvalidInputError, RefusedError, UnknownNameError
from hetbench.loading import load_once
from hetbench.predict.features import chip_facts
from hetbench.schema import itemsize

__all__ = [
    "FORMAT", "HIGHEST", "Estimate", "Law", "Pass", "PowerSurrogate", "board_watts", "joules", "load", "utilisation",
    "watts",
]  # fmt: skip

FORMAT = FORMATS["power.json"]
HIGHEST = 1.05
"""Limit of board power / TDP: of 542 thousand measured operators none exceeds 1.03."""


class Estimate(NamedTuple):
    """Watts or joules with interval, evidence level and support."""

    value: float
    lower: float
    upper: float
    level: str
    """Evidence level B, C or D."""
    support: int
    """Number of rows with measured watts on this chip."""
    note: str


@dataclass(frozen=True, slots=True)
class Pass:
    """Work and duration of a pass; the bounds of a predicted latency widen the interval."""

    flops: float
    moved_bytes: float
    latency_ms: float
    lower_ms: float | None = None
    upper_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Law:
    """The fitted power law; `floor` is a share of the TDP, `compute` and `memory` are a and b."""

    floor: float
    compute: float
    memory: float
    lowest: float
    """Lowest measured share of the TDP under load."""

    def share(self, compute: Any, memory: Any, factor: float = 1.0) -> NDArray[np.float64]:
        """Share of the TDP at utilisations `compute` and `memory`, numbers or arrays [rows], clipped to 0..1.

        A utilisation of bandwidth above 1 occurs where data stay in a cache.

        >>> law = Law(0.35, 3.4, 0.8, 0.15)
        >>> float(law.share(0.0, 0.0)), float(law.share(0.8, 0.1).round(2))
        (0.35, 0.96)
        """
        load = self.compute * np.clip(compute, 0, 1) + self.memory * np.clip(memory, 0, 1)
        drawn = factor * (self.floor + (1 - self.floor) * -np.expm1(-load))
        return np.asarray(np.clip(drawn, self.lowest, 1.0), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class PowerSurrogate:
    """The contents of `power.json`."""

    id: str
    law: Law
    chips: Mapping[str, tuple[str, float, int]]
    """Chip with measured watts -> evidence level, factor, number of rows."""
    families: tuple[str, ...]
    bands: Mapping[str, tuple[float, float]]
    """Evidence level -> lower and upper quantile of log(measured / predicted)."""
    interval_level: float


@load_once(maxsize=4)
def load(folder: Path | None = None) -> PowerSurrogate:
    """The surrogate of a folder, by default the one shipped with hetbench.

    Raises `ArtifactError` where its file is missing or of another format.

    >>> bool(load().law.share(0.5, 0.5) > load().law.share(0.1, 0.1))
    True
    """
    path = (folder or EMBEDDED) / "power.json"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"power.json cannot be read: {error}. Run `python -m surrogates.power`.") from None
    if data.get("format") != FORMAT:
        raise ArtifactError(f"power.json has format {data.get('format')!r}; this hetbench reads {FORMAT}.")
    return PowerSurrogate(
        data["id"], Law(**data["law"]),
        {name: (entry["level"], entry["factor"], entry["rows"]) for name, entry in data["chips"].items()},
        tuple(data["families"]), {level: (low, high) for level, (low, high) in data["bands"].items()},
        data["interval_level"],
    )  # fmt: skip


def utilisation(flops: Any, moved_bytes: Any, latency_ms: Any, chip: Chip, precision: str) -> tuple[Any, Any]:
    """Utilisation of compute and of bandwidth, for work in FLOP and bytes; NaN where peak or bandwidth is unknown.

    >>> from hetbench.catalog.chips import chip
    >>> utilisation(312e9, 0.0, 2.0, chip("nvidia-a100-sxm4-80gb"), "fp16")
    (0.5, 0.0)
    """
    facts = chip_facts(chip, precision, 0.0)
    seconds = latency_ms / 1e3
    return flops / seconds / facts.peak, moved_bytes / seconds / facts.bandwidth


def watts(
    flops: float, moved_bytes: float, latency_ms: float, chip: Chip, precision: str, *,
    between_ms: tuple[float, float] | None = None, surrogate: PowerSurrogate | None = None,
) -> Estimate:  # fmt: skip
    """Mean board power in watts of a pass with the given FLOP, bytes and latency.

    `between_ms` is the interval of a predicted latency. Raises `RefusedError` for a chip of unknown TDP, peak or
    bandwidth, `InvalidInputError` for an unknown precision or negative work.

    >>> from hetbench.catalog.chips import chip
    >>> busy = watts(156e9, 0.5e9, 1.0, chip("nvidia-a100-sxm4-80gb"), "fp16")
    >>> idle = watts(1e9, 0.5e9, 100.0, chip("nvidia-a100-sxm4-80gb"), "fp16")
    >>> idle.value < busy.value <= 400, busy.level
    (True, 'D')
    """
    return _estimate(Pass(flops, moved_bytes, latency_ms, *(between_ms or ())), chip, precision, _at_watts, surrogate)


def joules(
    flops: float, moved_bytes: float, latency_ms: float, chip: Chip, precision: str, *,
    between_ms: tuple[float, float] | None = None, surrogate: PowerSurrogate | None = None,
) -> Estimate:  # fmt: skip
    """Energy of one pass in joules: watts x seconds; arguments and errors as in `watts`.

    A longer pass of the same work draws fewer watts, so the interval is narrower than the product of both intervals.

    >>> from hetbench.catalog.chips import chip
    >>> case = 156e9, 0.5e9, 2.0, chip("nvidia-h200-sxm-141gb"), "fp16"
    >>> round(joules(*case).value / watts(*case).value, 9)
    0.002
    """
    return _estimate(Pass(flops, moved_bytes, latency_ms, *(between_ms or ())), chip, precision, _at_joules, surrogate)


def _at_watts(drawn: float, latency_ms: float) -> float:
    return drawn


def _at_joules(drawn: float, latency_ms: float) -> float:
    return drawn * latency_ms / 1e3


def board_watts(
    flops: Any, moved_bytes: Any, latency_ms: Any, chip: Chip, precision: str, surrogate: PowerSurrogate | None = None
) -> NDArray[np.float64]:
    """Mean board power in watts of many passes, without intervals; flops, bytes and ms are arrays of one shape.

    >>> from hetbench.catalog.chips import chip
    >>> work = 156e9, 0.5e9, 1.0, chip("cuda"), "fp16"
    >>> float(board_watts(*work)) == watts(*work).value
    True
    """
    tdp = _tdp(Pass(0.0, 0.0, 1.0), chip, precision)
    surrogate = surrogate or load()
    _, factor, _ = surrogate.chips.get(chip.name, ("D", 1.0, 0))
    out: NDArray[np.float64] = tdp * surrogate.law.share(
        *utilisation(flops, moved_bytes, latency_ms, chip, precision), factor
    )
    return out


def _estimate(
    work: Pass, chip: Chip, precision: str, of: Callable[[float, float], float], surrogate: PowerSurrogate | None
) -> Estimate:
    """Value and interval of the quantity `of(watts, latency_ms)`; band and latency bounds are added in quadrature."""
    tdp = _tdp(work, chip, precision)
    surrogate = surrogate or load()
    level, factor, support = surrogate.chips.get(chip.name, ("D", 1.0, 0))
    low, high = surrogate.bands[level]

    def at(latency_ms: float) -> float:
        reached = utilisation(work.flops, work.moved_bytes, latency_ms, chip, precision)
        return of(tdp * float(surrogate.law.share(*reached, factor)), latency_ms)

    value = at(work.latency_ms)
    ends = [math.log(at(ms) / value) for ms in (work.lower_ms, work.upper_ms) if ms]
    lower = value * math.exp(-math.hypot(low, min(ends, default=0.0)))
    upper = value * math.exp(math.hypot(high, max(ends, default=0.0)))
    least = of(tdp * surrogate.law.lowest, work.lower_ms or work.latency_ms)
    most = of(tdp * HIGHEST, work.upper_ms or work.latency_ms)
    return Estimate(value, max(lower, least), min(upper, most), level, support, _note(surrogate, chip, level, support))


def _tdp(work: Pass, chip: Chip, precision: str) -> float:
    """The TDP of the chip in watts, after checking all inputs of the estimate."""
    try:
        itemsize(precision)
    except UnknownNameError as why:
        raise InvalidInputError(f"precision {precision!r} is unknown. {why}") from None
    if not work.latency_ms > 0 or work.flops < 0 or work.moved_bytes < 0:
        raise InvalidInputError(
            f"a pass needs a positive latency and no negative work; given: {work.latency_ms!r} ms, {work.flops!r} "
            f"flops, {work.moved_bytes!r} bytes."
        )
    if chip.tdp_w is None:
        raise RefusedError(
            f"power is predicted as a share of the TDP, and that of {chip.name} is unknown. "
            f"`api.add_chip` takes a datasheet with tdp_w."
        )
    facts = chip_facts(chip, precision, 0.0)
    if math.isnan(facts.peak) or math.isnan(facts.bandwidth):
        raise RefusedError(f"power is predicted from utilisation, and the peak or bandwidth of {chip.name} is unknown.")
    return float(chip.tdp_w)


def _note(surrogate: PowerSurrogate, chip: Chip, level: str, support: int) -> str:
    if support:
        only = "" if level == "B" else " (whole models only)"
        return f"board power of the chip without host; fitted with {support:,} measured rows of {chip.name}{only}"
    fit = f"fitted on {len(surrogate.chips)} chips of {', '.join(surrogate.families)}"
    if chip.family in surrogate.families:
        return f"board power of the chip without host; {fit}, none of them {chip.name}"
    return f"board power of the chip without host; {fit}, not validated on {chip.family} chips"
