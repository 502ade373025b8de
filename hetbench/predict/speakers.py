"""Which chip speaks for another: chips of one die run the same kernels, so evidence of one is that of all.

Two chips of a die differ in clock, units, memory and bandwidth, not in how well a kernel uses them. So a chip without
rows of its own is answered by the efficiencies of the chip of its die that has most, on its own roofline; two chips
with equal datasheets get equal answers, and one that has more of everything is never slower.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from hetbench.catalog.chips import Chip, chips

__all__ = ["chips_of_die", "equal_datasheets", "speaker"]

_RATES = ("fp32_tflops", "tf32_tflops", "fp16_tflops", "bf16_tflops", "int8_tops", "mem_bw_gbs")
_SIZES = ("compute_units", "boost_mhz", "l2_mb")


def equal_datasheets(one: Chip, other: Chip) -> bool:
    """Whether two chips of a die state the same rates, and no size of them differs where both state it.

    >>> known = chips()
    >>> equal_datasheets(known["nvidia-h100-sxm5-80gb"], known["nvidia-h800-sxm5-80gb"])
    True
    >>> equal_datasheets(known["nvidia-h100-sxm5-80gb"], known["nvidia-h200-sxm-141gb"])
    False
    """
    if (one.die, one.family, one.kind) != (other.die, other.family, other.kind) or not one.arch:
        return False
    if any(getattr(one, name) != getattr(other, name) for name in _RATES):
        return False
    sizes = ((getattr(one, name), getattr(other, name)) for name in _SIZES)
    return all(None in pair or pair[0] == pair[1] for pair in sizes)


def speaker(chip: Chip, evidence: Mapping[str, int], enough: int = 1) -> Chip:
    """The chip that speaks for `chip`: itself or one of its die; `evidence` is how much each chip has, by name.

    That of equal datasheets with most evidence, where it has `enough`; else the chip of the die with most; else, so
    that all chips of the die are answered alike, the fastest of them.

    >>> known = chips()
    >>> speaker(known["nvidia-h200-sxm-141gb"], {"nvidia-h100-sxm5-80gb": 9}).name
    'nvidia-h100-sxm5-80gb'
    >>> speaker(known["nvidia-h200-sxm-141gb"], {"nvidia-h200-sxm-141gb": 1, "nvidia-h100-sxm5-80gb": 9}).name
    'nvidia-h200-sxm-141gb'
    """
    alike, near = _relatives(chip)
    for group, least in ((alike, enough), (near, 1)):
        most = max(group, key=lambda each: evidence.get(each.name, 0))
        if evidence.get(most.name, 0) >= least:
            return most
    return near[0]


def chips_of_die(chip: Chip) -> tuple[Chip, ...]:
    """All chips of the die with a stated bandwidth, the chip itself among them; the fastest first.

    >>> "nvidia-h200-sxm-141gb" in [each.name for each in chips_of_die(chips()["nvidia-h100-sxm5-80gb"])]
    True
    """
    return _relatives(chip)[1]


@lru_cache(maxsize=1024)
def _relatives(chip: Chip) -> tuple[tuple[Chip, ...], tuple[Chip, ...]]:
    """Chips of equal datasheets, the chip itself among them, and all chips of its die; the fastest first."""
    if not chip.arch:
        return (chip,), (chip,)
    of_die = [
        each for each in chips().values()
        if (each.die, each.family, each.kind) == (chip.die, chip.family, chip.kind) and each.bandwidth
    ]  # fmt: skip
    if all(each.name != chip.name for each in of_die):  # a chip of the caller's own
        of_die.append(chip)
    near = sorted(of_die, key=lambda each: (-(each.bandwidth or 0.0), -(each.fp16_tflops or 0.0), each.name))
    alike = [each for each in near if each.name == chip.name or equal_datasheets(each, chip)]
    return tuple(alike), tuple(near)
