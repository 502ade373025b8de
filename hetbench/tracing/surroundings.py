"""What a forward may change outside its module, put back afterwards.

Networks keep tables in globals of their Python module, in attributes of their class and in `functools.lru_cache`; a
fake tensor left there would break the next real call. Random generators and the default dtype are put back too.
"""

from __future__ import annotations

import gc
import random
import sys
from collections import OrderedDict, defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import _lru_cache_wrapper
from types import ModuleType
from typing import Any

__all__ = ["restored"]

_CONTAINERS = (dict, OrderedDict, defaultdict, list, set)
_CODE = (ModuleType, type)
_SKIPPED = ("torch", "builtins", "numpy", "hetbench")
"""Packages that no network keeps its tables in."""


@contextmanager
def restored(module: Any) -> Iterator[None]:
    """Globals, classes, caches and generators as they are now, whatever runs inside."""
    import torch

    classes = {cls for part in module.modules() for cls in type(part).__mro__ if not _is_skipped(cls.__module__)}
    spaces = [vars(sys.modules[name]) for name in {cls.__module__ for cls in classes} if name in sys.modules]
    caches = {id(cache): (cache, cache.cache_info()) for cache in _caches()}
    with ExitStack() as scope:
        for owner in spaces:
            scope.callback(_put_back_globals, owner, _snapshot(owner))
        for cls in classes:
            scope.callback(_put_back_class, cls, _snapshot(vars(cls)))
        scope.callback(_clear_filled, caches)
        scope.callback(random.setstate, random.getstate())
        scope.callback(torch.set_default_dtype, torch.get_default_dtype())
        scope.callback(torch.set_rng_state, torch.get_rng_state())
        if "numpy" in sys.modules:
            numpy = sys.modules["numpy"]
            scope.callback(numpy.random.set_state, numpy.random.get_state())
        scope.enter_context(_compiling_nothing())
        yield


def _is_skipped(name: str) -> bool:
    return name.partition(".")[0] in _SKIPPED


def _caches() -> list[Any]:
    return [
        each for each in gc.get_objects()
        if type(each) is _lru_cache_wrapper and not _is_skipped(str(getattr(each, "__module__", "")))
    ]  # fmt: skip


def _clear_filled(before: dict[int, Any]) -> None:
    """Empty the caches that calls inside have filled: they may hold fake tensors."""
    for cache in _caches():
        known = before.get(id(cache))
        if cache.cache_info().misses > (known[1].misses if known else 0):
            cache.cache_clear()


def _snapshot(space: Any) -> dict[str, tuple[Any, Any]]:
    """Name -> (value, contents of a container)."""
    return {
        name: (value, _contents(value)) for name, value in list(space.items())
        if not isinstance(value, _CODE) and not (name.startswith("__") and name.endswith("__"))
    }  # fmt: skip


def _contents(value: Any) -> Any:
    """A shallow copy of a container; None of anything else."""
    return value.copy() if type(value) in _CONTAINERS else None


def _refill(value: Any, contents: Any) -> None:
    """A container with the contents it had."""
    if len(value) == len(contents) and all(map(_is, _entries(value), _entries(contents))):
        return
    value.clear()
    (value.extend if isinstance(value, list) else value.update)(contents)


def _entries(value: Any) -> list[Any]:
    return [part for pair in value.items() for part in pair] if isinstance(value, dict) else list(value)


def _is(one: Any, other: Any) -> bool:
    return one is other


def _put_back_globals(space: dict[str, Any], before: dict[str, tuple[Any, Any]]) -> None:
    for name, (value, contents) in before.items():
        if contents is not None:
            _refill(value, contents)
        if space.get(name, before) is not value:
            space[name] = value
    for name in set(_snapshot(space)) - set(before):
        if not callable(space[name]):  # functions that were imported meanwhile may stay
            del space[name]


def _put_back_class(cls: type, before: dict[str, tuple[Any, Any]]) -> None:
    for name, (value, contents) in before.items():
        if contents is not None:
            _refill(value, contents)
        if vars(cls).get(name, before) is not value:
            setattr(cls, name, value)
    for name in set(_snapshot(vars(cls))) - set(before):
        if not callable(vars(cls)[name]):
            delattr(cls, name)


@contextmanager
def _compiling_nothing() -> Iterator[None]:
    """Functions wrapped by `torch.compile` run as they are written."""
    if "torch._dynamo" not in sys.modules:
        yield
        return
    import torch

    with torch.compiler.set_stance("force_eager"):
        yield
