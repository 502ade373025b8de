"""Types of command-line options that refuse NaN, infinity, fractions of a count and negative times."""

from __future__ import annotations

import math
from argparse import ArgumentTypeError
from collections.abc import Callable

__all__ = ["CHIP_FILE", "KEEP_NOISY", "count", "number"]

CHIP_FILE = "datasheet of this device (TOML or JSON); it joins the chips of this machine (`hetbench chips --mine`)"
KEEP_NOISY = "where the machine stays loaded, keep the corrected latency of the quietest part, marked as noisy"

_MOST = 10**9


def count(least: int = 1, most: int = _MOST) -> Callable[[str], int]:
    """The type of an option that takes a whole number from `least` to `most`.

    >>> count()("8")
    8
    """

    def whole(text: str) -> int:
        try:
            found = int(text) if len(text) < 30 else most + 1  # Python refuses numbers of thousands of digits
        except ValueError:
            found = least - 1
        if not least <= found <= most:
            raise ArgumentTypeError(f"must be a whole number from {least} to {most:,}; given: {text:.40}")
        return found

    return whole


def number(least: float = 0.0, *, above: bool = False, most: float = _MOST) -> Callable[[str], float]:
    """The type of an option that takes a finite number from `least` (with `above`: larger than it) to `most`.

    >>> number()("0.5")
    0.5
    """

    def real(text: str) -> float:
        try:
            found = float(text)
        except ValueError:
            found = math.nan
        if not least <= found <= most or (above and found == least):  # NaN is in no range
            words = f"above {least:g}" if above else f"from {least:g}"
            raise ArgumentTypeError(f"must be a number {words} to {most:,.0f}; given: {text:.40}")
        return found

    return real
