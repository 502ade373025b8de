"""Calls of whole-model surrogates that earlier questions about the same network and chip have had evaluated.

Whole models are evaluated at powers of two of batch and length, so most of what a new size needs is known already.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hetbench.loading import LOCK
from hetbench.predict.whole_group import Calls

__all__ = ["kept_calls"]

_MOST_KEPT = 20_000
_KEPT: dict[tuple[Any, ...], tuple[tuple[Any, ...], Calls]] = {}


def kept_calls(owners: tuple[Any, ...], key: tuple[Any, ...], make: Callable[[], Calls]) -> Calls:
    """The calls that `make` gives, kept under a key; `owners` are objects whose identity counts, and which stay alive.

    >>> owner = object()
    >>> kept_calls((owner,), ("batch", 1), lambda: "made") is kept_calls((owner,), ("batch", 1), lambda: "made again")
    True
    """
    place = (*map(id, owners), *key)
    found = _KEPT.get(place)
    if found is None:
        found = owners, make()
        with LOCK:
            if len(_KEPT) >= _MOST_KEPT:
                _KEPT.clear()
            _KEPT[place] = found
    return found[1]
