"""Facts that a datasheet leaves out, estimated from chips of the same architecture or family by one stated rule each.

A peak that is not stated is that of the units which run the precision instead, where those are no faster; else the
chip's stated peak times the usual ratio of both precisions on related chips. A clock that is not stated is the median
of related chips. Related are the chips of the same architecture, where none states the fact those of the family, and
for peaks then those of the kind.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from statistics import median

from hetbench.catalog.chips import Chip, chips

__all__ = ["clock_mhz", "peak_flops", "runs_instead"]

# units that run a precision where the chip has none of its own, none of them faster than such units would be
_INSTEAD = {
    "tf32": ("fp32",), "fp16": ("bf16", "fp32"), "bf16": ("fp16", "fp32"), "fp8": ("bf16", "fp16", "int8", "fp32"),
    "int8": ("fp8", "fp16", "bf16", "fp32"),
}  # fmt: skip
_SCALED_FROM = ("fp32", "bf16", "fp16", "int8")


@lru_cache(maxsize=1024)
def peak_flops(chip: Chip, precision: str) -> float | None:
    """Dense peak in FLOP/s at a precision: as stated, else estimated; None where nothing tells.

    A dtype without arithmetic units of its own, such as int64, counts as fp32; weights of a stored format count as
    what they are computed in.

    >>> from hetbench.catalog.chips import chip
    >>> peak_flops(chip("nvidia-v100-sxm2-16gb"), "fp16") == chip("nvidia-v100-sxm2-16gb").peak_flops("fp16")
    True
    >>> peak_flops(chip("huawei-ascend-910"), "fp64") is None
    True
    """
    units = chip.computed_in(precision)
    wanted = units if units in ("fp64", "fp32", "fp4", *_INSTEAD) else "fp32"
    stated = (chip.peak_flops(name) for name in (wanted, *_INSTEAD.get(wanted, ())))
    return next((value for value in stated if value), None) or _scaled(chip, wanted)


def runs_instead(precision: str) -> tuple[str, ...]:
    """Precisions whose units run this one where a chip has none of its own, the nearest first."""
    return _INSTEAD.get(precision, ())


def _scaled(chip: Chip, precision: str) -> float | None:
    """A stated peak times the median ratio on chips of the architecture, else the least ratio on those of the family,
    else on those of the kind."""
    for related, usual in ((_architecture(chip), median), (_family(chip), min), (_kind(chip), min)):
        for known in _SCALED_FROM:
            own = chip.peak_flops(known)
            ratios = list(_ratios(related, precision, known)) if own else []
            if own and ratios:
                return own * usual(ratios)
    return None


def _ratios(related: Iterable[Chip], precision: str, known: str) -> Iterator[float]:
    for other in related:
        above, below = other.peak_flops(precision), other.peak_flops(known)
        if above and below:
            yield above / below


@lru_cache(maxsize=1024)
def clock_mhz(chip: Chip) -> float:
    """Boost clock in MHz: as stated, else the median of related chips.

    >>> from hetbench.catalog.chips import chip
    >>> clock_mhz(chip("nvidia-a100-sxm4-80gb"))
    1410.0
    """
    if chip.boost_mhz:
        return float(chip.boost_mhz)
    groups = (_architecture(chip), _family(chip), list(chips().values()))
    stated = ([float(other.boost_mhz) for other in group if other.boost_mhz] for group in groups)
    return next(median(clocks) for clocks in stated if clocks)


def _architecture(chip: Chip) -> list[Chip]:
    """Other chips of the same family and architecture: the first word of `arch`."""
    word = (chip.arch or "").split(" ")[0]
    return [c for c in _family(chip) if word and (c.arch or "").split(" ")[0] == word]


def _kind(chip: Chip) -> list[Chip]:
    """Other chips of the same kind, whoever makes them."""
    return [c for c in chips().values() if chip.kind and c.kind == chip.kind and c.name != chip.name]


def _family(chip: Chip) -> list[Chip]:
    """Other chips of the same family and, where it is stated, kind."""
    return [
        c for c in chips().values() if c.family == chip.family and c.name != chip.name and chip.kind in (None, c.kind)
    ]
