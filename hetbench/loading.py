"""Loaders that threads and forked processes can share: what is read from disk is read once, and seen only complete.

One lock per process guards everything that is read or built on first use, and the state of `HetBench` objects. A fork
waits for it, so that a child never inherits a half-built table or a lock that nobody will release.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import lru_cache, update_wrapper
from threading import RLock
from typing import Any, TypeVar

__all__ = ["LOCK", "load_once"]

LOCK = RLock()
"""Held while anything is read or built on first use; re-entrant, since loaders call one another."""

Loader = TypeVar("Loader", bound=Callable[..., Any])


def load_once(maxsize: int = 1) -> Callable[[Loader], Loader]:
    """Like `functools.lru_cache(maxsize)`, but concurrent first calls get one and the same result.

    A hit costs what it costs there; a miss takes `LOCK`, so that the function runs once for each set of arguments.

    >>> @load_once()
    ... def table():
    ...     return []
    >>> table() is table()
    True
    """

    def decorate(function: Loader) -> Loader:
        made: OrderedDict[Hashable, Any] = OrderedDict()

        def load(*given: Any) -> Any:
            with LOCK:
                if given not in made:
                    found = function(*given)
                    while len(made) >= maxsize:
                        made.popitem(last=False)
                    made[given] = found
                return made[given]

        kept: Any = lru_cache(maxsize)(load)
        forget = kept.cache_clear

        def cache_clear() -> None:
            with LOCK:
                made.clear()
                forget()

        kept = update_wrapper(kept, function)
        kept.cache_clear = cache_clear
        loader: Loader = kept
        return loader

    return decorate


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=LOCK.acquire, after_in_parent=LOCK.release, after_in_child=LOCK.release)
