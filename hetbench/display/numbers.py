"""Numbers as text."""

from __future__ import annotations

__all__ = ["digits", "number"]


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
