"""Read-only dictionaries, which pickle, copy, compare and become JSON as plain ones do.

What several answers share is a `ReadOnly`, so that a caller who writes into one answer changes no other.
`types.MappingProxyType` neither pickles nor copies.
"""

from __future__ import annotations

from typing import Any, NoReturn, TypeVar

__all__ = ["ReadOnly"]

K = TypeVar("K")
V = TypeVar("V")


class ReadOnly(dict[K, V]):
    """A dictionary that cannot be changed; `dict(it)` is a copy that can.

    >>> shares = ReadOnly({"Linear": 1.5})
    >>> shares == {"Linear": 1.5}, shares["Linear"]
    (True, 1.5)
    >>> shares["Linear"] = 2.0
    Traceback (most recent call last):
    TypeError: this mapping is read-only; dict(...) makes a copy that can be changed
    """

    __slots__ = ()

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("this mapping is read-only; dict(...) makes a copy that can be changed")

    __setitem__ = __delitem__ = clear = pop = popitem = setdefault = update = __ior__ = _refuse

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (dict(self),)

    def __copy__(self) -> ReadOnly[K, V]:
        return self

    def copy(self) -> dict[K, V]:
        """A plain dictionary of the same contents, which can be changed."""
        return dict(self)
