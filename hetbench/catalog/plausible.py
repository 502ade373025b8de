"""Plausibility of a datasheet: a fact far outside those of the catalogue is refused, with the likely unit named.

A fact may be ten times beyond the least and the largest of the catalogue, which leaves room for chips to come; a wrong
prefix of a unit is a factor of a thousand. The peak and the bandwidth are also compared with each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

from hetbench.errors import InvalidInputError

__all__ = ["check_plausible"]

_ROOM = 10.0
_ROOM_OF_RATIO = 100.0  # between two peaks: some GPUs run fp16 at a 64th of fp32
_ENOUGH = 5  # chips that state both
_UNCHECKED = ("launch_year",)
_UNITS: Mapping[str, Mapping[float, str]] = {
    "tflops": {1e3: "PFLOPS", 1e-3: "GFLOPS", 1e-6: "MFLOPS", 1e-12: "FLOP/s"},
    "tops": {1e3: "POPS", 1e-3: "GOPS", 1e-12: "operations/s"},
    "gbs": {1e3: "TB/s", 1e-3: "MB/s", 1e-6: "kB/s", 1e-9: "bytes/s"},
    "gb": {1e3: "TB", 1e-3: "MB", 1e-6: "kB", 1e-9: "bytes"}, "mb": {1e3: "GB", 1e-3: "kB", 1e-6: "bytes"},
    "unit": {1e3: "MB", 1e-3: "bytes"}, "mhz": {1e3: "GHz", 1e-3: "kHz", 1e-6: "Hz"},
    "w": {1e3: "kW", 1e-3: "mW"}, "nm": {1e3: "um", 1e-3: "pm"},
}  # fmt: skip
"""Last part of a fact's name -> factor to its unit -> the unit that a figure off by the factor is likely in."""
_ALIKE = {"fp64_matrix_tflops", "fp64_tflops", "fp32_tflops", "fp32_vector_tflops", "tf32_tflops", "fp16_tflops",
          "bf16_tflops", "fp8_tflops", "int8_tops"}  # fmt: skip
"""Peaks that are compared with the bandwidth."""


def check_plausible(facts: Mapping[str, Any], known: Iterable[Mapping[str, Any]]) -> None:
    """Raise `InvalidInputError` for a fact that cannot be meant, given the facts of the catalogue's chips.

    >>> check_plausible({"mem_bw_gbs": 2000}, [{"mem_bw_gbs": 25.6}, {"mem_bw_gbs": 8000}])
    """
    chips = list(known)
    for name, value in facts.items():
        if isinstance(value, int | float) and name not in _UNCHECKED:
            seen = sorted(chip[name] for chip in chips if chip.get(name))
            if seen and not seen[0] / _ROOM <= value <= seen[-1] * _ROOM:
                raise InvalidInputError(
                    f"{name}={value:g} cannot be meant: chips of the catalogue have {seen[0]:g} to {seen[-1]:g}."
                    + _likely(name, value, seen[0], seen[-1])
                )
    _check_peaks(facts, chips)
    ridge, ridges = _ridge(facts), sorted(each for each in map(_ridge, chips) if each)
    if ridge and ridges and not ridges[0] / _ROOM <= ridge <= ridges[-1] * _ROOM:
        bandwidth = facts["mem_bw_gbs"]
        raise InvalidInputError(
            f"mem_bw_gbs={bandwidth:g} beside a peak of {_peak(facts):g} TFLOPS is {ridge:,.3g} FLOP a byte; chips of "
            f"the catalogue have {ridges[0]:.3g} to {ridges[-1]:,.4g}. Peaks are in TFLOPS and the bandwidth is in GB/s"
            + (f": for {bandwidth:g} TB/s write {1e3 * bandwidth:g}." if ridge > ridges[-1] else ".")
        )


def _check_peaks(facts: Mapping[str, Any], chips: Sequence[Mapping[str, Any]]) -> None:
    """Raise `InvalidInputError` for two peaks whose ratio is far outside those of the catalogue."""
    given = sorted(name for name in _ALIKE if facts.get(name))
    for one, other in combinations(given, 2):
        seen = sorted(chip[one] / chip[other] for chip in chips if chip.get(one) and chip.get(other))
        ratio = facts[one] / facts[other]
        if len(seen) >= _ENOUGH and not seen[0] / _ROOM_OF_RATIO <= ratio <= seen[-1] * _ROOM_OF_RATIO:
            raise InvalidInputError(
                f"{one}={facts[one]:g} beside {other}={facts[other]:g} cannot be meant: the ratio is {ratio:.3g}, and "
                f"{seen[0]:.3g} to {seen[-1]:.3g} on chips of the catalogue. Are both in units of 10^12 a second?"
            )


def _likely(name: str, value: float, least: float, most: float) -> str:
    """The unit in which the figure would be an ordinary one."""
    for factor, unit in _UNITS.get(name.rpartition("_")[2], {}).items():
        if least <= value * factor <= most:
            return f" If it is {value:g} {unit}, write {name}={value * factor:g}."
    return ""


def _peak(facts: Mapping[str, Any]) -> float:
    return max((float(facts[name]) for name in _ALIKE if facts.get(name)), default=0.0)


def _ridge(facts: Mapping[str, Any]) -> float:
    """Peak over bandwidth in FLOP a byte; 0 where one is not stated."""
    return 1e3 * _peak(facts) / facts["mem_bw_gbs"] if facts.get("mem_bw_gbs") else 0.0
