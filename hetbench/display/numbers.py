"""Numbers as text."""

from __future__ import annotations

__all__ = ["digits", "number", "percent"]


def digits(value: float) -> str:
    """A number as text: three significant digits, thousands separators from 1,000 on.

    >>> digits(0.012345), digits(1234567.0)
    ('0.0123', '1,234,567')
    >>> digits(999.7)
    '1,000'
    """
    if abs(value) >= 999.5:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def number(value: float, unit: str) -> str:
    """A number with its unit as text; the unit `1` is not shown.

    >>> number(2.5, "ms"), number(124439808, "1")
    ('2.5 ms', '124,439,808')
    """
    return digits(value) if unit == "1" else f"{digits(value)} {unit}"


def percent(share: float) -> str:
    """A share of a whole as text: 0 and 100 only where nothing is in it, or nothing is left over.

    What is smaller than rounding errors of sums, 1e-9, counts as nothing.

    >>> percent(1.4e-14), percent(0.004), percent(42.123), percent(99.97), percent(100.0)
    ('0 %', 'below 0.01 %', '42.1 %', 'above 99.9 %', '100 %')
    """
    if abs(share) < _ROUNDING:
        return "0 %"
    if 0 < share < _LEAST_SHOWN:
        return f"below {_LEAST_SHOWN:g} %"
    if _MOST_SHOWN < share < 100 - _ROUNDING:
        return f"above {_MOST_SHOWN:g} %"
    return f"{digits(share)} %"


_ROUNDING, _LEAST_SHOWN, _MOST_SHOWN = 1e-9, 0.01, 99.9
