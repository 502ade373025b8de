"""Checks of what a caller gives: a name out of a list, a whole number, yes or no."""

from __future__ import annotations

from collections.abc import Collection
from operator import index

from hetbench.errors import InvalidInputError, UnknownNameError, shown

__all__ = ["known_name", "whole_number", "yes_or_no"]

_LARGEST = 2**63 - 1


def known_name(kind: str, given: object, known: Collection[str]) -> str:
    """The name itself; `UnknownNameError` for what is none of `known`.

    >>> known_name("phase", "decode", ("prefill", "decode"))
    'decode'
    """
    if isinstance(given, str) and given in known:
        return given
    raise UnknownNameError(kind, given, known)


def whole_number(name: str, given: object, least: int, most: int = _LARGEST) -> int:
    """A whole number as an int; `InvalidInputError` for any other value and for one out of range.

    >>> whole_number("seed", 7, 0)
    7
    """
    try:
        number = index(given)  # type: ignore[arg-type]
    except Exception:  # noqa: BLE001 - `__index__` of a caller's object may raise anything
        number = least - 1
    if isinstance(given, bool) or not least <= number <= most:
        until = f" to {most:,}" if most < _LARGEST else ""
        raise InvalidInputError(f"{name} must be a whole number from {least}{until}; given: {shown(given)}.")
    return number


def yes_or_no(name: str, given: object) -> bool:
    """True or False; `InvalidInputError` for any other value.

    >>> yes_or_no("intervals", True)
    True
    """
    if type(given).__name__ in ("bool", "bool_"):  # Python's and numpy's, old and new
        return bool(given)
    raise InvalidInputError(f"{name} is True or False; given: {shown(given)}.")
